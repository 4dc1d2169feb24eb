import { assert } from '../common/assert.js'
import { grownBytes, grownCapacity, newBytes, SCRATCH_BYTES_MAX } from '../common/bytes.js'
import { writeUtf8 } from '../common/utf8.js'
import {
  align8,
  BLOCK_BYTE_LENGTH,
  BLOCK_HEADER_BYTES,
  BLOCK_MAGIC,
  BLOCK_ROW_COUNT,
  BLOCK_SLOT_COUNT,
  type BlockRef,
  type BufferViews,
  DIRECTORY_BYTES,
  DIRECTORY_ENTRY_BYTES,
  DIRECTORY_NULL_COUNT,
  DIRECTORY_VALIDITY,
  DIRECTORY_VALUES,
  directoryEntry,
  viewsOf,
} from './block.js'
import { ColumnBuffer } from './column-buffer.js'
import { type ColumnSlot, columnSlots, type StructType } from './data-type.js'
import { encodeNested } from './nested-value.js'

export { ColumnBuffer, type ColumnValues } from './column-buffer.js'

/** Thrown by ensureBytes() beyond `columnBytesMax`; who writes many rows then tries again with fewer. */
export class ScratchFull extends Error {
  constructor(bytes: number, bytesMax: number) {
    super(`a scratch column needs ${bytes} bytes, it may have ${bytesMax}`)
  }
}

/** A part's byte array of this size is never worth giving back. */
const KEPT_PART_BYTES = 1 << 20

/**
 * Growable scratch columns that rows are written into, and the encoder that lays a range of them down as a
 * block. Writers (generated code, the interpreter) take the typed arrays out of `columns`, write row n of
 * every column, and set `rows`; nothing is visible to anybody until `writeTo`.
 *
 * A column without nulls has no bitmap. A leaf column whose rows are all null has a bitmap and no values.
 */
export class BlockBuilder {
  readonly slots: readonly ColumnSlot[]
  readonly columns: readonly ColumnBuffer[]
  /** Set by the writer once all columns of a row are written. */
  rows = 0
  /** Row numbers below `rows` that no row has: one before each part's first, see setParts(). */
  gaps = 0
  /** Most bytes that one `bytes` column may hold. */
  columnBytesMax = SCRATCH_BYTES_MAX
  /** See setParts(). */
  partCount = 0
  #capacity = 0

  // The layout that byteLength() computed last, so that writeTo() need not do it again. Valid for one (from, to, rows).
  readonly #nulls: Int32Array
  #plannedFrom = -1
  #plannedTo = -1
  #plannedBytes = 0

  readonly #appenders: readonly Appender[]
  readonly #topLevel: readonly number[]

  constructor(readonly schema: StructType) {
    this.slots = columnSlots(schema)
    this.columns = this.slots.map((slot) => new ColumnBuffer(slot))
    this.#nulls = new Int32Array(this.slots.length)
    this.#topLevel = this.slots.filter((s) => s.parent === -1).map((s) => s.index)
    const appenders: Appender[] = []
    for (const slot of this.slots) appenders.push(appender(this, slot, appenders))
    this.#appenders = appenders
  }

  /** Rows for which there is room. */
  get capacity(): number {
    return this.#capacity
  }

