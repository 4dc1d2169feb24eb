import { assert } from '../common/assert.js'
import { MillraceError } from '../common/errors.js'
import { type BufferViews, viewsOf } from '../types/block.js'

/** Room that a sink begins with: most batches fit. */
const FIRST_BYTES = 1 << 16

/**
 * Bytes that grow up to a limit and not beyond: nothing is allocated before the limit has been asked. Used again for the next batch, so
 * what was read out of it is good until then.
 */
export class ByteSink {
  views: BufferViews = viewsOf(new ArrayBuffer(FIRST_BYTES))
  length = 0

  constructor(readonly limit: number) {}

  get u8(): Uint8Array {
    return this.views.u8
  }

  /** Room for `bytes` more, or for as many as the limit leaves; where the room ends. */
  room(bytes: number): number {
    const end = Math.min(this.length + bytes, this.limit)
    if (end > this.u8.length) {
      let capacity = this.u8.length
      while (capacity < end) capacity *= 2
      const larger = viewsOf(new ArrayBuffer(Math.min(capacity, (this.limit + 7) & ~7)))
      larger.u8.set(this.u8.subarray(0, this.length))
      this.views = larger
    }
    return end
  }

  /** Room for all of `bytes`; throws where the limit does not leave that much. */
  ensure(bytes: number): void {
    if (bytes > this.limit - this.length) throw this.tooLarge(this.length + bytes)
    this.room(bytes)
  }

  append(bytes: Uint8Array): void {
    this.ensure(bytes.length)
    this.u8.set(bytes, this.length)
    this.length += bytes.length
  }

  /** Lets go of memory that one large batch needed. */
  trim(bytesMax: number): void {
    assert(this.length === 0, `a sink of ${this.length} bytes is trimmed`)
    if (this.u8.length > bytesMax) this.views = viewsOf(new ArrayBuffer(FIRST_BYTES))
  }

  tooLarge(bytes: number): MillraceError {
    return new MillraceError('DECOMPRESSION_LIMIT', 'a compressed batch becomes too large', {
      detail: `found at least ${bytes} bytes, expected at most ${this.limit}`,
      hint: 'a batch that large is not written by Kafka or Millrace with their limits; look at where it came from',
    })
  }
}
