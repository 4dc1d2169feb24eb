import { copiedBytes, grownBytes, newBytes } from '../common/bytes.js'
import { decodeUtf8, writeUtf8 } from '../common/utf8.js'
import { type DataType, entriesType } from './data-type.js'

/**
 * Arrays and maps as bytes: the value of one row in a `bytes` column. A row's array is written once, read whole or not at
 * all, and travels with its row through the log, the channels and the state as a string does; so no column has
 * rows of its own, and equal values are equal bytes, which is what grouping compares.
 *
 *   array    count i32 · ⌈count / 8⌉ bytes, bit i set = element i is there · the elements that are there
 *   map      as the array of its entries, each a struct of key and value
 *   struct   ⌈fields / 8⌉ bytes, bit i set = field i is there · the fields that are there
 *   boolean, byte 1 byte · short 2 · int, date, float 4 · long, bigint, timestamp, double 8 · decimal 16
 *   string, binary   length i32 · the bytes
 *
 * Little-endian and without padding. A NaN is written as the one NaN. Values are in the representation of
 * evaluation (plan/expression.ts): arrays and structs are arrays, a map is the array of its [key, value] pairs.
 */
type Write = (to: NestedWriter, value: unknown) => void
type Read = (from: NestedReader) => unknown
type List = readonly unknown[]

class NestedWriter {
  bytes: Uint8Array = newBytes(256)
  view = new DataView(this.bytes.buffer)
  at = 0

  room(length: number): void {
    if (this.at + length <= this.bytes.length) return
    this.bytes = grownBytes(this.bytes, this.at, this.at + length)
    this.view = new DataView(this.bytes.buffer)
  }
}

const LONG_LIMIT = 4294967296
const writers = new WeakMap<DataType, Write>()
const readers = new WeakMap<DataType, Read>()
const scratch = new NestedWriter()

/** Valid until the next call. */
export function encodeNested(type: DataType, value: unknown): Uint8Array {
  let write = writers.get(type)
  if (write === undefined) {
    write = writerOf(type)
    writers.set(type, write)
  }
  scratch.at = 0
  write(scratch, value)
  return scratch.bytes.subarray(0, scratch.at)
}

/** The value whose bytes begin at `start`; nothing of it refers to the buffer. */
export function decodeNested(type: DataType, u8: Uint8Array, start: number): unknown {
  let read = readers.get(type)
  if (read === undefined) {
    read = readerOf(type)
    readers.set(type, read)
  }
  return read(readerAt(u8, start))
}

interface NestedReader {
  readonly u8: Uint8Array
  readonly node: Buffer
  readonly dv: DataView
  at: number
}

let lastReader: NestedReader | undefined

/** The reader is kept with its buffer, which is nearly always that of the last call. */
function readerAt(u8: Uint8Array, start: number): NestedReader {
  if (lastReader?.u8 !== u8) {
    lastReader = {
      u8,
      node: Buffer.from(u8.buffer as ArrayBuffer, u8.byteOffset, u8.byteLength),
      dv: new DataView(u8.buffer, u8.byteOffset, u8.byteLength),
      at: start,
    }
  }
  lastReader.at = start
  return lastReader
}

function writeList(to: NestedWriter, values: List, write: (i: number) => void): void {
  const bitmap = to.at
  const length = (values.length + 7) >> 3
  to.room(length)
  to.bytes.fill(0, bitmap, bitmap + length)
  to.at += length
  for (let i = 0; i < values.length; i++) {
    if (values[i] === null || values[i] === undefined) continue
    const byte = bitmap + (i >> 3)
    to.bytes[byte] = (to.bytes[byte] as number) | (1 << (i & 7))
    write(i)
  }
}

const fixed =
  (length: number, put: (view: DataView, at: number, value: never) => void): Write =>
  (to, value) => {
    to.room(length)
    put(to.view, to.at, value as never)
    to.at += length
  }

function writerOf(type: DataType): Write {
  switch (type.kind) {
    case 'boolean':
      return fixed(1, (view, at, value: boolean) => view.setUint8(at, value ? 1 : 0))
    case 'byte':
    case 'void':
      return fixed(1, (view, at, value: number) => view.setInt8(at, value))
    case 'short':
      return fixed(2, (view, at, value: number) => view.setInt16(at, value, true))
    case 'int':
    case 'date':
    case 'yearMonthInterval':
      return fixed(4, (view, at, value: number) => view.setInt32(at, value, true))
    case 'float':
      return fixed(4, (view, at, value: number) => view.setFloat32(at, value === value ? value : Number.NaN, true))
    case 'double':
      return fixed(8, (view, at, value: number) => view.setFloat64(at, value === value ? value : Number.NaN, true))
    case 'long':
    case 'timestamp':
    case 'dayTimeInterval':
      return fixed(8, (view, at, value: number) => {
        view.setInt32(at, value | 0, true)
        view.setInt32(at + 4, Math.floor(value / LONG_LIMIT), true)
      })
    case 'bigint':
      return fixed(8, (view, at, value: bigint) => view.setBigInt64(at, value, true))
    case 'decimal':
      return fixed(16, (view, at, value: bigint) => {
        view.setBigUint64(at, BigInt.asUintN(64, value), true)
        view.setBigInt64(at + 8, value >> 64n, true)
      })
    case 'string':
      return (to, value) => {
        const text = value as string
        to.room(4 + text.length * 3)
        const end = writeUtf8(to.bytes, to.at + 4, text)
        to.view.setInt32(to.at, end - to.at - 4, true)
        to.at = end
      }
    case 'binary':
      return (to, value) => {
        const bytes = value as Uint8Array
        to.room(4 + bytes.length)
        to.view.setInt32(to.at, bytes.length, true)
        to.bytes.set(bytes, to.at + 4)
        to.at += 4 + bytes.length
      }
    case 'struct': {
      const fields = type.fields.map((f) => writerOf(f.type))
      return (to, value) => writeList(to, value as List, (i) => (fields[i] as Write)(to, (value as List)[i]))
    }
    case 'array': {
      const element = writerOf(type.element)
      return (to, value) => {
        const values = value as List
        to.room(4)
        to.view.setInt32(to.at, values.length, true)
        to.at += 4
        writeList(to, values, (i) => element(to, values[i]))
      }
    }
    case 'map':
      return writerOf(entriesType(type))
  }
}

