import { crc32c } from '../common/checksum.js'
import { MillraceError } from '../common/errors.js'
import type { BufferViews } from '../types/block.js'
import {
  ATTRIBUTES,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH,
  BATCH_LENGTH_OVERHEAD,
  baseOffsetOf,
  batchAttributes,
  batchByteLength,
  batchRecordCount,
  COLUMNS_PADDING,
  COLUMNS_PAYLOAD,
  COLUMNS_PAYLOAD_OFFSET,
  COMPRESSION_MASK,
  CONTROL,
  CRC,
} from './batch-header.js'
import { ByteSink } from './byte-sink.js'
import { Codec, type CompressionLevels, canCompress } from './codec.js'
import { compress, decompress } from './compression.js'

/**
 * Batches lie plain in shared memory and compressed in files: the engine thread packs them on their way to the disk, and who reads a
 * file unpacks them. So neither `send` nor a reader at the live edge ever waits for a codec.
 *
 * What a producer asked for travels with the batch, in three bits of the attributes that Kafka leaves unused; they are in memory only. A
 * batch that would not become smaller is written as it is. Rows are compressed as Kafka does it, everything behind the header. Of columns the
 * block is, behind its 64 bytes of header, and zeros behind it make the batch a multiple of 8 bytes again; their number is in the header.
 */

/** Attributes, bits 7 to 9: the codec that the producer asked for. */
export const WANTED_CODEC_SHIFT = 7
export const WANTED_CODEC_MASK = COMPRESSION_MASK << WANTED_CODEC_SHIFT

/** A batch unpacked is at most this large, sixty times what Kafka takes by default: what claims more is an attack or damage. */
export const UNPACKED_BYTES_MAX = 1 << 26

/** A run of batches is compressed at a time; it has its own bounds, so this one only catches bugs. */
const PACKED_BYTES_MAX = 1 << 28

/** More than this is given back after a large batch. */
const KEPT_BYTES = 1 << 23

/** What a topic says of compression: a codec of its own, or 'producer', what each batch's producer asked for. */
export interface TopicCompression {
  readonly codec: Codec | 'producer'
  readonly levels: CompressionLevels
}

export interface BatchRun {
  readonly views: BufferViews
  readonly from: number
  readonly to: number
}

/** One for each thread; what was packed is good until the next call. */
let packed: ByteSink | undefined

/** The batches of [from, to), compressed as they should be. Where none should it is the same run. */
export function packBatches(views: BufferViews, from: number, to: number, compression: TopicCompression): BatchRun {
  const { dv, u8 } = views
  let plain = true
  for (let at = from; at < to; at += batchByteLength(dv, at)) {
    if (mustPack(dv, at, compression)) plain = false
  }
  if (plain) return { views, from, to }
  packed ??= new ByteSink(PACKED_BYTES_MAX)
  const sink = packed
  sink.length = 0
  sink.trim(KEPT_BYTES)
  for (let at = from; at < to; ) {
    const end = at + batchByteLength(dv, at)
    const codec = packsAs(batchAttributes(dv, at), compression)
    if (codec === undefined) sink.append(u8.subarray(at, end))
    else packBatch(views, at, end, codec, compression.levels, sink)
    at = end
  }
  return { views: sink.views, from: 0, to: sink.length }
}

/** Whether a codec will have to look at the batch, which takes its time. */
export function mustPack(dv: DataView, position: number, compression: TopicCompression): boolean {
  return packsAs(batchAttributes(dv, position), compression) !== undefined
}

/** The codec, or undefined where the batch goes as it is. A batch whose wish is not granted still has to lose the wish. */
function packsAs(attributes: number, compression: TopicCompression): Codec | undefined {
  const wanted = (attributes & WANTED_CODEC_MASK) >> WANTED_CODEC_SHIFT
  if ((attributes & (COMPRESSION_MASK | CONTROL)) !== 0) return wanted === 0 ? undefined : Codec.none
  const asked = compression.codec === 'producer' ? (wanted as Codec) : compression.codec
  const codec = asked <= Codec.zstd && canCompress(asked) ? asked : Codec.none
  return codec === Codec.none && wanted === 0 ? undefined : codec
}

