import { type BlockRef, type BufferViews, blockRowCount } from '../types/block.js'
import type { InputPartition } from './input-partition.js'

/** Rows that are held in shared blocks (createDataFrame): the offset is the number of the row. */
export class MemoryInput implements InputPartition {
  offset: number
  views: BufferViews
  position = 0
  from = 0
  to = 0
  #block = 0
  #base = 0

  constructor(
    private readonly blocks: readonly BlockRef[],
    offset: number,
  ) {
    this.offset = offset
    this.views = (blocks[0] as BlockRef | undefined)?.views as BufferViews
  }

  static rowCount(blocks: readonly BlockRef[]): number {
    return blocks.reduce((rows, block) => rows + blockRowCount(block.views, block.position), 0)
  }

  next(limit: number): boolean {
    for (;;) {
      const block = this.blocks[this.#block]
      if (block === undefined || this.offset >= limit) return false
      const rows = blockRowCount(block.views, block.position)
      if (this.offset < this.#base + rows) {
        this.views = block.views
        this.position = block.position
        this.from = this.offset - this.#base
        this.to = Math.min(rows, limit - this.#base)
        return true
      }
      this.#base += rows
      this.#block += 1
    }
  }

  release(): void {
    this.offset = this.#base + this.to
  }

  offsetAt(row: number): number {
    return this.#base + row
  }

  hasNew(): boolean {
    return false
  }

  close(): void {}
}
