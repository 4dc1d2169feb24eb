import type { ByteSink } from './byte-sink.js'
import { MatchTable } from './lz4-block.js'

/**
 * Snappy as Kafka's clients wrap it, the framing of the library snappy-java. Big-endian.
 *
 *   // magic 8 = 82 'SNAPPY' 00, version 4 = 1, least version 4 = 1
 *   // blocks: length 4, a raw Snappy block of at most 32 KiB
 *
 * Some clients of other languages write one raw block without the framing, which is read as well.
 * A raw block: the length that it becomes as a varint, then
 *
 *   // tag ..00  literals: length less 1 in the high 6 bits, from 60 on in 1 to 4 bytes that follow
 *   // tag ..01  copy of 4 to 11 bytes: length less 4 in 3 bits, distance in 3 + 8 bits
 *   // tag ..10  copy of 1 to 64 bytes: length less 1 in 6 bits, distance in 16
 *   // tag ..11  the same with a distance of 32 bits
 */
const MAGIC = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0)
const HEADER_BYTES = 16
const BLOCK_BYTES = 32_768
/** A copy of 64 bytes takes three. */
const EXPANSION_MAX = 64

const HASH_BITS = 13
/** Shorter rests are not worth a look. */
const INPUT_MARGIN = 15
const SKIP_SHIFT = 5
const table = new MatchTable(HASH_BITS)

export function encodeSnappy(source: Uint8Array, from: number, to: number, sink: ByteSink): void {
  const blocks = Math.ceil((to - from) / BLOCK_BYTES)
  // Snappy's own bound of a block is 32 + n + n / 6.
  sink.ensure(HEADER_BYTES + blocks * 36 + (to - from) + Math.ceil((to - from) / 6))
  const target = sink.u8
  const dv = sink.views.dv
  let d = sink.length
  target.set(MAGIC, d)
  dv.setInt32(d + 8, 1)
  dv.setInt32(d + 12, 1)
  d += HEADER_BYTES
  for (let at = from; at < to; at += BLOCK_BYTES) {
    const end = encodeBlock(source, at, Math.min(to, at + BLOCK_BYTES), target, d + 4)
    dv.setInt32(d, end - d - 4)
    d = end
  }
  sink.length = d
}

/** Appends what [from, to) holds; what is wrong with it, if anything. */
export function decodeSnappy(source: Uint8Array, from: number, to: number, sink: ByteSink): string | undefined {
  if (!hasMagic(source, from, to)) return decodeBlock(source, from, to, sink)
  let s = from
  while (s < to) {
    // Streams that were written one after the other are one stream.
    if (hasMagic(source, s, to)) {
      if (to - s < HEADER_BYTES) return 'it ends in its header'
      s += HEADER_BYTES
      continue
    }
    if (to - s < 4) return `found ${to - s} bytes after the last block`
    const length =
      ((source[s] as number) << 24) |
      ((source[s + 1] as number) << 16) |
      ((source[s + 2] as number) << 8) |
      (source[s + 3] as number)
    s += 4
    if (length < 0 || length > to - s) return `found a block of ${length} bytes, ${to - s} are left`
    const fault = decodeBlock(source, s, s + length, sink)
    if (fault !== undefined) return fault
    s += length
  }
  return undefined
}

function hasMagic(source: Uint8Array, from: number, to: number): boolean {
  if (to - from < MAGIC.length) return false
  for (let i = 0; i < MAGIC.length; i++) if (source[from + i] !== MAGIC[i]) return false
  return true
}

