import { align8 } from '../types/block.js'

/**
 * Groups and their accumulators in typed columns behind an open-addressing index. A group is an *entry*,
 * numbered in order of arrival; its key parts and accumulator cells are the values at that number in one
 * column each. The generated code of codegen/group-code.ts works on the columns directly; this class owns
 * what does not run per record: growth, reset, the list of what changed.
 *
 *   index[hash & mask …]  → entry + 1 (0 = free, linear probing)
 *   hashes[entry]         → hash that found the slot (of the key, mixed with the window where that is in the key)
 *   key part i            → numbers: keyNumbers[i][entry]; bytes: keyStarts[i], keyLengths[i] into the arena; boxed: keyBoxed[i]
 *   cell j                → numbers[j][entry] or boxed[j][entry]
 *
 * Entries are never removed one by one: state that ends with a window is dropped with the window's table.
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
  /** The window start is part of the key (partial tables); else a table holds one window or none. */
  readonly windowInKey: boolean
  readonly cells: readonly CellLayout[]
}

export const CHANGED_FOR_EMIT = 1
export const CHANGED_FOR_LOG = 2

export class GroupTable {
  size = 0
  capacity: number
  mask: number
  index: Int32Array
  hashes: Int32Array
  /** Hash of the key alone; the same array as `hashes` unless the window is in the key. */
  keyHashes: Int32Array
  nulls: Int32Array
  windows: Float64Array
  readonly keyNumbers: Float64Array[] = []
  readonly keyStarts: Int32Array[] = []
  readonly keyLengths: Int32Array[] = []
  readonly keyBoxed: unknown[][] = []
  readonly numbers: Float64Array[] = []
  readonly boxed: unknown[][] = []
  arena: Uint8Array
  arenaView: DataView
  arenaLength = 0
  /** Which lists an entry stands on. */
  flags: Uint8Array
  emitList: Int32Array
  emitCount = 0
  logList: Int32Array
  logCount = 0

  constructor(
    readonly layout: GroupLayout,
    capacity = 16,
  ) {
    this.capacity = capacity
    this.mask = capacity * 2 - 1
    this.index = new Int32Array(capacity * 2)
    this.hashes = new Int32Array(capacity)
    this.keyHashes = layout.windowInKey ? new Int32Array(capacity) : this.hashes
    this.nulls = new Int32Array(layout.nullableKeys ? capacity : 0)
    this.windows = new Float64Array(layout.windowInKey ? capacity : 0)
    layout.keys.forEach((part, i) => {
      this.keyNumbers[i] = new Float64Array(part === 'number' ? capacity : 0)
      this.keyStarts[i] = new Int32Array(part === 'bytes' ? capacity : 0)
      this.keyLengths[i] = new Int32Array(part === 'bytes' ? capacity : 0)
      this.keyBoxed[i] = []
    })
    layout.cells.forEach((cell, j) => {
      this.numbers[j] = new Float64Array(cell.kind === 'number' ? capacity : 0)
      this.boxed[j] = []
    })
    this.arena = new Uint8Array(capacity * 8)
    this.arenaView = new DataView(this.arena.buffer)
    this.flags = new Uint8Array(capacity)
    this.emitList = new Int32Array(capacity)
    this.logList = new Int32Array(capacity)
  }

  /** A new entry with initial cells; its key parts are the caller's to write. May replace every array. */
  insert(hash: number): number {
    if (this.size === this.capacity) this.#grow()
    const entry = this.size
    this.size += 1
    this.hashes[entry] = hash
    let slot = hash & this.mask
    while (this.index[slot] !== 0) slot = (slot + 1) & this.mask
    this.index[slot] = entry + 1
    const cells = this.layout.cells
    for (let j = 0; j < cells.length; j++) {
      const cell = cells[j] as CellLayout
      if (cell.kind === 'number') (this.numbers[j] as Float64Array)[entry] = cell.initial as number
      else (this.boxed[j] as unknown[])[entry] = cell.initial
    }
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

  /** Empties the table and keeps its memory. */
  reset(): void {
    if (this.size * 8 < this.index.length) {
      for (let entry = 0; entry < this.size; entry++) {
        let slot = (this.hashes[entry] as number) & this.mask
        while (this.index[slot] !== entry + 1) slot = (slot + 1) & this.mask
        this.index[slot] = -1
      }
      for (let entry = 0; entry < this.size; entry++) {
        let slot = (this.hashes[entry] as number) & this.mask
        while (this.index[slot] === -1) {
          this.index[slot] = 0
          slot = (slot + 1) & this.mask
        }
      }
    } else {
      this.index.fill(0)
    }
    this.size = 0
    this.arenaLength = 0
    this.emitCount = 0
    this.logCount = 0
    for (const values of this.boxed) values.length = 0
    for (const values of this.keyBoxed) values.length = 0
  }

  /** Bytes held, used or not. */
  byteSize(): number {
    let bytes = this.index.byteLength + this.hashes.byteLength + this.arena.byteLength + this.capacity * 9
    for (const column of this.keyNumbers) bytes += column.byteLength
    for (const column of this.keyStarts) bytes += column.byteLength * 2
    for (const column of this.numbers) bytes += column.byteLength
    for (const column of this.boxed) bytes += column.length * 32
    return bytes + this.nulls.byteLength + this.windows.byteLength
  }

  #grow(): void {
    const capacity = this.capacity * 2
    const own = this.hashes === this.keyHashes
    this.hashes = grownInts(this.hashes, capacity)
    this.keyHashes = own ? this.hashes : grownInts(this.keyHashes, capacity)
    if (this.nulls.length > 0) this.nulls = grownInts(this.nulls, capacity)
    if (this.windows.length > 0) this.windows = grownNumbers(this.windows, capacity)
    this.emitList = grownInts(this.emitList, capacity)
    this.logList = grownInts(this.logList, capacity)
    const flags = new Uint8Array(capacity)
    flags.set(this.flags)
    this.flags = flags
    this.layout.keys.forEach((part, i) => {
      if (part === 'number') this.keyNumbers[i] = grownNumbers(this.keyNumbers[i] as Float64Array, capacity)
      if (part === 'bytes') {
        this.keyStarts[i] = grownInts(this.keyStarts[i] as Int32Array, capacity)
        this.keyLengths[i] = grownInts(this.keyLengths[i] as Int32Array, capacity)
      }
    })
    this.layout.cells.forEach((cell, j) => {
      if (cell.kind === 'number') this.numbers[j] = grownNumbers(this.numbers[j] as Float64Array, capacity)
    })
    this.capacity = capacity
    this.mask = capacity * 2 - 1
    this.index = new Int32Array(capacity * 2)
    for (let entry = 0; entry < this.size; entry++) {
      let slot = (this.hashes[entry] as number) & this.mask
      while (this.index[slot] !== 0) slot = (slot + 1) & this.mask
      this.index[slot] = entry + 1
    }
  }
}

function grownInts(from: Int32Array, length: number): Int32Array {
  const to = new Int32Array(length)
  to.set(from)
  return to
}

function grownNumbers(from: Float64Array, length: number): Float64Array {
  const to = new Float64Array(length)
  to.set(from)
  return to
}

/** Whether `length` bytes at `a` of one buffer equal those at `b` of another. */
export function bytesEqual(viewA: DataView, a: number, viewB: DataView, b: number, length: number): boolean {
  let i = 0
  for (; i + 4 <= length; i += 4) {
    if (viewA.getInt32(a + i, true) !== viewB.getInt32(b + i, true)) return false
  }
  for (; i < length; i++) if (viewA.getUint8(a + i) !== viewB.getUint8(b + i)) return false
  return true
}
