import type { KeyHash } from './key-hash.js'

/**
 * From a record's key to the last offset that it was seen at: what compaction decides by. Open addressing over 24 bytes an entry (a 128-bit hash
 * and the offset), of a size that is fixed when it is made, so that no entry ever makes the thread wait for a larger table. Where it is full
 * compaction ends its round there and takes the rest in another.
 */
const HASH_WORDS = 4
export const OFFSET_MAP_ENTRY_BYTES = HASH_WORDS * 4 + 8

export class OffsetMap {
  readonly capacity: number
  size = 0
  /** Greatest offset that was put. */
  latestOffset = -1
  readonly #hashes: Int32Array
  /** Offset + 1; 0 = free. */
  readonly #offsets: Float64Array
  readonly #mask: number
  readonly #hash: KeyHash

  /** @param entries that it must hold, at least; the table has a third more. */
  constructor(entries: number, hash: KeyHash) {
    let slots = 1024
    while (slots * 0.75 < entries) slots *= 2
    this.capacity = Math.floor(slots * 0.75)
    this.#hashes = new Int32Array(slots * HASH_WORDS)
    this.#offsets = new Float64Array(slots)
    this.#mask = slots - 1
    this.#hash = hash
  }

  get isFull(): boolean {
    return this.size >= this.capacity
  }

  /** Offsets come in ascending order. Must not be called when the map is full. */
  put(u8: Uint8Array, from: number, to: number, offset: number): void {
    const slot = this.#slotOf(u8, from, to)
    if (this.#offsets[slot] === 0) {
      const { out } = this.#hash
      this.size += 1
      for (let w = 0; w < HASH_WORDS; w++) this.#hashes[slot * HASH_WORDS + w] = out[w] as number
    }
    this.#offsets[slot] = offset + 1
    this.latestOffset = offset
  }

  /** Offset of the key's last record, -1 where it was not seen. */
  get(u8: Uint8Array, from: number, to: number): number {
    return (this.#offsets[this.#slotOf(u8, from, to)] as number) - 1
  }

  #slotOf(u8: Uint8Array, from: number, to: number): number {
    const hashes = this.#hashes
    const offsets = this.#offsets
    const out = this.#hash.hash(u8, from, to)
    for (let slot = (out[0] as number) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      if (offsets[slot] === 0) return slot
      const at = slot * HASH_WORDS
      if (
        hashes[at] === out[0] &&
        hashes[at + 1] === out[1] &&
        hashes[at + 2] === out[2] &&
        hashes[at + 3] === out[3]
      ) {
        return slot
      }
    }
  }
}
