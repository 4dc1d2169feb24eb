import type { CombineFunction } from '../codegen/stage-functions.js'
import { firstWindow, lastWindow, type SlidingWindow, sliceOffset } from '../plan/grouping-window.js'
import type { GroupTable } from '../state/group-table.js'
import { RunningWindow, type Slice } from './running-window.js'
import type { TablePool } from './table-pool.js'

/** What counts in a slice from the window `from` on and not in the slice's windows before it. */
export interface LateSlice extends Slice {
  readonly from: number
}

/**
 * Slices, and the windows made of them one after the other. What came late for the first windows of its slice is kept apart until the
 * window comes from which it counts; from there on it counts in all windows that the slice has left, and joins the slice.
 */
export class SliceSet {
  /** By start, and the starts in their order. */
  readonly #slices = new Map<number, Slice>()
  readonly #starts: number[] = []
  /** By the window from which they count, then by slice. */
  readonly #late = new Map<number, Map<number, LateSlice>>()
  readonly #running: RunningWindow
  /** Slices up to this one take part in the windows at hand. */
  #joined = Number.NEGATIVE_INFINITY

  constructor(
    private readonly window: SlidingWindow,
    private readonly combine: CombineFunction,
    private readonly pool: TablePool,
    /** For tables that are as large as a window's. */
    windowPool: TablePool,
    /** CHANGED_FOR_… of what joins its slice. */
    private readonly marks: number,
  ) {
    const perSlide = sliceOffset(window) === 0 ? 1 : 2
    this.#running = new RunningWindow(combine, windowPool, pool, perSlide * Math.ceil(window.sizeMs / window.slideMs))
  }

  /** The table of what counts in the slice from the window `from` on. */
  table(start: number, from: number): GroupTable {
    const slice = this.#slice(start)
    if (from <= firstWindow(this.window, start)) return slice.table
    let list = this.#late.get(from)
    if (list === undefined) {
      list = new Map()
      this.#late.set(from, list)
    }
    let late = list.get(start)
    if (late === undefined) {
      late = { start, from, table: this.pool.take() }
      list.set(start, late)
    }
    return late.table
  }

  get lastStart(): number | undefined {
    return this.#starts.at(-1)
  }

  /** Every table, with what it counts from. */
  *all(): Generator<LateSlice> {
    for (const { start, table } of this.#slices.values()) {
      yield { start, from: firstWindow(this.window, start), table }
    }
    for (const list of this.#late.values()) yield* list.values()
  }

  /** The first window that ends behind `closedUntil` and has a slice; undefined where there is no slice. */
  nextWindow(closedUntil: number): number | undefined {
    const [oldest] = this.#starts
    if (oldest === undefined) return undefined
    return Math.max(firstWindow(this.window, oldest), firstWindow(this.window, closedUntil))
  }

  /** The groups of a window into an empty table. Windows come in their order, and those before this one are over. */
  collect(window: number, into: GroupTable): void {
    this.#join(window)
    this.#running.collect(window, into)
  }

  /**
   * Windows up to this one are over: what counts only from one of them on joins its slice, and slices go that no later window has.
   * Returns how many groups that were.
   */
  drop(window: number): number {
    for (const from of this.#late.keys()) if (from <= window) this.#joinLate(from, false)
    let groups = 0
    let count = 0
    while (count < this.#starts.length && lastWindow(this.window, this.#starts[count] as number) <= window) count++
    for (const start of this.#starts.splice(0, count)) {
      const { table } = this.#slices.get(start) as Slice
      groups += table.size
      // The running window has it still, and leaves it out without a look at its table: the next window begins behind it.
      this.pool.give(table)
      this.#slices.delete(start)
    }
    return groups
  }

  /** Late rows of windows up to this one that a checkpoint still has are in their slices already. */
  forgetJoined(window: number): void {
    for (const [from, list] of this.#late) {
      if (from > window) continue
      for (const { table } of list.values()) this.pool.give(table)
      this.#late.delete(from)
    }
  }

  close(): void {
    this.#running.close()
  }

  #join(window: number): void {
    // In their order: a slice that joins later is a later one.
    for (let i = this.#firstBehind(this.#joined); i < this.#starts.length; i++) {
      const start = this.#starts[i] as number
      if (firstWindow(this.window, start) > window) break
      this.#running.add(this.#slices.get(start) as Slice)
      this.#joined = start
    }
    for (const from of [...this.#late.keys()].sort((a, b) => a - b)) if (from <= window) this.#joinLate(from, true)
  }

  #joinLate(from: number, runs: boolean): void {
    for (const { start, table } of this.#late.get(from)?.values() ?? []) {
      const slice = this.#slices.get(start) as Slice
      this.combine(table, null, 0, table.size, slice.table, this.marks)
      if (runs) this.#running.addLate(slice, table)
      else this.pool.give(table)
    }
    this.#late.delete(from)
  }

  #slice(start: number): Slice {
    const known = this.#slices.get(start)
    if (known !== undefined) return known
    const slice = { start, table: this.pool.take() }
    this.#slices.set(start, slice)
    this.#starts.splice(this.#firstBehind(start), 0, start)
    return slice
  }

  /** Place of the first slice behind `start`. */
  #firstBehind(start: number): number {
    let low = 0
    let high = this.#starts.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#starts[middle] as number) <= start) low = middle + 1
      else high = middle
    }
    return low
  }
}