function decodeBlock(source: Uint8Array, from: number, to: number, sink: ByteSink): string | undefined {
  let s = from
  let length = 0
  for (let shift = 0; ; shift += 7) {
    if (s >= to || shift > 28) return 'its length is no varint'
    const b = source[s++] as number
    length += (b & 127) * 2 ** shift
    if (b < 128) break
  }
  if (length > (to - s) * EXPANSION_MAX) return `${to - s} bytes cannot become ${length}`
  sink.ensure(length)
  const target = sink.u8
  const start = sink.length
  const end = start + length
  let d = start
  while (s < to) {
    const tag = source[s++] as number
    let count: number
    let distance: number
    switch (tag & 3) {
      case 0: {
        count = (tag >>> 2) + 1
        if (count > 60) {
          const extra = count - 60
          if (extra > to - s) return 'it ends in a tag'
          count = 1
          for (let i = 0; i < extra; i++) count += (source[s + i] as number) * 2 ** (8 * i)
          s += extra
        }
        if (count > to - s || count > end - d) return `found ${count} literals`
        target.set(source.subarray(s, s + count), d)
        s += count
        d += count
        continue
      }
      case 1:
        if (s >= to) return 'it ends in a tag'
        count = ((tag >>> 2) & 7) + 4
        distance = ((tag >>> 5) << 8) | (source[s] as number)
        s += 1
        break
      case 2:
        if (to - s < 2) return 'it ends in a tag'
        count = (tag >>> 2) + 1
        distance = (source[s] as number) | ((source[s + 1] as number) << 8)
        s += 2
        break
      default:
        if (to - s < 4) return 'it ends in a tag'
        count = (tag >>> 2) + 1
        distance = wordAt(source, s) >>> 0
        s += 4
    }
    if (distance === 0 || distance > d - start || count > end - d)
      return `found a copy of ${count} bytes from ${distance} before`
    for (const stop = d + count; d < stop; d++) target[d] = target[d - distance] as number
  }
  if (d !== end) return `a block became ${d - start} bytes, its header says ${length}`
  sink.length = end
  return undefined
}

function encodeBlock(source: Uint8Array, from: number, to: number, target: Uint8Array, at: number): number {
  let d = at
  let rest = to - from
  for (; rest >= 128; rest >>>= 7) target[d++] = (rest & 127) | 128
  target[d++] = rest
  table.forget()
  const positions = table.positions
  const limit = to - INPUT_MARGIN
  let anchor = from
  let s = from
  let looks = 1 << SKIP_SHIFT
  while (s < limit) {
    const word = wordAt(source, s)
    const slot = Math.imul(word, 0x1e35a7bd) >>> (32 - HASH_BITS)
    const candidate = positions[slot] as number
    positions[slot] = s
    if (candidate < from || wordAt(source, candidate) !== word) {
      s += looks++ >>> SKIP_SHIFT
      continue
    }
    looks = 1 << SKIP_SHIFT
    if (s > anchor) d = writeLiterals(source, anchor, s, target, d)
    let end = s + 4
    for (let c = candidate + 4; end < to && source[end] === source[c]; c++) end++
    d = writeCopy(target, d, s - candidate, end - s)
    s = end
    anchor = end
  }
  return anchor < to ? writeLiterals(source, anchor, to, target, d) : d
}

function writeLiterals(source: Uint8Array, from: number, to: number, target: Uint8Array, at: number): number {
  const n = to - from - 1
  let d = at
  if (n < 60) target[d++] = n << 2
  else if (n < 256) {
    target[d++] = 60 << 2
    target[d++] = n
  } else {
    target[d++] = 61 << 2
    target[d++] = n & 255
    target[d++] = n >>> 8
  }
  for (let i = from; i < to; i++) target[d++] = source[i] as number
  return d
}

/** No copy shorter than four bytes is left over: 64 are only taken off where enough stays. */
function writeCopy(target: Uint8Array, at: number, distance: number, count: number): number {
  let d = at
  let left = count
  while (left > 0) {
    const length = left >= 68 ? 64 : left > 64 ? 60 : left
    if (length < 12 && distance < 2048) {
      target[d++] = 1 | ((length - 4) << 2) | ((distance >>> 8) << 5)
      target[d++] = distance & 255
    } else {
      target[d++] = 2 | ((length - 1) << 2)
      target[d++] = distance & 255
      target[d++] = distance >>> 8
    }
    left -= length
  }
  return d
}

const wordAt = (u8: Uint8Array, at: number): number =>
  (u8[at] as number) | ((u8[at + 1] as number) << 8) | ((u8[at + 2] as number) << 16) | ((u8[at + 3] as number) << 24)
