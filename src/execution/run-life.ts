import type { EpochMemory } from '../checkpoint/epoch-memory.js'
import type { Doorbells } from '../common/doorbell.js'
import type { Env } from '../common/env.js'
import type { LogEngine } from '../log/log-engine.js'
import type { ToWorker } from '../worker/protocol.js'
import type { CaughtUp } from './caught-up.js'
import type { FromEngine } from './engine-protocol.js'
import type { EpochTransactions } from './epoch-transactions.js'
import type { FileSink } from './file-sink.js'
import type { LetterWriter } from './letter-writer.js'
import type { LogSink } from './log-sink.js'
import type { Wish } from './mode-control.js'

/** What a run of a query finds around it. */
export interface QuerySurroundings {
  readonly env: Env
  readonly bells: Doorbells
  readonly log: LogEngine
  toWorker(slot: number, message: ToWorker): void
  toHost(message: FromEngine): void
  /** Of a query that writes into topics. */
  readonly openTransactions: ((run: SinkOwner) => EpochTransactions) | undefined
  readonly openLetters: ((run: SinkOwner, transactions: EpochTransactions) => LetterWriter) | undefined
  /** Of a query that writes files. `startedAt`: when it was first started; `epoch`: the first to come. */
  readonly openFileSink: ((run: SinkOwner, startedAt: number, epoch: number) => FileSink) | undefined
  readonly openLogSink: ((run: SinkOwner, transactions: EpochTransactions) => LogSink) | undefined
}

/** The run, as its sink knows it. */
export interface SinkOwner {
  readonly closed: Promise<void>
  fail(error: unknown): void
  onRing(): void
}

/** What is of a query and not of one run: a run that loses a worker is followed by another. */
export interface RunLife {
  readonly attempt: number
  readonly caughtUp: CaughtUp
  /** The checkpoint of a query without a directory. */
  readonly memory: EpochMemory | undefined
  wish: Wish
  /** Where a run ends that has an end. */
  target: readonly number[] | undefined
}
