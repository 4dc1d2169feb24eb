import { parseTimestamp } from '../../codegen/text-values.js'
import type { BlockBuilder, ColumnBuffer } from '../../types/block-builder.js'
import type { ColumnSlot } from '../../types/data-type.js'
import { skipNumber } from './json-skip.js'
import { plainDate, plainDouble, plainInteger, plainTimestamp } from './plain-values.js'

/**
 * Writes the value that lies at [from, to) of some text into a row of one column. False, and nothing written: it is not written plainly, or not
 * of the type.
 */
export type CellWriter = (u8: Uint8Array, from: number, to: number, row: number) => boolean

const integerLimits: Readonly<Record<string, number>> = { byte: 2 ** 7, short: 2 ** 15, int: 2 ** 31 }

/** Undefined for types whose values are never plain. Those of strings are the format's own affair. */
export function plainCell(slot: ColumnSlot, builder: BlockBuilder): CellWriter | undefined {
  const column = builder.columns[slot.index] as ColumnBuffer
  switch (slot.type.kind) {
    case 'byte':
    case 'short':
    case 'int': {
      const limit = integerLimits[slot.type.kind] as number
      return (u8, from, to, row) => {
        const value = plainInteger(u8, from, to)
        if (!(value >= -limit && value < limit)) return false
        column.values[row] = value
        return true
      }
    }
    case 'long':
    case 'bigint':
      return (u8, from, to, row) => writeInt64(column, row, plainInteger(u8, from, to))
    case 'timestamp':
      return (u8, from, to, row) => {
        const value = plainTimestamp(u8, from, to)
        return writeInt64(column, row, Number.isNaN(value) ? (parseTimestamp(textOf(u8, from, to)) ?? value) : value)
      }
    case 'float':
    case 'double':
      return (u8, from, to, row) => {
        let value = plainDouble(u8, from, to)
        if (Number.isNaN(value)) {
          if (skipNumber(u8, from, to) !== to) return false
          value = Number(textOf(u8, from, to))
        }
        column.values[row] = value
        return true
      }
    case 'date':
      return (u8, from, to, row) => {
        const value = plainDate(u8, from, to)
        if (Number.isNaN(value)) return false
        column.values[row] = value
        return true
      }
    case 'boolean':
      return (u8, from, to, row) => {
        const isTrue = isWord(u8, from, to, 't', 'rue')
        if (!isTrue && !isWord(u8, from, to, 'f', 'alse')) return false
        column.values[row] = isTrue ? 1 : 0
        return true
      }
    default:
      return undefined
  }
}

function writeInt64(column: ColumnBuffer, row: number, value: number): boolean {
  if (Number.isNaN(value)) return false
  column.values[2 * row] = value | 0
  column.values[2 * row + 1] = Math.floor(value / 4294967296)
  return true
}

function isWord(u8: Uint8Array, from: number, to: number, first: string, rest: string): boolean {
  if (to - from !== rest.length + 1 || u8[from] !== first.charCodeAt(0)) return false
  for (let i = 0; i < rest.length; i++) if (u8[from + 1 + i] !== rest.charCodeAt(i)) return false
  return true
}

export const textOf = (u8: Uint8Array, from: number, to: number): string =>
  Buffer.from(u8.buffer, u8.byteOffset + from, to - from).toString()

/** Up to here a loop is quicker than making the view that `set` needs. */
const LOOP_LENGTH_MAX = 24

/** Bytes as they are, as a string's value; there must be room for them. */
export function writeBytes(column: ColumnBuffer, u8: Uint8Array, from: number, to: number, row: number): void {
  const target = column.bytes
  let end = column.bytesLength
  if (to - from <= LOOP_LENGTH_MAX) for (let i = from; i < to; i++) target[end++] = u8[i] as number
  else {
    target.set(u8.subarray(from, to), end)
    end += to - from
  }
  column.bytesLength = end
  column.values[row + 1] = end
}

export function writeNull(builder: BlockBuilder, slot: ColumnSlot, row: number): void {
  const column = builder.columns[slot.index] as ColumnBuffer
  column.valid[row] = 0
  column.nullCount += 1
  column.writeZero(row, builder)
}

/** Takes back what was written of a row that is not counted yet. */
export function unwrite(builder: BlockBuilder, row: number): void {
  for (const column of builder.columns) {
    if (column.valid[row] === 0) {
      column.valid[row] = 1
      column.nullCount -= 1
    }
    if (column.kind === 'bytes') column.bytesLength = row === 0 ? 0 : (column.values[row] as number)
  }
}

/** Room for so many bytes more in each column of strings. */
export function ensureRoom(builder: BlockBuilder, bytes: number): void {
  for (const { kind, slot, bytesLength } of builder.columns) {
    if (kind === 'bytes') builder.ensureBytes(slot.index, bytesLength + bytes)
  }
}
