import { MillraceError } from '../common/errors.js'
import {
  arrayType,
  type DataType,
  type Field,
  mapType,
  type ScalarKind,
  type StructType,
  scalar,
  structType,
} from './data-type.js'
import { assertFieldName } from './field-name.js'

/**
 * Spark's notation for schemas, the part of it that our types cover:
 *
 *   schema := field (',' field)*
 *   field  := name ':'? type ('NOT' 'NULL')? ('COMMENT' 'text')?
 *   type   := word | 'decimal' ( '(' digits (',' digits)? ')' )? | 'struct' '<' schema '>'
 *           | 'array' '<' type '>' | 'map' '<' type ',' type '>'
 *   name   := word | '`' anything, '``' for one backtick '`'
 *
 * Fields are nullable unless they say otherwise, as in Spark. Errors name the place in the text.
 */
export function parseDdl(text: string): StructType {
  const parser = new DdlParser(text)
  const type = structType(parser.fields([]))
  parser.expectEnd()
  return type
}

/** Spark's name → ours. Its bigint is the exact 64-bit type, as is its `long`. */
const scalars = new Map<string, ScalarKind>([
  ['string', 'string'],
  ['boolean', 'boolean'],
  ['byte', 'byte'],
  ['tinyint', 'byte'],
  ['short', 'short'],
  ['smallint', 'short'],
  ['int', 'int'],
  ['integer', 'int'],
  ['bigint', 'bigint'],
  ['long', 'bigint'],
  ['float', 'float'],
  ['real', 'float'],
  ['double', 'double'],
  ['date', 'date'],
  ['timestamp', 'timestamp'],
  ['binary', 'binary'],
])

const NESTING_MAX = 64

/** A type by itself, as `cast` and `from_json` take it: `array<int>`; or fields, which make a struct: `a int, b string`. */
export function parseTypeOrFields(text: string): DataType {
  const parser = new DdlParser(text)
  const type = parser.tryLoneType()
  return type ?? parseDdl(text)
}

/** The length of the type that `text` begins with, and the type; for a parser that meets a type in its text. */
export function parseTypeAt(text: string, at: number): { readonly type: DataType; readonly end: number } {
  const parser = new DdlParser(text, at)
  const type = parser.type([])
  return { type, end: parser.end }
}

export function holdsMap(type: DataType): boolean {
  if (type.kind === 'array') return holdsMap(type.element)
  return type.kind === 'map' || (type.kind === 'struct' && type.fields.some((f) => holdsMap(f.type)))
}

class DdlParser {
  #at: number

  constructor(
    readonly text: string,
    at = 0,
  ) {
    this.#at = at
    if (typeof text !== 'string') {
      throw new MillraceError('DDL_INVALID', 't.ddl takes a string', {
        detail: `found ${typeof text}`,
        hint: "t.ddl('page string, ts timestamp')",
      })
    }
  }

