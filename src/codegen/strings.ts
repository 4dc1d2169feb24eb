import { editDistance } from '../common/edit-distance.js'
import { MillraceError } from '../common/errors.js'
import { encodeUtf8 } from '../common/utf8.js'

/** Functions of text. Lengths and positions count code points; the first position is 1. */

/** True where UTF-16 units and code points are the same. */
function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xf800) === 0xd800) return false
  return true
}

export function codePointLength(text: string): number {
  let length = text.length
  for (let i = 0; i + 1 < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      length--
      i++
    }
  }
  return length
}

/** Code points [from, to). */
function slice(text: string, from: number, to: number): string {
  if (to <= from) return ''
  return isPlain(text) ? text.slice(from, to) : [...text].slice(from, to).join('')
}

/** Position 0 counts as 1; a negative one counts from the end. A start before the text eats of the length. */
export function substring(text: string, position: number, length = Number.POSITIVE_INFINITY): string {
  const size = codePointLength(text)
  const start = position > 0 ? position - 1 : position < 0 ? size + position : 0
  return slice(text, Math.max(0, start), Math.min(size, start + length))
}

export function left(text: string, length: number): string {
  return slice(text, 0, length)
}

export function right(text: string, length: number): string {
  if (length <= 0) return ''
  const size = codePointLength(text)
  return slice(text, Math.max(0, size - length), size)
}

export function reverse(text: string): string {
  return [...text].reverse().join('')
}

/** The first letter of each word, words being parted by spaces; ß becomes Ss. */
export function initcap(text: string): string {
  return text.replace(/[^ ]+/gsu, (word) => {
    const [first = ''] = word
    return titleCase(first) + word.slice(first.length).toLowerCase()
  })
}

function titleCase(letter: string): string {
  const [first = '', ...rest] = letter.toUpperCase()
  return first + rest.join('').toLowerCase()
}

/** Code points to insert, remove or replace. */
export function levenshtein(a: string, b: string): number {
  if (isPlain(a) && isPlain(b)) return editDistance(a, b)
  const [from, to] = [[...a], [...b]]
  let row = to.map((_, j) => j + 1)
  let last = to.length
  from.forEach((point, i) => {
    let diagonal = i
    last = i + 1
    row = to.map((other, j) => {
      const above = row[j] as number
      last = Math.min(above + 1, last + 1, diagonal + (point === other ? 0 : 1))
      diagonal = above
      return last
    })
    if (to.length === 0) last = i + 1
  })
  return last
}

/** Spaces only by default, not tabs; with a set of characters, all of those. */
export function trimStart(text: string, characters = ' '): string {
  let i = 0
  if (characters === ' ') {
    while (i < text.length && text.charCodeAt(i) === 32) i++
    return text.slice(i)
  }
  const set = new Set(characters)
  for (const point of text) {
    if (!set.has(point)) break
    i += point.length
  }
  return text.slice(i)
}

export function trimEnd(text: string, characters = ' '): string {
  if (characters === ' ') {
    let end = text.length
    while (end > 0 && text.charCodeAt(end - 1) === 32) end--
    return text.slice(0, end)
  }
  const set = new Set(characters)
  const points = [...text]
  while (points.length > 0 && set.has(points[points.length - 1] as string)) points.pop()
  return points.join('')
}

export function trim(text: string, characters = ' '): string {
  return trimEnd(trimStart(text, characters), characters)
}

/** Where a text could not be built it is the user's number that was too big. */
const TEXT_LENGTH_MAX = 1 << 24

export function repeat(text: string, times: number): string {
  if (times <= 0 || text === '') return ''
  assertLength(text.length * times)
  return text.repeat(times)
}

function assertLength(length: number): void {
  if (length <= TEXT_LENGTH_MAX) return
  throw new MillraceError('STRING_TOO_LONG', `a string of ${length} characters would be made`, {
    detail: `the limit is ${TEXT_LENGTH_MAX}`,
    hint: 'repeat or pad to a smaller length',
  })
}

export function padStart(text: string, length: number, pad = ' '): string {
  return padding(text, length, pad, (filler) => filler + text)
}

export function padEnd(text: string, length: number, pad = ' '): string {
  return padding(text, length, pad, (filler) => text + filler)
}

