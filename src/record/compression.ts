import * as zlib from 'node:zlib'
import { loadCommonJs } from '../common/commonjs.js'
import { MillraceError } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import type { ByteSink } from './byte-sink.js'
import { assertCanCompress, Codec, type CompressionLevels, codecNames, zstdOfNode } from './codec.js'

const snappy = lazyModule(import.meta.url, './snappy.js', () => import('./snappy.js'))
const lz4 = lazyModule(import.meta.url, './lz4-frame.js', () => import('./lz4-frame.js'))
const zstd = lazyModule(import.meta.url, './zstd-frame.js', () => import('./zstd-frame.js'))

/**
 * What Kafka's codecs do. LZ4 and Snappy are small enough formats to be read with every length held against what is there, which no package
 * without a native build does. zstd is read everywhere, by fzstd.
 */

/** ZSTD_c_compressionLevel, which the types of Node 20 do not know. */
const ZSTD_COMPRESSION_LEVEL = 100

/** Appends [from, to) of `source`, compressed. */
export function compress(
  codec: Codec,
  source: Uint8Array,
  from: number,
  to: number,
  sink: ByteSink,
  levels: CompressionLevels,
): void {
  if (codec === Codec.gzip) sink.append(zlib.gzipSync(source.subarray(from, to), { level: levels.gzip }))
  else if (codec === Codec.snappy) snappy().encodeSnappy(source, from, to, sink)
  else if (codec === Codec.lz4) lz4().encodeLz4(source, from, to, sink)
  else if (codec === Codec.zstd && zstdOfNode.zstdCompressSync !== undefined) {
    const params = { [ZSTD_COMPRESSION_LEVEL]: levels.zstd }
    sink.append(zstdOfNode.zstdCompressSync(source.subarray(from, to), { params }))
  } else assertCanCompress(codec, 'a batch')
}

/** Appends what [from, to) of `source` becomes; what is wrong with it, if anything. Throws where it becomes larger than the sink allows. */
export function decompress(
  codec: number,
  source: Uint8Array,
  from: number,
  to: number,
  sink: ByteSink,
): string | undefined {
  const before = sink.length
  const fault = decompressBytes(codec, source, from, to, sink)
  if (fault === undefined) return undefined
  sink.length = before
  return `${codecNames[codec] ?? `codec ${codec}`}: ${fault}`
}

function decompressBytes(
  codec: number,
  source: Uint8Array,
  from: number,
  to: number,
  sink: ByteSink,
): string | undefined {
  switch (codec) {
    case Codec.gzip:
      return byLibrary(sink, (limit) => zlib.gunzipSync(source.subarray(from, to), { maxOutputLength: limit }))
    case Codec.snappy:
      return snappy().decodeSnappy(source, from, to, sink)
    case Codec.lz4:
      return lz4().decodeLz4(source, from, to, sink)
    case Codec.zstd: {
      const fault = zstd().zstdFault(source, from, to, sink.limit)
      if (fault !== undefined) return fault
      const native = zstdOfNode.zstdDecompressSync
      if (native === undefined) return decompressByFzstd(source, from, to, sink)
      return byLibrary(sink, (limit) => native(source.subarray(from, to), { maxOutputLength: limit }))
    }
    default:
      return 'there is none of that number'
  }
}

function byLibrary(sink: ByteSink, run: (limit: number) => Uint8Array): string | undefined {
  try {
    // A limit of zero is none to the library.
    sink.append(run(Math.max(1, sink.limit - sink.length)))
    return undefined
  } catch (error) {
    if (error instanceof MillraceError) throw error
    if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw sink.tooLarge(sink.limit + 1)
    return error instanceof Error ? error.message : String(error)
  }
}

interface Fzstd {
  readonly Decompress: new (onData: (chunk: Uint8Array) => void) => { push(chunk: Uint8Array, final: boolean): void }
}
let fzstd: Fzstd | undefined

function decompressByFzstd(source: Uint8Array, from: number, to: number, sink: ByteSink): string | undefined {
  fzstd ??= loadCommonJs('fzstd') as Fzstd
  try {
    // Piece by piece, so that the limit is asked before there is more. It keeps what it is given, which must not be shared memory.
    new fzstd.Decompress((chunk) => sink.append(chunk)).push(new Uint8Array(source.subarray(from, to)), true)
    return undefined
  } catch (error) {
    if (error instanceof MillraceError) throw error
    return error instanceof Error ? error.message : String(error)
  }
}
