import type { CombineFunction } from '../codegen/stage-functions.js'
import type { GroupTable } from '../state/group-table.js'
import type { TablePool } from './table-pool.js'

export interface Slice {
  readonly start: number
  readonly table: GroupTable
}

/** With so few slices a window is put together from each of them; more memory would save nothing. */
const DIRECT_SLICES = 6

/**
 * The slices that the window at hand consists of, as windows move on: slices join in the order of their starts and leave in the same
 * order. No aggregate can be taken back (a minimum cannot), so nothing is subtracted:
 *
 *   slices    [front ················][back ···········]
 *   kept       for each suffix of the  all of them
 *              front its aggregate     in one table
 *
 *   window  =  the suffix of the front that begins in it + the back
 *
 * When the front is used up, the back becomes the front and its suffixes are made once, from the last slice to the first. So a
 * window costs as much as it has groups, a few times, and not as many times as it has slices.
 *
 * A suffix is kept only where the slices behind the last one kept have at least as many entries as it has itself: all of them together
 * are never larger than the slices, and what is missing in front of a suffix is less than the suffix.
 */
export class RunningWindow {
  #front: Slice[] = []
  /** The last one begins first. */
  #suffixes: Slice[] = []
  #back: Slice[] = []
  #backTable: GroupTable | undefined
  /** Added to slices of the front when their suffixes were made already. */
  #extras: Slice[] = []
  #extraWork = 0
  #entries = 0

  constructor(
    private readonly combine: CombineFunction,
    /** For tables of the size of a window. */
    private readonly pool: TablePool,
    /** For those of a slice. */
    private readonly slicePool: TablePool,
    private readonly slicesPerWindow: number,
  ) {}

  /** The next slice. Its table stays the caller's, who changes it no more but by addLate(). */
  add(slice: Slice): void {
    this.#back.push(slice)
    if (this.#isDirect()) return
    this.#backTable ??= this.pool.take()
    this.#into(this.#backTable, slice.table)
  }

  /**
   * More of a slice that has joined, or of one that should have: `late` is in the slice's table already. It is no longer the caller's.
   */
  addLate(slice: Slice, late: GroupTable): void {
    const behindFront = slice.start > (this.#front.at(-1)?.start ?? Number.NEGATIVE_INFINITY)
    insertSorted(behindFront ? this.#back : this.#front, slice)
    if (this.#isDirect()) {
      this.slicePool.give(late)
    } else if (behindFront) {
      this.#backTable ??= this.pool.take()
      this.#into(this.#backTable, late)
      this.slicePool.give(late)
    } else {
      this.#extras.push({ start: slice.start, table: late })
    }
  }

  /** The groups of the window that begins at `start`, which is behind the last one's, into an empty table. */
  collect(start: number, into: GroupTable): void {
    dropBefore(this.#front, start)
    while ((this.#suffixes.at(-1)?.start ?? start) < start) this.pool.give((this.#suffixes.pop() as Slice).table)
    if (this.#isDirect()) {
      dropBefore(this.#back, start)
      for (const { table } of this.#back) this.#into(into, table)
      return
    }
    const oldest = this.#front[0] ?? this.#back[0]
    if (oldest === undefined) return
    if (oldest.start < start || this.#extraWork > this.#entries) this.#turn(start)
    const suffix = this.#suffixes.at(-1)
    const from = suffix?.start ?? Number.POSITIVE_INFINITY
    if (suffix !== undefined) this.#into(into, suffix.table)
    for (let i = 0; i < this.#front.length && (this.#front[i] as Slice).start < from; i++) {
      this.#into(into, (this.#front[i] as Slice).table)
    }
    for (const { start: at, table } of this.#extras) {
      if (at < from) continue
      this.#into(into, table)
      this.#extraWork += table.size
    }
    if (this.#backTable !== undefined) this.#into(into, this.#backTable)
  }

  /** Gives all tables but the slices' own back. */
  close(): void {
    for (const { table } of this.#suffixes) this.pool.give(table)
    for (const { table } of this.#extras) this.slicePool.give(table)
    if (this.#backTable !== undefined) this.pool.give(this.#backTable)
    this.#suffixes = []
    this.#extras = []
    this.#backTable = undefined
  }

  /** Every slice becomes the front's. */
  #turn(start: number): void {
    this.close()
    this.#front = [...this.#front, ...this.#back]
    this.#back = []
    dropBefore(this.#front, start)
    this.#entries = 0
    this.#extraWork = 0
    const running = this.pool.take()
    let since = 0
    for (let i = this.#front.length - 1; i >= 0; i--) {
      const { start: at, table } = this.#front[i] as Slice
      this.#into(running, table)
      this.#entries += table.size
      since += table.size
      if (since === 0 || since < running.size) continue
      since = 0
      const suffix = this.pool.take()
      this.#into(suffix, running)
      this.#suffixes.push({ start: at, table: suffix })
    }
    this.pool.give(running)
  }

  #isDirect(): boolean {
    return this.slicesPerWindow <= DIRECT_SLICES
  }

  #into(table: GroupTable, from: GroupTable): void {
    this.combine(from, null, 0, from.size, table, 0)
  }
}

function dropBefore(slices: Slice[], start: number): void {
  let count = 0
  while (count < slices.length && (slices[count] as Slice).start < start) count++
  if (count > 0) slices.splice(0, count)
}

function insertSorted(slices: Slice[], slice: Slice): void {
  const at = slices.findIndex((one) => one.start >= slice.start)
  if (at === -1) slices.push(slice)
  else if (slices[at]?.start !== slice.start) slices.splice(at, 0, slice)
}
