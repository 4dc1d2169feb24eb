import { castFunction } from '../../codegen/casts.js'
import { MillraceError } from '../../common/errors.js'
import type { BlockBuilder, ColumnBuffer } from '../../types/block-builder.js'
import type { ColumnSlot, StructType } from '../../types/data-type.js'
import { typeName } from '../../types/data-type.js'
import { type CellWriter, ensureRoom, plainCell, textOf, unwrite, writeBytes, writeNull } from './cell-writer.js'
import type { CsvDialect, ParseMode } from './file-format.js'
import { malformedRecord, rewriteCorrupt } from './json-columns.js'
import type { LaneFile } from './lane.js'
import type { LineColumns } from './line-records.js'
import { type RecordSchema, writeConstants } from './record-schema.js'

/** One column of the file, whether or not anybody asks for it. */
interface Cell {
  /** Undefined: nobody does. */
  readonly slot: ColumnSlot | undefined
  readonly column: ColumnBuffer | undefined
  readonly isText: boolean
  readonly plain: CellWriter | undefined
  readonly type: string
  readonly cast: (text: string) => unknown
}

/**
 * Lines of CSV straight into columns: cells without quotes, or with quotes around the whole, are copied from byte to column; a line that has anything else in it is
 * taken apart again as text. Columns of the file go by their place, as in Spark.
 */
export class CsvColumns implements LineColumns {
  readonly header: LineColumns['header']
  readonly recordEnd: LineColumns['recordEnd']
  readonly #cells: readonly Cell[]
  readonly #separator: number
  readonly #quote: number
  readonly #escape: number
  readonly #comment: number
  readonly #words: readonly (readonly [text: string, value: number])[]
  /** Texts that mean something else than they say: no line that has one is read the quick way. */
  readonly #isTrimmed: boolean
  readonly #nothing: Uint8Array
  #room = 0

