import { assert } from '../common/assert.js'
import { grownCapacity } from '../common/bytes.js'
import { BlockBuilder } from '../types/block-builder.js'
import type { StructType } from '../types/data-type.js'
import type { GroupTable } from './group-table.js'

/** Rows of a segment. A row's number is segment · SEGMENT_ROWS + its place there. */
export const SEGMENT_BITS = 12
export const SEGMENT_ROWS = 1 << SEGMENT_BITS

/** In place of a segment's number of rows. */
const FREE = -1

export const ROW_ALIVE = 1
export const ROW_MATCHED = 2
/** Written down in an earlier epoch, so that a change of it has to be too. */
const ROW_LOGGED = 4

export interface StoreChanges {
  readonly fresh: Int32Array
  readonly changedIds: readonly number[]
  readonly changedStates: readonly number[]
}

/**
 * The rows that one side of a join keeps, as columns. Rows of one key hang together in a doubly linked chain that begins in a cell of the key's
 * entry, so that a row is taken out without a search. Rows are only ever appended; a segment of which no row is left is used again.
 *
 *   // by row number
 *   next, prev   row number + 1, 0 = none
 *   entry        of the key table
 *   states       0 = gone, else ROW_… flags
 *   expiresAt    milliseconds: behind this watermark no match can come
 *   ids          the row's name in the checkpoint, where there is one
 *
 * Rows come roughly in the order of their times and so leave segment by segment.
 */
export class RowStore {
  readonly segments: (BlockBuilder | undefined)[] = []
  next = new Int32Array(0)
  prev = new Int32Array(0)
  entry = new Int32Array(0)
  states = new Uint8Array(0)
  expiresAt = new Float64Array(0)
  ids = new Float64Array(0)
  /** Rows that are there. */
  size = 0
  readonly #live: number[] = []
  /** By segment, a moment before which none of its rows expires. */
  readonly #leastExpiry: number[] = []
  readonly #free: number[] = []
  #tail = -1
  #changedIds: number[] = []
  #changedStates: number[] = []
  readonly #fresh: number[] = []

  constructor(
    private readonly schema: StructType,
    /** Of the key table's cells, the one in which this side's chains begin. */
    private readonly chainCell: number,
    private readonly expires: boolean,
    private readonly logged: boolean,
  ) {}

