import type { RowsFunction } from '../codegen/stage-functions.js'
import { isOfRow } from '../dead-letter/failure-policy.js'
import type { GroupTable } from '../state/group-table.js'
import type { BufferViews } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'

/** So few rows are looked at one by one; more are halved. */
const ONE_BY_ONE = 16
/** So many rows without a failure, and a table is filled without looking first again. */
const CAREFUL_ROWS = 1 << 20

/** A row of the block has failed by itself, and nothing of it is in the target. */
export type RowFailed = (row: number, error: unknown) => void

/**
 * The compiled loop of a stage over rows some of which fail. As long as none does it is run as it is, over all of them. A loop into builders writes down how far
 * it has come at its end, so where it throws nothing has happened but for what lies behind the last row; the rows are then halved until those that fail are
 * alone. They are left out and told, and the others go in, in their order.
 */
export class CarefulLoop {
  readonly #cells: Float64Array
  readonly #nulls: number[] = []
  readonly #rows: number[] = []

  constructor(
    private readonly loop: (
      views: BufferViews,
      position: number,
      from: number,
      to: number,
      cells: Float64Array,
    ) => void,
    private readonly builders: readonly BlockBuilder[],
    cells: number,
  ) {
    this.#cells = new Float64Array(cells)
  }

  run(views: BufferViews, position: number, from: number, to: number, cells: Float64Array, failed: RowFailed): void {
    const error = this.#try(views, position, from, to, cells)
    if (error === undefined) return
    // A stack for each of many failures costs more than all the rest, and tells nothing.
    const before = Error.stackTraceLimit
    Error.stackTraceLimit = 0
    try {
      this.#split(views, position, from, to, cells, failed, error)
    } finally {
      Error.stackTraceLimit = before
    }
  }

  #split(
    views: BufferViews,
    position: number,
    from: number,
    to: number,
    cells: Float64Array,
    failed: RowFailed,
    error: unknown,
  ): void {
    if (to - from === 1) {
      failed(from, error)
      return
    }
    const step = to - from <= ONE_BY_ONE ? 1 : (to - from) >> 1
    for (let at = from; at < to; at += step) {
      // The second half may be longer by one.
      const end = step > 1 && to - at < 2 * step ? to : at + step
      const wrong = this.#try(views, position, at, end, cells)
      if (wrong !== undefined) this.#split(views, position, at, end, cells, failed, wrong)
      if (end === to) break
    }
  }

  /** The error, with everything as it was before. */
  #try(views: BufferViews, position: number, from: number, to: number, cells: Float64Array): unknown {
    this.#mark(cells)
    try {
      this.loop(views, position, from, to, cells)
    } catch (error) {
      this.#restore(cells)
      if (!isOfRow(error)) throw error
      return error
    }
    return undefined
  }

  #mark(cells: Float64Array): void {
    this.#cells.set(cells)
    let n = 0
    this.builders.forEach(({ rows, columns }, b) => {
      this.#rows[b] = rows
      for (const { nullCount } of columns) this.#nulls[n++] = nullCount
    })
  }

  #restore(cells: Float64Array): void {
    cells.set(this.#cells)
    let n = 0
    this.builders.forEach((builder, b) => {
      builder.cutTo(this.#rows[b] as number, this.#nulls, n)
      n += builder.columns.length
    })
  }
}

/** What fails though each row by itself does not: an aggregate that has overflowed. */
class NobodysRow extends Error {
  constructor(override readonly cause: unknown) {
    super('an aggregate has failed')
  }
}

/**
 * The same into a table of partial aggregates, from which a row cannot be taken back. Its loop evaluates all of a row before it touches the table, so where it
 * throws the rows before that one are in; which one it was is found with a table that is thrown away. From then on rows are looked at there first, until none
 * has failed for a long time.
 */
export class CarefulTableLoop {
  readonly #probe: CarefulLoop
  readonly #before: Float64Array
  readonly #scratch: Float64Array
  #careful = 0

  constructor(
    private readonly loop: RowsFunction<GroupTable>,
    private readonly table: GroupTable,
    /** Into a table that is empty again when it returns, or throws. */
    private readonly look: (
      views: BufferViews,
      position: number,
      from: number,
      to: number,
      cells: Float64Array,
    ) => void,
    cells: number,
  ) {
    this.#before = new Float64Array(cells)
    this.#scratch = new Float64Array(cells)
    this.#probe = new CarefulLoop(
      (views, position, from, to, own) => {
        this.#scratch.set(own)
        look(views, position, from, to, this.#scratch)
        try {
          this.loop(views, position, from, to, own, this.table)
        } catch (cause) {
          throw new NobodysRow(cause)
        }
      },
      [],
      cells,
    )
  }

  run(views: BufferViews, position: number, from: number, to: number, cells: Float64Array, failed: RowFailed): void {
    const report: RowFailed = (row, error) => {
      this.#careful = CAREFUL_ROWS
      failed(row, error)
    }
    try {
      this.#run(views, position, from, to, cells, report)
    } catch (error) {
      throw error instanceof NobodysRow ? error.cause : error
    }
  }

  #run(views: BufferViews, position: number, from: number, to: number, cells: Float64Array, report: RowFailed): void {
    if (this.#careful > 0) {
      this.#careful -= to - from
      this.#probe.run(views, position, from, to, cells, report)
      return
    }
    this.#before.set(cells)
    try {
      this.loop(views, position, from, to, cells, this.table)
    } catch (error) {
      if (!isOfRow(error)) throw error
      cells.set(this.#before)
      const row = this.#firstFailing(views, position, from, to, cells)
      // No row fails by itself: what has overflowed is the aggregate, which is nobody's row.
      if (row === undefined) throw error
      report(row, error)
      if (row + 1 < to) this.#probe.run(views, position, row + 1, to, cells, report)
    }
  }

  /** Rows before it are in the table; `cells` are as they have left them. */
  #firstFailing(
    views: BufferViews,
    position: number,
    from: number,
    to: number,
    cells: Float64Array,
  ): number | undefined {
    const fails = (low: number, high: number): boolean => {
      this.#scratch.set(cells)
      try {
        this.look(views, position, low, high, this.#scratch)
        return false
      } catch (error) {
        if (!isOfRow(error)) throw error
        return true
      }
    }
    let low = from
    let high = to
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (fails(low, middle)) high = middle
      else {
        cells.set(this.#scratch)
        low = middle
      }
    }
    return fails(low, high) ? low : undefined
  }
}
