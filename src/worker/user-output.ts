import { isOfRow } from '../dead-letter/failure-policy.js'
import type { BufferViews } from '../types/block.js'
import { BlockBuilder, ScratchFull } from '../types/block-builder.js'
import { BlockScratch } from '../types/block-scratch.js'
import { compileRowEncoder, type RowEncoder } from '../types/column-builder.js'
import type { StructType } from '../types/data-type.js'

/** Rows [from, to) of a block, to whoever takes them next; row 0 of the block is number `first` of those that have come out of this run. */
export type TakeRows = (views: BufferViews, position: number, from: number, to: number, first: number) => void

/** Rows of the user's as blocks, in memory that is used again. */
export class RowOutput {
  readonly #encoder: RowEncoder
  readonly #builder: BlockBuilder
  readonly #scratch = new BlockScratch()
  #rows = new Int32Array(0)
  #parts = new Int32Array(0)

  constructor(schema: StructType) {
    this.#encoder = compileRowEncoder(schema)
    this.#builder = new BlockBuilder(schema)
    this.#builder.setParts(1)
  }

  /** Why it is no row of the columns. */
  faultOf(row: unknown): unknown {
    try {
      this.write([row], () => undefined)
      return undefined
    } catch (error) {
      if (!isOfRow(error)) throw error
      return error
    }
  }

  write(rows: readonly unknown[], take: TakeRows): void {
    if (this.#rows.length < rows.length) {
      this.#rows = new Int32Array(rows.length).map((_, i) => i)
      this.#parts = new Int32Array(rows.length)
    }
    this.#write(rows, 0, rows.length, take)
  }

  #write(rows: readonly unknown[], from: number, to: number, take: TakeRows): void {
    if (from === to) return
    const builder = this.#builder
    const count = to - from
    builder.reset()
    builder.ensureRows(count)
    try {
      this.#encoder.encode(builder, rows, from, to, this.#rows.subarray(0, count), this.#parts.subarray(0, count))
    } catch (error) {
      if (!(error instanceof ScratchFull) || count === 1) throw error
      // Texts of that size are too much for one block.
      const middle = from + (count >> 1)
      this.#write(rows, from, middle, take)
      this.#write(rows, middle, to, take)
      return
    }
    builder.rows = count
    builder.selectPart(0)
    // The memory is used again by the next run, and not by another part of this one.
    const { views, position } = count === rows.length ? this.#scratch.encode(builder) : builder.toBlock()
    take(views, position, 0, count, from)
  }
}