  constructor(
    builder: BlockBuilder,
    /** What the file has, in its order. */
    columns: StructType,
    private readonly schema: RecordSchema,
    private readonly dialect: CsvDialect,
    private readonly mode: ParseMode,
    private readonly file: LaneFile,
  ) {
    const code = (text: string | undefined): number => (text === undefined || text === '' ? -1 : text.charCodeAt(0))
    this.#separator = code(dialect.separator)
    this.#quote = code(dialect.quote)
    this.#escape = code(dialect.escape)
    this.#comment = code(dialect.comment)
    this.#isTrimmed = dialect.trimStart || dialect.trimEnd
    this.#nothing = Buffer.from(dialect.nullValue)
    this.#words = [
      [dialect.nanValue, Number.NaN],
      [dialect.positiveInf, Number.POSITIVE_INFINITY],
      [dialect.negativeInf, Number.NEGATIVE_INFINITY],
    ]
    this.#cells = columns.fields.map((field): Cell => {
      const at = schema.fields.fields.findIndex(({ name }) => name === field.name)
      const slot = at === -1 ? undefined : schema.slots[at]
      return {
        slot,
        column: slot && builder.columns[slot.index],
        isText: field.type.kind === 'string',
        plain: slot && plainCell(slot, builder),
        type: typeName(field.type),
        cast: this.#castTo(field.type),
      }
    })
    if (dialect.header) this.header = (u8, from, to) => this.#checkHeader(columns, textOf(u8, from, to))
    if (dialect.multiLine) this.recordEnd = (u8, from, end) => this.#quotedEnd(u8, from, end)
  }

  prepare(builder: BlockBuilder, bytes: number): void {
    this.#room = bytes
    ensureRoom(builder, bytes)
  }

  take(builder: BlockBuilder, u8: Uint8Array, from: number, to: number, offset: number): boolean {
    if (u8[from] === this.#comment) return false
    const row = builder.rows
    if (this.#isTrimmed || !this.#plain(builder, u8, from, to, row)) {
      unwrite(builder, row)
      const taken = this.#careful(builder, textOf(u8, from, to), offset)
      ensureRoom(builder, this.#room)
      return taken
    }
    writeConstants(builder, this.schema, row)
    builder.rows = row + 1
    return true
  }

  #plain(builder: BlockBuilder, u8: Uint8Array, from: number, to: number, row: number): boolean {
    const cells = this.#cells
    const separator = this.#separator
    const quote = this.#quote
    const escaping = this.#escape
    let at = from
    for (let c = 0; c < cells.length; c++) {
      const cell = cells[c] as Cell
      let start = at
      let end: number
      const isQuoted = at < to && u8[at] === quote
      if (isQuoted) {
        start += 1
        end = start
        while (end < to && u8[end] !== quote) {
          if (u8[end] === escaping) return false
          end++
        }
        at = end + 1
        if (end >= to || (at < to && u8[at] !== separator)) return false
      } else {
        while (at < to && u8[at] !== separator) at++
        end = at
      }
      const isLast = c === cells.length - 1
      // A record with fewer cells than columns, or with more.
      if (isLast ? at !== to : at >= to) return false
      at += 1
      if (cell.slot === undefined) continue
      if (end === start) {
        // What stands for nothing or for an empty text may be something else by the options.
        if (isQuoted) {
          if (!cell.isText || this.dialect.emptyValue !== '') return false
          writeBytes(cell.column as ColumnBuffer, u8, start, end, row)
        } else {
          if (this.#nothing.length > 0) return false
          writeNull(builder, cell.slot, row)
        }
      } else if (this.#nothing.length > 0 && isSame(this.#nothing, u8, start, end)) writeNull(builder, cell.slot, row)
      else if (cell.isText) writeBytes(cell.column as ColumnBuffer, u8, start, end, row)
      else if (cell.plain?.(u8, start, end, row) !== true) return false
    }
    return true
  }

  #careful(builder: BlockBuilder, text: string, offset: number): boolean {
    if (text.trim() === '') return false
    const found = this.#split(text)
    const row = builder.rows
    const cells = this.#cells
    let why = found.length === cells.length ? undefined : `it has ${found.length} columns and not ${cells.length}`
    const values = cells.map((cell, i) => {
      const one = found[i]
      if (cell.slot === undefined || one === undefined || one === null) return null
      const value = cell.cast(one)
      if (value === null) why ??= `${JSON.stringify(one.slice(0, 60))} is no ${cell.type}`
      return value
    })
    if (why !== undefined) {
      if (this.mode === 'FAILFAST') throw malformedRecord(this.file, offset, text, why)
      if (this.mode === 'DROPMALFORMED') return false
    }
    cells.forEach(({ slot }, i) => {
      if (slot !== undefined) builder.write(slot.index, row, values[i] ?? null)
    })
    writeConstants(builder, this.schema, row)
    if (why !== undefined && this.schema.corrupt !== undefined) {
      rewriteCorrupt(builder, this.schema.corrupt, row, text)
    }
    builder.rows = row + 1
    return true
  }

  #castTo(type: StructType['fields'][number]['type']): (text: string) => unknown {
    const cast = castFunction({ kind: 'string' }, type, false, true) as (text: string) => unknown
    if (type.kind !== 'float' && type.kind !== 'double') return cast
    return (text) => {
      const word = this.#words.find(([name]) => name === text)
      return word === undefined ? cast(text) : word[1]
    }
  }

  /** Null where a cell is the text that stands for nothing. */
  #split(line: string): (string | null)[] {
    const { separator, quote, escape: escaping, nullValue, emptyValue, trimStart, trimEnd } = this.dialect
    const found: (string | null)[] = []
    let at = 0
    for (;;) {
      if (trimStart) while (line[at] === ' ' || (line[at] === '\t' && separator !== '\t')) at++
      let text = ''
      const isQuoted = quote !== '' && line[at] === quote
      if (isQuoted) {
        at++
        while (at < line.length) {
          const c = line[at] as string
          const next = line[at + 1]
          if (c === escaping && (next === quote || (next === escaping && escaping !== quote))) {
            text += next
            at += 2
          } else if (c === quote) {
            at++
            // A quote in the middle that nothing escapes is a quote; so is one that is doubled.
            if (at >= line.length || line.startsWith(separator, at) || /^[ \t]*$/.test(line.slice(at))) break
            if (line[at] === quote) at++
            text += quote
          } else {
            text += c
            at++
          }
        }
      }
      const next = line.indexOf(separator, at)
      const rest = next === -1 ? line.slice(at) : line.slice(at, next)
      if (isQuoted) found.push(text === '' ? emptyValue : text)
      else {
        const plain = trimEnd ? rest.trimEnd() : rest
        found.push(plain === nullValue || plain === '' ? null : plain)
      }
      if (isQuoted && text === nullValue && nullValue !== '') found[found.length - 1] = null
      if (next === -1) return found
      at = next + separator.length
    }
  }

  /** The line feed behind the record: one that is in no quotes. */
  #quotedEnd(u8: Uint8Array, from: number, end: number): number {
    let inside = false
    for (let i = from; i < end; i++) {
      const c = u8[i]
      if (inside && c === this.#escape && c !== this.#quote) i++
      else if (c === this.#quote) inside = !inside
      else if (c === 10 && !inside) return i
    }
    return -1
  }

  #checkHeader(columns: StructType, line: string): void {
    if (this.dialect.enforceSchema) return
    const found = this.#split(line)
    const expected = columns.fields.map(({ name }) => name)
    if (found.length === expected.length && expected.every((name, i) => name === found[i])) return
    throw new MillraceError(
      'CSV_HEADER_DIFFERS',
      `the header of ${this.file.path} names other columns than the schema`,
      {
        detail: `found ${found.join(', ')}; expected ${expected.join(', ')}`,
        hint: 'give the schema the columns of the file in their order; with enforceSchema (the default) the header is passed over',
      },
    )
  }
}

function isSame(text: Uint8Array, u8: Uint8Array, from: number, to: number): boolean {
  if (to - from !== text.length) return false
  for (let i = 0; i < text.length; i++) if (text[i] !== u8[from + i]) return false
  return true
}
