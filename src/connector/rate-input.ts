import type { Env } from '../common/env.js'
import type { BufferViews } from '../types/block.js'
import { BlockBuilder } from '../types/block-builder.js'
import { BlockScratch } from '../types/block-scratch.js'
import type { InputPartition } from './input-partition.js'
import { rateSchema } from './source-schemas.js'

const BLOCK_ROWS = 8192

export interface Rate {
  readonly rowsPerSecond: number
  readonly startedAt: number
  readonly partitions: number
}

export interface RatePartition extends Rate {
  readonly partition: number
}

/**
 * One partition of the rate source. Row n of partition p of P has value n·P + p and is due at
 * start + value / rowsPerSecond, so any range of offsets can be made again, with the same rows.
 */
export class RateInput implements InputPartition {
  offset: number
  views: BufferViews
  position = 0
  from = 0
  to = 0
  readonly #builder = new BlockBuilder(rateSchema)
  readonly #scratch = new BlockScratch()

  constructor(
    private readonly env: Env,
    private readonly rate: RatePartition,
    offset: number,
  ) {
    this.offset = offset
    this.views = this.#scratch.encode(this.#builder).views
  }

  /** How many rows of the partition are due by `now`. */
  static due(now: number, { rowsPerSecond, startedAt, partitions, partition }: RatePartition): number {
    const values = Math.floor(((now - startedAt) * rowsPerSecond) / 1000)
    return Math.max(0, Math.ceil((values - partition) / partitions))
  }

  next(limit: number): boolean {
    const due = Math.min(limit, RateInput.due(this.env.now(), this.rate))
    const rows = Math.min(BLOCK_ROWS, due - this.offset)
    if (!(rows > 0)) return false
    this.#builder.reset()
    const { partition, partitions, rowsPerSecond, startedAt } = this.rate
    for (let i = 0; i < rows; i++) {
      const value = (this.offset + i) * partitions + partition
      this.#builder.append([startedAt + Math.floor((value * 1000) / rowsPerSecond), value])
    }
    const block = this.#scratch.encode(this.#builder)
    this.views = block.views
    this.position = block.position
    this.to = rows
    return true
  }

  release(): void {
    this.offset += this.to
  }

  offsetAt(row: number): number {
    return this.offset + row
  }

  hasNew(): boolean {
    return RateInput.due(this.env.now(), this.rate) > this.offset
  }

  close(): void {}
}
