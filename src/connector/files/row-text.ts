import { cellText } from '../../codegen/csv-functions.js'
import { jsonWriter } from '../../codegen/json-functions.js'
import { jsonString } from '../../codegen/json-text.js'
import type { Value } from '../../codegen/value.js'
import { encodeUtf8, writeUtf8 } from '../../common/utf8.js'
import { type BufferViews, DIRECTORY_BYTES, DIRECTORY_VALUES, directoryEntry } from '../../types/block.js'
import { isNullAt, type ValueReader, valueReader } from '../../types/block-reader.js'
import { columnSlots, type DataType, type StructType } from '../../types/data-type.js'
import type { CsvDialect } from './file-format.js'

/** Text that grows. */
export class TextBuffer {
  bytes = Buffer.allocUnsafeSlow(4096)
  length = 0

  /** Room for so many bytes more. */
  reserve(bytes: number): void {
    const wanted = this.length + bytes
    if (wanted <= this.bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, this.bytes.length * 2))
    this.bytes.copy(larger, 0, 0, this.length)
    this.bytes = larger
  }

  put(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.bytes.set(bytes, this.length)
    this.length += bytes.length
  }

  text(text: string): void {
    this.reserve(text.length * 3)
    this.length = writeUtf8(this.bytes, this.length, text)
  }
}

/** Rows of a block as lines of a text file. */
export interface RowText {
  /** What a file begins with. */
  readonly head: Uint8Array
  write(views: BufferViews, position: number, row: number, out: TextBuffer): void
}

interface Column {
  readonly slot: number
  readonly isText: boolean
  readonly read: ValueReader
  /** Of a value that is not null and no string. */
  readonly format: (value: Value) => string
  /** In front of it. */
  readonly name: Uint8Array
}

const LF = 10
const QUOTE = 34
const COMMA = 44
const BACKSLASH = 92

/** `names`: the columns that are written; the others are in the names of folders. */
function columnsOf(
  schema: StructType,
  names: ReadonlySet<string>,
  formatOf: (type: DataType) => (value: Value) => string,
): Column[] {
  const slots = columnSlots(schema)
  return slots
    .filter(({ parent, path }) => parent === -1 && names.has(path[0] as string))
    .map(({ index, path, type }) => ({
      slot: index,
      isText: type.kind === 'string',
      read: valueReader(slots, index),
      format: formatOf(type),
      name: encodeUtf8(`${jsonString(path[0] as string)}:`),
    }))
}

/** Objects, one a line; fields that are null are left out, unless they are asked for. */
export function jsonText(schema: StructType, names: ReadonlySet<string>, ignoreNullFields: boolean): RowText {
  const columns = columnsOf(schema, names, (type) => jsonWriter(type, ignoreNullFields))
  const nothing = encodeUtf8('null')
  return {
    head: new Uint8Array(0),
    write(views, position, row, out) {
      out.reserve(2)
      out.bytes[out.length++] = 123
      let first = true
      for (let c = 0; c < columns.length; c++) {
        const column = columns[c] as Column
        const isNull = isNullAt(views, position, column.slot, row)
        if (isNull && ignoreNullFields) continue
        out.reserve(column.name.length + 1)
        if (!first) out.bytes[out.length++] = COMMA
        first = false
        out.put(column.name)
        if (isNull) out.put(nothing)
        else if (column.isText) writeJsonString(views, position, column.slot, row, out)
        else out.text(column.format(column.read(views, position, row) as Value))
      }
      out.reserve(2)
      out.bytes[out.length++] = 125
      out.bytes[out.length++] = LF
    },
  }
}

function writeJsonString(views: BufferViews, position: number, slot: number, row: number, out: TextBuffer): void {
  const from = startOf(views, position, slot, row)
  const to = startOf(views, position, slot, row + 1)
  const u8 = views.u8
  // A control character takes six.
  out.reserve((to - from) * 6 + 2)
  const { bytes } = out
  let end = out.length
  bytes[end++] = QUOTE
  for (let i = from; i < to; i++) {
    const c = u8[i] as number
    if (c === QUOTE || c === BACKSLASH) {
      bytes[end++] = BACKSLASH
      bytes[end++] = c
    } else if (c < 32) end += bytes.write(`\\u${c.toString(16).padStart(4, '0')}`, end, 'latin1')
    else bytes[end++] = c
  }
  bytes[end++] = QUOTE
  out.length = end
}

/** Cells with separators between; quotes stand around what would not be read as it is without. */
export function csvText(
  schema: StructType,
  names: ReadonlySet<string>,
  dialect: CsvDialect,
  quoteAll: boolean,
): RowText {
  const columns = columnsOf(schema, names, cellText)
  const { separator, quote, escape: escaping, nullValue } = dialect
  const isSpecial = (text: string): boolean =>
    quoteAll ||
    text === '' ||
    text.includes(separator) ||
    (quote !== '' && text.includes(quote)) ||
    /[\r\n]|^\s|\s$/.test(text) ||
    text === nullValue
  const cell = (text: string): string => {
    if (quote === '' || !isSpecial(text)) return text
    const inside = escaping === '' || escaping === quote ? text : text.replaceAll(escaping, escaping + escaping)
    return quote + inside.replaceAll(quote, (escaping === '' ? quote : escaping) + quote) + quote
  }
  const header = columns.map(({ name }) => cell(JSON.parse(Buffer.from(name).toString().slice(0, -1)) as string))
  return {
    head: encodeUtf8(dialect.header ? `${header.join(separator)}\n` : ''),
    write(views, position, row, out) {
      const before = out.length
      for (let c = 0; c < columns.length; c++) {
        const column = columns[c] as Column
        if (c > 0) out.text(separator)
        const value = column.read(views, position, row)
        if (value === null) out.text(nullValue)
        else out.text(cell(column.isText ? (value as string) : column.format(value as Value)))
      }
      // An empty line would be no record.
      if (out.length === before) out.text(quote + quote)
      out.text('\n')
    },
  }
}

/** Where the bytes of a row's string begin. */
function startOf(views: BufferViews, position: number, slot: number, row: number): number {
  const entry = directoryEntry(position, slot)
  const values = views.i32[(entry + DIRECTORY_VALUES) >> 2] as number
  const bytes = views.i32[(entry + DIRECTORY_BYTES) >> 2] as number
  return position + bytes + (views.i32[((position + values) >> 2) + row] as number)
}
