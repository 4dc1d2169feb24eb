import { assert } from '../common/assert.js'
import { MAX_THREAD_SLOTS } from '../common/doorbell.js'
import { CHUNK_RING } from './limits.js'
import { TRANSACTION_CONTROL_BYTES, TransactionControl } from './transaction-control.js'

/**
 * What all threads share about one partition. The append lock's holder (host or engine) writes the chunk
 * ring and the log end offset, the engine writes the written and synced offsets, each reading thread its own pin.
 *
 *   // byte   size  field
 *   //    0      4  append lock       0 = free, else slot of the holder + 1
 *   //    4      4  generation        grows with every append: one int32 load tells a reader that nothing is new
 *   //    8      4  head              sequence of the oldest chunk; head = tail + 1 where there is none
 *   //   12      4  tail              sequence of the chunk that is appended to
 *   //   16      4  watchers          mask of thread slots to ring after an append
 *   //   20      4  status            see PartitionStatus
 *   //   24      4  files             1 = published bytes are to be written to files (a memory partition: once it spills)
 *   //   28      4  written sequence  chunks below it are in files, whole
 *   //   32      8  log start offset
 *   //   40      8  log end offset    next to be given; published last
 *   //   48      8  written offset    below it everything is in files (in the page cache)
 *   //   56      8  synced offset     below it everything is on the disk
 *   //   64      4  progress          grows when written, synced, status or log start change
 *   //   68      4  swaps             grows when compaction has put a new segment file in the place of old ones
 *   //   72      8  first unstable    offset + 1 of the oldest open transaction's first record; 0 = none is open
 *   //   80      4  gaps              1 = offsets may be missing between batches, for ever: the log was compacted once
 *   //  128      4  pins, one a slot  0 = none, else the sequence from which on this thread reads chunks
 *   //  256     16  ring, one entry a chunk, at (sequence mod CHUNK_RING):
 *   //                +0 chunk id   +4 bytes published in it   +8 base offset (float64)
 *   // 20480  12288  transactions      see transaction-control.ts
 *
 * *The rule of the pins.* A reader stores its pin, then loads head: a chunk at or above both is its to read until it unpins.
 * Who recycles moves head first and then looks at the pins; where one holds the chunk, head goes back, for nothing has
 * been touched. All of these are atomic, so one of the two always sees the other. Nobody waits.
 *
 * *The rule of publishing.* A batch is complete before the log end offset passes it; the bytes of its chunk follow, then the generation.
 * The tail moves to a new chunk before anything in it is published. So a reader that has loaded the log end offset, and then the tail,
 * finds its next batch in its chunk if that is the tail, or if the chunk's bytes reach beyond its position; else in the next chunk.
 */
const LOCK = 0
const GENERATION = 1
const HEAD = 2
const TAIL = 3
const WATCHERS = 4
const STATUS = 5
const FILES = 6
const WRITTEN_SEQUENCE = 7
const PROGRESS = 16
const SWAPS = 17
const GAPS = 20
const PINS = 32
const RING = 64
const RING_ENTRY_INTS = 4

const LOG_START_OFFSET = 4
const LOG_END_OFFSET = 5
const WRITTEN_OFFSET = 6
const SYNCED_OFFSET = 7
const FIRST_UNSTABLE = 9

const RING_MASK = CHUNK_RING - 1

const TRANSACTIONS_AT = 20_480

/** A multiple of a page, so that an idle partition costs the one page with its head. */
export const CONTROL_BYTES = TRANSACTIONS_AT + TRANSACTION_CONTROL_BYTES

assert(RING * 4 + CHUNK_RING * RING_ENTRY_INTS * 4 <= TRANSACTIONS_AT, 'a control block holds its ring')
assert(PINS + MAX_THREAD_SLOTS <= RING, 'a control block holds a pin for each thread')

export const PartitionStatus = {
  ok: 0,
  /** The disk is full; appends are refused until there is space again. */
  noSpace: 1,
  /** A sync or a write failed: what the disk holds is in doubt, so the partition takes nothing more until it is opened anew. */
  failed: 2,
  deleted: 3,
  closed: 4,
} as const
export type PartitionStatus = (typeof PartitionStatus)[keyof typeof PartitionStatus]

export class PartitionControl {
  readonly #ints: Int32Array
  readonly #longs: BigInt64Array
  readonly #doubles: Float64Array
  readonly transactions: TransactionControl

