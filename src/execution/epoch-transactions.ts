import type { OwnedTransaction, OwnedTransactions, TransactionName } from '../log/owned-transactions.js'
import type { ProducerSession } from '../log/producer-session.js'

/**
 * What the epochs of one run write into topics: the rows of the log sink, and dead letters. One transaction an epoch for all of them, so that whoever reads
 * committed records sees both or neither; the epoch's commit in the checkpoint is what commits it. It is begun by the first record that wants it.
 */
export class EpochTransactions {
  readonly #epochs = new Map<number, EpochWrites>()
  #closed = false

  constructor(
    private readonly transactions: OwnedTransactions,
    private readonly onFailure: (error: unknown) => void,
    /** A transaction has begun, or records are in the log: who had to wait may go on. */
    private readonly onRoom: () => void,
  ) {}

  /** Undefined until the epoch's transaction has begun. */
  sessionOf(epoch: number): ProducerSession | undefined {
    return this.#closed ? undefined : this.#epoch(epoch).transaction?.session
  }

  /** Records of the epoch are under way: it is not prepared before as many are settled. */
  expect(epoch: number, records: number): void {
    this.#epoch(epoch).pending += records
  }

  settle(epoch: number, records: number): void {
    const of = this.#epochs.get(epoch)
    if (of === undefined) return
    of.pending -= records
    this.onRoom()
    if (of.pending === 0) of.settled?.()
  }

  /** Whether anything of the epoch is written, or about to be. */
  has(epoch: number): boolean {
    return this.#epochs.has(epoch)
  }

  /** All records of the epoch are on the disk; what the record that commits the epoch must name. Undefined where it has none. */
  async prepare(epoch: number): Promise<TransactionName | undefined> {
    const of = this.#epochs.get(epoch)
    if (of !== undefined && of.pending > 0) {
      await new Promise<void>((resolve) => {
        of.settled = resolve
      })
    }
    if (of?.transaction === undefined) {
      await this.transactions.syncLastMarkers()
      return undefined
    }
    await of.transaction.prepare()
    return of.transaction.name
  }

  /** Called before the record that commits the epoch is written. Without such a record the coordinator's decides. */
  async decide(epoch: number): Promise<void> {
    const transaction = this.#epochs.get(epoch)?.transaction
    if (this.transactions.owner === undefined) await transaction?.decide()
    else transaction?.deciding()
  }

  /** The epoch is committed: its records are shown. */
  async commit(epoch: number): Promise<void> {
    const of = this.#epochs.get(epoch)
    this.#epochs.delete(epoch)
    await of?.transaction?.commit()
  }

  /** What was not committed will never be seen. */
  async close(): Promise<void> {
    this.#closed = true
    await this.transactions.close()
  }

  get isClosed(): boolean {
    return this.#closed
  }

  #epoch(epoch: number): EpochWrites {
    const known = this.#epochs.get(epoch)
    if (known !== undefined) return known
    const of: EpochWrites = { transaction: undefined, pending: 0, settled: undefined }
    this.#epochs.set(epoch, of)
    this.transactions.begin().then(async (transaction) => {
      // One that nobody would ever end holds up whoever reads what is committed.
      if (this.#closed) return await transaction.close()
      of.transaction = transaction
      this.onRoom()
    }, this.onFailure)
    return of
  }
}

interface EpochWrites {
  transaction: OwnedTransaction | undefined
  /** Records that are not acknowledged. */
  pending: number
  settled: (() => void) | undefined
}
