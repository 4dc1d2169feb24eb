import { copiedBytes, newBytes, VarintReader, varintLength, writeVarint } from '../common/bytes.js'
import { MillraceError } from '../common/errors.js'
import { decodeUtf8, utf8Length, writeUtf8 } from '../common/utf8.js'
import { invalidValue } from '../types/invalid-value.js'
import { isBytes } from '../types/user-value.js'
import { FIELD_BYTES_MAX, recordTooLarge } from './prepared-batch.js'

/**
 * Headers of a record, in Kafka's encoding, which both payloads share:
 *
 *   // count varint, then for each: keyLength varint, key (UTF-8), valueLength varint (-1 = null), value
 *
 * A user's headers are an object as in kafkajs; a name with an array stands for several headers.
 */
export type HeaderValue = string | Uint8Array | null
export type Headers = Readonly<Record<string, HeaderValue | readonly (string | Uint8Array)[] | undefined>>
/** One header by its name. */
export type HeaderPair = readonly [name: string, value: HeaderValue]

/** Headers in an order of their own, where an object would bring together those of one name. */
export class HeaderList {
  constructor(readonly pairs: readonly HeaderPair[]) {}
}

/** What comes out: bytes, or a list of them where a name is there more than once. */
export type ReadHeaders = Record<string, Uint8Array | null | (Uint8Array | null)[]>

/** One encoded list: null where there are no headers. Checked; `path` names it in messages. */
export function encodeHeaders(headers: unknown, path: string): Uint8Array | null {
  if (headers === undefined || headers === null) return null
  if (headers instanceof HeaderList) return encodePairs(headers.pairs)
  if (typeof headers !== 'object' || Array.isArray(headers)) throw invalidValue(path, headers, 'an object of headers')
  const pairs: HeaderPair[] = []
  let least = 0
  for (const [name, given] of Object.entries(headers)) {
    if (given === undefined) continue
    const list: readonly unknown[] = Array.isArray(given) ? given : [given]
    for (const value of list) {
      if (value !== null && typeof value !== 'string' && !isBytes(value)) {
        throw invalidValue(`${path}.${name}`, value, 'a string, a Uint8Array, a list of them, or null')
      }
      least += name.length + (value?.length ?? 0)
      if (least > FIELD_BYTES_MAX) throw recordTooLarge(path, `at least ${least}`, FIELD_BYTES_MAX)
      pairs.push([name, value])
    }
  }
  return encodePairs(pairs)
}

function encodePairs(pairs: readonly HeaderPair[]): Uint8Array | null {
  if (pairs.length === 0) return null
  let bytes = varintLength(pairs.length)
  for (const [name, value] of pairs) {
    const nameLength = utf8Length(name)
    const length = valueLength(value)
    bytes += varintLength(nameLength) + nameLength + varintLength(length) + Math.max(0, length)
  }
  const target = newBytes(bytes)
  let at = writeVarint(target, 0, pairs.length)
  for (const [name, value] of pairs) {
    at = writeVarint(target, at, utf8Length(name))
    at = writeUtf8(target, at, name)
    at = writeVarint(target, at, valueLength(value))
    if (typeof value === 'string') at = writeUtf8(target, at, value)
    else if (value !== null) {
      target.set(value, at)
      at += value.length
    }
  }
  return target
}

/** Headers out of bytes [from, to), which must be exactly one list. */
export function decodeHeaders(u8: Uint8Array, from: number, to: number): ReadHeaders {
  const result: ReadHeaders = {}
  readPairs(u8, from, to, (name, value) => add(result, name, value))
  return result
}

/** The same as a list, in their order. */
export function decodeHeaderPairs(u8: Uint8Array, from: number, to: number): readonly HeaderPair[] {
  const pairs: HeaderPair[] = []
  readPairs(u8, from, to, (name, value) => pairs.push([name, value]))
  return pairs
}

function readPairs(
  u8: Uint8Array,
  from: number,
  to: number,
  take: (name: string, value: Uint8Array | null) => void,
): void {
  const reader = new VarintReader(u8, from, to)
  const count = reader.varint()
  // A header takes two bytes at least, so a count beyond that is a lie; nothing is allocated by it anyway.
  if (!reader.ok || count < 0 || count * 2 > to - reader.at) corrupt(`found ${count} headers in ${to - from} bytes`)
  const source = { u8, node: Buffer.from(u8.buffer, u8.byteOffset, u8.byteLength) }
  for (let i = 0; i < count; i++) {
    const nameEnd = skip(reader, to, 0)
    const name = decodeUtf8(source, reader.at, nameEnd)
    reader.at = nameEnd
    const valueEnd = skip(reader, to, -1)
    const value = valueEnd === -1 ? null : copiedBytes(u8, reader.at, valueEnd)
    if (valueEnd !== -1) reader.at = valueEnd
    take(name, value)
  }
  if (reader.at !== to) corrupt(`found ${to - reader.at} bytes after the last header`)
}

/** Reads a length and gives the end of what it measures; -1 for a null, where `min` allows it. */
function skip(reader: VarintReader, to: number, min: -1 | 0): number {
  const length = reader.varint()
  if (!reader.ok || length < min || length > to - reader.at)
    corrupt(`found a length of ${length}, ${to - reader.at} bytes are left`)
  return length === -1 ? -1 : reader.at + length
}

function add(headers: ReadHeaders, name: string, value: Uint8Array | null): void {
  const before = Object.hasOwn(headers, name) ? headers[name] : undefined
  const next = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value]
  // `__proto__` is a name like any other in a header; plain assignment would change the object instead.
  Object.defineProperty(headers, name, { value: next, enumerable: true, configurable: true, writable: true })
}

function valueLength(value: HeaderValue): number {
  return value === null ? -1 : typeof value === 'string' ? utf8Length(value) : value.length
}

function corrupt(detail: string): never {
  throw new MillraceError('RECORD_CORRUPT', 'the headers of a record are corrupt', {
    detail,
    hint: 'verify the log: mill.verify() names the damaged range',
  })
}
