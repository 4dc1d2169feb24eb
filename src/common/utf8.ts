/**
 * Strings to and from UTF-8 inside larger buffers. The engine's own encoders cost 80 to 180 ns a call
 * whatever the length, which is more than the whole record may cost, so short strings are written by a
 * plain loop and only long ones go to the engine. Lone surrogates become U+FFFD, as TextEncoder does.
 */

/** From this length on the engine's encoder is quicker than the loop. */
export const LONG_STRING_LENGTH = 160

const encoder = new TextEncoder()

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

/** Writes `text` at `at`, where 3 bytes a character must be free, and returns the end. `target` is not shared memory. */
export function writeUtf8(target: Uint8Array, at: number, text: string): number {
  const length = text.length
  if (length >= LONG_STRING_LENGTH) return at + encoder.encodeInto(text, target.subarray(at)).written
  for (let i = 0; i < length; i++) {
    const c = text.charCodeAt(i)
    if (c > 127) return writeUtf8From(target, at + i, text, i)
    target[at + i] = c
  }
  return at + length
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

/** Node's own decoder of a range, which its types leave out; `toString` is the same behind more checks. */
interface Slicing {
  utf8Slice(start: number, end: number): string
}

/** What decoding needs of a buffer; `BufferViews` has it. */
export interface Utf8Source {
  readonly u8: Uint8Array
  readonly node: Buffer
}

/**
 * The string at [start, end). Bytes that are not UTF-8 become U+FFFD. The buffer may be shared. Short
 * ASCII is built from character codes, which costs a fifth of a call into the engine's decoder.
 */
export function decodeUtf8(source: Utf8Source, start: number, end: number): string {
  const length = end - start
  if (length === 0) return ''
  if (length > 24) return (source.node as Buffer & Slicing).utf8Slice(start, end)
  const b = source.u8
  let any = 0
  for (let i = start; i < end; i++) any |= b[i] as number
  if (any > 127) return (source.node as Buffer & Slicing).utf8Slice(start, end)
  let text = ''
  let i = start
  for (; i + 8 <= end; i += 8) {
    text += String.fromCharCode(
      b[i] as number,
      b[i + 1] as number,
      b[i + 2] as number,
      b[i + 3] as number,
      b[i + 4] as number,
      b[i + 5] as number,
      b[i + 6] as number,
      b[i + 7] as number,
    )
  }
  for (; i < end; i++) text += String.fromCharCode(b[i] as number)
  return text
}