function readList(from: NestedReader, count: number, read: (i: number) => unknown): unknown[] {
  const bitmap = from.at
  from.at += (count + 7) >> 3
  const values: unknown[] = new Array(count)
  for (let i = 0; i < count; i++) {
    values[i] = (((from.u8[bitmap + (i >> 3)] as number) >> (i & 7)) & 1) === 0 ? null : read(i)
  }
  return values
}

const taken =
  (length: number, get: (dv: DataView, at: number) => unknown): Read =>
  (from) => {
    const value = get(from.dv, from.at)
    from.at += length
    return value
  }

function readerOf(type: DataType): Read {
  switch (type.kind) {
    case 'boolean':
      return taken(1, (dv, at) => dv.getUint8(at) === 1)
    case 'byte':
    case 'void':
      return taken(1, (dv, at) => dv.getInt8(at))
    case 'short':
      return taken(2, (dv, at) => dv.getInt16(at, true))
    case 'int':
    case 'date':
    case 'yearMonthInterval':
      return taken(4, (dv, at) => dv.getInt32(at, true))
    case 'float':
      return taken(4, (dv, at) => dv.getFloat32(at, true))
    case 'double':
      return taken(8, (dv, at) => dv.getFloat64(at, true))
    case 'long':
    case 'timestamp':
    case 'dayTimeInterval':
      return taken(8, (dv, at) => dv.getInt32(at + 4, true) * LONG_LIMIT + dv.getUint32(at, true))
    case 'bigint':
      return taken(8, (dv, at) => dv.getBigInt64(at, true))
    case 'decimal':
      return taken(16, (dv, at) => (dv.getBigInt64(at + 8, true) << 64n) | dv.getBigUint64(at, true))
    case 'string':
    case 'binary': {
      const text = type.kind === 'string'
      return (from) => {
        const start = from.at + 4
        const end = start + from.dv.getInt32(from.at, true)
        from.at = end
        return text ? decodeUtf8(from, start, end) : copiedBytes(from.u8, start, end)
      }
    }
    case 'struct': {
      const fields = type.fields.map((f) => readerOf(f.type))
      return (from) => readList(from, fields.length, (i) => (fields[i] as Read)(from))
    }
    case 'array': {
      const element = readerOf(type.element)
      return (from) => {
        const count = from.dv.getInt32(from.at, true)
        from.at += 4
        return readList(from, count, () => element(from))
      }
    }
    case 'map':
      return readerOf(entriesType(type))
  }
}

/**
 * Where the value that starts at `at` ends, or −1 where it would lead outside of `end`, or has a null where its
 * type has none: what a block from a file must pass before anybody decodes it.
 */
export function nestedEnd(type: DataType, u8: Uint8Array, at: number, end: number): number {
  const width = widths[type.kind]
  if (width !== undefined) return at + width <= end ? at + width : -1
  if (type.kind === 'map') return nestedEnd(entriesType(type), u8, at, end)
  if (type.kind === 'struct') {
    return listEnd(type.fields.length, u8, at, end, (i) => {
      const field = type.fields[i] as { type: DataType; nullable: boolean }
      return { type: field.type, nullable: field.nullable }
    })
  }
  if (at + 4 > end) return -1
  const count =
    (u8[at] as number) | ((u8[at + 1] as number) << 8) | ((u8[at + 2] as number) << 16) | ((u8[at + 3] as number) << 24)
  if (count < 0) return -1
  if (type.kind !== 'array') return count <= end - at - 4 ? at + 4 + count : -1
  const element = { type: type.element, nullable: type.containsNull }
  return listEnd(count, u8, at + 4, end, () => element)
}

const widths: Partial<Record<DataType['kind'], number>> = {
  boolean: 1,
  byte: 1,
  void: 1,
  short: 2,
  int: 4,
  date: 4,
  yearMonthInterval: 4,
  float: 4,
  double: 8,
  long: 8,
  timestamp: 8,
  dayTimeInterval: 8,
  bigint: 8,
  decimal: 16,
}

function listEnd(
  count: number,
  u8: Uint8Array,
  start: number,
  end: number,
  part: (i: number) => { readonly type: DataType; readonly nullable: boolean },
): number {
  let at = start + Math.ceil(count / 8)
  if (at > end) return -1
  for (let i = 0; i < count; i++) {
    const { type, nullable } = part(i)
    if ((((u8[start + (i >> 3)] as number) >> (i & 7)) & 1) === 0) {
      if (!nullable) return -1
      continue
    }
    at = nestedEnd(type, u8, at, end)
    if (at === -1) return -1
  }
  return at
}
