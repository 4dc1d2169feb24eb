import { align8, type BufferViews, viewsOf } from '../types/block.js'

/**
 * Where a batch is put together before it goes into shared memory as a whole. A copy into a SharedArrayBuffer has to go
 * word by word, and byte by byte where source and target are not aligned alike: 100 bytes took 70 ns, and 30 ns into memory
 * of this thread's own; a kilobyte 400 ns and 85 ns. So the small pieces go into this place, and one copy of the whole
 * follows, which runs at 8 GB/s because the stage begins as far from a word's border as its target does.
 *
 * There is one for each thread. What is in it is valid until the next `takeStage`, and no code of a user runs in between.
 */
let stage: BufferViews = viewsOf(new ArrayBuffer(1 << 16))

/** Where in the stage a batch for this position begins. */
export const stagePosition = (position: number): number => position & 7

/** Room for a batch from `stagePosition(position)` on; its bytes are whatever the batch before left there. */
export function takeStage(byteLength: number): BufferViews {
  if (byteLength + 8 > stage.u8.length) {
    stage = viewsOf(new ArrayBuffer(align8(Math.max(byteLength + 8, stage.u8.length * 2))))
  }
  return stage
}

/** Copies the batch from the stage to its place. */
export function leaveStage(byteLength: number, target: BufferViews, position: number): void {
  const from = stagePosition(position)
  target.u8.set(stage.u8.subarray(from, from + byteLength), position)
}
