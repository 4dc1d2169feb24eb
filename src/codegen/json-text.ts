import { formatDouble } from './text-values.js'

/**
 * JSON as Spark's functions read it: texts may stand in single quotes, what follows the first value is not looked
 * at, a name may be there twice, numbers keep their digits. JSON.parse does none of that.
 */
export type JsonValue =
  | { readonly kind: 'object'; readonly fields: readonly (readonly [name: string, value: JsonValue])[] }
  | { readonly kind: 'array'; readonly items: readonly JsonValue[] }
  | { readonly kind: 'text'; readonly text: string }
  /** `NaN`, `Infinity` and `-Infinity` only where they are allowed. */
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'true' | 'false' | 'null' }

/** Brackets within brackets, at most; Jackson's own limit. */
const DEPTH_MAX = 1000

/** Undefined where the text does not begin with a value. */
export function parseJson(text: string, nonNumeric = false): JsonValue | undefined {
  try {
    return new JsonParser(text, nonNumeric).value(0)
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}

class Malformed extends Error {}

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/y
const wordPattern = /(?:true|false|null|NaN|[+-]?Infinity|[+-]?INF)(?!\w)/y
const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

class JsonParser {
  #at = 0

  constructor(
    readonly text: string,
    readonly nonNumeric: boolean,
  ) {}

  value(depth: number): JsonValue {
    if (depth > DEPTH_MAX) throw new Malformed()
    this.#space()
    const c = this.text[this.#at]
    if (c === '{') return this.#object(depth)
    if (c === '[') return this.#array(depth)
    if (c === '"' || c === "'") return { kind: 'text', text: this.#string(c) }
    const number = this.#match(numberPattern)
    if (number !== undefined) return { kind: 'number', text: number }
    const word = this.#match(wordPattern)
    if (word === 'true' || word === 'false' || word === 'null') return { kind: word }
    if (word === undefined || !this.nonNumeric) throw new Malformed()
    const size = word === 'NaN' ? word : 'Infinity'
    return { kind: 'number', text: word.startsWith('-') ? `-${size}` : size }
  }

  #object(depth: number): JsonValue {
    const fields: [string, JsonValue][] = []
    this.#at++
    this.#space()
    if (this.#accept('}')) return { kind: 'object', fields }
    do {
      this.#space()
      const quote = this.text[this.#at]
      if (quote !== '"' && quote !== "'") throw new Malformed()
      const name = this.#string(quote)
      this.#expect(':')
      fields.push([name, this.value(depth + 1)])
    } while (this.#accept(','))
    this.#expect('}')
    return { kind: 'object', fields }
  }

  #array(depth: number): JsonValue {
    const items: JsonValue[] = []
    this.#at++
    this.#space()
    if (this.#accept(']')) return { kind: 'array', items }
    do items.push(this.value(depth + 1))
    while (this.#accept(','))
    this.#expect(']')
    return { kind: 'array', items }
  }

  #string(quote: string): string {
    const { text } = this
    let result = ''
    let from = ++this.#at
    for (;;) {
      const c = text[this.#at]
      if (c === undefined || c < ' ') throw new Malformed()
      if (c === quote) {
        result += text.slice(from, this.#at++)
        return result
      }
      if (c !== '\\') {
        this.#at++
        continue
      }
      result += text.slice(from, this.#at)
      const next = text[this.#at + 1] ?? ''
      const hex = next === 'u' ? text.slice(this.#at + 2, this.#at + 6) : ''
      if (next === 'u' && /^[0-9a-fA-F]{4}$/.test(hex)) {
        result += String.fromCharCode(Number.parseInt(hex, 16))
        this.#at += 6
      } else if (Object.hasOwn(escapes, next)) {
        result += escapes[next] as string
        this.#at += 2
      } else throw new Malformed()
      from = this.#at
    }
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.text)?.[0]
    if (found !== undefined) this.#at += found.length
    return found
  }

  #space(): void {
    for (;;) {
      const c = this.text.charCodeAt(this.#at)
      if (c !== 32 && c !== 9 && c !== 10 && c !== 13) return
      this.#at++
    }
  }

  #accept(c: string): boolean {
    this.#space()
    if (this.text[this.#at] !== c) return false
    this.#at++
    return true
  }

  #expect(c: string): void {
    if (!this.#accept(c)) throw new Malformed()
  }
}

export const isWhole = (text: string): boolean => /^-?\d+$/.test(text)

/** A number with a point or an exponent is printed as the double that it is. */
export function numberText(text: string): string {
  return isWhole(text) ? text : formatDouble(Number(text))
}

export function jsonString(text: string): string {
  return JSON.stringify(text).replace(/\\ud[89a-f][0-9a-f]{2}/gi, '\ufffd')
}

/** Without spaces; the fields in their order, those that are there twice as well. */
export function jsonText(value: JsonValue): string {
  switch (value.kind) {
    case 'object':
      return `{${value.fields.map(([name, v]) => `${jsonString(name)}:${jsonText(v)}`).join(',')}}`
    case 'array':
      return `[${value.items.map(jsonText).join(',')}]`
    case 'text':
      return jsonString(value.text)
    case 'number':
      return numberText(value.text)
    default:
      return value.kind
  }
}
