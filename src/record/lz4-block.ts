/**
 * LZ4's block format: sequences of literals and a copy of what came up to 64 KiB before. The last sequence has literals alone.
 *
 *   // token 1: literal count (high 4 bits, 15 = more bytes follow, each adds, 255 goes on), match length less 4 (low 4 bits, likewise)
 *   // literal count bytes, literals, distance uint16 little-endian, match length bytes
 */

/** The block is no LZ4. */
export const LZ4_CORRUPT = -1
/** The room was too small for it. */
export const LZ4_FULL = -2

/** Up to here a loop is quicker than a call. */
const LOOP_BYTES_MAX = 32

/** Block [from, to) of `source` into `target` from `at`, at most to `end`; copies reach back to `windowStart`. The end, or one of the above. */
export function decodeLz4Block(
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
  at: number,
  end: number,
  windowStart: number,
): number {
  let s = from
  let d = at
  while (s < to) {
    const token = source[s++] as number
    let literals = token >>> 4
    if (literals === 15) {
      let more = 255
      while (more === 255) {
        if (s >= to) return LZ4_CORRUPT
        more = source[s++] as number
        literals += more
      }
    }
    if (literals > to - s) return LZ4_CORRUPT
    if (literals > end - d) return LZ4_FULL
    if (literals > LOOP_BYTES_MAX) {
      target.set(source.subarray(s, s + literals), d)
      s += literals
      d += literals
    } else for (const stop = s + literals; s < stop; ) target[d++] = source[s++] as number
    if (s === to) return d
    if (to - s < 2) return LZ4_CORRUPT
    const distance = (source[s] as number) | ((source[s + 1] as number) << 8)
    s += 2
    if (distance === 0 || distance > d - windowStart) return LZ4_CORRUPT
    let length = token & 15
    if (length === 15) {
      let more = 255
      while (more === 255) {
        if (s >= to) return LZ4_CORRUPT
        more = source[s++] as number
        length += more
      }
    }
    length += 4
    if (length > end - d) return LZ4_FULL
    if (length > LOOP_BYTES_MAX && distance >= length) {
      target.copyWithin(d, d - distance, d - distance + length)
      d += length
    } else for (const stop = d + length; d < stop; d++) target[d] = target[d - distance] as number
  }
  return LZ4_CORRUPT
}

/** The most that a block of so many bytes can take. */
export function lz4BlockBound(bytes: number): number {
  return bytes + Math.ceil(bytes / 255) + 16
}

const HASH_BITS = 13
/** No match begins in the last 12 bytes or ends in the last 5: the format's rule, which lets decoders copy in words. */
const MATCH_LIMIT = 12
const LAST_LITERALS = 5
const DISTANCE_MAX = 65_535
/** After so many fruitless looks the step grows by one: what does not compress is gone over quickly. */
const SKIP_SHIFT = 5

/** Where four bytes with a hash were seen last, as positions of the buffer being compressed. Used again; see `forget`. */
export class MatchTable {
  readonly positions: Int32Array

  constructor(readonly bits: number) {
    this.positions = new Int32Array(1 << bits).fill(-1)
  }

  forget(): void {
    this.positions.fill(-1)
  }
}

const table = new MatchTable(HASH_BITS)

/** Bytes [from, to) as one block at `at` of `target`, which must have room for {@link lz4BlockBound}; the end. */
export function encodeLz4Block(source: Uint8Array, from: number, to: number, target: Uint8Array, at: number): number {
  table.forget()
  const positions = table.positions
  const matchLimit = to - MATCH_LIMIT
  const copyLimit = to - LAST_LITERALS
  let d = at
  let anchor = from
  let s = from
  let looks = 1 << SKIP_SHIFT
  while (s <= matchLimit) {
    const word = wordAt(source, s)
    const slot = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS)
    const candidate = positions[slot] as number
    positions[slot] = s
    if (candidate < from || s - candidate > DISTANCE_MAX || wordAt(source, candidate) !== word) {
      s += looks++ >>> SKIP_SHIFT
      continue
    }
    looks = 1 << SKIP_SHIFT
    let end = s + 4
    for (let c = candidate + 4; end < copyLimit && source[end] === source[c]; c++) end++
    const length = end - s - 4
    const literals = s - anchor
    const token = d++
    target[token] = (literals >= 15 ? 240 : literals << 4) | (length >= 15 ? 15 : length)
    if (literals >= 15) d = writeMore(target, d, literals - 15)
    for (; anchor < s; anchor++) target[d++] = source[anchor] as number
    const distance = s - candidate
    target[d++] = distance & 255
    target[d++] = distance >>> 8
    if (length >= 15) d = writeMore(target, d, length - 15)
    s = end
    anchor = end
  }
  const literals = to - anchor
  target[d++] = literals >= 15 ? 240 : literals << 4
  if (literals >= 15) d = writeMore(target, d, literals - 15)
  for (; anchor < to; anchor++) target[d++] = source[anchor] as number
  return d
}

function writeMore(target: Uint8Array, at: number, count: number): number {
  let d = at
  let left = count
  for (; left >= 255; left -= 255) target[d++] = 255
  target[d++] = left
  return d
}

const wordAt = (u8: Uint8Array, at: number): number =>
  (u8[at] as number) | ((u8[at + 1] as number) << 8) | ((u8[at + 2] as number) << 16) | ((u8[at + 3] as number) << 24)