  constructor(buffer: SharedArrayBuffer, byteOffset: number) {
    this.#ints = new Int32Array(buffer, byteOffset, CONTROL_BYTES / 4)
    this.#longs = new BigInt64Array(buffer, byteOffset, CONTROL_BYTES / 8)
    this.#doubles = new Float64Array(buffer, byteOffset, CONTROL_BYTES / 8)
    const firstUnstable = new BigInt64Array(buffer, byteOffset + FIRST_UNSTABLE * 8, 1)
    this.transactions = new TransactionControl(buffer, byteOffset + TRANSACTIONS_AT, firstUnstable)
  }

  /** Once, by the engine, before anybody else knows the partition. */
  initialize(logStartOffset: number, logEndOffset: number, inFiles: boolean): void {
    this.#ints[HEAD] = 1
    this.#ints[TAIL] = 0
    this.#ints[WRITTEN_SEQUENCE] = 1
    this.#ints[FILES] = inFiles ? 1 : 0
    this.#storeLong(LOG_START_OFFSET, logStartOffset)
    this.#storeLong(WRITTEN_OFFSET, logEndOffset)
    this.#storeLong(SYNCED_OFFSET, logEndOffset)
    this.#storeLong(LOG_END_OFFSET, logEndOffset)
  }

  tryLock(slot: number): boolean {
    return Atomics.compareExchange(this.#ints, LOCK, 0, slot + 1) === 0
  }

  /** Waits; so never on the host. */
  lock(slot: number): void {
    for (let spins = 0; !this.tryLock(slot); spins++) {
      if (spins < 200) continue
      const held = Atomics.load(this.#ints, LOCK)
      if (held !== 0) Atomics.wait(this.#ints, LOCK, held, 0.2)
    }
  }

  unlock(slot: number): void {
    const held = Atomics.exchange(this.#ints, LOCK, 0)
    assert(held === slot + 1, `append lock released by slot ${slot}, held by ${held - 1}`)
  }

  /** A thread has died. What it had begun is above the published bytes and will be written over. */
  forgetThread(slot: number): void {
    Atomics.compareExchange(this.#ints, LOCK, slot + 1, 0)
    Atomics.store(this.#ints, PINS + slot, 0)
    Atomics.and(this.#ints, WATCHERS, ~(1 << slot))
  }

  generation(): number {
    return Atomics.load(this.#ints, GENERATION)
  }

  progress(): number {
    return Atomics.load(this.#ints, PROGRESS)
  }

  status(): number {
    return Atomics.load(this.#ints, STATUS)
  }

  setStatus(status: PartitionStatus): void {
    Atomics.store(this.#ints, STATUS, status)
    Atomics.add(this.#ints, PROGRESS, 1)
  }

  logStartOffset(): number {
    return Number(Atomics.load(this.#longs, LOG_START_OFFSET))
  }

  logEndOffset(): number {
    return Number(Atomics.load(this.#longs, LOG_END_OFFSET))
  }

  /** Below it every transaction has ended. The end is read first: a transaction is known to be open before its records are. */
  lastStableOffset(): number {
    const end = this.logEndOffset()
    const unstable = Number(Atomics.load(this.#longs, FIRST_UNSTABLE))
    return unstable === 0 ? end : Math.min(end, unstable - 1)
  }

  writtenOffset(): number {
    return Number(Atomics.load(this.#longs, WRITTEN_OFFSET))
  }

  syncedOffset(): number {
    return Number(Atomics.load(this.#longs, SYNCED_OFFSET))
  }

  setLogStartOffset(offset: number): void {
    this.#storeLong(LOG_START_OFFSET, offset)
    Atomics.add(this.#ints, PROGRESS, 1)
  }

  setWritten(offset: number, sequence: number): void {
    this.#storeLong(WRITTEN_OFFSET, offset)
    Atomics.store(this.#ints, WRITTEN_SEQUENCE, sequence)
    Atomics.add(this.#ints, PROGRESS, 1)
  }

  setSynced(offset: number): void {
    this.#storeLong(SYNCED_OFFSET, offset)
    Atomics.add(this.#ints, PROGRESS, 1)
  }

  /**
   * A reader loads it before it opens a segment file, and again after it has listed the files at the end of one: where it has grown the
   * list may lack segments whose records are in a new file, and the reader looks its offset up anew.
   */
  swaps(): number {
    return Atomics.load(this.#ints, SWAPS)
  }

  swapped(): void {
    Atomics.add(this.#ints, SWAPS, 1)
  }

  hasGaps(): boolean {
    return Atomics.load(this.#ints, GAPS) !== 0
  }

  allowGaps(): void {
    Atomics.store(this.#ints, GAPS, 1)
  }

  usesFiles(): boolean {
    return Atomics.load(this.#ints, FILES) !== 0
  }

  startUsingFiles(): void {
    Atomics.store(this.#ints, FILES, 1)
  }

  watch(slot: number): void {
    Atomics.or(this.#ints, WATCHERS, 1 << slot)
  }

  unwatch(slot: number): void {
    Atomics.and(this.#ints, WATCHERS, ~(1 << slot))
  }

  watchers(): number {
    return Atomics.load(this.#ints, WATCHERS)
  }

  head(): number {
    return Atomics.load(this.#ints, HEAD)
  }

  tail(): number {
    return Atomics.load(this.#ints, TAIL)
  }

  writtenSequence(): number {
    return Atomics.load(this.#ints, WRITTEN_SEQUENCE)
  }

  chunkId(sequence: number): number {
    return Atomics.load(this.#ints, this.#entry(sequence))
  }

  chunkBytes(sequence: number): number {
    return Atomics.load(this.#ints, this.#entry(sequence) + 1)
  }

  chunkBaseOffset(sequence: number): number {
    return this.#doubles[(this.#entry(sequence) + 2) >> 1] as number
  }

  ringIsFull(): boolean {
    return this.tail() - this.head() + 1 >= CHUNK_RING
  }

  /** Under the lock. The new chunk becomes the tail. */
  addChunk(id: number, baseOffset: number): void {
    const sequence = this.tail() + 1
    const entry = this.#entry(sequence)
    Atomics.store(this.#ints, entry, id)
    Atomics.store(this.#ints, entry + 1, 0)
    this.#doubles[(entry + 2) >> 1] = baseOffset
    Atomics.store(this.#ints, TAIL, sequence)
  }

  /** Under the lock: the batch that ends at `bytes` of the tail is complete, and with it the log up to `logEndOffset`. */
  publish(bytes: number, logEndOffset: number): void {
    const tail = this.tail()
    this.#storeLong(LOG_END_OFFSET, logEndOffset)
    Atomics.store(this.#ints, this.#entry(tail) + 1, bytes)
    Atomics.add(this.#ints, GENERATION, 1)
  }

  /** Something other than an append has changed what may be read. */
  touch(): void {
    Atomics.add(this.#ints, GENERATION, 1)
  }

  /**
   * Under the lock: takes the oldest chunk off the list where it is in files and nobody reads it; its id, or -1.
   * The tail is taken only with `evenTail`, and then the next append begins a new chunk.
   */
  takeOldestChunk(evenTail: boolean): number {
    const head = this.head()
    const tail = this.tail()
    if (head > tail) return -1
    if (head === tail) {
      if (!evenTail || this.writtenOffset() !== this.logEndOffset()) return -1
    } else if (head >= this.writtenSequence()) return -1
    return this.dropOldestChunk()
  }

  /** Under the lock: the same for a partition whose bytes need not be in a file. */
  dropOldestChunk(): number {
    const head = this.head()
    if (head > this.tail() || this.#isPinned(head)) return -1
    const id = this.chunkId(head)
    Atomics.store(this.#ints, HEAD, head + 1)
    if (!this.#isPinned(head)) return id
    Atomics.store(this.#ints, HEAD, head)
    return -1
  }

  pin(slot: number, sequence: number): void {
    Atomics.store(this.#ints, PINS + slot, sequence)
  }

  pinned(slot: number): number {
    return Atomics.load(this.#ints, PINS + slot)
  }

  #isPinned(sequence: number): boolean {
    for (let slot = 0; slot < MAX_THREAD_SLOTS; slot++) {
      const pin = Atomics.load(this.#ints, PINS + slot)
      if (pin !== 0 && pin <= sequence) return true
    }
    return false
  }

  #entry(sequence: number): number {
    return RING + (sequence & RING_MASK) * RING_ENTRY_INTS
  }

  #storeLong(index: number, value: number): void {
    Atomics.store(this.#longs, index, BigInt(value))
  }
}
