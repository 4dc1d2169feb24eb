import { assert } from '../common/assert.js'

/**
 * The part of a partition's control block that tells of transactions; all threads see it, and it is changed under the append lock alone. It has
 * pages of its own, which a partition without transactions never touches; the first unstable offset alone lies in the control block's head.
 *
 *   // byte   size  field
 *   //    0      4  open count
 *   //    4      4  aborted count     transactions aborted since the engine was opened; the newest are in the ring
 *   //    8      4  filed count       of these, how many are in .txnindex files too
 *   //   64   6144  open              OPEN_TRANSACTIONS_MAX entries: producer id, first offset, epoch (float64 each)
 *   // 6208   5760  aborted ring      ABORTED_RING entries: producer id, first offset, offset of the marker (float64 each)
 *
 * *The rule of readers.* A transaction is added to the ring before the first unstable offset passes it. So who has read the last stable offset,
 * and then the ring, knows of every transaction below that offset whether it was aborted. An entry that the ring may have lost while it was
 * read is found in the files: the engine overwrites none that it has not filed.
 */
export const OPEN_TRANSACTIONS_MAX = 256
export const ABORTED_RING = 240

const OPEN_COUNT = 0
const ABORTED_COUNT = 1
const FILED_COUNT = 2
const OPEN_AT = 64
const ENTRY_DOUBLES = 3
const ABORTED_AT = OPEN_AT + OPEN_TRANSACTIONS_MAX * ENTRY_DOUBLES * 8

export const TRANSACTION_CONTROL_BYTES = 12_288

assert(ABORTED_AT + ABORTED_RING * ENTRY_DOUBLES * 8 <= TRANSACTION_CONTROL_BYTES, 'the block holds both tables')

export interface OpenTransaction {
  readonly producerId: number
  readonly producerEpoch: number
  readonly firstOffset: number
}

export interface AbortedRange {
  readonly producerId: number
  readonly firstOffset: number
  /** Of the marker. */
  readonly lastOffset: number
}

export class TransactionControl {
  readonly #ints: Int32Array
  readonly #doubles: Float64Array
  readonly #head: BigInt64Array

  /** `head`: the one word in the control block's head, first unstable offset + 1; 0 = no transaction is open. */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, head: BigInt64Array) {
    this.#ints = new Int32Array(buffer, byteOffset, TRANSACTION_CONTROL_BYTES / 4)
    this.#doubles = new Float64Array(buffer, byteOffset, TRANSACTION_CONTROL_BYTES / 8)
    this.#head = head
  }

  /** Any thread. First offset of the oldest open transaction; undefined where none is open. */
  firstUnstable(): number | undefined {
    const stored = Atomics.load(this.#head, 0)
    return stored === 0n ? undefined : Number(stored) - 1
  }

  /** Under the lock, before the batch is published. False: the table is full. */
  open(producerId: number, producerEpoch: number, firstOffset: number): boolean {
    if (this.#find(producerId) >= 0) return true
    const count = this.#ints[OPEN_COUNT] as number
    if (count === OPEN_TRANSACTIONS_MAX) return false
    const at = openEntry(count)
    this.#doubles[at] = producerId
    this.#doubles[at + 1] = firstOffset
    this.#doubles[at + 2] = producerEpoch
    this.#ints[OPEN_COUNT] = count + 1
    this.#storeFirstUnstable()
    return true
  }

  /** Under the lock. */
  find(producerId: number): OpenTransaction | undefined {
    const i = this.#find(producerId)
    return i < 0 ? undefined : this.#openAt(i)
  }

  /** Under the lock. */
  list(): OpenTransaction[] {
    return Array.from({ length: this.#ints[OPEN_COUNT] as number }, (_, i) => this.#openAt(i))
  }

  /** Under the lock, after its marker is published, and after `addAborted` where it was aborted. */
  close(producerId: number): void {
    const i = this.#find(producerId)
    if (i < 0) return
    const last = (this.#ints[OPEN_COUNT] as number) - 1
    const to = openEntry(i)
    const from = openEntry(last)
    for (let k = 0; k < ENTRY_DOUBLES; k++) this.#doubles[to + k] = this.#doubles[from + k] as number
    this.#ints[OPEN_COUNT] = last
    this.#storeFirstUnstable()
  }

  /** Under the lock. The caller has seen to it that the ring has room: see {@link isRingFull}. */
  addAborted(aborted: AbortedRange): void {
    const count = this.abortedCount()
    const at = abortedEntry(count)
    this.#doubles[at] = aborted.producerId
    this.#doubles[at + 1] = aborted.firstOffset
    this.#doubles[at + 2] = aborted.lastOffset
    Atomics.store(this.#ints, ABORTED_COUNT, count + 1)
  }

  /** With one entry more a reader might not find all that is in no file. */
  isRingFull(): boolean {
    return this.abortedCount() - this.filedCount() >= ABORTED_RING - 1
  }

  /** By the engine: the aborted transactions whose markers are at or below `offset` are in files. */
  setFiled(offset: number): void {
    const count = this.abortedCount()
    let filed = this.filedCount()
    while (filed < count && (this.#doubles[abortedEntry(filed) + 2] as number) <= offset) filed += 1
    Atomics.store(this.#ints, FILED_COUNT, filed)
  }

  filedCount(): number {
    return Atomics.load(this.#ints, FILED_COUNT)
  }

  abortedCount(): number {
    return Atomics.load(this.#ints, ABORTED_COUNT)
  }

  /** Entry `i` of all that were aborted; undefined where the ring has lost it, or may be losing it now. */
  aborted(i: number): AbortedRange | undefined {
    const at = abortedEntry(i)
    const found = {
      producerId: this.#doubles[at] as number,
      firstOffset: this.#doubles[at + 1] as number,
      lastOffset: this.#doubles[at + 2] as number,
    }
    return this.abortedCount() - i >= ABORTED_RING ? undefined : found
  }

  #openAt(i: number): OpenTransaction {
    const at = openEntry(i)
    return {
      producerId: this.#doubles[at] as number,
      firstOffset: this.#doubles[at + 1] as number,
      producerEpoch: this.#doubles[at + 2] as number,
    }
  }

  #find(producerId: number): number {
    const count = this.#ints[OPEN_COUNT] as number
    for (let i = 0; i < count; i++) if (this.#doubles[openEntry(i)] === producerId) return i
    return -1
  }

  #storeFirstUnstable(): void {
    const count = this.#ints[OPEN_COUNT] as number
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < count; i++) least = Math.min(least, this.#doubles[openEntry(i) + 1] as number)
    Atomics.store(this.#head, 0, count === 0 ? 0n : BigInt(least + 1))
  }
}

const openEntry = (i: number): number => OPEN_AT / 8 + i * ENTRY_DOUBLES
const abortedEntry = (i: number): number => ABORTED_AT / 8 + (i % ABORTED_RING) * ENTRY_DOUBLES
