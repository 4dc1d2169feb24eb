import type { BareBlock, Chunk } from './bare-ingest.js'

/**
 * The limits of a query: loops written by hand for one question each, over the blocks that BareIngest left, read in
 * place. Fields are those of the clicks.
 */
export const SLOT_USER_ID = 4
const SLOT_TS = 6
export const SLOT_PRICE = 7
const SLOT_QUANTITY = 8
const SLOT_KEY_HASH = 1
const TWO_32 = 4294967296

export const valuesOf = (block: BareBlock, slot: number): number =>
  block.position + (block.chunk.i32[(block.position + 16 + slot * 16 + 4) >> 2] as number)

export const bytesOf = (block: BareBlock, slot: number): number =>
  block.position + (block.chunk.i32[(block.position + 16 + slot * 16 + 8) >> 2] as number)

/** `price > threshold`, then userId (its bytes copied) and price × quantity. Gives the number of rows left. */
export function bareFilterProject(blocks: readonly BareBlock[], threshold: number): number {
  const product = new Float64Array(16_384)
  const ends = new Int32Array(16_384)
  const text = new Uint8Array(1 << 20)
  let kept = 0
  for (const block of blocks) {
    kept += filterBlock(block.chunk, block, threshold, product, ends, text)
  }
  return kept
}

function filterBlock(
  chunk: Chunk,
  block: BareBlock,
  threshold: number,
  product: Float64Array,
  ends: Int32Array,
  text: Uint8Array,
): number {
  const { u8, i32, f64 } = chunk
  const price = valuesOf(block, SLOT_PRICE) >> 3
  const quantity = valuesOf(block, SLOT_QUANTITY) >> 2
  const offsets = valuesOf(block, SLOT_USER_ID) >> 2
  const bytes = bytesOf(block, SLOT_USER_ID)
  const rows = block.rows
  let out = 0
  let end = 0
  for (let i = 0; i < rows; i++) {
    const value = f64[price + i] as number
    if (value > threshold) {
      product[out] = value * (i32[quantity + i] as number)
      const from = bytes + (i32[offsets + i] as number)
      const to = bytes + (i32[offsets + i + 1] as number)
      for (let j = from; j < to; j++) text[end++] = u8[j] as number
      ends[out++] = end
    }
  }
  return out
}

/**
 * Count and sum of price by userId and tumbling window. One open-addressing table whose slot is one cache line, so that
 * a row costs one miss; keys are hashed and compared four bytes at a time.
 * `storedHash` takes the hash that ingest left beside the key (which is the user id as well); otherwise the
 * bytes are hashed in the loop, as a query on any column has to.
 *
 *   // slot: 0 hash, 4 key length + 1 (0 = free), 8 window number, 12 unused, 16 count f64, 24 sum f64, 32 key bytes, zero-padded
 */
const SLOT_BYTES = 64
const KEY_BYTES_MAX = 32

export class BareGroup {
  groups = 0
  readonly #mask: number
  readonly #i32: Int32Array
  readonly #f64: Float64Array
  readonly #node: Buffer

  /** `capacity` is a power of two, at least twice the number of groups. */
  constructor(capacity: number) {
    const buffer = new ArrayBuffer(capacity * SLOT_BYTES)
    this.#mask = capacity - 1
    this.#i32 = new Int32Array(buffer)
    this.#f64 = new Float64Array(buffer)
    this.#node = Buffer.from(buffer)
  }

  add(blocks: readonly BareBlock[], windowMs: number, storedHash: boolean): void {
    for (const block of blocks) this.#block(block.chunk, block, windowMs, storedHash)
  }

  *entries(): Iterable<{
    readonly userId: string
    readonly window: number
    readonly count: number
    readonly sum: number
  }> {
    for (let slot = 0; slot <= this.#mask; slot++) {
      const length = (this.#i32[slot * 16 + 1] as number) - 1
      if (length < 0) continue
      const key = slot * SLOT_BYTES + 32
      yield {
        userId: this.#node.toString('latin1', key, key + length),
        window: this.#i32[slot * 16 + 2] as number,
        count: this.#f64[slot * 8 + 2] as number,
        sum: this.#f64[slot * 8 + 3] as number,
      }
    }
  }

  #block(chunk: Chunk, block: BareBlock, windowMs: number, storedHash: boolean): void {
    const { i32, f64, dv } = chunk
    const keyHash = valuesOf(block, SLOT_KEY_HASH) >> 2
    const ts = valuesOf(block, SLOT_TS) >> 2
    const price = valuesOf(block, SLOT_PRICE) >> 3
    const offsets = valuesOf(block, SLOT_USER_ID) >> 2
    const bytes = bytesOf(block, SLOT_USER_ID)
    const rows = block.rows
    const mask = this.#mask
    const table = this.#i32
    const values = this.#f64
    let windowStart = 0
    let windowEnd = 0
    let window = 0
    let from = bytes
    for (let i = 0; i < rows; i++) {
      const time = ((i32[ts + 2 * i] as number) >>> 0) + (i32[ts + 2 * i + 1] as number) * TWO_32
      if (time < windowStart || time >= windowEnd) {
        window = Math.floor(time / windowMs)
        windowStart = window * windowMs
        windowEnd = windowStart + windowMs
      }
      const to = bytes + (i32[offsets + i + 1] as number)
      const length = to - from
      const whole = length & ~3
      // What a key's last, partial word keeps; the bytes behind the column's end are padding or another column's.
      const tailMask = (1 << ((length & 3) << 3)) - 1
      let hash = 0
      if (storedHash) hash = i32[keyHash + i] as number
      else {
        for (let j = 0; j < whole; j += 4)
          hash = Math.imul((hash << 7) ^ (hash >>> 25) ^ dv.getInt32(from + j, true), 0x5bd1e995)
        if (tailMask !== 0) hash = Math.imul(hash ^ (dv.getInt32(from + whole, true) & tailMask), 0x5bd1e995)
        hash ^= hash >>> 15
      }
      hash ^= Math.imul(window, 0x9e3779b1)
      let slot = hash & mask
      for (;;) {
        const at = slot << 4
        const lengthPlusOne = table[at + 1] as number
        if (lengthPlusOne === 0) {
          this.#insert(slot, hash, window, chunk, from, length)
          break
        }
        if (table[at] === hash && lengthPlusOne === length + 1 && table[at + 2] === window) {
          let j = 0
          while (j < whole && table[at + 8 + (j >> 2)] === dv.getInt32(from + j, true)) j += 4
          if (j === whole && (tailMask === 0 || table[at + 8 + (j >> 2)] === (dv.getInt32(from + j, true) & tailMask)))
            break
        }
        slot = (slot + 1) & mask
      }
      const value = slot << 3
      values[value + 2] = (values[value + 2] as number) + 1
      values[value + 3] = (values[value + 3] as number) + (f64[price + i] as number)
      from = to
    }
  }

  #insert(slot: number, hash: number, window: number, chunk: Chunk, from: number, length: number): void {
    if (length > KEY_BYTES_MAX) throw new Error(`a key of ${length} bytes, at most ${KEY_BYTES_MAX}`)
    this.#i32[slot * 16] = hash
    this.#i32[slot * 16 + 1] = length + 1
    this.#i32[slot * 16 + 2] = window
    chunk.node.copy(this.#node, slot * SLOT_BYTES + 32, from, from + length)
    this.groups += 1
  }
}
