import type { MessagePort } from 'node:worker_threads'
import type { ErrorShape } from '../common/errors.js'
import type { LogEntry } from '../common/logger.js'
import type { BlockDescriptor } from '../connector/inputs.js'
import type { FailurePolicy } from '../dead-letter/failure-policy.js'
import type { ChannelDescriptor } from '../exchange/channel.js'
import type { FsyncMode } from '../log/log-writer.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { SharedLogMemory } from '../log/shared-memory.js'
import type { TextFormat } from '../plan/logical-plan.js'
import type { PhysicalPlan } from '../plan/physical-plan.js'
import type { SinkFailed } from './host-sink.js'
import type { StreamingQueryProgress, StreamingQueryStatus } from './progress.js'

/** Messages between host and engine thread. Requests carry an id and are answered; events and notes are not. */

export interface EngineStart {
  readonly log: SharedLogMemory
  readonly memoryPort: MessagePort
  readonly dir: string | undefined
  readonly spillDirectory: string
  readonly fsync: FsyncMode
  readonly syncIntervalMs: number
  readonly transactionalIdExpirationMs: number | undefined
  readonly producerIdExpirationMs: number | undefined
}

export type QueryMode =
  | { readonly kind: 'batch' }
  | { readonly kind: 'microBatch'; readonly intervalMs: number; readonly stopWhenCaughtUp?: boolean }
  | { readonly kind: 'continuous'; readonly intervalMs: number }

/** What the engine needs to write files. */
export interface FileSinkStart {
  readonly format: TextFormat
  /** The folder. */
  readonly path: string
  readonly options: Readonly<Record<string, string>>
  /** Columns whose values are in the names of folders. */
  readonly partitionBy: readonly string[]
  /** A file that is as large, or as old, is renamed to what it is seen by. */
  readonly rollBytes: number
  readonly rollAgeMs: number
  /** Of a batch: whether files that are there go. */
  readonly saveMode: 'append' | 'overwrite'
}

/** What the engine needs to run a query. */
export interface QueryStart {
  readonly id: string
  readonly runId: string
  readonly name: string
  readonly plan: PhysicalPlan
  readonly tables: Readonly<Record<string, readonly BlockDescriptor[]>>
  readonly mode: QueryMode
  readonly checkpoint: string | undefined
  /** `rows`: blocks go to the host as they come; `durable`: after they are written down with their epoch (foreachBatch). */
  readonly sink: { readonly description: string } /** `forgets`: it can forget rows of an epoch that comes again. */ & (
    | { readonly kind: 'noop' | 'rows' | 'durable'; readonly forgets?: boolean }
    | { readonly kind: 'log'; readonly topic: string }
    | { readonly kind: 'files'; readonly files: FileSinkStart }
  )
  readonly options: Readonly<Record<string, string>>
  readonly workerSlots: readonly number[]
  /** What becomes of records that fail; left out, the query ends by the first. */
  readonly failures?: FailurePolicy | undefined
}

export interface Requests {
  createTopic: {
    argument: import('../log/topics.js').TopicSpec
    result: import('../log/partition-descriptor.js').TopicDescriptor
  }
  deleteTopic: { argument: string; result: undefined }
  listTopics: { argument: undefined; result: readonly import('../log/partition-descriptor.js').TopicDescriptor[] }
  topicState: { argument: string; result: import('../log/log-engine.js').TopicState }
  alterTopic: {
    argument: { readonly name: string; readonly change: import('../log/topics.js').TopicChange }
    result: import('../log/partition-descriptor.js').TopicDescriptor
  }
  deleteRecords: {
    argument: { readonly name: string; readonly partition: number; readonly offset: number }
    result: number
  }
  explainRecord: {
    argument: { readonly name: string; readonly partition: number; readonly offset: number }
    result: import('../log/explain-record.js').RecordExplanation
  }
  verify: { argument: undefined; result: import('../log/log-verify.js').VerifyReport }
  compactNow: { argument: string; result: readonly import('../log/log-cleaner.js').CompactedPartition[] }
  initProducer: {
    argument: import('../log/transactions.js').InitProducer
    result: import('../log/transactions.js').ProducerGrant
  }
  endTransaction: {
    argument: import('../log/transactions.js').EndTransaction
    result: import('../log/transactions.js').ProducerGrant
  }
  listTransactions: { argument: undefined; result: readonly import('../log/transactions.js').TransactionDescription[] }
  describeTransaction: { argument: string; result: import('../log/transactions.js').TransactionDescription }
  abortTransaction: { argument: string; result: undefined }
  start: { argument: QueryStart; result: undefined }
  stop: { argument: string; result: undefined }
  drain: { argument: string; result: undefined }
  processAllAvailable: { argument: string; result: undefined }
  /** `timeoutMs`: how long queries have to end at an epoch. */
  close: { argument: { readonly timeoutMs: number }; result: undefined }
}

export type RequestName = keyof Requests

export type ToEngine =
  | { readonly type: 'request'; readonly id: number; readonly name: RequestName; readonly argument: unknown }
  | { readonly type: 'worker'; readonly slot: number; readonly control: MessagePort; readonly memory: MessagePort }
  /** Sent before the first record of the transaction is appended. */
  | { readonly type: 'beginTransaction'; readonly producerId: number; readonly producerEpoch: number }
  /** `restarts`: another is on its way. `culprit`: the run whose function has ended it. */
  | {
      readonly type: 'workerDied'
      readonly slot: number
      readonly error: ErrorShape
      readonly restarts: boolean
      readonly culprit: string | undefined
    }
  /** All rows of the epoch are with the host's sink. */
  | { readonly type: 'sinkReached'; readonly query: string; readonly epoch: number; readonly attempt: number }
  /** The sink's epoch callback has returned. */
  | { readonly type: 'delivered'; readonly query: string; readonly epoch: number }
  /** The sink has given rows up, and says so before it is done with their epoch. */
  | { readonly type: 'sinkFailures'; readonly query: string; readonly attempt: number; readonly failed: SinkFailed }
  | { readonly type: 'sinkFailed'; readonly query: string; readonly error: ErrorShape }

export type FromEngine =
  | { readonly type: 'log'; readonly entry: LogEntry }
  | { readonly type: 'ready' }
  /** By the engine, of its own accord. */
  | { readonly type: 'topicMade'; readonly topic: TopicDescriptor }
  | { readonly type: 'answer'; readonly id: number; readonly result?: unknown; readonly error?: ErrorShape }
  /** Of the run's `attempt`: an earlier one is over, and what came of epochs from `epoch` on comes again. */
  | {
      readonly type: 'attachSink'
      readonly query: string
      readonly channels: readonly ChannelDescriptor[]
      readonly attempt: number
      readonly epoch: number
    }
  /** The epoch is committed: deliver it. `blocks` for the durable sink alone. */
  | {
      readonly type: 'commit'
      readonly query: string
      readonly epoch: number
      readonly hasInput: boolean
      readonly blocks: readonly BlockDescriptor[]
    }
  | { readonly type: 'progress'; readonly query: string; readonly progress: StreamingQueryProgress }
  /** Input rows read so far, also in the middle of an epoch. */
  | { readonly type: 'advance'; readonly query: string; readonly rows: number }
  | { readonly type: 'status'; readonly query: string; readonly status: StreamingQueryStatus }
  | { readonly type: 'terminated'; readonly query: string; readonly error?: ErrorShape }
