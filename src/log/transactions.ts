import type { Env } from '../common/env.js'
import type { PartitionLog } from './partition-log.js'
import type { LogMemory } from './shared-memory.js'
import type { TransactionEnd } from './transaction-log.js'
import type { Outcome } from './transaction-recovery.js'

/** How the transaction coordinator is spoken to, and what it needs of the log around it. */

/** What the coordinator needs of the log. */
export interface CoordinatedLog {
  readonly env: Env
  readonly memory: LogMemory
  /** Of the file with its decisions; undefined: nothing is durable. */
  readonly path: string | undefined
  partitions(): Iterable<PartitionLog>
  /** Undefined where it is gone. */
  partition(topic: string, partition: number): PartitionLog | undefined
  isTyped(topic: string): boolean
  /** Whatever the fsync mode. */
  syncUpTo(log: PartitionLog, offset: number): Promise<void>
}

/** What a host's producer needs to append under its id. */
export interface ProducerGrant {
  readonly producerId: number
  readonly producerEpoch: number
  /** Holds the epoch that may append now; undefined for a producer without transactions. */
  readonly fence: SharedArrayBuffer | undefined
}

export interface InitProducer {
  readonly transactionalId?: string | undefined
  /** A transaction that is open for longer is aborted. */
  readonly timeoutMs?: number | undefined
}

export interface EndTransaction {
  readonly producerId: number
  readonly producerEpoch: number
  readonly commit: boolean
  readonly ends: readonly TransactionEnd[]
}

/** Kafka's names; `InDoubt`: the sync of the decision failed, and the next start finds out. */
export type TransactionState = 'Empty' | 'Ongoing' | 'PrepareCommit' | 'PrepareAbort' | 'InDoubt'

/** A transactional id, and the transaction that it has open. */
export interface TransactionDescription {
  /** Null: a transaction of the engine's own, the epoch of a query that writes a topic. */
  readonly transactionalId: string | null
  readonly producerId: number
  readonly producerEpoch: number
  readonly state: TransactionState
  /** A transaction that is open for longer is aborted; 0: it is not. */
  readonly timeoutMs: number
  /** Epoch milliseconds; null: none is open, or it was found open when the engine was opened. */
  readonly startedAt: number | null
  /** Where it has written: readers of committed records stop at these offsets. */
  readonly partitions: readonly { readonly topic: string; readonly partition: number; readonly firstOffset: number }[]
}

/** Asked for the outcome of a transaction that a checkpoint decides. */
export type AskOwner = (
  owner: string,
  transaction: { readonly producerId: number; readonly producerEpoch: number },
) => Outcome