function packBatch(
  views: BufferViews,
  at: number,
  end: number,
  codec: Codec,
  levels: CompressionLevels,
  sink: ByteSink,
): void {
  const start = sink.length
  const attributes = batchAttributes(views.dv, at) & ~WANTED_CODEC_MASK
  const isColumns = (attributes & COLUMNS_PAYLOAD) !== 0
  const headerEnd = at + (isColumns ? COLUMNS_PAYLOAD_OFFSET : BATCH_HEADER_BYTES)
  if (codec !== Codec.none && headerEnd < end) {
    sink.append(views.u8.subarray(at, headerEnd))
    compress(codec, views.u8, headerEnd, end, sink, levels)
    if (isColumns) {
      const padding = -(sink.length - start) & 7
      sink.ensure(padding)
      sink.u8.fill(0, sink.length, sink.length + padding)
      sink.length += padding
      sink.u8[start + COLUMNS_PADDING] = padding
    }
    if (sink.length - start < end - at) {
      seal(sink, start, attributes | codec)
      return
    }
    sink.length = start
  }
  sink.append(views.u8.subarray(at, end))
  seal(sink, start, attributes)
}

function seal(sink: ByteSink, start: number, attributes: number): void {
  const dv = sink.views.dv
  dv.setInt32(start + BATCH_LENGTH, sink.length - start - BATCH_LENGTH_OVERHEAD)
  dv.setInt16(start + ATTRIBUTES, attributes)
  dv.setUint32(start + CRC, crc32c(sink.u8, start + ATTRIBUTES, sink.length))
}

/** Whether there is something to unpack: a batch that compaction has emptied has nothing, whatever its attributes say. */
export function isCompressed(dv: DataView, position: number): boolean {
  return (dv.getInt16(position + ATTRIBUTES) & COMPRESSION_MASK) !== 0 && batchRecordCount(dv, position) > 0
}

/** Unpacks one batch after the other, each into the same memory. */
export class BatchUnpacker {
  readonly #sink: ByteSink

  constructor(bytesMax = UNPACKED_BYTES_MAX) {
    this.#sink = new ByteSink(bytesMax)
  }

  /**
   * The batch at `position`, whose header and checksum have been found right, as it was before it was compressed: at position 0 of the
   * views that are returned, good until the next call. Its length and attributes are right, its checksum is left as it was.
   */
  unpack(views: BufferViews, position: number): BufferViews {
    const { dv, u8 } = views
    const sink = this.#sink
    const end = position + batchByteLength(dv, position)
    const attributes = batchAttributes(dv, position)
    const isColumns = (attributes & COLUMNS_PAYLOAD) !== 0
    const headerBytes = isColumns ? COLUMNS_PAYLOAD_OFFSET : BATCH_HEADER_BYTES
    const padding = isColumns && position + headerBytes <= end ? (u8[position + COLUMNS_PADDING] as number) : 0
    if (position + headerBytes + padding > end)
      throw corrupt(dv, position, `found ${end - position} bytes, expected at least ${headerBytes + padding}`)
    sink.length = 0
    sink.trim(KEPT_BYTES)
    sink.append(u8.subarray(position, position + headerBytes))
    const codec = attributes & COMPRESSION_MASK
    const fault = decompress(codec, u8, position + headerBytes, end - padding, sink)
    if (fault !== undefined) throw corrupt(dv, position, fault)
    const plain = sink.views
    if (isColumns) plain.u8[COLUMNS_PADDING] = 0
    plain.dv.setInt32(BATCH_LENGTH, sink.length - BATCH_LENGTH_OVERHEAD)
    plain.dv.setInt16(ATTRIBUTES, attributes & ~COMPRESSION_MASK)
    return plain
  }
}

function corrupt(dv: DataView, position: number, detail: string): MillraceError {
  return new MillraceError(
    'RECORD_CORRUPT',
    `the batch at offset ${baseOffsetOf(dv, position)} cannot be decompressed`,
    {
      detail,
      hint: 'verify the log: mill.verify() names the damaged range',
    },
  )
}
