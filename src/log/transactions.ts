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

export interface TransactionState {
  readonly transactionalId: string | undefined
  readonly producerId: number
  readonly producerEpoch: number
  readonly state: 'idle' | 'open' | 'ending' | 'inDoubt'
}

/** Asked for the outcome of a transaction that a checkpoint decides. */
export type AskOwner = (
  owner: string,
  transaction: { readonly producerId: number; readonly producerEpoch: number },
) => Outcome
