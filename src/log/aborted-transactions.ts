import type { FileSystem } from '../common/env.js'
import type { PartitionControl } from './partition-control.js'
import { TransactionIndex } from './transaction-index.js'

/**
 * Which transactions of a partition were aborted, for a reader of committed records. Loaded from the segments' indexes when the
 * first transactional batch is met, and kept up from the ring in shared memory. Ask after the last stable offset has been read: then it
 * is complete for everything below that offset.
 */
export class AbortedTransactions {
  /** By producer id; in the order of their markers. */
  #ranges = new Map<number, { readonly firstOffset: number; readonly lastOffset: number }[]>()
  /** Aborted transactions of the control block that are in the ranges; -1 = the files have not been read. */
  #known = -1

  constructor(
    private readonly fs: FileSystem,
    private readonly directory: string | undefined,
    private readonly control: PartitionControl,
  ) {}

  /** Whether the record of this producer id at this offset belongs to a transaction that was aborted. */
  has(producerId: number, offset: number): boolean {
    if (this.control.transactions.abortedCount() !== this.#known) this.#refresh()
    const ranges = this.#ranges.get(producerId)
    if (ranges === undefined) return false
    for (let i = ranges.length - 1; i >= 0; i--) {
      const range = ranges[i] as { firstOffset: number; lastOffset: number }
      if (offset >= range.firstOffset && offset <= range.lastOffset) return true
    }
    return false
  }

  #refresh(): void {
    const { transactions } = this.control
    for (;;) {
      if (this.#known < 0) {
        // What is filed before the files are read is in them; what comes twice does no harm.
        this.#known = transactions.filedCount()
        this.#load()
      }
      const count = transactions.abortedCount()
      while (this.#known < count) {
        const aborted = transactions.aborted(this.#known)
        if (aborted === undefined) break
        this.#add(aborted.producerId, aborted.firstOffset, aborted.lastOffset)
        this.#known += 1
      }
      if (this.#known === count) return
      // The ring has gone on without this reader.
      this.#known = -1
    }
  }

  #load(): void {
    this.#ranges = new Map()
    if (this.directory === undefined) return
    for (const name of this.fs.list(this.directory)) {
      if (!name.endsWith('.txnindex')) continue
      const index = this.#read(`${this.directory}/${name}`)
      for (let i = 0; i < index.count; i++) {
        const { producerId, firstOffset, lastOffset } = index.entry(i)
        this.#add(producerId, firstOffset, lastOffset)
      }
    }
  }

  /** A segment may be deleted between the look at the directory and the read. */
  #read(path: string): TransactionIndex {
    try {
      return TransactionIndex.load(this.fs, path)
    } catch (error) {
      if (this.fs.exists(path)) throw error
      return new TransactionIndex(new Uint8Array(0))
    }
  }

  #add(producerId: number, firstOffset: number, lastOffset: number): void {
    const ranges = this.#ranges.get(producerId)
    if (ranges === undefined) this.#ranges.set(producerId, [{ firstOffset, lastOffset }])
    else ranges.push({ firstOffset, lastOffset })
  }
}
