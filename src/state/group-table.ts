import { assert } from '../common/assert.js'
import { align8 } from '../types/block.js'

/**
 * Groups and their accumulators behind an open-addressing index. A group is an *entry*, numbered in order of
 * arrival. Everything of an entry that a row touches lies together, in one record of ints and one of doubles, so that a large
 * table costs two or three cache misses a row and not one for each column. The generated code of codegen/group-code.ts works on
 * the arrays directly; this class owns what does not run per record: growth, reset, the lists of what changed.
 *
 *   index[hash & mask …]  → entry + 1 (0 = free, linear probing)
 *   heads[entry · H …]    → +0 hash that found the slot (of the key, mixed with the window where that is in the key)
 *                           +1 hash of the key  +2 mask of null keys, then for each key of bytes: start in the arena, length,
 *                           and its first 12 bytes as three little-endian words, zeros behind its end
 *   cells[entry · C …]    → the window's numbers where they are in the table, keys that are numbers, accumulator cells that are numbers
 *   keyBoxed[i][entry], boxed[j][entry] → keys and cells that are neither
 *
 * A short key is told from another by its head alone; the arena is read for what is behind the first 12 bytes.
 *
 * Entries are never removed one by one: state that ends with a window is dropped with the window's table, and sessions that are over
 * by making the table anew out of the others.
 */
export type KeyPart = 'number' | 'bytes' | 'boxed'

export interface CellLayout {
  readonly kind: 'number' | 'boxed'
  readonly initial: number | null
}

export interface GroupLayout {
  readonly keys: readonly KeyPart[]
  /** Any key may be null: a mask of null keys per entry belongs to the key. */
  readonly nullableKeys: boolean
  /**
   * Numbers by which an entry says what time it is of: none where a table holds one window or slice; else, in this order, its start,
   * from when on it counts (slices and sessions), its end (sessions). See codegen/window-code.ts.
   */
  readonly windowNumbers: number
  readonly cells: readonly CellLayout[]
}

/** Whether a table of one is a table of the other. What cells begin with counts: a minimum's NaN is not a maximum's −∞, and 0 is not −0. */
export function sameLayout(a: GroupLayout, b: GroupLayout): boolean {
  const sameCell = (cell: CellLayout, i: number): boolean =>
    cell.kind === b.cells[i]?.kind && Object.is(cell.initial, b.cells[i].initial)
  return (
    a.nullableKeys === b.nullableKeys &&
    a.windowNumbers === b.windowNumbers &&
    a.keys.length === b.keys.length &&
    a.keys.every((key, i) => key === b.keys[i]) &&
    a.cells.length === b.cells.length &&
    a.cells.every(sameCell)
  )
}

export const CHANGED_FOR_EMIT = 1
export const CHANGED_FOR_LOG = 2
/** The index does not lead to the entry: another one of the same key stands there in its place. */
const BESIDE_INDEX = 4

export const HEAD_HASH = 0
export const HEAD_KEY_HASH = 1
export const HEAD_NULLS = 2
const HEAD_KEYS = 3
/** In the head, from where a key of bytes begins. */
export const KEY_LENGTH = 1
export const KEY_WORDS = 2
const KEY_INTS = 5
/** Bytes of a key that lie in the head. */
export const KEY_WORD_BYTES = 12

/** Slots of the index that a table of fixed capacity begins with, as long as they are enough. */
const FIRST_SLOTS = 2048

/** Where the parts of an entry lie in its records. */
export class GroupPlaces {
  /** Ints a head, doubles of cells. */
  readonly headInts: number
  readonly cellDoubles: number
  /** In the head: where key i begins (its start in the arena, KEY_LENGTH, KEY_WORDS). -1 where the key is not of bytes. */
  readonly keyBytes: readonly number[]
  /** In the cells: the first of the window's numbers, -1 where there is none. */
  readonly window: number
  /** In the cells: key i, or accumulator cell j, -1 where it is not a number. */
  readonly keyNumbers: readonly number[]
  readonly numbers: readonly number[]

