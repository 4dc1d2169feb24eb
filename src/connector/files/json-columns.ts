import { jsonReader, preview, Unfit } from '../../codegen/json-functions.js'
import { type JsonValue, parseJson } from '../../codegen/json-text.js'
import { MillraceError } from '../../common/errors.js'
import { encodeUtf8 } from '../../common/utf8.js'
import type { BlockBuilder, ColumnBuffer } from '../../types/block-builder.js'
import type { ColumnSlot } from '../../types/data-type.js'
import { type CellWriter, ensureRoom, plainCell, textOf, unwrite, writeBytes, writeNull } from './cell-writer.js'
import type { ParseMode } from './file-format.js'
import { isHex, skipSpace, skipString, skipValue } from './json-skip.js'
import type { LaneFile } from './lane.js'
import type { LineColumns } from './line-records.js'
import { type RecordSchema, writeConstants } from './record-schema.js'

/** One field of the schema. */
interface Member {
  readonly name: Uint8Array
  readonly slot: ColumnSlot
  readonly column: ColumnBuffer
  readonly isText: boolean
  readonly cell: CellWriter | undefined
  readonly read: (value: JsonValue, strict: boolean) => unknown
}

/**
 * JSON objects, one a line, straight into columns. What is written plainly is copied from byte to column; a line that has anything else in it is read again, as
 * a whole, by what reads JSON for `fromJson`, which says what counts as malformed. Fields that nobody asks for are passed over.
 */
export class JsonColumns implements LineColumns {
  readonly #members: readonly Member[]
  /** By member, the record in which it was last found. */
  readonly #foundIn: Float64Array
  readonly #readRecord: (value: JsonValue, strict: boolean) => unknown
  #record = 0
  #room = 0

