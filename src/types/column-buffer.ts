import { assert } from '../common/assert.js'
import { grownBytes, newBytes } from '../common/bytes.js'
import { align8, type BufferViews } from './block.js'
import type { ColumnSlot, PhysicalKind } from './data-type.js'

export type ColumnValues = Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array

/**
 * One scratch column. How row n lies in `values`, by physical kind:
 *
 *   // bits              Uint8Array, one BYTE a row (0 or 1); packed when it is encoded
 *   // i8 i16 i32 f32 f64  the natural typed array
 *   // i64               Int32Array, low word at 2n, high word at 2n + 1; `big` is the same memory as int64
 *   // i128              Int32Array, four words from 4n, lowest first; `big` has two int64 a row
 *   // bytes             Int32Array of offsets: values[0] = 0, values[n + 1] = end of row n in `bytes`
 *   // struct            nothing; `valid` alone
 *
 * `valid` is one byte a row and is 1 beforehand, so only a null writes it: `valid[n] = 0; nullCount++`, and
 * the value is still to be written, as 0 or empty.
 */
export class ColumnBuffer {
  readonly kind: PhysicalKind
  values: ColumnValues
  big: BigInt64Array | undefined
  valid: Uint8Array
  nullCount = 0
  bytes: Uint8Array
  bytesLength = 0
  /** The bytes of each part of a builder that has parts, and where they end. See BlockBuilder.setParts(). */
  readonly parts: Uint8Array[] = []
  partEnds = new Int32Array(0)

  constructor(readonly slot: ColumnSlot) {
    this.kind = slot.physical
    this.values = newValues(this.kind, 0)
    this.big = this.kind === 'i64' || this.kind === 'i128' ? new BigInt64Array(this.values.buffer) : undefined
    this.valid = new Uint8Array(0)
    this.bytes = newBytes(0)
  }

  #view: DataView | undefined
  #viewed: Uint8Array | undefined

  /** `bytes`, to read words from; valid until they are replaced. */
  bytesView(): DataView {
    const { bytes } = this
    if (this.#viewed !== bytes) {
      this.#viewed = bytes
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    }
    return this.#view as DataView
  }

  growRows(capacity: number, rows: number): void {
    const values = newValues(this.kind, capacity)
    values.set(this.values.subarray(0, Math.min(this.values.length, elements(this.kind, rows))))
    this.values = values
    if (this.big !== undefined) this.big = new BigInt64Array(values.buffer)
    const valid = new Uint8Array(capacity).fill(1)
    valid.set(this.valid)
    this.valid = valid
  }

  /** Zero, false or empty: the value of a row that does not count. */
  writeZero(row: number, owner: { readonly columns: readonly ColumnBuffer[] }): void {
    if (this.kind === 'bytes') this.values[row + 1] = this.bytesLength
    else if (this.kind === 'struct') {
      for (const child of this.slot.children) (owner.columns[child] as ColumnBuffer).writeZero(row, owner)
    } else {
      const width = elements(this.kind, 1)
      for (let i = row * width; i < (row + 1) * width; i++) this.values[i] = 0
    }
  }

  /** Nulls among rows [from, to) of `rows` in all. */
  nullsIn(from: number, to: number, rows: number): number {
    if (this.nullCount === 0) return 0
    if (this.nullCount === rows) return to - from
    const valid = this.valid
    let sum = 0
    for (let i = from; i < to; i++) sum += valid[i] as number
    return to - from - sum
  }

  /** Bytes that the values of rows [from, to) take in a block, padding included. */
  valueBytes(from: number, to: number): number {
    const rows = to - from
    switch (this.kind) {
      case 'bits':
        return align8((rows + 7) >> 3)
      case 'i8':
        return align8(rows)
      case 'i16':
        return align8(rows * 2)
      case 'i32':
      case 'f32':
        return align8(rows * 4)
      case 'i64':
      case 'f64':
        return rows * 8
      case 'i128':
        return rows * 16
      case 'bytes':
        return align8((rows + 1) * 4) + align8((this.values[to] as number) - (this.values[from] as number))
      case 'struct':
        return 0
    }
  }

  writeValidity(views: BufferViews, at: number, from: number, to: number): void {
    zeroTail(views, at, align8((to - from + 7) >> 3))
    packBits(this.valid, from, to, views.u8, at)
  }