  constructor(layout: GroupLayout) {
    let int = HEAD_KEYS
    this.keyBytes = layout.keys.map((part) => {
      if (part !== 'bytes') return -1
      int += KEY_INTS
      return int - KEY_INTS
    })
    this.headInts = int
    let double = 0
    this.window = layout.windowNumbers === 0 ? -1 : 0
    double += layout.windowNumbers
    this.keyNumbers = layout.keys.map((part) => (part === 'number' ? double++ : -1))
    this.numbers = layout.cells.map((cell) => (cell.kind === 'number' ? double++ : -1))
    this.cellDoubles = double
  }
}

export class GroupTable {
  readonly places: GroupPlaces
  size = 0
  capacity: number
  mask: number
  index: Int32Array
  heads: Int32Array
  cells: Float64Array
  readonly keyBoxed: unknown[][]
  readonly boxed: unknown[][]
  arena: Uint8Array
  arenaView: DataView
  arenaLength = 0
  /** Which lists an entry stands on. */
  flags: Uint8Array
  emitList: Int32Array
  emitCount = 0
  logList: Int32Array
  logCount = 0
  #onFull: (() => void) | undefined
  /** Entries to which the index does not lead. */
  #besideIndex = 0

  #isComplete = false

  constructor(
    readonly layout: GroupLayout,
    capacity = 16,
    /**
     * Makes a table of fixed capacity: when there is no room for an entry, this has to empty it. Its index, heads and cells are
     * never replaced, so that generated code may take them as constants, which makes an access three times cheaper.
     */
    onFull?: () => void,
  ) {
    this.#onFull = onFull
    this.places = new GroupPlaces(layout)
    this.capacity = capacity
    this.mask = onFull === undefined ? capacity * 2 - 1 : firstMask(capacity)
    this.index = new Int32Array(capacity * 2)
    this.heads = new Int32Array(capacity * this.places.headInts)
    this.cells = new Float64Array(capacity * this.places.cellDoubles)
    this.keyBoxed = layout.keys.map(() => [])
    this.boxed = layout.cells.map(() => [])
    this.arena = new Uint8Array(capacity * 8)
    this.arenaView = new DataView(this.arena.buffer)
    this.flags = new Uint8Array(capacity)
    this.emitList = new Int32Array(capacity)
    this.logList = new Int32Array(capacity)
  }

  /** Nothing is inserted from now on: all of its arrays stay as they are. */
  complete(): void {
    this.#isComplete = true
  }

  get isComplete(): boolean {
    return this.#isComplete
  }

  get fixed(): boolean {
    return this.#onFull !== undefined
  }

  /** An empty table of fixed capacity for another user, whatever the last one left in it. */
  handOver(onFull: () => void): void {
    assert(this.fixed, 'a table that grows has one user')
    this.#onFull = onFull
    this.index.fill(0)
    this.mask = firstMask(this.capacity)
    this.#forget()
  }

  /**
   * A new entry with initial cells; its key parts are the caller's to write. May replace every array, or, where the capacity is
   * fixed, drop all other entries; the mask may change in either.
   */
  insert(hash: number, keyHash: number): number {
    if (this.size === this.capacity) this.#makeRoom()
    if (this.size * 2 > this.mask) this.#rebuildIndex(this.mask * 2 + 1)
    let slot = hash & this.mask
    while (this.index[slot] !== 0) slot = (slot + 1) & this.mask
    this.index[slot] = this.size + 1
    return this.#append(hash, keyHash)
  }

  /**
   * A new entry for the key whose entry the index has at `slot`, which stays in the table: from here on the key leads to the new one.
   * As insert() otherwise.
   */
  succeed(slot: number, hash: number, keyHash: number): number {
    const before = (this.index[slot] as number) - 1
    this.flags[before] = (this.flags[before] as number) | BESIDE_INDEX
    this.#besideIndex += 1
    if (this.size === this.capacity || this.size * 2 > this.mask) return this.insert(hash, keyHash)
    this.index[slot] = this.size + 1
    return this.#append(hash, keyHash)
  }

