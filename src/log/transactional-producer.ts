import { PRODUCER_EPOCHS_BLOCK } from './limits.js'
import { PRODUCER_EPOCH_MAX } from './producer-state.js'
import type { TransactionRecord } from './transaction-log.js'
import type { ProducerGrant, TransactionState } from './transactions.js'

/**
 * One transactional id as the coordinator holds it: its producer id, its epoch, and the fence in shared memory that says which epoch may
 * append. Epochs are reserved on disk a block at a time, so that after a crash none is given twice.
 */
export class TransactionalProducer {
  epoch = -1
  /** Epochs below it may have been given, as the disk knows. */
  epochEnd = 0
  state: TransactionState = 'Empty'
  /** The last transaction that was ended by somebody else than its producer, and why. */
  endedEpoch = Number.NaN
  endedBy: 'timeout' | 'request' = 'timeout'
  cancelTimeout: (() => void) | undefined
  readonly #fence = new Int32Array(new SharedArrayBuffer(4)).fill(-1)
  #last: Promise<unknown> = Promise.resolve()

  constructor(
    /** Undefined for a producer of the engine's own. */
    readonly transactionalId: string | undefined,
    public producerId: number,
    public timeoutMs: number,
    public lastUsedAt: number,
  ) {}

  grant(): ProducerGrant {
    return { producerId: this.producerId, producerEpoch: this.epoch, fence: this.fence }
  }

  get fence(): SharedArrayBuffer {
    return this.#fence.buffer as SharedArrayBuffer
  }

  /** Nobody appends under this id from now on, except who holds an append lock at this moment. */
  lower(): void {
    Atomics.store(this.#fence, 0, -1)
  }

  /** The present epoch may append. */
  raise(): void {
    Atomics.store(this.#fence, 0, this.epoch)
  }

  /** False: there is no epoch left. */
  advance(): boolean {
    if (this.epoch >= PRODUCER_EPOCH_MAX) return false
    this.epoch += 1
    return true
  }

  begin(producerId: number): void {
    this.producerId = producerId
    this.epoch = 0
    this.epochEnd = 0
  }

  /** What must be on the disk before the present epoch is used; undefined where it is there. */
  reserve(): TransactionRecord | undefined {
    const { transactionalId, producerId, timeoutMs } = this
    if (transactionalId === undefined || this.epoch < this.epochEnd) return undefined
    this.epochEnd = Math.min(this.epoch + PRODUCER_EPOCHS_BLOCK, PRODUCER_EPOCH_MAX + 1)
    return {
      type: 'producer',
      transactionalId,
      producerId,
      epochEnd: this.epochEnd,
      timeoutMs,
      at: this.lastUsedAt,
    }
  }

  /** One after the other, whatever becomes of those before. */
  serially<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#last.then(work, work)
    this.#last = next.catch(() => undefined)
    return next
  }
}
