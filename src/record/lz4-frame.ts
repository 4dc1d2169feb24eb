import { xxhash32 } from '../common/xxhash32.js'
import type { ByteSink } from './byte-sink.js'
import { decodeLz4Block, encodeLz4Block, LZ4_FULL, lz4BlockBound } from './lz4-block.js'

/**
 * The LZ4 frame, in which Kafka's clients wrap LZ4 blocks. Little-endian.
 *
 *   // magic 4 = 184D2204, flags 1, block size code 1, [content size 8], header checksum 1 (second byte of xxHash32)
 *   // blocks: size 4 (high bit = stored as it is), bytes, [block checksum 4]
 *   // end mark 4 = 0, [content checksum 4]
 *
 * Written as Kafka writes it: independent blocks of 64 KiB, without optional fields. Read with all of them, but for dictionaries.
 */
const MAGIC = 0x184d2204
const VERSION = 0x40
const VERSION_MASK = 0xc0
const INDEPENDENT = 0x20
const BLOCK_CHECKSUM = 0x10
const CONTENT_SIZE = 0x08
const CONTENT_CHECKSUM = 0x04
const RESERVED = 0x02
const DICTIONARY = 0x01
const STORED = 0x80000000

const BLOCK_BYTES = 65_536
const BLOCK_CODE = 4 << 4
/** Magic, flags and block size code. */
const DESCRIPTOR_END = 6

/** Appends [from, to) of `source` as one frame. */
export function encodeLz4(source: Uint8Array, from: number, to: number, sink: ByteSink): void {
  const blocks = Math.ceil((to - from) / BLOCK_BYTES)
  sink.ensure(DESCRIPTOR_END + 1 + blocks * 4 + lz4BlockBound(to - from) + blocks * 16 + 4)
  const target = sink.u8
  const dv = sink.views.dv
  let d = sink.length
  dv.setUint32(d, MAGIC, true)
  target[d + 4] = VERSION | INDEPENDENT
  target[d + 5] = BLOCK_CODE
  target[d + 6] = (xxhash32(target, d + 4, d + 6) >>> 8) & 255
  d += 7
  for (let at = from; at < to; at += BLOCK_BYTES) {
    const blockEnd = Math.min(to, at + BLOCK_BYTES)
    const end = encodeLz4Block(source, at, blockEnd, target, d + 4)
    const bytes = end - d - 4
    if (bytes < blockEnd - at) {
      dv.setUint32(d, bytes, true)
      d = end
    } else {
      dv.setUint32(d, (blockEnd - at + STORED) >>> 0, true)
      target.set(source.subarray(at, blockEnd), d + 4)
      d += 4 + blockEnd - at
    }
  }
  dv.setUint32(d, 0, true)
  sink.length = d + 4
}

/** Appends what the frame in [from, to) holds; what is wrong with it, if anything. */
export function decodeLz4(source: Uint8Array, from: number, to: number, sink: ByteSink): string | undefined {
  const dv = new DataView(source.buffer, source.byteOffset, source.byteLength)
  if (to - from < DESCRIPTOR_END + 1) return `${to - from} bytes are no LZ4 frame`
  const magic = dv.getUint32(from, true)
  if (magic !== MAGIC) return `magic is ${magic.toString(16)}, expected ${MAGIC.toString(16)}`
  const flags = source[from + 4] as number
  if ((flags & VERSION_MASK) !== VERSION || (flags & RESERVED) !== 0) return `flags are ${flags.toString(16)}`
  if ((flags & DICTIONARY) !== 0) return 'it needs a dictionary'
  const code = source[from + 5] as number
  if ((code & 0x8f) !== 0 || code >>> 4 < 4) return `block size code is ${code.toString(16)}`
  const blockBytesMax = 1 << (8 + 2 * (code >>> 4))
  const descriptorEnd = from + DESCRIPTOR_END + ((flags & CONTENT_SIZE) === 0 ? 0 : 8)
  if (descriptorEnd >= to) return 'it ends in its header'
  const checksum = (xxhash32(source, from + 4, descriptorEnd) >>> 8) & 255
  if (checksum !== source[descriptorEnd]) return `header checksum is ${source[descriptorEnd]}, computed ${checksum}`
  const start = sink.length
  let s = descriptorEnd + 1
  for (;;) {
    if (to - s < 4) return 'it has no end mark'
    const size = dv.getUint32(s, true)
    s += 4
    if (size === 0) break
    const stored = size >= STORED
    const bytes = stored ? size - STORED : size
    const trailer = (flags & BLOCK_CHECKSUM) === 0 ? 0 : 4
    if (bytes > blockBytesMax || bytes + trailer > to - s) return `found a block of ${bytes} bytes, ${to - s} are left`
    if (trailer !== 0 && dv.getUint32(s + bytes, true) !== xxhash32(source, s, s + bytes))
      return 'a block checksum is wrong'
    if (stored) sink.append(source.subarray(s, s + bytes))
    else {
      // A byte of a block becomes 255 at most.
      const most = Math.min(blockBytesMax, bytes * 255)
      const roomEnd = sink.room(most)
      const windowStart = (flags & INDEPENDENT) === 0 ? start : sink.length
      const end = decodeLz4Block(source, s, s + bytes, sink.u8, sink.length, roomEnd, windowStart)
      if (end === LZ4_FULL && roomEnd - sink.length < most) throw sink.tooLarge(sink.limit + 1)
      if (end < 0) return 'a block is no LZ4'
      sink.length = end
    }
    s += bytes + trailer
  }
  if ((flags & CONTENT_SIZE) !== 0 && sizeOf(dv, from + DESCRIPTOR_END) !== sink.length - start)
    return `it holds ${sink.length - start} bytes, its header says ${sizeOf(dv, from + DESCRIPTOR_END)}`
  if ((flags & CONTENT_CHECKSUM) !== 0) {
    if (to - s < 4) return 'it has no content checksum'
    if (dv.getUint32(s, true) !== xxhash32(sink.u8, start, sink.length)) return 'the content checksum is wrong'
    s += 4
  }
  return s === to ? undefined : `found ${to - s} bytes after it`
}

const sizeOf = (dv: DataView, at: number): number => dv.getUint32(at + 4, true) * 4294967296 + dv.getUint32(at, true)