  /** A new entry with the key of `entry`, to which the index does not lead. As insert() otherwise. */
  twin(entry: number): number {
    if (this.size === this.capacity) this.#makeRoom()
    const { headInts, keyNumbers, cellDoubles } = this.places
    const { heads, cells } = this
    const twin = this.#append(heads[entry * headInts] as number, heads[entry * headInts + HEAD_KEY_HASH] as number)
    for (let i = HEAD_NULLS; i < headInts; i++) heads[twin * headInts + i] = heads[entry * headInts + i] as number
    for (let i = 0; i < keyNumbers.length; i++) {
      const at = keyNumbers[i] as number
      const boxed = this.keyBoxed[i] as unknown[]
      if (at >= 0) cells[twin * cellDoubles + at] = cells[entry * cellDoubles + at] as number
      else if (this.layout.keys[i] === 'boxed') boxed[twin] = boxed[entry]
    }
    this.flags[twin] = BESIDE_INDEX
    this.#besideIndex += 1
    return twin
  }

  /** Sets the cells back to what a new group has. */
  clearCells(entry: number): void {
    const { cells } = this.layout
    const { numbers, cellDoubles } = this.places
    for (let j = 0; j < cells.length; j++) {
      const cell = cells[j] as CellLayout
      if (cell.kind === 'number') this.cells[entry * cellDoubles + (numbers[j] as number)] = cell.initial as number
      else (this.boxed[j] as unknown[])[entry] = cell.initial
    }
  }