  /** Room for `total` rows in all columns. Typed arrays of the columns may be replaced. */
  ensureRows(total: number): void {
    if (total <= this.#capacity) return
    const capacity = grownCapacity(this.#capacity, total)
    for (const column of this.columns) column.growRows(capacity, this.rows)
    this.#capacity = capacity
  }

  /** Room for `total` bytes in a `bytes` column; what lies below its `bytesLength` is kept. */
  ensureBytes(slot: number, total: number): void {
    const column = this.columns[slot] as ColumnBuffer
    if (total <= column.bytes.length) return
    if (total > this.columnBytesMax) throw new ScratchFull(total, this.columnBytesMax)
    column.bytes = grownBytes(column.bytes, column.bytesLength, total)
  }

  /**
   * Lets rows of several partitions be written in any order: each part has a range of rows of its own and,
   * in every `bytes` column, a byte array of its own, so that its strings lie together. A row number is left
   * free before each part's first row, whose end offset there (0) is where the part's bytes begin.
   */
  setParts(count: number): void {
    this.partCount = count
    for (const column of this.columns) {
      if (column.kind !== 'bytes') continue
      while (column.parts.length < count) column.parts.push(newBytes(0))
      if (column.partEnds.length !== count) column.partEnds = new Int32Array(count)
    }
  }

  /** Room for `total` bytes in one part of a `bytes` column, of which the first `used` are kept. */
  ensurePartBytes(slot: number, part: number, used: number, total: number): Uint8Array {
    const column = this.columns[slot] as ColumnBuffer
    const bytes = column.parts[part] as Uint8Array
    if (total <= bytes.length) return bytes
    if (total > this.columnBytesMax) throw new ScratchFull(total, this.columnBytesMax)
    const larger = grownBytes(bytes, used, total)
    column.parts[part] = larger
    return larger
  }

  /** Takes back the row that a writer has begun behind the last one, where it went no further. Of a builder without parts. */
  dropBegun(): void {
    const { rows } = this
    for (let s = 0; s < this.columns.length; s++) {
      const column = this.columns[s] as ColumnBuffer
      if (column.valid[rows] === 0) {
        column.valid[rows] = 1
        column.nullCount -= 1
      }
      if (column.kind === 'bytes') column.bytesLength = rows === 0 ? 0 : (column.values[rows] as number)
    }
    this.#plannedFrom = -1
  }

  /**
   * Takes back what a writer has begun: its rows, and what it has left behind them. `nullCounts` from `at` on: those of the columns as they were. Of a
   * builder without parts.
   */
  cutTo(rows: number, nullCounts: readonly number[], at: number): void {
    this.rows = rows
    for (let s = 0; s < this.columns.length; s++) {
      const column = this.columns[s] as ColumnBuffer
      column.nullCount = nullCounts[at + s] as number
      column.valid.fill(1, rows)
      if (column.kind === 'bytes') column.bytesLength = rows === 0 ? 0 : (column.values[rows] as number)
    }
    this.#plannedFrom = -1
  }

  /** Gives back byte arrays of which the rows now in the builder use little. */
  trimParts(): void {
    for (const column of this.columns) {
      for (let p = 0; p < column.parts.length; p++) {
        const capacity = (column.parts[p] as Uint8Array).length
        if (capacity > KEPT_PART_BYTES && (column.partEnds[p] as number) < capacity >> 3) column.parts[p] = newBytes(0)
      }
    }
  }

  /** From here on byteLength(), writeTo() and write() work on this part's bytes. */
  selectPart(part: number): void {
    for (let s = 0; s < this.columns.length; s++) {
      const column = this.columns[s] as ColumnBuffer
      if (column.kind !== 'bytes') continue
      column.bytes = column.parts[part] as Uint8Array
      column.bytesLength = column.partEnds[part] as number
    }
    this.#plannedFrom = -1
  }

  /** The end of what write() did since selectPart(). */
  storePart(part: number): void {
    for (const column of this.columns) {
      if (column.kind !== 'bytes') continue
      column.parts[part] = column.bytes
      column.partEnds[part] = column.bytesLength
    }
  }

  /** Bytes of rows [from, to) as a block. */
  byteLength(from = 0, to = this.rows): number {
    assert(from >= 0 && from <= to && to <= this.rows, `rows ${from}…${to} of ${this.rows}`)
    const rows = to - from
    let bytes = BLOCK_HEADER_BYTES + this.slots.length * DIRECTORY_ENTRY_BYTES
    for (let s = 0; s < this.columns.length; s++) {
      const column = this.columns[s] as ColumnBuffer
      const nulls = column.nullsIn(from, to, this.rows - this.gaps)
      this.#nulls[s] = nulls
      if (nulls > 0) bytes += align8((rows + 7) >> 3)
      if (nulls < rows) bytes += column.valueBytes(from, to)
    }
    this.#plannedFrom = from
    this.#plannedTo = to
    this.#plannedBytes = bytes
    return bytes
  }

  /** Writes rows [from, to) as a block at `position`, a multiple of 8, and returns its byteLength. */
  writeTo(views: BufferViews, position: number, from = 0, to = this.rows): number {
    if (from !== this.#plannedFrom || to !== this.#plannedTo) this.byteLength(from, to)
    const byteLength = this.#plannedBytes
    const rows = to - from
    assert(
      (position & 7) === 0 && position + byteLength <= views.u8.length,
      `block of ${byteLength} bytes at ${position} of ${views.u8.length}`,
    )
    const i32 = views.i32
    const base = position >> 2
    i32[base] = BLOCK_MAGIC
    i32[base + (BLOCK_BYTE_LENGTH >> 2)] = byteLength
    i32[base + (BLOCK_ROW_COUNT >> 2)] = rows
    i32[base + (BLOCK_SLOT_COUNT >> 2)] = this.slots.length
    let at = BLOCK_HEADER_BYTES + this.slots.length * DIRECTORY_ENTRY_BYTES
    for (let s = 0; s < this.columns.length; s++) {
      const column = this.columns[s] as ColumnBuffer
      const nulls = this.#nulls[s] as number
      const entry = directoryEntry(position, s) >> 2
      let validity = 0
      let values = 0
      let bytes = 0
      if (nulls > 0) {
        validity = at
        column.writeValidity(views, position + at, from, to)
        at += align8((rows + 7) >> 3)
      }
      if (nulls < rows && column.kind !== 'struct') {
        values = at
        column.writeValues(views, position + at, from, to)
        if (column.kind === 'bytes') bytes = at + align8((rows + 1) * 4)
        at += column.valueBytes(from, to)
      }
      i32[entry + (DIRECTORY_VALIDITY >> 2)] = validity
      i32[entry + (DIRECTORY_VALUES >> 2)] = values
      i32[entry + (DIRECTORY_BYTES >> 2)] = bytes
      i32[entry + (DIRECTORY_NULL_COUNT >> 2)] = nulls
    }
    assert(at === byteLength, `block took ${at} bytes, ${byteLength} were planned`)
    return byteLength
  }

  /** The rows as a block in shared memory of its own. */
  toBlock(from = 0, to = this.rows): BlockRef {
    const views = viewsOf(new SharedArrayBuffer(this.byteLength(from, to)))
    this.writeTo(views, 0, from, to)
    return { views, position: 0 }
  }

  /** One row, slowly: the value of each top-level field in the representation of BoundExpression (plan/expression.ts). */
  append(values: readonly unknown[]): void {
    const row = this.rows
    this.ensureRows(row + 1)
    for (let i = 0; i < this.#topLevel.length; i++) {
      const slot = this.#topLevel[i] as number
      this.write(slot, row, values[i] ?? null)
    }
    this.rows = row + 1
  }

  /** One value of one slot (and of the slots below it), slowly. Rows of a slot are written in order. */
  write(slot: number, row: number, value: unknown): void {
    ;(this.#appenders[slot] as Appender)(row, value)
    this.#plannedFrom = -1
  }

  /** Empty again, with the memory kept. */
  reset(): void {
    this.rows = 0
    this.gaps = 0
    this.#plannedFrom = -1
    for (const column of this.columns) column.reset()
  }
}

type Appender = (row: number, value: unknown) => void

const LOW_64 = (1n << 64n) - 1n

/** Writes one evaluated value (or null) into a slot and the slots below it; `all` holds every slot's appender by then. */
function appender(builder: BlockBuilder, slot: ColumnSlot, all: readonly Appender[]): Appender {
  const column = builder.columns[slot.index] as ColumnBuffer
  const setNull = (row: number): void => {
    column.valid[row] = 0
    column.nullCount++
  }
  switch (column.kind) {
    case 'bits':
      return (row, value) => {
        column.values[row] = value === true ? 1 : 0
        if (value === null) setNull(row)
      }
    case 'i8':
    case 'i16':
    case 'i32':
    case 'f32':
    case 'f64':
      return (row, value) => {
        column.values[row] = (value ?? 0) as number
        if (value === null) setNull(row)
      }
    case 'i64':
      return (row, value) => {
        if (typeof value === 'bigint') (column.big as BigInt64Array)[row] = value
        else {
          const n = (value ?? 0) as number
          column.values[2 * row] = n | 0
          column.values[2 * row + 1] = Math.floor(n / 4294967296)
        }
        if (value === null) setNull(row)
      }
    case 'i128':
      return (row, value) => {
        const n = (value ?? 0n) as bigint
        const big = column.big as BigInt64Array
        big[2 * row] = BigInt.asIntN(64, n & LOW_64)
        big[2 * row + 1] = n >> 64n
        if (value === null) setNull(row)
      }
    case 'bytes': {
      const { type } = slot
      const nested = type.kind === 'array' || type.kind === 'map'
      return (row, value) => {
        let end = column.bytesLength
        if (typeof value === 'string') {
          builder.ensureBytes(slot.index, end + value.length * 3)
          end = writeUtf8(column.bytes, end, value)
        } else if (value !== null) {
          const bytes = nested ? encodeNested(type, value) : (value as Uint8Array)
          builder.ensureBytes(slot.index, end + bytes.length)
          column.bytes.set(bytes, end)
          end += bytes.length
        } else setNull(row)
        column.bytesLength = end
        column.values[row + 1] = end
      }
    }
    case 'struct':
      return (row, value) => {
        const fields = value as readonly unknown[] | null
        if (fields === null) setNull(row)
        for (let i = 0; i < slot.children.length; i++) {
          const child = slot.children[i] as number
          // Under a null struct a child holds zero and is not marked as null itself.
          if (fields === null) (builder.columns[child] as ColumnBuffer).writeZero(row, builder)
          else (all[child] as Appender)(row, fields[i] ?? null)
        }
      }
  }
}
