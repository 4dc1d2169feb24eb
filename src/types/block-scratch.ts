import { align8, type BlockRef, type BufferViews, viewsOf } from './block.js'
import type { BlockBuilder } from './block-builder.js'

/**
 * A place of this thread's own where a builder's rows become a block to be read right away. The memory is used
 * again for the next block: a buffer for each would cost a system call and a page fault for every few rows.
 */
export class BlockScratch {
  #views: BufferViews = viewsOf(new ArrayBuffer(4096))

  /** Valid until the next call. */
  encode(builder: BlockBuilder): BlockRef {
    const bytes = builder.byteLength()
    if (bytes > this.#views.u8.length) {
      this.#views = viewsOf(new ArrayBuffer(align8(Math.max(bytes, this.#views.u8.length * 2))))
    }
    builder.writeTo(this.#views, 0)
    return { views: this.#views, position: 0 }
  }
}
