import type { StructType } from '../types/data-type.js'
import { valueText } from './value-text.js'

/**
 * Rows as the table that Spark's `show()` draws: cells cut to 20 characters and set to the right, or
 * uncut and set to the left. Wide characters of East Asia take two places, so that the bars line up.
 */
export interface TableOptions {
  /** Longest text of a cell; `true` is 20, `false` or 0 cuts nothing. Default true. */
  readonly truncate?: boolean | number
  /** Rows exist beyond those given: says so below the table. */
  readonly more?: boolean
}

const DEFAULT_CELL_LENGTH = 20
const MIN_COLUMN_WIDTH = 3

export function renderTable(schema: StructType, rows: readonly object[], options: TableOptions = {}): string {
  const { truncate = true, more = false } = options
  const longest = truncate === true ? DEFAULT_CELL_LENGTH : truncate === false ? 0 : Math.max(0, truncate)
  const header = schema.fields.map((f) => cut(escapeControls(f.name), longest))
  const cells = rows.map((row) =>
    schema.fields.map((f) => cut(escapeControls(valueText(Reflect.get(row, f.name), f.type)), longest)),
  )
  const widths = header.map((name, i) =>
    cells.reduce((w, row) => Math.max(w, displayWidth(row[i] ?? '')), Math.max(MIN_COLUMN_WIDTH, displayWidth(name))),
  )
  const rule = `+${widths.map((w) => '-'.repeat(w)).join('+')}+`
  const line = (texts: readonly string[]): string =>
    `|${texts.map((text, i) => pad(text, widths[i] ?? 0, longest > 0)).join('|')}|`
  const lines = [rule, line(header), rule, ...cells.map(line), rule]
  if (more) lines.push(`only showing top ${rows.length} ${rows.length === 1 ? 'row' : 'rows'}`)
  return `${lines.join('\n')}\n`
}

function pad(text: string, width: number, toTheRight: boolean): string {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)))
  return toTheRight ? space + text : text + space
}

function cut(text: string, longest: number): string {
  if (longest === 0) return text
  const characters = Array.from(text)
  if (characters.length <= longest) return text
  // Four places are the least in which dots leave room for a character.
  return longest < 4 ? characters.slice(0, longest).join('') : `${characters.slice(0, longest - 3).join('')}...`
}

const controls: Readonly<Record<string, string>> = {
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\f': '\\f',
  '\b': '\\b',
  '\v': '\\v',
  '\x07': '\\a',
}

function escapeControls(text: string): string {
  return text.replace(/[\n\r\t\f\v\x07\x08]/g, (c) => controls[c] ?? c)
}

/** Scripts and forms that a terminal draws two places wide. */
const wide =
  /[\u1100-\u115F\u2E80-\u303E\u3041-\u33FF\u3400-\u4DBF\u4E00-\u9FFF\uA000-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{1F300}-\u{1FAFF}\u{20000}-\u{3FFFD}]/u
const zeroWidth = /^[\p{Mn}\p{Me}\p{Cf}]$/u

export function displayWidth(text: string): number {
  // Most cells are ASCII, where places and characters are the same number.
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let width = 0
  for (const character of text) width += zeroWidth.test(character) ? 0 : wide.test(character) ? 2 : 1
  return width
}
