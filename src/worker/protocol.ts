import type { MessagePort } from 'node:worker_threads'
import type { ErrorShape } from '../common/errors.js'
import type { LaneFile } from '../connector/files/lane.js'
import type { BlockDescriptor, ScanPartition } from '../connector/inputs.js'
import type { DeadLetter } from '../dead-letter/dead-letter.js'
import type { FailurePolicy } from '../dead-letter/failure-policy.js'
import type { ChannelDescriptor } from '../exchange/channel.js'
import type { SharedLogMemory } from '../log/shared-memory.js'
import type { JoinSideName, PhysicalPlan } from '../plan/physical-plan.js'

/**
 * The control messages between the engine thread and the workers. They are few and small: rows never
 * travel here. A message to a worker is followed by a ring of its bell, since a parked worker reads no port.
 */

/** Of the memory of a heartbeat, see heartbeat.ts. */
export const HEARTBEAT_BYTES = 1024

/** What a worker is started with (the argument of its piscina task). */
export interface WorkerStart {
  readonly slot: number
  /** Control messages to and from the engine. */
  readonly control: MessagePort
  /** What it does in the user's code: see heartbeat.ts. */
  readonly heartbeat: SharedArrayBuffer
  /** Announcements of the log's chunks. */
  readonly memory: readonly MessagePort[]
  /** Shared memory of the log, the doorbells among it. */
  readonly log: SharedLogMemory
}

export type { BlockDescriptor, ScanPartition }

/** A channel from a task of an earlier stage. */
export interface TaskInput {
  readonly channel: ChannelDescriptor
  /**
   * The watermark that comes through it, by the number of its `withWatermark`; NO_WATERMARK where none does. Channels of one number are
   * combined by the least; several numbers by the query's policy.
   */
  readonly watermark: number
  /** Of a join: the side that it feeds. */
  readonly side: JoinSideName
}

export const NO_WATERMARK = -1

export interface TaskSpec {
  readonly stage: number
  readonly task: number
  /** How many tasks the stage has. */
  readonly tasks: number
  readonly scan?: readonly ScanPartition[]
  readonly inputs?: readonly TaskInput[]
  /** To the tasks of the next stage, or to the sink's thread (one channel); none where rows are discarded. */
  readonly outputs: readonly ChannelDescriptor[]
  /** State rows to the engine, where there is state and a checkpoint. */
  readonly stateLog?: ChannelDescriptor
  /** State to begin with: blocks in the order in which they were written, later rows replace earlier ones. */
  readonly restore?: { readonly blocks: readonly BlockDescriptor[]; readonly closedUntil: number }
}

export interface Deployment {
  readonly query: string
  readonly plan: PhysicalPlan
  readonly tasks: readonly TaskSpec[]
  /** By name, the rows of the plan's broadcasts. */
  readonly tables: Readonly<Record<string, readonly BlockDescriptor[]>>
  /** Of the first barrier to come. */
  readonly firstEpoch: number
  /** Rows of update mode leave as soon as they are computed (continuous), or once at the barrier. */
  readonly emitEagerly: boolean
  /** A partition without data for so long no longer holds the watermark back; Infinity = never. */
  readonly idleAfterMs: number
  /** How several watermarks make one: the least of them, or the greatest. */
  readonly watermarkPolicy: WatermarkPolicy
  readonly failures?: DeployedFailures | undefined
}

/** What becomes of rows that fail. */
export interface DeployedFailures {
  readonly policy: FailurePolicy
  /** The query's first topic: to its dead-letter queue go rows that are of no one record. */
  readonly topic: string | undefined
}

export type WatermarkPolicy = 'min' | 'max'

export type ToWorker =
  | { readonly type: 'deploy'; readonly deployment: Deployment }
  /**
   * To the scanning tasks. `ends`: offsets by index of the input partition at which to stop, null = no
   * limit. `barrier`: the epoch to end there (with null: at once), -1 = none. `open`: go on reading after it.
   */
  | {
      readonly type: 'goal'
      readonly query: string
      readonly ends: readonly number[] | null
      readonly barrier: number
      /** The input is over: windows close, watermark to infinity. */
      readonly final: boolean
      /** The whole state is to be written down with this epoch. */
      readonly snapshot: boolean
      readonly open: boolean
      /** By Spark's rule: what is late in the epoch, and what closes at its end. */
      readonly watermarks?: { readonly late: number; readonly evict: number }
    }
  /** To a scanning task, between two epochs: one partition more to read. */
  | {
      readonly type: 'addPartition'
      readonly query: string
      readonly stage: number
      readonly task: number
      readonly partition: ScanPartition
    }
  /** To a scanning task: files that were found for one of its lanes. */
  | {
      readonly type: 'addFiles'
      readonly query: string
      readonly stage: number
      readonly task: number
      readonly index: number
      readonly files: readonly LaneFile[]
    }
  /** Dead letters of a task that are in the log: there is room for others. */
  | {
      readonly type: 'lettersTaken'
      readonly query: string
      readonly stage: number
      readonly task: number
      readonly letters: number
    }
  | { readonly type: 'undeploy'; readonly query: string }
  | { readonly type: 'shutdown' }

/** What a task counted since the query was deployed. */
export interface TaskMetrics {
  readonly rowsIn: number
  readonly rowsOut: number
  readonly lateRows: number
  readonly nullEventTimes: number
  readonly stateRows: number
  readonly stateBytes: number
  readonly stateRowsUpdated: number
  readonly stateRowsRemoved: number
  readonly minEventTime: number
  readonly maxEventTime: number
  /** By the failure policy: rows that are left out, and attempts after the first. */
  readonly failedRows: number
  readonly retries: number
  /** When a timer of processing time expires next; Infinity where there is none. */
  readonly dueAt: number
}

export interface PartitionPosition {
  readonly index: number
  readonly offset: number
  readonly maxEventTime: number
}

export type FromWorker =
  | { readonly type: 'deployed'; readonly query: string; readonly slot: number }
  | { readonly type: 'undeployed'; readonly query: string; readonly slot: number }
  | {
      readonly type: 'barrier'
      readonly query: string
      readonly stage: number
      readonly task: number
      readonly epoch: number
      /** Of a scanning task: where it stood when it sent the barrier. */
      readonly positions: readonly PartitionPosition[]
      /** Of a task with windows: those that end at or before are closed. */
      readonly closedUntil: number
      readonly metrics: TaskMetrics
    }
  /** A scanning task on its way through an epoch: rows since it was deployed. */
  | {
      readonly type: 'advance'
      readonly query: string
      readonly stage: number
      readonly task: number
      readonly rowsIn: number
    }
  /** Rows have failed for good; said before the barrier of the epoch that leaves them out. The counts are since the query was deployed. */
  | {
      readonly type: 'failures'
      readonly query: string
      readonly stage: number
      readonly task: number
      readonly epoch: number
      readonly rowsIn: number
      readonly failedRows: number
      readonly letters: readonly DeadLetter[]
    }
  | { readonly type: 'failed'; readonly query: string; readonly slot: number; readonly error: ErrorShape }
