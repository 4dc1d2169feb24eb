import type { BareBlock } from './bare-ingest.js'
import { bytesOf, SLOT_PRICE, SLOT_USER_ID, valuesOf } from './bare-scan.js'

/**
 * The first click of each user, by hand, over the blocks that BareIngest left: one open-addressing table whose slot is hash, length and the first
 * twelve bytes of the key, which is all of it; user id and price of what is new are copied.
 *
 *   // slot: 0 hash, 4 key length + 1 (0 = free), 8 key bytes, zero-padded (24)
 */
const SLOT_INTS = 8
const KEY_BYTES_MAX = 24

export class BareDistinct {
  keys = 0
  sum = 0
  readonly #mask: number
  readonly #table: Int32Array
  readonly #prices = new Float64Array(16_384)
  readonly #text = new Uint8Array(1 << 20)

  /** `capacity` is a power of two, at least twice the number of keys. */
  constructor(capacity: number) {
    this.#mask = capacity - 1
    this.#table = new Int32Array(capacity * SLOT_INTS)
  }

  add(blocks: readonly BareBlock[]): void {
    for (const block of blocks) this.#block(block)
  }

  #block(block: BareBlock): void {
    const { i32, f64, u8, dv } = block.chunk
    const price = valuesOf(block, SLOT_PRICE) >> 3
    const offsets = valuesOf(block, SLOT_USER_ID) >> 2
    const bytes = bytesOf(block, SLOT_USER_ID)
    const mask = this.#mask
    const table = this.#table
    const prices = this.#prices
    const text = this.#text
    let out = 0
    let end = 0
    let from = bytes
    for (let i = 0; i < block.rows; i++) {
      const to = bytes + (i32[offsets + i + 1] as number)
      const length = to - from
      const whole = length & ~3
      const tailMask = (1 << ((length & 3) << 3)) - 1
      let hash = 0
      for (let j = 0; j < whole; j += 4)
        hash = Math.imul((hash << 7) ^ (hash >>> 25) ^ dv.getInt32(from + j, true), 0x5bd1e995)
      if (tailMask !== 0) hash = Math.imul(hash ^ (dv.getInt32(from + whole, true) & tailMask), 0x5bd1e995)
      hash ^= hash >>> 15
      let slot = hash & mask
      let isNew = false
      for (;;) {
        const at = slot * SLOT_INTS
        const lengthPlusOne = table[at + 1] as number
        if (lengthPlusOne === 0) {
          if (length > KEY_BYTES_MAX) throw new Error(`a key of ${length} bytes, at most ${KEY_BYTES_MAX}`)
          table[at] = hash
          table[at + 1] = length + 1
          for (let j = 0; j < whole; j += 4) table[at + 2 + (j >> 2)] = dv.getInt32(from + j, true)
          if (tailMask !== 0) table[at + 2 + (whole >> 2)] = dv.getInt32(from + whole, true) & tailMask
          isNew = true
          break
        }
        if (table[at] === hash && lengthPlusOne === length + 1) {
          let j = 0
          while (j < whole && table[at + 2 + (j >> 2)] === dv.getInt32(from + j, true)) j += 4
          if (j === whole && (tailMask === 0 || table[at + 2 + (j >> 2)] === (dv.getInt32(from + j, true) & tailMask)))
            break
        }
        slot = (slot + 1) & mask
      }
      if (isNew) {
        prices[out++] = f64[price + i] as number
        for (let j = from; j < to; j++) text[end++] = u8[j] as number
      }
      from = to
    }
    this.keys += out
    for (let i = 0; i < out; i++) this.sum += prices[i] as number
  }
}