  #append(hash: number, keyHash: number): number {
    const entry = this.size
    this.size += 1
    const head = entry * this.places.headInts
    this.heads[head + HEAD_HASH] = hash
    this.heads[head + HEAD_KEY_HASH] = keyHash
    this.heads[head + HEAD_NULLS] = 0
    this.clearCells(entry)
    this.flags[entry] = 0
    return entry
  }

  /** Copies a key's bytes behind the others; starts at a multiple of 4. Returns where. May replace the arena. */
  store(source: Uint8Array, start: number, end: number): number {
    const at = (this.arenaLength + 3) & ~3
    const length = end - start
    if (at + length > this.arena.length) {
      const arena = new Uint8Array(align8(Math.max(this.arena.length * 2, at + length)))
      arena.set(this.arena.subarray(0, this.arenaLength))
      this.arena = arena
      this.arenaView = new DataView(arena.buffer)
    }
    const arena = this.arena
    if (length <= 32) for (let i = 0; i < length; i++) arena[at + i] = source[start + i] as number
    else arena.set(source.subarray(start, end), at)
    this.arenaLength = at + length
    return at
  }

  /** Puts the entry on the lists of `flags` (CHANGED_FOR_…) that it does not stand on. */
  mark(entry: number, flags: number): void {
    const missing = flags & ~(this.flags[entry] as number)
    if (missing === 0) return
    this.flags[entry] = (this.flags[entry] as number) | missing
    if ((missing & CHANGED_FOR_EMIT) !== 0) this.emitList[this.emitCount++] = entry
    if ((missing & CHANGED_FOR_LOG) !== 0) this.logList[this.logCount++] = entry
  }

  clearEmitList(): void {
    for (let i = 0; i < this.emitCount; i++) {
      const entry = this.emitList[i] as number
      this.flags[entry] = (this.flags[entry] as number) & ~CHANGED_FOR_EMIT
    }
    this.emitCount = 0
  }

  clearLogList(): void {
    for (let i = 0; i < this.logCount; i++) {
      const entry = this.logList[i] as number
      this.flags[entry] = (this.flags[entry] as number) & ~CHANGED_FOR_LOG
    }
    this.logCount = 0
  }

  /** Drops the entries that are not kept, and gives the new number of each, by the old one; none may stand on a list. */
  retain(isKept: (entry: number) => boolean): Int32Array {
    assert(!this.fixed && this.emitCount + this.logCount === 0, 'entries that stand on a list are not dropped')
    const moved = new Int32Array(this.size).fill(-1)
    const { headInts, cellDoubles, keyBytes } = this.places
    const arena = this.arena.slice(0, this.arenaLength)
    this.arenaLength = 0
    let to = 0
    for (let from = 0; from < this.size; from++) {
      if (!isKept(from)) continue
      this.heads.copyWithin(to * headInts, from * headInts, (from + 1) * headInts)
      this.cells.copyWithin(to * cellDoubles, from * cellDoubles, (from + 1) * cellDoubles)
      for (const at of keyBytes) {
        if (at < 0) continue
        const head = to * headInts + at
        const start = this.heads[head] as number
        this.heads[head] = this.store(arena, start, start + (this.heads[head + KEY_LENGTH] as number))
      }
      for (const values of [...this.keyBoxed, ...this.boxed]) if (values.length > 0) values[to] = values[from]
      moved[from] = to
      to += 1
    }
    for (const values of [...this.keyBoxed, ...this.boxed]) if (values.length > to) values.length = to
    this.size = to
    this.flags.fill(0)
    this.#rebuildIndex(this.mask)
    return moved
  }

  /** Empties the table and keeps its memory. */
  reset(): void {
    const { heads, index, mask } = this
    const { headInts } = this.places
    if (this.size * 8 < mask && this.#besideIndex === 0) {
      // Few entries: their slots are freed one by one. Probing needs the others in place, so they are marked first.
      for (let entry = 0; entry < this.size; entry++) {
        let slot = (heads[entry * headInts] as number) & mask
        while (index[slot] !== entry + 1) slot = (slot + 1) & mask
        index[slot] = -1
      }
      for (let entry = 0; entry < this.size; entry++) {
        let slot = (heads[entry * headInts] as number) & mask
        while (index[slot] === -1) {
          index[slot] = 0
          slot = (slot + 1) & mask
        }
      }
    } else {
      index.fill(0, 0, mask + 1)
    }
    this.#forget()
  }

  #forget(): void {
    this.size = 0
    this.#besideIndex = 0
    this.arenaLength = 0
    this.emitCount = 0
    this.logCount = 0
    for (const values of this.boxed) values.length = 0
    for (const values of this.keyBoxed) values.length = 0
  }

  /** Bytes held, used or not. */
  byteSize(): number {
    let bytes = this.index.byteLength + this.heads.byteLength + this.cells.byteLength + this.arena.byteLength
    bytes += this.capacity * 9
    for (const column of this.boxed) bytes += column.length * 32
    for (const column of this.keyBoxed) bytes += column.length * 32
    return bytes
  }

  #makeRoom(): void {
    if (this.#onFull === undefined) {
      this.#grow()
      return
    }
    this.#onFull()
    assert(this.size < this.capacity, `a full table of ${this.capacity} groups was not emptied`)
  }

  #grow(): void {
    const capacity = this.capacity * 2
    this.heads = grownInts(this.heads, this.heads.length * 2)
    const cells = new Float64Array(this.cells.length * 2)
    cells.set(this.cells)
    this.cells = cells
    this.emitList = grownInts(this.emitList, capacity)
    this.logList = grownInts(this.logList, capacity)
    const flags = new Uint8Array(capacity)
    flags.set(this.flags)
    this.flags = flags
    this.capacity = capacity
    this.index = new Int32Array(capacity * 2)
    this.#rebuildIndex(capacity * 2 - 1)
  }

  #rebuildIndex(mask: number): void {
    const { heads, index } = this
    const { headInts } = this.places
    index.fill(0, 0, mask + 1)
    for (let entry = 0; entry < this.size; entry++) {
      if (((this.flags[entry] as number) & BESIDE_INDEX) !== 0) continue
      let slot = (heads[entry * headInts] as number) & mask
      while (index[slot] !== 0) slot = (slot + 1) & mask
      index[slot] = entry + 1
    }
    this.mask = mask
  }
}

const firstMask = (capacity: number): number => Math.min(FIRST_SLOTS, capacity * 2) - 1

function grownInts(from: Int32Array, length: number): Int32Array {
  const to = new Int32Array(length)
  to.set(from)
  return to
}

/** Whether `length` bytes at `a` of one buffer equal those at `b` of another. */
export function bytesEqual(viewA: DataView, a: number, viewB: DataView, b: number, length: number): boolean {
  if (length < 4) {
    for (let i = 0; i < length; i++) if (viewA.getUint8(a + i) !== viewB.getUint8(b + i)) return false
    return true
  }
  // The last word overlaps the one before it: no byte is looked at by itself.
  const last = length - 4
  for (let i = 0; i < last; i += 4) {
    if (viewA.getInt32(a + i, true) !== viewB.getInt32(b + i, true)) return false
  }
  return viewA.getInt32(a + last, true) === viewB.getInt32(b + last, true)
}
