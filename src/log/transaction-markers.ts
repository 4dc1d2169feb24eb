import { ENGINE_SLOT } from '../common/doorbell.js'
import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { ControlType, markerWriter, transactionMarker } from '../record/control-record.js'
import { RECLAIM_RETRY_MS } from './limits.js'
import { APPEND_NO_MEMORY, type AppendGuard, PartitionAppender } from './partition-appender.js'
import type { PartitionLog } from './partition-log.js'
import type { LogMemory } from './shared-memory.js'

/** Which transaction, and how it ends. */
export interface MarkerSpec {
  readonly producerId: number
  readonly producerEpoch: number
  readonly type: ControlType
  /** The partition holds a typed topic's batches. */
  readonly aligned: boolean
}

/**
 * Writes the markers of transactions, on the engine thread. A marker must get into its partition sooner or later, so where there is no memory or no
 * space on the disk it waits and is tried again; only a partition that takes nothing more at all is passed over: a deleted
 * one needs none, and a read-only one gets it when it is opened anew.
 */
export class TransactionMarkers {
  readonly #waiting: {
    readonly log: PartitionLog
    readonly spec: MarkerSpec
    readonly done: (offset: number) => void
  }[] = []
  #cancelRetry: (() => void) | undefined
  #stopped = false

  constructor(
    private readonly env: Env,
    private readonly memory: LogMemory,
  ) {}

  /** The marker's offset; -1 where the partition is gone, or takes nothing more. */
  write(log: PartitionLog, spec: MarkerSpec): Promise<number> {
    return new Promise((resolve) => {
      if (this.#tryWrite(log, spec, resolve)) return
      this.#waiting.push({ log, spec, done: resolve })
      this.#retryLater()
    })
  }

  /** What waits is not waited for any longer; recovery will write it. */
  stop(): void {
    this.#stopped = true
    this.#cancelRetry?.()
    for (const { done } of this.#waiting.splice(0)) done(-1)
  }

  #tryWrite(log: PartitionLog, spec: MarkerSpec, done: (offset: number) => void): boolean {
    const marker = transactionMarker({
      type: spec.type,
      producerId: spec.producerId,
      producerEpoch: spec.producerEpoch,
      coordinatorEpoch: 0,
      timestamp: this.env.now(),
      aligned: spec.aligned,
    })
    const isAbort = spec.type === ControlType.abort
    if (isAbort && log.control.transactions.isRingFull()) fileRing(log)
    const appender = new PartitionAppender(log.descriptor, this.memory, ENGINE_SLOT)
    try {
      const offset = appender.append(marker, markerWriter, closing(spec.producerId, isAbort))
      if (offset === APPEND_NO_MEMORY) return false
      done(offset)
    } catch (error) {
      if (error instanceof MillraceError && error.retriable) return false
      if (!(error instanceof MillraceError)) throw error
      done(-1)
    }
    return true
  }

  #retryLater(): void {
    if (this.#stopped) return
    this.#cancelRetry ??= this.env.timer(RECLAIM_RETRY_MS, () => {
      this.#cancelRetry = undefined
      for (const waiting of this.#waiting.splice(0)) {
        if (!this.#tryWrite(waiting.log, waiting.spec, waiting.done)) this.#waiting.push(waiting)
      }
      if (this.#waiting.length > 0) this.#retryLater()
    })
  }
}

/** Under the lock, behind the marker: the transaction is over, and readers may pass it. */
function closing(producerId: number, isAbort: boolean): AppendGuard {
  return {
    before: () => -1,
    after(control, _partition, offset) {
      const open = control.transactions.find(producerId)
      if (open !== undefined && isAbort)
        control.transactions.addAborted({ producerId, firstOffset: open.firstOffset, lastOffset: offset })
      control.transactions.close(producerId)
      control.touch()
    },
  }
}

/** Writes to files which transactions were aborted, so that the ring of them may go on. */
function fileRing(log: PartitionLog): void {
  const { transactions } = log.control
  if (log.control.usesFiles()) {
    try {
      while (log.write());
    } catch {
      // A full disk refuses the marker as well; then all of it is tried again.
    }
    return
  }
  const aborted = []
  const count = transactions.abortedCount()
  for (let i = transactions.filedCount(); i < count; i++) {
    const range = transactions.aborted(i)
    if (range !== undefined) aborted.push(range)
  }
  log.producers.fileAborted(aborted)
  transactions.setFiled(aborted[aborted.length - 1]?.lastOffset ?? -1)
}