  /** Where the next rows go: a builder with room for some. */
  tail(): BlockBuilder {
    let builder = this.segments[this.#tail]
    if (builder === undefined || builder.rows === SEGMENT_ROWS) {
      const freed = this.#free.pop()
      this.#tail = freed ?? this.segments.length
      builder = this.segments[this.#tail] ?? new BlockBuilder(this.schema)
      builder.reset()
      this.segments[this.#tail] = builder
      this.#live[this.#tail] = 0
      this.#leastExpiry[this.#tail] = Number.POSITIVE_INFINITY
    }
    return builder
  }

  /** Number of the row that is appended to tail() next. */
  get nextRow(): number {
    return this.#tail * SEGMENT_ROWS + (this.segments[this.#tail] as BlockBuilder).rows
  }

  /** Room for row numbers below `rows` in what goes by row number. */
  ensure(rows: number): void {
    if (rows <= this.states.length) return
    const capacity = grownCapacity(this.states.length, rows)
    this.next = grown(this.next, new Int32Array(capacity))
    this.prev = grown(this.prev, new Int32Array(capacity))
    this.entry = grown(this.entry, new Int32Array(capacity))
    this.states = grown(this.states, new Uint8Array(capacity))
    if (this.expires) this.expiresAt = grown(this.expiresAt, new Float64Array(capacity))
    if (this.logged) this.ids = grown(this.ids, new Float64Array(capacity))
  }

  /**
   * Rows [first, first + count), which the writer has just put into the tail, join the chains of their entries. `entries[i]` is
   * the entry of the i-th, · 2, + 1 where it has a match already; `ids` where the state is logged.
   */
  link(
    table: GroupTable,
    first: number,
    count: number,
    entries: Int32Array,
    from: number,
    ids: Float64Array | undefined,
  ): void {
    const { next, prev, entry, states } = this
    const { cells, places } = table
    const cell = places.numbers[this.chainCell] as number
    const segment = first >> SEGMENT_BITS
    let least = this.#leastExpiry[segment] as number
    for (let i = 0; i < count; i++) {
      const row = first + i
      const packed = entries[from + i] as number
      const e = packed >> 1
      const head = e * places.cellDoubles + cell
      const before = cells[head] as number
      next[row] = before
      prev[row] = 0
      if (before !== 0) prev[before - 1] = row + 1
      cells[head] = row + 1
      entry[row] = e
      states[row] = ROW_ALIVE | ((packed & 1) === 0 ? 0 : ROW_MATCHED)
      if (this.expires && (this.expiresAt[row] as number) < least) least = this.expiresAt[row] as number
      if (this.logged) {
        this.ids[row] = (ids as Float64Array)[from + i] as number
        this.#fresh.push(row)
      }
    }
    this.#leastExpiry[segment] = least
    this.#live[segment] = (this.#live[segment] as number) + count
    this.size += count
  }

  /** The row has a match now. True where it had none. */
  match(row: number): boolean {
    const state = this.states[row] as number
    if ((state & ROW_MATCHED) !== 0) return false
    this.states[row] = state | ROW_MATCHED
    this.#note(row)
    return true
  }

  /** Takes the row out of its chain; its columns may be read until the next row is appended. */
  remove(table: GroupTable, row: number): void {
    const { next, prev } = this
    const after = next[row] as number
    const before = prev[row] as number
    if (after !== 0) prev[after - 1] = before
    if (before !== 0) next[before - 1] = after
    else {
      const { cells, places } = table
      cells[(this.entry[row] as number) * places.cellDoubles + (places.numbers[this.chainCell] as number)] = after
    }
    this.size -= 1
    const segment = row >> SEGMENT_BITS
    this.#live[segment] = (this.#live[segment] as number) - 1
  }

  /** A removed row that somebody may ask for: its name, with the news that it is gone, goes into the checkpoint. */
  forget(row: number): void {
    this.states[row] = (this.states[row] as number) & ~ROW_ALIVE
    this.#note(row)
  }

  /**
   * Segments without a row are free again. Not while rows that were taken out are still being read, and with a checkpoint not before the
   * epoch's changes are taken: they go by row number.
   */
  reclaim(): void {
    for (let s = 0; s < this.segments.length; s++) {
      if (this.#live[s] !== 0 || s === this.#tail) continue
      this.segments[s]?.reset()
      this.#live[s] = FREE
      this.#free.push(s)
    }
  }

  /**
   * Takes out the rows that expire before the watermark, and puts those that had no match into `unmatched` where they are asked for.
   */
  expire(table: GroupTable, watermark: number, unmatched: number[] | undefined): number {
    let removed = 0
    for (let s = 0; s < this.segments.length; s++) {
      if ((this.#live[s] as number) <= 0 || !((this.#leastExpiry[s] as number) < watermark)) continue
      const first = s << SEGMENT_BITS
      const end = first + (this.segments[s] as BlockBuilder).rows
      let least = Number.POSITIVE_INFINITY
      for (let row = first; row < end; row++) {
        const state = this.states[row] as number
        if ((state & ROW_ALIVE) === 0) continue
        const expiry = this.expiresAt[row] as number
        if (!(expiry < watermark)) {
          if (expiry < least) least = expiry
          continue
        }
        if (unmatched !== undefined && (state & ROW_MATCHED) === 0) unmatched.push(row)
        this.remove(table, row)
        // What expired is not written down: who restores the state lets it expire again.
        this.states[row] = 0
        removed += 1
      }
      this.#leastExpiry[s] = least
    }
    return removed
  }

  /** Every row that is there, in the order of their numbers. */
  rows(): Int32Array {
    const all = new Int32Array(this.size)
    let n = 0
    for (let s = 0; s < this.segments.length; s++) {
      if ((this.#live[s] as number) <= 0) continue
      const first = s << SEGMENT_BITS
      const end = first + (this.segments[s] as BlockBuilder).rows
      for (let row = first; row < end; row++) if (((this.states[row] as number) & ROW_ALIVE) !== 0) all[n++] = row
    }
    assert(n === this.size, `${n} of ${this.size} rows`)
    return all
  }

  /** Rows that came since the last call and are still there; and of those written down before, by id, what they have become. */
  takeChanges(): StoreChanges {
    const fresh = Int32Array.from(this.#fresh.filter((row) => ((this.states[row] as number) & ROW_ALIVE) !== 0))
    for (const row of fresh) this.states[row] = (this.states[row] as number) | ROW_LOGGED
    this.#fresh.length = 0
    const changes = { fresh, changedIds: this.#changedIds, changedStates: this.#changedStates }
    this.#changedIds = []
    this.#changedStates = []
    return changes
  }

  /** Entries of the key table have new numbers. */
  moveEntries(moved: Int32Array): void {
    const { entry, states } = this
    for (let row = 0; row < states.length; row++) {
      if (((states[row] as number) & ROW_ALIVE) !== 0) entry[row] = moved[entry[row] as number] as number
    }
  }

  /** Bytes held, used or not. */
  byteSize(): number {
    let bytes = this.states.length * (13 + (this.expires ? 8 : 0) + (this.logged ? 8 : 0))
    for (const segment of this.segments) {
      for (const { values, valid, bytes: texts } of segment?.columns ?? []) {
        bytes += values.byteLength + valid.length + texts.length
      }
    }
    return bytes
  }

  #note(row: number): void {
    const state = this.states[row] as number
    if (!this.logged || (state & ROW_LOGGED) === 0) return
    this.#changedIds.push(this.ids[row] as number)
    this.#changedStates.push(state & (ROW_ALIVE | ROW_MATCHED))
  }
}

function grown<T extends Int32Array | Uint8Array | Float64Array>(from: T, to: T): T {
  to.set(from)
  return to
}