  /** Lays rows [from, to) down at `at`, a multiple of 8. */
  writeValues(views: BufferViews, at: number, from: number, to: number): void {
    switch (this.kind) {
      case 'bits':
        zeroTail(views, at, align8((to - from + 7) >> 3))
        packBits(this.values, from, to, views.u8, at)
        return
      case 'i8':
        zeroTail(views, at, align8(to - from))
        copy(this.values, from, to, views.i8, at)
        return
      case 'i16':
        zeroTail(views, at, align8((to - from) * 2))
        copy(this.values, from, to, views.i16, at >> 1)
        return
      case 'i32':
        zeroTail(views, at, align8((to - from) * 4))
        copy(this.values, from, to, views.i32, at >> 2)
        return
      case 'f32':
        zeroTail(views, at, align8((to - from) * 4))
        copy(this.values, from, to, views.f32, at >> 2)
        return
      case 'f64':
        copy(this.values, from, to, views.f64, at >> 3)
        return
      case 'i64':
        copy(this.values, from * 2, to * 2, views.i32, at >> 2)
        return
      case 'i128':
        copy(this.values, from * 4, to * 4, views.i32, at >> 2)
        return
      case 'bytes':
        this.#writeBytes(views, at, from, to)
        return
      case 'struct':
        assert(false, 'a struct has no values of its own')
    }
  }

  #writeBytes(views: BufferViews, at: number, from: number, to: number): void {
    const offsets = this.values
    const rows = to - from
    const base = offsets[from] as number
    const offsetBytes = align8((rows + 1) * 4)
    zeroTail(views, at, offsetBytes)
    const i32 = views.i32
    const target = at >> 2
    if (base === 0) copy(offsets, from, to + 1, i32, target)
    else for (let i = 0; i <= rows; i++) i32[target + i] = (offsets[from + i] as number) - base
    const length = (offsets[to] as number) - base
    zeroTail(views, at + offsetBytes, align8(length))
    let source = base
    // Into shared memory a copy between different alignments goes byte by byte, seven times slower; a
    // detour through an aligned place of the scratch itself costs a tenth of that.
    if ((base & 7) !== 0 && length >= DETOUR_BYTES_MIN) {
      const spare = align8(this.bytesLength)
      if (spare + length > this.bytes.length) {
        this.bytes = grownBytes(this.bytes, this.bytesLength, spare + length)
      }
      this.bytes.copyWithin(spare, base, base + length)
      source = spare
    }
    copy(this.bytes, source, source + length, views.u8, at + offsetBytes)
  }

  reset(): void {
    if (this.nullCount > 0) this.valid.fill(1)
    this.nullCount = 0
    this.bytesLength = 0
    this.partEnds.fill(0)
  }
}

const DETOUR_BYTES_MIN = 256

/** Up to here a loop is quicker than making the view that `set` needs. */
const LOOP_LENGTH_MAX = 24

function copy(source: ColumnValues, from: number, to: number, target: ColumnValues, at: number): void {
  if (to - from <= LOOP_LENGTH_MAX) {
    for (let i = from; i < to; i++) target[at + i - from] = source[i] as number
  } else target.set(source.subarray(from, to), at)
}

/** The last word of a buffer is cleared before it is filled, so that a block never carries what lay there before. */
function zeroTail(views: BufferViews, at: number, length: number): void {
  if (length === 0) return
  const last = (at + length - 8) >> 2
  views.i32[last] = 0
  views.i32[last + 1] = 0
}

/** One byte a row → one bit a row, lowest bit first. */
function packBits(source: ColumnValues, from: number, to: number, target: Uint8Array, at: number): void {
  let out = at
  let i = from
  for (; i + 8 <= to; i += 8) {
    target[out++] =
      (source[i] as number) |
      ((source[i + 1] as number) << 1) |
      ((source[i + 2] as number) << 2) |
      ((source[i + 3] as number) << 3) |
      ((source[i + 4] as number) << 4) |
      ((source[i + 5] as number) << 5) |
      ((source[i + 6] as number) << 6) |
      ((source[i + 7] as number) << 7)
  }
  if (i < to) {
    let byte = 0
    for (let bit = 0; i < to; i++, bit++) byte |= (source[i] as number) << bit
    target[out] = byte
  }
}

/** Elements of `values` that hold `rows` rows. */
function elements(kind: PhysicalKind, rows: number): number {
  if (kind === 'struct') return 0
  if (kind === 'i64') return rows * 2
  if (kind === 'i128') return rows * 4
  return kind === 'bytes' ? rows + 1 : rows
}

function newValues(kind: PhysicalKind, rows: number): ColumnValues {
  const length = elements(kind, rows)
  switch (kind) {
    case 'bits':
    case 'struct':
      return new Uint8Array(length)
    case 'i8':
      return new Int8Array(length)
    case 'i16':
      return new Int16Array(length)
    case 'i32':
    case 'i64':
    case 'i128':
    case 'bytes':
      return new Int32Array(length)
    case 'f32':
      return new Float32Array(length)
    case 'f64':
      return new Float64Array(length)
  }
}
