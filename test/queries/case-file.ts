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
  readonly input: CaseInput
  /** What `union` and its like put beside the input. */
  readonly other?: CaseInput
  readonly operators: Operators
  readonly output: 'append' | 'update' | 'complete'
  readonly modes: readonly CaseMode[]
  readonly expect?: {
    readonly columns: readonly string[]
    readonly rows: readonly (readonly string[])[]
    readonly ordered: boolean
  }
  readonly error?: string
}

export interface CaseInput {
  readonly schema: StructType
  /** By partition, then by send. */
  readonly sends: readonly (readonly (readonly Row[])[])[]
  /** What is done with it before anything else. */
  readonly operators: Operators
  /** In a streaming mode too it is read to its end, and whole before the query begins. */
  readonly ends: boolean
}

export type Operators = readonly { readonly name: string; readonly args: readonly Argument[] }[]

/** The inputs of a case, and what the topic of each is called. */
export function inputsOf(
  query: QueryCase,
  topic: string,
): readonly { readonly topic: string; readonly input: CaseInput }[] {
  const first = { topic, input: query.input }
  return query.other === undefined ? [first] : [first, { topic: `${topic}-other`, input: query.other }]
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
  const inputOf = (suffix: string): CaseInput => {
    const schema = structType(linesOf(need(`schema${suffix}`)).map(parseField))
    return {
      schema,
      sends: parseInput(need(`input${suffix}`).lines, schema),
      operators: linesOf(sections.get(`query${suffix}`)).map(parseOperator),
      ends: need(`schema${suffix}`).head === 'ends',
    }
  }
  const expect = sections.get('expect')
  const output = sections.get('output')?.head ?? 'append'
  if (output !== 'append' && output !== 'update' && output !== 'complete')
    throw new Error(`${file}: output '${output}'`)
  const modes = sections.get('modes')?.head.split(/\s+/) ?? caseModes
  const error = sections.get('error')?.head
  return {
    title: need('title').head,
    input: { ...inputOf(''), operators: [] },
    ...(sections.has('schema2') ? { other: inputOf('2') } : {}),
    operators: linesOf(need('query')).map(parseOperator),
    output,
    modes: caseModes.filter((mode) => modes.includes(mode)),
    ...(error === undefined ? {} : { error }),
    ...(expect === undefined ? {} : { expect: parseExpect(expect) }),
  }
}

const linesOf = (section: Section | undefined): readonly string[] => section?.lines.filter((l) => l !== '') ?? []

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

function parseOperator(line: string): Operators[number] {
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
