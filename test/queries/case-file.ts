import {
  type DataType,
  type Field,
  type ScalarKind,
  type StructType,
  scalar,
  structType,
} from '../../src/types/data-type.js'
import { type Argument, parseArguments } from './expression-text.js'

/** A query case as README.md beside this file describes it. */
export interface QueryCase {
  readonly title: string
  readonly schema: StructType
  /** By partition, then by send. */
  readonly input: readonly (readonly (readonly Row[])[])[]
  readonly operators: readonly { readonly name: string; readonly args: readonly Argument[] }[]
  readonly output: 'append' | 'update' | 'complete'
  readonly modes: readonly CaseMode[]
  readonly expect?: {
    readonly columns: readonly string[]
    readonly rows: readonly (readonly string[])[]
    readonly ordered: boolean
  }
  readonly error?: string
}

export type CaseMode = 'batch' | 'micro-batch' | 'continuous'
export type Row = Record<string, unknown>

const caseModes: readonly CaseMode[] = ['batch', 'micro-batch', 'continuous']

export function parseCase(text: string, file: string): QueryCase {
  const sections = sectionsOf(text)
  const need = (name: string): Section => {
    const section = sections.get(name)
    if (section === undefined) throw new Error(`${file} has no section '${name}:'`)
    return section
  }
  const schema = structType(
    need('schema')
      .lines.filter((l) => l !== '')
      .map(parseField),
  )
  const expect = sections.get('expect')
  const output = sections.get('output')?.head ?? 'append'
  if (output !== 'append' && output !== 'update' && output !== 'complete')
    throw new Error(`${file}: output '${output}'`)
  const modes = sections.get('modes')?.head.split(/\s+/) ?? caseModes
  const error = sections.get('error')?.head
  return {
    title: need('title').head,
    schema,
    input: parseInput(need('input').lines, schema),
    operators: need('query')
      .lines.filter((l) => l !== '')
      .map(parseOperator),
    output,
    modes: caseModes.filter((mode) => modes.includes(mode)),
    ...(error === undefined ? {} : { error }),
    ...(expect === undefined ? {} : { expect: parseExpect(expect) }),
  }
}

interface Section {
  head: string
  lines: string[]
}

function sectionsOf(text: string): Map<string, Section> {
  const sections = new Map<string, Section>()
  let current: Section | undefined
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue
    const start = /^(\w+):\s*(.*)$/.exec(line)
    if (start !== null) {
      current = { head: (start[2] ?? '').trim(), lines: [] }
      sections.set(start[1] ?? '', current)
    } else {
      current?.lines.push(line.trim())
    }
  }
  return sections
}

function parseField(line: string): Field {
  const match = /^(\S+)\s+(.+?)(\s+nullable)?$/.exec(line)
  if (match === null) throw new Error(`not a field: '${line}'`)
  return { name: match[1] ?? '', type: parseType(match[2] ?? ''), nullable: match[3] !== undefined }
}

/** `string`, `decimal(10, 2)`, `struct(city string, zip string nullable)`. */
function parseType(text: string): DataType {
  const decimal = /^decimal\((\d+),\s*(\d+)\)$/.exec(text)
  if (decimal !== null) return { kind: 'decimal', precision: Number(decimal[1]), scale: Number(decimal[2]) }
  const struct = /^struct\((.*)\)$/.exec(text)
  if (struct !== null) return structType(splitTop(struct[1] ?? '', ',').map(parseField))
  return scalar(text as ScalarKind)
}

function parseInput(lines: readonly string[], schema: StructType): Row[][][] {
  const partitions: Row[][][] = []
  let sends: Row[][] | undefined
  let open = false
  for (const line of lines) {
    const partition = /^partition (\d+)$/.exec(line)
    if (partition !== null) {
      sends = []
      partitions[Number(partition[1])] = sends
      open = false
    } else if (line === '') {
      open = false
    } else {
      if (sends === undefined) throw new Error(`a row before the first 'partition': ${line}`)
      if (!open) sends.push([])
      open = true
      const cells = splitTop(line, '|')
      const row: Row = {}
      schema.fields.forEach((field, i) => {
        row[field.name] = parseCell(cells[i] ?? 'null', field.type)
      })
      sends.at(-1)?.push(row)
    }
  }
  return Array.from(partitions, (p) => p ?? [])
}

function parseOperator(line: string): QueryCase['operators'][number] {
  const space = line.indexOf(' ')
  if (space === -1) return { name: line, args: [] }
  return { name: line.slice(0, space), args: parseArguments(line.slice(space + 1)) }
}

function parseExpect(section: Section): NonNullable<QueryCase['expect']> {
  const lines = section.lines.filter((l) => l !== '').map((l) => splitTop(l, '|'))
  const [columns = [], ...rows] = lines
  return { columns, rows, ordered: section.head === 'ordered' }
}

export function parseCell(cell: string, type: DataType): unknown {
  if (cell === 'null') return null
  switch (type.kind) {
    case 'string':
      return cell.startsWith('"') ? (JSON.parse(cell) as string) : cell
    case 'boolean':
      return cell === 'true'
    case 'bigint':
      return BigInt(cell)
    case 'timestamp':
      return parseTime(cell)
    case 'binary':
      return Uint8Array.from(Buffer.from(cell, 'hex'))
    case 'date':
    case 'decimal':
      return cell
    case 'struct': {
      const cells = splitTop(cell.slice(1, -1), ',')
      return Object.fromEntries(type.fields.map((f, i) => [f.name, parseCell(cells[i] ?? 'null', f.type)]))
    }
    default:
      return Number(cell)
  }
}

function parseTime(cell: string): number {
  if (/^-?\d+$/.test(cell)) return Number(cell)
  const time = Date.parse(cell.includes('-') ? `${cell.replace(' ', 'T')}Z` : `2024-01-01T${cell}Z`)
  if (Number.isNaN(time)) throw new Error(`not a time: '${cell}'`)
  return time
}

/** Splits outside of quotes, braces and parentheses; the parts are trimmed. */
export function splitTop(text: string, separator: string): string[] {
  const parts: string[] = []
  let depth = 0
  let quoted = false
  let from = 0
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i] as string
    if (quoted) {
      if (c === '\\') i += 1
      else if (c === '"') quoted = false
    } else if (c === '"') quoted = true
    else if (c === '{' || c === '(') depth += 1
    else if (c === '}' || c === ')') depth -= 1
    else if (c === separator && depth === 0) {
      parts.push(text.slice(from, i).trim())
      from = i + 1
    }
  }
  parts.push(text.slice(from).trim())
  return parts
}
