/** Where JSON values end, without making anything of them. -1: what lies there is no JSON, or is written in a way that only the full parser takes. */

/** Brackets within brackets; deeper ones are the parser's affair. */
const DEPTH_MAX = 64

export function skipSpace(u8: Uint8Array, at: number, end: number): number {
  let i = at
  while (i < end) {
    const c = u8[i]
    if (c !== 32 && c !== 9 && c !== 13 && c !== 10) break
    i++
  }
  return i
}

/** Behind the value that begins at `at`, of which `end` is no part. */
export function skipValue(u8: Uint8Array, at: number, end: number, depth = 0): number {
  const c = u8[at]
  if (at >= end || depth > DEPTH_MAX) return -1
  if (c === 34) return skipString(u8, at, end)
  if (c === 123) return skipMembers(u8, at, end, depth, 125, true)
  if (c === 91) return skipMembers(u8, at, end, depth, 93, false)
  if (c === 116) return skipWord(u8, at, end, 'true')
  if (c === 102) return skipWord(u8, at, end, 'false')
  return c === 110 ? skipWord(u8, at, end, 'null') : skipNumber(u8, at, end)
}

/** Behind the quote that ends the string. */
export function skipString(u8: Uint8Array, at: number, end: number): number {
  for (let i = at + 1; i < end; i++) {
    const c = u8[i] as number
    if (c === 34) return i + 1
    if (c < 32) return -1
    if (c !== 92) continue
    i++
    const escaped = u8[i]
    if (escaped === 117) {
      for (let d = 1; d <= 4; d++) if (!isHex(u8[i + d] as number)) return -1
      i += 4
    } else if (!isEscape(escaped as number)) return -1
  }
  return -1
}

export const isHex = (c: number): boolean => (c >= 48 && c <= 57) || ((c | 32) >= 97 && (c | 32) <= 102)

/** Of `"\/bfnrt`. */
const isEscape = (c: number): boolean =>
  c === 34 || c === 92 || c === 47 || c === 98 || c === 102 || c === 110 || c === 114 || c === 116

function skipMembers(u8: Uint8Array, at: number, end: number, depth: number, close: number, named: boolean): number {
  let i = skipSpace(u8, at + 1, end)
  if (i < end && u8[i] === close) return i + 1
  for (;;) {
    if (named) {
      i = skipSpace(u8, i, end)
      if (i >= end || u8[i] !== 34) return -1
      i = skipString(u8, i, end)
      if (i === -1) return -1
      i = skipSpace(u8, i, end)
      if (i >= end || u8[i] !== 58) return -1
      i++
    }
    i = skipValue(u8, skipSpace(u8, i, end), end, depth + 1)
    if (i === -1) return -1
    i = skipSpace(u8, i, end)
    if (i >= end) return -1
    if (u8[i] === close) return i + 1
    if (u8[i] !== 44) return -1
    i++
  }
}

function skipWord(u8: Uint8Array, at: number, end: number, word: string): number {
  if (at + word.length > end) return -1
  for (let i = 1; i < word.length; i++) if (u8[at + i] !== word.charCodeAt(i)) return -1
  return at + word.length
}

export function skipNumber(u8: Uint8Array, at: number, end: number): number {
  let i = u8[at] === 45 ? at + 1 : at
  const whole = skipDigits(u8, i, end)
  if (whole === i || (u8[i] === 48 && whole > i + 1)) return -1
  i = whole
  if (i < end && u8[i] === 46) {
    const fraction = skipDigits(u8, i + 1, end)
    if (fraction === i + 1) return -1
    i = fraction
  }
  if (i < end && ((u8[i] as number) | 32) === 101) {
    const sign = u8[i + 1] === 43 || u8[i + 1] === 45 ? i + 2 : i + 1
    const exponent = skipDigits(u8, sign, end)
    if (exponent === sign) return -1
    i = exponent
  }
  return i
}

function skipDigits(u8: Uint8Array, at: number, end: number): number {
  let i = at
  while (i < end && (u8[i] as number) >= 48 && (u8[i] as number) <= 57) i++
  return i
}
