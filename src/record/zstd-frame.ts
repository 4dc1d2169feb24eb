/**
 * A look at the frames of a zstd payload before a decoder sees them: decoders allocate what a header asks for. Little-endian.
 *
 *   // magic 4 = FD2FB528, descriptor 1, [window 1], [dictionary id 1, 2 or 4], [content size 1, 2, 4 or 8]
 *   // blocks: header 3 (bit 0 last, bits 1-2 type: 0 raw, 1 one byte repeated, 2 compressed; size above), bytes
 *   // [checksum 4]
 */
const MAGIC = 0xfd2fb528
const BLOCK_BYTES_MAX = 131_072
const RAW = 0
const REPEATED = 1
const RESERVED = 3

/** What is wrong with the frames in [from, to), if anything: their structure, or that they ask for more than `bytesMax`. */
export function zstdFault(source: Uint8Array, from: number, to: number, bytesMax: number): string | undefined {
  const dv = new DataView(source.buffer, source.byteOffset, source.byteLength)
  let s = from
  do {
    if (to - s < 6) return `${to - s} bytes are no frame`
    const magic = dv.getUint32(s, true)
    if (magic !== MAGIC) return `magic is ${magic.toString(16)}, expected ${MAGIC.toString(16)}`
    const descriptor = source[s + 4] as number
    const isSingleSegment = (descriptor & 0x20) !== 0
    if ((descriptor & 0x08) !== 0) return `descriptor is ${descriptor.toString(16)}`
    if ((descriptor & 3) !== 0) return 'it needs a dictionary'
    const sizeCode = descriptor >>> 6
    const sizeBytes = sizeCode === 0 ? (isSingleSegment ? 1 : 0) : 1 << sizeCode
    const window = isSingleSegment ? 0 : windowBytes(source[s + 5] as number)
    s += isSingleSegment ? 5 : 6
    if (sizeBytes > to - s) return 'it ends in its header'
    const size = contentSize(dv, s, sizeBytes)
    s += sizeBytes
    if (window > bytesMax || size > bytesMax)
      return `it asks for ${Math.max(window, size)} bytes of memory, expected at most ${bytesMax}`
    for (let last = false; !last; ) {
      if (to - s < 3) return 'it ends before its last block'
      const header = (source[s] as number) | ((source[s + 1] as number) << 8) | ((source[s + 2] as number) << 16)
      s += 3
      last = (header & 1) !== 0
      const type = (header >>> 1) & 3
      const bytes = header >>> 3
      if (type === RESERVED || bytes > BLOCK_BYTES_MAX) return `found a block of type ${type} with ${bytes} bytes`
      const stored = type === REPEATED ? 1 : bytes
      if (stored > to - s) return `found a block of ${stored} bytes, ${to - s} are left`
      if (type !== RAW && type !== REPEATED && bytes === 0) return 'found an empty compressed block'
      s += stored
    }
    if ((descriptor & 4) !== 0) s += 4
    if (s > to) return 'it ends in its checksum'
  } while (s < to)
  return undefined
}

function windowBytes(code: number): number {
  const base = 2 ** (10 + (code >>> 3))
  return base + (base / 8) * (code & 7)
}

function contentSize(dv: DataView, at: number, bytes: number): number {
  if (bytes === 1) return dv.getUint8(at)
  if (bytes === 2) return dv.getUint16(at, true) + 256
  if (bytes === 4) return dv.getUint32(at, true)
  return bytes === 8 ? dv.getUint32(at + 4, true) * 4294967296 + dv.getUint32(at, true) : 0
}