function padding(text: string, length: number, pad: string, join: (filler: string) => string): string {
  if (length <= 0) return ''
  const size = codePointLength(text)
  if (size >= length) return slice(text, 0, length)
  if (pad === '') return text
  assertLength(length)
  const missing = length - size
  const filler = pad.repeat(Math.ceil(missing / codePointLength(pad)))
  return join(slice(filler, 0, missing))
}

/** Code point position of the first occurrence, 0 for none. */
export function instr(text: string, part: string): number {
  return codePointPosition(text, text.indexOf(part))
}

export function locate(part: string, text: string, from = 1): number {
  if (from <= 0) return 0
  const start = slice(text, 0, from - 1)
  if (codePointLength(start) < from - 1) return 0
  return codePointPosition(text, text.indexOf(part, start.length))
}

function codePointPosition(text: string, unit: number): number {
  return unit < 0 ? 0 : codePointLength(text.slice(0, unit)) + 1
}

export function replace(text: string, search: string, replacement = ''): string {
  return search === '' ? text : text.replaceAll(search, () => replacement)
}

/** Each character of `from` becomes the one at its place in `to`, or nothing. */
export function translate(text: string, from: string, to: string): string {
  const targets = [...to]
  const map = new Map<string, string>()
  ;[...from].forEach((point, i) => {
    if (!map.has(point)) map.set(point, targets[i] ?? '')
  })
  let result = ''
  for (const point of text) result += map.get(point) ?? point
  return result
}

/** Everything before the n-th delimiter, counted from the left, or after it, counted from the right. */
export function substringIndex(text: string, delimiter: string, count: number): string {
  if (count === 0 || delimiter === '') return ''
  let at = count > 0 ? -1 : text.length
  for (let i = 0; i < Math.abs(count); i++) {
    at =
      count > 0 ? text.indexOf(delimiter, at === -1 ? 0 : at + 1) : at === 0 ? -1 : text.lastIndexOf(delimiter, at - 1)
    if (at === -1) return text
  }
  return count > 0 ? text.slice(0, at) : text.slice(at + delimiter.length)
}

export function splitPart(text: string, delimiter: string, part: number): string {
  if (part === 0)
    throw new MillraceError('INVALID_INDEX_OF_ZERO', 'splitPart counts from 1', {
      detail: 'found part 0',
      hint: 'negative counts from the end',
    })
  if (delimiter === '') return part === 1 || part === -1 ? text : ''
  return part > 0 ? partFromLeft(text, delimiter, part) : partFromRight(text, delimiter, -part)
}

/** Without the array that `split` would make. */
function partFromLeft(text: string, delimiter: string, part: number): string {
  let from = 0
  for (let n = 1; ; n++) {
    const at = text.indexOf(delimiter, from)
    if (n === part) return at === -1 ? text.slice(from) : text.slice(from, at)
    if (at === -1) return ''
    from = at + delimiter.length
  }
}

/** Where delimiters could overlap they are those that are found from the left. */
function partFromRight(text: string, delimiter: string, part: number): string {
  const parts = text.split(delimiter)
  return parts[parts.length - part] ?? ''
}

export function concat(...texts: string[]): string {
  let result = ''
  for (const text of texts) result += text
  return result
}

export function concatBinary(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts))
}

export function concatWs(separator: string, ...texts: (string | null)[]): string {
  let result = ''
  let first = true
  for (const text of texts) {
    if (text === null) continue
    result += first ? text : separator + text
    first = false
  }
  return result
}

export function ascii(text: string): number {
  return text.codePointAt(0) ?? 0
}

/** Spark takes the number modulo 256. */
export function chr(code: number): string {
  return code < 0 ? '' : String.fromCharCode(code & 0xff)
}

const hexOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex').toUpperCase()

export function hex(value: number | bigint | string | Uint8Array): string {
  if (typeof value === 'string') return hexOf(encodeUtf8(value))
  if (typeof value === 'number' || typeof value === 'bigint')
    return BigInt.asUintN(64, BigInt(value)).toString(16).toUpperCase()
  return hexOf(value)
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

export function utf8ByteLength(text: string): number {
  return Buffer.byteLength(text)
}