  constructor(
    builder: BlockBuilder,
    private readonly schema: RecordSchema,
    private readonly mode: ParseMode,
    private readonly file: LaneFile,
  ) {
    this.#members = schema.fields.fields.map((field, i): Member => {
      const slot = schema.slots[i] as ColumnSlot
      return {
        name: encodeUtf8(field.name),
        slot,
        column: builder.columns[slot.index] as ColumnBuffer,
        isText: field.type.kind === 'string',
        cell: plainCell(slot, builder),
        read: jsonReader(field.type),
      }
    })
    this.#foundIn = new Float64Array(this.#members.length)
    this.#readRecord = jsonReader(schema.fields)
  }

  prepare(builder: BlockBuilder, bytes: number): void {
    this.#room = bytes
    ensureRoom(builder, bytes)
  }

  take(builder: BlockBuilder, u8: Uint8Array, from: number, to: number, offset: number): boolean {
    const row = builder.rows
    this.#record += 1
    if (!this.#plain(builder, u8, from, to, row)) {
      unwrite(builder, row)
      const taken = this.#careful(builder, textOf(u8, from, to), offset)
      ensureRoom(builder, this.#room)
      return taken
    }
    writeConstants(builder, this.schema, row)
    builder.rows = row + 1
    return true
  }

  /** False: this is nothing for the quick way, and what has been written counts for nothing. */
  #plain(builder: BlockBuilder, u8: Uint8Array, from: number, to: number, row: number): boolean {
    const members = this.#members
    const foundIn = this.#foundIn
    const record = this.#record
    let at = skipSpace(u8, from, to)
    if (u8[at] !== 123 || at >= to) return false
    at = skipSpace(u8, at + 1, to)
    let found = 0
    let next = 0
    if (u8[at] === 125 && at < to) at++
    else {
      for (;;) {
        if (at >= to || u8[at] !== 34) return false
        const name = at + 1
        at = skipString(u8, at, to)
        if (at === -1) return false
        const member = memberAt(members, next, u8, name, at - 1)
        if (member === -2) return false
        at = skipSpace(u8, at, to)
        if (u8[at] !== 58 || at >= to) return false
        at = skipSpace(u8, at + 1, to)
        if (member === -1) at = skipValue(u8, at, to)
        else {
          if (foundIn[member] === record) return false
          foundIn[member] = record
          found += 1
          next = member + 1
          at = this.#value(builder, members[member] as Member, u8, at, to, row)
        }
        if (at === -1) return false
        at = skipSpace(u8, at, to)
        const c = u8[at]
        if (at >= to) return false
        at += 1
        if (c === 125) break
        if (c !== 44) return false
        at = skipSpace(u8, at, to)
      }
    }
    if (skipSpace(u8, at, to) !== to) return false
    if (found < members.length) {
      for (let m = 0; m < members.length; m++) {
        if (foundIn[m] !== record) writeNull(builder, (members[m] as Member).slot, row)
      }
    }
    return true
  }

  /** Behind the value, -1 where it is not plain. */
  #value(builder: BlockBuilder, member: Member, u8: Uint8Array, at: number, to: number, row: number): number {
    const { cell, column } = member
    const first = u8[at]
    if (first === 110) {
      const end = skipValue(u8, at, to)
      if (end !== -1) writeNull(builder, member.slot, row)
      return end
    }
    if (member.isText) return first === 34 ? copyString(column, u8, at, to, row) : -1
    const end = skipValue(u8, at, to)
    if (end === -1) return -1
    if (cell === undefined) {
      const value = parseJson(textOf(u8, at, end), true)
      if (value === undefined) return -1
      try {
        builder.write(member.slot.index, row, member.read(value, true))
      } catch (error) {
        if (error instanceof Unfit) return -1
        throw error
      }
      ensureRoom(builder, this.#room)
      return end
    }
    const isQuoted = member.slot.type.kind === 'timestamp' || member.slot.type.kind === 'date'
    if (isQuoted !== (first === 34)) return -1
    return cell(u8, isQuoted ? at + 1 : at, isQuoted ? end - 1 : end, row) ? end : -1
  }

  #careful(builder: BlockBuilder, text: string, offset: number): boolean {
    if (text.trim() === '') return false
    const value = parseJson(text, true)
    const items = value?.kind === 'array' ? value.items : [value]
    const before = builder.rows
    for (const item of items) this.item(builder, item, text, offset)
    return builder.rows > before
  }

  /** One value as a row; `text` is what is said to be malformed where it is no object of the schema. */
  item(builder: BlockBuilder, value: JsonValue | undefined, text: string, offset: number): void {
    const row = builder.rows
    let values: readonly unknown[] | undefined
    let why = 'it is no JSON'
    if (value !== undefined) {
      try {
        values = (this.#readRecord(value, true) as readonly unknown[] | null) ?? undefined
        if (values === undefined) why = 'it is null'
      } catch (error) {
        if (!(error instanceof Unfit)) throw error
        why = error.message
      }
    }
    const isMalformed = values === undefined
    if (isMalformed) {
      if (this.mode === 'FAILFAST') throw malformedRecord(this.file, offset, text, why)
      if (this.mode === 'DROPMALFORMED') return
      values = value?.kind === 'object' ? (this.#readRecord(value, false) as readonly unknown[]) : []
    }
    builder.ensureRows(row + 1)
    const { slots } = this.schema
    for (let i = 0; i < slots.length; i++) builder.write((slots[i] as ColumnSlot).index, row, values?.[i] ?? null)
    writeConstants(builder, this.schema, row)
    if (isMalformed && this.schema.corrupt !== undefined) rewriteCorrupt(builder, this.schema.corrupt, row, text)
    builder.rows = row + 1
  }
}

/** The column said before that nothing was malformed. */
export function rewriteCorrupt(builder: BlockBuilder, slot: ColumnSlot, row: number, text: string): void {
  const column = builder.columns[slot.index] as ColumnBuffer
  column.valid[row] = 1
  column.nullCount -= 1
  builder.write(slot.index, row, text)
}

export function malformedRecord({ path }: LaneFile, offset: number, text: string, why: string): MillraceError {
  return new MillraceError('MALFORMED_RECORD', `a record of ${path} is not of the schema: ${why}`, {
    detail: `${preview(text)} at byte ${offset}`,
    hint: "mode 'PERMISSIVE' (the default) makes null of what does not fit, and a column _corrupt_record gets its text; 'DROPMALFORMED' leaves the record out",
  })
}

/** The member whose name is [from, to); -1: nobody's; -2: it has escapes in it. Records mostly have their fields in one order. */
function memberAt(members: readonly Member[], next: number, u8: Uint8Array, from: number, to: number): number {
  const expected = members[next]
  if (expected !== undefined && isName(expected.name, u8, from, to)) return next
  for (let m = 0; m < members.length; m++) if (isName((members[m] as Member).name, u8, from, to)) return m
  for (let i = from; i < to; i++) if (u8[i] === 92) return -2
  return -1
}

function isName(name: Uint8Array, u8: Uint8Array, from: number, to: number): boolean {
  if (to - from !== name.length) return false
  for (let i = 0; i < name.length; i++) if (u8[from + i] !== name[i]) return false
  return true
}

/** The string that begins at the quote `at`. */
function copyString(column: ColumnBuffer, u8: Uint8Array, at: number, to: number, row: number): number {
  let i = at + 1
  while (i < to) {
    const c = u8[i] as number
    if (c === 34) {
      writeBytes(column, u8, at + 1, i, row)
      return i + 1
    }
    if (c === 92) return copyEscaped(column, u8, at, i, to, row)
    if (c < 32) return -1
    i++
  }
  return -1
}

const escaped = new Uint8Array(128)
for (const [c, value] of ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t'].map((pair) => [...pair])) {
  escaped[(c as string).charCodeAt(0)] = (value as string).charCodeAt(0)
}

/** The same with escapes, the first of which is at `first`. Nothing gets longer by being read. */
function copyEscaped(column: ColumnBuffer, u8: Uint8Array, at: number, first: number, to: number, row: number): number {
  const target = column.bytes
  let end = column.bytesLength
  for (let i = at + 1; i < first; i++) target[end++] = u8[i] as number
  for (let i = first; i < to; i++) {
    const c = u8[i] as number
    if (c === 34) {
      column.bytesLength = end
      column.values[row + 1] = end
      return i + 1
    }
    if (c < 32) return -1
    if (c !== 92) {
      target[end++] = c
      continue
    }
    i++
    const kind = u8[i] as number
    if (kind === 117) {
      const code = hex4(u8, i + 1)
      // Halves of a pair are put together by the parser.
      if (code < 0 || (code >= 0xd800 && code < 0xe000)) return -1
      i += 4
      if (code < 0x80) target[end++] = code
      else {
        if (code < 0x800) target[end++] = 0xc0 | (code >> 6)
        else {
          target[end++] = 0xe0 | (code >> 12)
          target[end++] = 0x80 | ((code >> 6) & 0x3f)
        }
        target[end++] = 0x80 | (code & 0x3f)
      }
    } else {
      const value = kind < 128 ? (escaped[kind] as number) : 0
      if (value === 0) return -1
      target[end++] = value
    }
  }
  return -1
}

function hex4(u8: Uint8Array, at: number): number {
  let code = 0
  for (let i = at; i < at + 4; i++) {
    const c = u8[i] as number
    if (!isHex(c)) return -1
    code = code * 16 + (c <= 57 ? c - 48 : (c | 32) - 87)
  }
  return code
}
