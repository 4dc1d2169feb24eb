import { MillraceError } from '../common/errors.js'

/**
 * SQL text as tokens with their places. Two kinds of comments, two kinds of quotes for texts, backticks for
 * names. What a token means is the parser's affair: SQL has hardly a word that is not a name somewhere.
 */
export interface Token {
  readonly kind: 'word' | 'name' | 'text' | 'number' | 'sign' | 'end'
  /** A text's and a name's content; all else as it stands. */
  readonly text: string
  /** Of a word and a number: in upper case. Empty for all else. */
  readonly upper: string
  readonly start: number
  readonly end: number
  /** Of a text: `X`, `R` or nothing before its quote. */
  readonly prefix?: string
}

/** A text of this length is no expression; it is refused before it costs anything. */
const TEXT_LENGTH_MAX = 1 << 20

const signs = ['<=>', '>>>', '->', '::', '<=', '>=', '<>', '!=', '==', '||', '<<', '>>', '=>']

export function tokenize(sql: string): readonly Token[] {
  if (sql.length > TEXT_LENGTH_MAX)
    throw syntaxError(sql, 0, `the text has ${sql.length} characters, ${TEXT_LENGTH_MAX} are allowed`)
  const tokens: Token[] = []
  let at = 0
  for (;;) {
    at = skipSpace(sql, at)
    const token = readToken(sql, at)
    tokens.push(token)
    if (token.kind === 'end') return tokens
    at = token.end
  }
}

function skipSpace(sql: string, from: number): number {
  let at = from
  for (;;) {
    const c = sql[at]
    if (c !== undefined && /\s/.test(c)) at++
    else if (sql.startsWith('--', at)) {
      const end = sql.indexOf('\n', at)
      at = end === -1 ? sql.length : end + 1
    } else if (sql.startsWith('/*', at)) at = skipComment(sql, at)
    else return at
  }
}

/** Comments in brackets may hold one another. */
function skipComment(sql: string, start: number): number {
  let depth = 1
  let at = start + 2
  while (depth > 0) {
    if (at >= sql.length) throw syntaxError(sql, start, 'the comment does not end')
    if (sql.startsWith('/*', at)) {
      depth++
      at += 2
    } else if (sql.startsWith('*/', at)) {
      depth--
      at += 2
    } else at++
  }
  return at
}

const wordPattern = /[\p{L}_][\p{L}\p{N}_]*/uy
const numberPattern = /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?:[lLsSyYdDfF]|[bB][dD])?(?![\p{L}\p{N}_])/uy
const startsNumber = /[0-9]|\.[0-9]/y

function matchAt(pattern: RegExp, sql: string, at: number): string | undefined {
  pattern.lastIndex = at
  return pattern.exec(sql)?.[0]
}

function readToken(sql: string, at: number): Token {
  const c = sql[at]
  if (c === undefined) return { kind: 'end', text: '', upper: '', start: at, end: at }
  if (c === "'" || c === '"') return readText(sql, at, at, '')
  if ((sql[at + 1] === "'" || sql[at + 1] === '"') && /[xXrR]/.test(c))
    return readText(sql, at, at + 1, c.toUpperCase())
  if (c === '`') return readName(sql, at)
  if (matchAt(startsNumber, sql, at) !== undefined) {
    const number = matchAt(numberPattern, sql, at)
    if (number === undefined) throw syntaxError(sql, at, 'that is neither a number nor a name')
    return { kind: 'number', text: number, upper: number.toUpperCase(), start: at, end: at + number.length }
  }
  const word = matchAt(wordPattern, sql, at)
  if (word !== undefined)
    return { kind: 'word', text: word, upper: word.toUpperCase(), start: at, end: at + word.length }
  const sign = signs.find((s) => sql.startsWith(s, at)) ?? c
  if (!/[-+*/%<>=!~&|^()[\],.:]/.test(c))
    throw syntaxError(sql, at, `the character ${JSON.stringify(c)} has no meaning here`)
  return { kind: 'sign', text: sign, upper: '', start: at, end: at + sign.length }
}

function readName(sql: string, start: number): Token {
  let text = ''
  for (let at = start + 1; at < sql.length; at++) {
    if (sql[at] !== '`') text += sql[at]
    else if (sql[at + 1] === '`') {
      text += '`'
      at++
    } else {
      if (text === '') throw syntaxError(sql, start, 'the name in backticks is empty')
      return { kind: 'name', text, upper: '', start, end: at + 1 }
    }
  }
  throw syntaxError(sql, start, 'the name in backticks does not end')
}

const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  '0': '\0',
  Z: '\x1a',
  '%': '\\%',
  _: '\\_',
}

/** A doubled quote is one quote; a backslash takes the next character, with C's meanings of some. */
function readText(sql: string, start: number, open: number, prefix: string): Token {
  const quote = sql[open] as string
  let text = ''
  for (let at = open + 1; at < sql.length; at++) {
    const c = sql[at] as string
    if (c === quote) {
      if (sql[at + 1] !== quote || prefix !== '') return { kind: 'text', text, upper: '', start, end: at + 1, prefix }
      text += quote
      at++
    } else if (c === '\\' && prefix !== 'R' && at + 1 < sql.length) {
      const [read, length] = readEscape(sql, at)
      text += read
      at += length - 1
    } else text += c
  }
  throw syntaxError(sql, start, 'the text does not end')
}

function readEscape(sql: string, at: number): readonly [text: string, length: number] {
  const unicode = /^\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/.exec(sql.slice(at, at + 10))
  if (unicode !== null) {
    const code = Number.parseInt(unicode[1] ?? unicode[2] ?? '', 16)
    if (code <= 0x10ffff) return [String.fromCodePoint(code), unicode[0].length]
  }
  const octal = /^\\([0-3][0-7]{2})/.exec(sql.slice(at, at + 4))
  if (octal !== null) return [String.fromCharCode(Number.parseInt(octal[1] as string, 8)), 4]
  const c = sql[at + 1] as string
  return [Object.hasOwn(escapes, c) ? (escapes[c] as string) : c, 2]
}

/** Where, in words and with a caret below the line. */
export function syntaxError(
  sql: string,
  at: number,
  what: string,
  hint = "an expression of Spark's SQL was expected: price * 2 > 5 and page like '/a%'; odd names stand in backticks",
): MillraceError {
  const before = sql.slice(0, at)
  const line = before.split('\n').length
  const lineStart = before.lastIndexOf('\n') + 1
  const nextBreak = sql.indexOf('\n', at)
  const text = sql.slice(lineStart, nextBreak === -1 ? sql.length : nextBreak)
  const column = at - lineStart
  // A long line is shown around the place.
  const from = Math.max(0, column - 60)
  const shown = text.slice(from, column + 40)
  return new MillraceError('PARSE_SYNTAX_ERROR', `SQL text, line ${line}, column ${column + 1}: ${what}`, {
    detail: `${shown}\n${' '.repeat(column - from)}^`,
    hint,
  })
}
