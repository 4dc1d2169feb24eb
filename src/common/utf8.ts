import { codeGenerationAllowed, FunctionSource } from './function-source.js'

/**
 * Strings to and from UTF-8 inside larger buffers. The engine's own encoders cost 80 to 180 ns a call
 * whatever the length, which is more than the whole record may cost, so short strings are written by a
 * plain loop and only long ones go to the engine. Lone surrogates become U+FFFD, as TextEncoder does.
 */

/** From this length on the engine's encoder is quicker than the loop. */
export const LONG_STRING_LENGTH = 48

const encoder = new TextEncoder()

/** Node's own codecs of a range, which its types leave out; `write` and `toString` are the same behind more checks. */
interface Codecs {
  utf8Slice(start: number, end: number): string
  utf8Write(text: string, at: number, length: number): number
}

/** Bytes of `text` as UTF-8. */
export function utf8Length(text: string): number {
  const length = text.length
  let bytes = length
  for (let i = 0; i < length; i++) {
    const c = text.charCodeAt(i)
    if (c < 0x80) continue
    if (c < 0x800) bytes += 1
    else if (c >= 0xd800 && c < 0xdc00 && i + 1 < length && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      bytes += 2
      i++
    } else bytes += 2
  }
  return bytes
}

/**
 * Writes `text` at `at`, where 3 bytes a character must be free, and returns the end. `target` is not shared
 * memory. Long texts are quicker into a Buffer than into a plain Uint8Array.
 */
export function writeUtf8(target: Uint8Array, at: number, text: string): number {
  const length = text.length
  if (length >= LONG_STRING_LENGTH) return writeLongUtf8(target, at, text)
  let seen = 0
  let i = 0
  for (; i + 1 < length; i += 2) {
    const a = text.charCodeAt(i)
    const b = text.charCodeAt(i + 1)
    seen |= a | b
    target[at + i] = a
    target[at + i + 1] = b
  }
  if (i < length) {
    const a = text.charCodeAt(i)
    seen |= a
    target[at + i] = a
  }
  return seen < 128 ? at + length : writeUtf8From(target, at, text, 0)
}

export function writeLongUtf8(target: Uint8Array, at: number, text: string): number {
  if (target instanceof Buffer) {
    // A length beyond the end of the buffer is an error to newer versions of Node; older ones cut it.
    return at + (target as Buffer & Codecs).utf8Write(text, at, Math.min(text.length * 3, target.length - at))
  }
  return at + encoder.encodeInto(text, target.subarray(at)).written
}

/** The same from character `start` on, for any mixture of characters. */
export function writeUtf8From(target: Uint8Array, at: number, text: string, start: number): number {
  const length = text.length
  let e = at
  for (let i = start; i < length; i++) {
    let c = text.charCodeAt(i)
    if (c < 0x80) {
      target[e++] = c
      continue
    }
    if (c < 0x800) {
      target[e] = 0xc0 | (c >> 6)
      target[e + 1] = 0x80 | (c & 0x3f)
      e += 2
      continue
    }
    if ((c & 0xf800) === 0xd800) {
      const low = c < 0xdc00 && i + 1 < length ? text.charCodeAt(i + 1) : 0
      if ((low & 0xfc00) === 0xdc00) {
        const point = 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff)
        target[e] = 0xf0 | (point >> 18)
        target[e + 1] = 0x80 | ((point >> 12) & 0x3f)
        target[e + 2] = 0x80 | ((point >> 6) & 0x3f)
        target[e + 3] = 0x80 | (point & 0x3f)
        e += 4
        i++
        continue
      }
      c = 0xfffd
    }
    target[e] = 0xe0 | (c >> 12)
    target[e + 1] = 0x80 | ((c >> 6) & 0x3f)
    target[e + 2] = 0x80 | (c & 0x3f)
    e += 3
  }
  return e
}

const empty = new Uint8Array(0)

export function encodeUtf8(text: string): Uint8Array {
  return text.length === 0 ? empty : encoder.encode(text)
}

/** What decoding needs of a buffer; `BufferViews` has it. */
export interface Utf8Source {
  readonly u8: Uint8Array
  readonly node: Buffer
}

/** Up to here a string is built from its character codes. */
const SHORT_TEXT_BYTES = 16

/**
 * The string at [start, end). Bytes that are not UTF-8 become U+FFFD. The buffer may be shared. Short ASCII
 * is built from character codes, which costs a third to a half of a call into the engine's decoder.
 */
export function decodeUtf8(source: Utf8Source, start: number, end: number): string {
  const length = end - start
  if (length > SHORT_TEXT_BYTES) return (source.node as Buffer & Codecs).utf8Slice(start, end)
  const u8 = source.u8
  let seen = 0
  for (let i = start; i < end; i++) seen |= u8[i] as number
  if (seen > 127) return (source.node as Buffer & Codecs).utf8Slice(start, end)
  return (shortTexts[length] as ShortText)(u8, start)
}

type ShortText = (u8: Uint8Array, at: number) => string

/** A decoder for each length, since one call with all character codes beats putting the string together. */
const shortTexts: readonly ShortText[] = Array.from({ length: SHORT_TEXT_BYTES + 1 }, (_, length) => shortText(length))

function shortText(length: number): ShortText {
  if (length === 0) return () => ''
  if (!codeGenerationAllowed()) {
    return (u8, at) => {
      let text = ''
      for (let i = 0; i < length; i++) text += String.fromCharCode(u8[at + i] as number)
      return text
    }
  }
  const codes = Array.from({ length }, (_, i) => `u8[at + ${i}]`)
  return new FunctionSource()
    .line(`return String.fromCharCode(${codes.join(', ')})`)
    .compile<ShortText>('shortText', ['u8', 'at'])
}
