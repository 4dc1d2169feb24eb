import type { FoldFunction } from '../codegen/stage-functions.js'
import { type GroupLayout, GroupTable } from '../state/group-table.js'
import { TimeBuckets } from './time-buckets.js'

/** In the cells of an entry, from GroupPlaces.window on. */
const START = 0
const FROM = 1
const END = 2

/** Is over, or has not begun: the end of an entry that is no session. */
const NONE = Number.NEGATIVE_INFINITY

/**
 * The sessions of all keys. Each is an entry of the group table. The index leads from a key to one entry, the key's *anchor*; a key with more
 * sessions than that one has a list of them beside it, in the order of time. Sessions of a key never touch: what touches is one session.
 *
 *   index ─▶ anchor (its key's first entry, a session or none)
 *            lists[anchor] → [entry, entry, …] by time; undefined where the anchor is the key's only session, or has none
 *
 * A session that is over leaves its entry behind, which only the anchor of the same key uses again; `sparse` says when it pays to
 * make the table anew.
 */
export class SessionTable {
  readonly table: GroupTable
  sessions = 0
  readonly #lists: (number[] | undefined)[] = []
  readonly #anchors: number[] = []
  /** By end. An entry stands in one bucket at a time that counts, which is not behind its end. */
  readonly #ends = new TimeBuckets()
  readonly #window: number

  constructor(
    layout: GroupLayout,
    private readonly fold: FoldFunction,
  ) {
    this.table = new GroupTable(layout)
    this.#window = this.table.places.window
  }

  /** Most entries are no sessions any more. */
  get sparse(): boolean {
    return this.table.size > 1024 && this.sessions * 2 < this.table.size
  }

  /**
   * The session of the anchor's key that is in [from, end] and all that this touches: made where there is none, and one out of
   * several where it joins them. With `replacing` it has these times and no cells: what it touches were earlier states of it.
   */
  place(anchor: number, start: number, from: number, end: number, replacing: boolean): number {
    while (this.#lists.length <= anchor) this.#lists.push(undefined)
    const list = this.#lists[anchor]
    if (list === undefined) {
      if (this.#number(anchor, END) === NONE) return this.#begin(anchor, anchor, start, from, end)
      if (this.#touches(anchor, from, end)) return this.#widen(anchor, start, from, end, replacing)
      const entry = this.#begin(this.table.twin(anchor), anchor, start, from, end)
      this.#lists[anchor] = this.#number(anchor, FROM) < from ? [anchor, entry] : [entry, anchor]
      return entry
    }
    const first = this.#firstUntil(list, from)
    let last = first
    while (last < list.length && this.#number(list[last] as number, FROM) <= end) last++
    if (first === last) {
      const free = this.#number(anchor, END) === NONE
      const entry = this.#begin(free ? anchor : this.table.twin(anchor), anchor, start, from, end)
      list.splice(first, 0, entry)
      return entry
    }
    const entry = this.#widen(list[first] as number, start, from, end, replacing)
    for (let i = first + 1; i < last; i++) {
      const other = list[i] as number
      if (!replacing) {
        this.fold(this.table, other, entry)
        this.#widen(entry, this.#number(other, START), this.#number(other, FROM), this.#number(other, END), false)
      }
      this.#end(other)
    }
    if (last > first + 1) list.splice(first + 1, last - first - 1)
    return entry
  }

  isSession(entry: number): boolean {
    return this.#number(entry, END) !== NONE
  }

  all(): Int32Array {
    const entries = new Int32Array(this.sessions)
    let count = 0
    for (let entry = 0; entry < this.table.size; entry++) if (this.isSession(entry)) entries[count++] = entry
    return entries
  }

  /** Sessions that end at or before the time. They stay until remove(). */
  endedBy(time: number): readonly number[] {
    const ended: number[] = []
    this.#ends.take(time, (entry) => {
      const end = this.#number(entry, END)
      if (end === NONE) return undefined
      if (end > time) return end
      ended.push(entry)
      return undefined
    })
    return ended
  }

  remove(entries: readonly number[]): void {
    for (const entry of entries) this.#end(entry)
    for (const entry of entries) {
      const list = this.#lists[this.#anchors[entry] as number]
      // Sessions of one key end in their order.
      let gone = 0
      while (list !== undefined && gone < list.length && !this.isSession(list[gone] as number)) gone++
      if (gone > 0) list?.splice(0, gone)
    }
  }

  /** The greatest end there is. */
  lastEnd(): number {
    let last = NONE
    for (let entry = 0; entry < this.table.size; entry++) last = Math.max(last, this.#number(entry, END))
    return last
  }

  byteSize(): number {
    return this.table.byteSize() + this.table.size * 24
  }

  #begin(entry: number, anchor: number, start: number, from: number, end: number): number {
    this.table.clearCells(entry)
    this.#anchors[entry] = anchor
    this.sessions += 1
    this.#set(entry, start, from, end)
    return entry
  }

  #widen(entry: number, start: number, from: number, end: number, replacing: boolean): number {
    if (replacing) {
      this.#set(entry, start, from, end)
      return entry
    }
    this.#set(
      entry,
      Math.min(start, this.#number(entry, START)),
      Math.min(from, this.#number(entry, FROM)),
      Math.max(end, this.#number(entry, END)),
    )
    return entry
  }

  #set(entry: number, start: number, from: number, end: number): void {
    const { cells, places } = this.table
    const at = entry * places.cellDoubles + this.#window
    cells[at + START] = start
    cells[at + FROM] = from
    cells[at + END] = end
    this.#ends.put(entry, end)
  }

  #end(entry: number): void {
    this.table.clearCells(entry)
    this.table.cells[entry * this.table.places.cellDoubles + this.#window + END] = NONE
    this.sessions -= 1
  }

  #touches(entry: number, from: number, end: number): boolean {
    return this.#number(entry, FROM) <= end && from <= this.#number(entry, END)
  }

  /** Place of the first session that lasts until `time` or longer. */
  #firstUntil(list: readonly number[], time: number): number {
    let low = 0
    let high = list.length
    // Mostly it is the last one.
    if (high > 0 && this.#number(list[high - 1] as number, END) < time) return high
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#number(list[middle] as number, END) < time) low = middle + 1
      else high = middle
    }
    return low
  }

  #number(entry: number, k: number): number {
    return this.table.cells[entry * this.table.places.cellDoubles + this.#window + k] as number
  }
}
