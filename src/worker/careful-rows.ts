import { SourceCell } from '../codegen/stage-functions.js'
import { withoutStacks } from '../common/errors.js'
import { isOfRow } from '../dead-letter/failure-policy.js'
import type { BufferViews } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'

/** A row of the block has failed by itself, and nothing of it is in the target. */
export type RowFailed = (row: number, error: unknown) => void

/** Rows [from, to) of a block into a target that it knows. Where it throws, the row that it was at is in the cells. */
export type RowsLoop = (views: BufferViews, position: number, from: number, to: number, cells: Float64Array) => void

/** How far a loop has come, and why not further. */
interface Stopped {
  readonly row: number
  readonly error: unknown
}

interface Target {
  /** Where a row may become several, some of them may be in before another fails, and are to be taken back. */
  readonly multiplies: boolean
  /** Length of the cells. */
  readonly cells: number
}

/**
 * The compiled loop of a stage over rows some of which fail. It leaves the number of the row at which it has stopped, and the rows before that one are in the
 * builders: what is left of it is taken back, it is told, and the loop goes on behind it.
 */
export class CarefulLoop {
  readonly #multiplied: MultipliedRows | undefined

  constructor(
    private readonly loop: RowsLoop,
    private readonly builders: readonly BlockBuilder[],
    { multiplies, cells }: Target,
  ) {
    if (multiplies) this.#multiplied = new MultipliedRows(builders, cells)
  }

  run(views: BufferViews, position: number, from: number, to: number, cells: Float64Array, failed: RowFailed): void {
    goOn(from, to, failed, (at) => this.#go(views, position, at, to, cells))
  }

  #go(views: BufferViews, position: number, from: number, to: number, cells: Float64Array): Stopped | undefined {
    const multiplied = this.#multiplied
    multiplied?.mark(cells)
    const stopped = attempt(this.loop, views, position, from, to, cells)
    if (stopped === undefined) return undefined
    if (multiplied === undefined) {
      for (const builder of this.builders) builder.dropBegun()
    } else {
      multiplied.takeBack(cells)
      // Those before it do not fail.
      this.loop(views, position, from, stopped.row, cells)
    }
    return stopped
  }
}

/** What builders and cells were before a loop, for one that may leave a part of what a row has become. */
class MultipliedRows {
  readonly #cells: Float64Array
  readonly #nulls: number[] = []
  readonly #rows: number[] = []

  constructor(
    private readonly builders: readonly BlockBuilder[],
    cells: number,
  ) {
    this.#cells = new Float64Array(cells)
  }

  mark(cells: Float64Array): void {
    this.#cells.set(cells)
    let n = 0
    this.builders.forEach(({ rows, columns }, b) => {
      this.#rows[b] = rows
      for (const { nullCount } of columns) this.#nulls[n++] = nullCount
    })
  }

  takeBack(cells: Float64Array): void {
    cells.set(this.#cells)
    let n = 0
    this.builders.forEach((builder, b) => {
      builder.cutTo(this.#rows[b] as number, this.#nulls, n)
      n += builder.columns.length
    })
  }
}

/**
 * The same into a table of partial aggregates, from which a row cannot be taken back. Its loop evaluates all of a row before it touches the table; that it is the
 * row which fails, and not the aggregate, is seen with a table that is thrown away. Where a row may become several, rows are looked at there first.
 */
export class CarefulTableLoop {
  readonly #scratch: Float64Array

  constructor(
    private readonly loop: RowsLoop,
    /** Into a table that is empty again when it returns, or throws. */
    private readonly look: RowsLoop,
    private readonly target: Target,
  ) {
    this.#scratch = new Float64Array(target.cells)
  }

  run(views: BufferViews, position: number, from: number, to: number, cells: Float64Array, failed: RowFailed): void {
    goOn(from, to, failed, (at) => this.#go(views, position, at, to, cells))
  }

  #go(views: BufferViews, position: number, from: number, to: number, cells: Float64Array): Stopped | undefined {
    if (this.target.multiplies) {
      const stopped = this.#look(views, position, from, to, cells)
      this.loop(views, position, from, stopped?.row ?? to, cells)
      return stopped
    }
    const stopped = attempt(this.loop, views, position, from, to, cells)
    // The row by itself does not fail: what has overflowed is the aggregate, which is nobody's row.
    if (stopped !== undefined && this.#look(views, position, stopped.row, stopped.row + 1, cells) === undefined)
      throw stopped.error
    return stopped
  }

  #look(views: BufferViews, position: number, from: number, to: number, cells: Float64Array): Stopped | undefined {
    this.#scratch.set(cells)
    return attempt(this.look, views, position, from, to, this.#scratch)
  }
}

/** Where the loop has stopped, if it has, by a row's failing. */
function attempt(
  loop: RowsLoop,
  views: BufferViews,
  position: number,
  from: number,
  to: number,
  cells: Float64Array,
): Stopped | undefined {
  try {
    loop(views, position, from, to, cells)
    return undefined
  } catch (error) {
    if (!isOfRow(error)) throw error
    return { row: cells[SourceCell.row] as number, error }
  }
}

/** From row `from` on, and behind each row that fails once more. */
function goOn(from: number, to: number, failed: RowFailed, go: (from: number) => Stopped | undefined): void {
  let stopped = go(from)
  if (stopped === undefined) return
  withoutStacks(() => {
    while (stopped !== undefined) {
      const { row, error }: Stopped = stopped
      failed(row, error)
      stopped = row + 1 < to ? go(row + 1) : undefined
    }
  })
}
