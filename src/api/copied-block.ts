import { type BlockRef, blockByteLength, viewsOf } from '../types/block.js'

/** A block that is valid during a call, kept. In shared memory of its own: the user's DataFrame may be read by workers, and later than the call. */
export function copyBlock(block: BlockRef): BlockRef {
  const bytes = blockByteLength(block.views, block.position)
  const views = viewsOf(new SharedArrayBuffer(bytes))
  views.u8.set(block.views.u8.subarray(block.position, block.position + bytes))
  return { views, position: 0 }
}
