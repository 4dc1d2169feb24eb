import { PARTITIONS_MAX } from './limits.js'

/**
 * Which partitions have published bytes that the engine has not seen: a bitmap in shared memory, one bit a
 * partition, with a second one above it, one bit for each word of the first, so that a look at it costs
 * 128 loads however many partitions there are. A bit is set below before it is above, and taken above
 * before below: a partition that is marked while the engine looks is seen now or on the next look.
 */
const WORDS = PARTITIONS_MAX >> 5
const SUMMARY_WORDS = WORDS >> 5

export class DirtyPartitions {
  readonly buffer: SharedArrayBuffer
  readonly #ints: Int32Array

  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer((SUMMARY_WORDS + WORDS) * 4)
    this.#ints = new Int32Array(this.buffer)
  }

  /** True where the partition was clean, so that the engine must be rung. */
  mark(ordinal: number): boolean {
    const word = ordinal >> 5
    const bit = 1 << (ordinal & 31)
    if ((Atomics.or(this.#ints, SUMMARY_WORDS + word, bit) & bit) !== 0) return false
    Atomics.or(this.#ints, word >> 5, 1 << (word & 31))
    return true
  }

  /** Takes every mark. */
  take(visit: (ordinal: number) => void): void {
    const ints = this.#ints
    for (let s = 0; s < SUMMARY_WORDS; s++) {
      if (Atomics.load(ints, s) === 0) continue
      let words = Atomics.exchange(ints, s, 0)
      while (words !== 0) {
        const w = 31 - Math.clz32(words)
        words &= ~(1 << w)
        const word = (s << 5) | w
        let bits = Atomics.exchange(ints, SUMMARY_WORDS + word, 0)
        while (bits !== 0) {
          const b = 31 - Math.clz32(bits)
          bits &= ~(1 << b)
          visit((word << 5) | b)
        }
      }
    }
  }
}