  fields(path: readonly string[]): Field[] {
    const fields: Field[] = []
    const names = new Set<string>()
    if (path.length > NESTING_MAX) this.#fail(this.#at, `structs are nested deeper than ${NESTING_MAX}`)
    do {
      this.#space()
      const start = this.#at
      const name = this.#name()
      assertFieldName(name, path)
      if (names.has(name)) this.#fail(start, `the field "${name}" is there twice`)
      names.add(name)
      this.#accept(':')
      const type = this.type([...path, name])
      const nullable = !this.#notNull()
      if (this.#word('comment')) this.#quoted()
      fields.push({ name, type, nullable })
    } while (this.#accept(','))
    return fields
  }

  get end(): number {
    return this.#at
  }

  /** The type that is the whole text; undefined where the text is something else (and then likely fields). */
  tryLoneType(): DataType | undefined {
    try {
      const type = this.type([])
      this.#space()
      return this.#at === this.text.length ? type : undefined
    } catch (error) {
      if (error instanceof MillraceError && error.code === 'DDL_INVALID') return undefined
      throw error
    }
  }

  expectEnd(): void {
    this.#space()
    if (this.#at < this.text.length) this.#fail(this.#at, `expected "," or the end, found ${this.#found()}`)
  }

  type(path: readonly string[]): DataType {
    if (path.length > NESTING_MAX) this.#fail(this.#at, `types are nested deeper than ${NESTING_MAX}`)
    this.#space()
    const start = this.#at
    const word = this.#identifier()
    if (word === '') this.#fail(start, `expected a type, found ${this.#found()}`)
    const lower = word.toLowerCase()
    const kind = scalars.get(lower)
    if (kind !== undefined) return scalar(kind)
    if (lower === 'decimal' || lower === 'dec' || lower === 'numeric') return this.#decimal(start)
    if (lower === 'struct') {
      this.#expect('<')
      const fields = this.fields(path)
      this.#expect('>')
      return structType(fields)
    }
    if (lower === 'array') {
      this.#expect('<')
      const element = this.type([...path, 'element'])
      this.#expect('>')
      return arrayType(element)
    }
    if (lower === 'map') {
      this.#expect('<')
      const key = this.type([...path, 'key'])
      if (holdsMap(key)) this.#fail(start, 'the key of a map cannot be a map')
      this.#expect(',')
      const value = this.type([...path, 'value'])
      this.#expect('>')
      return mapType(key, value)
    }
    return this.#fail(
      start,
      `there is no type "${word}"`,
      `types: ${[...scalars.keys()].join(', ')}, decimal(p,s), struct<…>, array<…>, map<…>`,
    )
  }

  #decimal(start: number): DataType {
    let precision = 10
    let scale = 0
    if (this.#accept('(')) {
      precision = this.#number()
      if (this.#accept(',')) scale = this.#number()
      this.#expect(')')
    }
    if (precision < 1 || precision > 38 || scale > precision) {
      this.#fail(start, `decimal(${precision},${scale}): the precision is 1 to 38, the scale 0 to the precision`)
    }
    return Object.freeze({ kind: 'decimal', precision, scale })
  }

  #notNull(): boolean {
    if (!this.#word('not')) return false
    if (!this.#word('null')) this.#fail(this.#at, `expected "null" after "not", found ${this.#found()}`)
    return true
  }

  #name(): string {
    if (this.text[this.#at] !== '`') {
      const word = this.#identifier()
      if (word === '') this.#fail(this.#at, `expected a field name, found ${this.#found()}`)
      return word
    }
    const start = this.#at
    let name = ''
    for (this.#at++; this.#at < this.text.length; this.#at++) {
      const c = this.text[this.#at] as string
      if (c === '`') {
        if (this.text[this.#at + 1] !== '`') {
          this.#at++
          return name
        }
        this.#at++
      }
      name += c
    }
    return this.#fail(start, 'the name in backticks does not end')
  }

  #quoted(): void {
    this.#space()
    const start = this.#at
    const quote = this.text[start]
    if (quote !== "'" && quote !== '"') this.#fail(start, `expected a text in quotes, found ${this.#found()}`)
    for (this.#at++; this.#at < this.text.length; this.#at++) {
      if (this.text[this.#at] === '\\') this.#at++
      else if (this.text[this.#at] === quote) {
        this.#at++
        return
      }
    }
    this.#fail(start, 'the comment does not end')
  }

  #identifier(): string {
    const start = this.#at
    while (this.#at < this.text.length && /[\p{L}\p{N}_$]/u.test(this.text[this.#at] as string)) this.#at++
    return this.text.slice(start, this.#at)
  }

  #number(): number {
    this.#space()
    const start = this.#at
    while (/[0-9]/.test(this.text[this.#at] ?? '')) this.#at++
    if (start === this.#at) this.#fail(start, `expected a number, found ${this.#found()}`)
    return Number(this.text.slice(start, this.#at))
  }

  /** Takes `word` if it stands next, in any case. */
  #word(word: string): boolean {
    this.#space()
    const start = this.#at
    if (this.#identifier().toLowerCase() === word) return true
    this.#at = start
    return false
  }

  #accept(mark: string): boolean {
    this.#space()
    if (this.text[this.#at] !== mark) return false
    this.#at++
    return true
  }

  #expect(mark: string): void {
    if (!this.#accept(mark)) this.#fail(this.#at, `expected "${mark}", found ${this.#found()}`)
  }

  #space(): void {
    while (/\s/.test(this.text[this.#at] ?? '')) this.#at++
  }

  #found(): string {
    const rest = this.text.slice(this.#at, this.#at + 12)
    return rest === '' ? 'the end' : JSON.stringify(rest)
  }

  #fail(at: number, what: string, hint?: string): never {
    throw new MillraceError('DDL_INVALID', `schema text, position ${at + 1}: ${what}`, {
      detail: `${this.text.slice(Math.max(0, at - 30), at)}▸${this.text.slice(at, at + 30)}`,
      hint,
    })
  }
}
