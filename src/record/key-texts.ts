import { newBytes } from '../common/bytes.js'
import { writeLongUtf8 } from '../common/utf8.js'
import { settleEnds } from '../types/joined-text.js'

/** Longer keys are rare, and are hashed and written one by one. */
export const JOINED_KEY_LENGTH_MAX = 64

/** More than this is given back before the next send. */
const KEPT_BYTES = 1 << 20

/**
 * The string keys of a send as UTF-8, one behind the other, by one call of the encoder for all that were joined (see types/joined-text.ts). From here
 * they are hashed, and copied to where they belong, neither of which looks at the string again.
 *
 *   // bytes: the keys of records 0, 1, 2, …; nothing of those that are null, empty, long, or bytes
 *   // ends:  where the key of each record ends
 */
export class KeyTexts {
  bytes: Uint8Array = newBytes(0)
  dv = new DataView(this.bytes.buffer)
  ends = new Int32Array(0)
  /** Bytes of all keys so far. */
  length = 0

  begin(count: number): void {
    this.length = 0
    if (this.ends.length < count) this.ends = new Int32Array(Math.max(count, this.ends.length * 2))
    if (this.bytes.length > KEPT_BYTES) this.#take(newBytes(0))
  }

  /** Writes the joined keys of records [from, to), whose ends count their characters as bytes as yet. */
  write(text: string, from: number, to: number): void {
    const start = this.length
    if (text.length === 0) return
    const needed = start + text.length * 3
    if (needed > this.bytes.length) {
      const larger = newBytes(Math.max(needed, this.bytes.length * 2, 1024))
      larger.set(this.bytes.subarray(0, start))
      this.#take(larger)
    }
    this.length = writeLongUtf8(this.bytes, start, text)
    if (this.length !== start + text.length) this.length = settleEnds(this.ends, from, to, text, this.bytes, start)
  }

  startOf(n: number): number {
    return n === 0 ? 0 : (this.ends[n - 1] as number)
  }

  #take(bytes: Uint8Array): void {
    this.bytes = bytes
    this.dv = new DataView(bytes.buffer)
  }
}

/** Copies bytes [from, to), few of them. */
export function copyKey(source: Uint8Array, from: number, to: number, target: Uint8Array, at: number): number {
  let e = at
  for (let i = from; i < to; i++) target[e++] = source[i] as number
  return e
}
