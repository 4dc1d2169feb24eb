import * as zlib from 'node:zlib'
import { MillraceError } from '../common/errors.js'

/**
 * Kafka's codecs, by Kafka's numbers and names, for who only says which it wants; what they do is in compression.ts. gzip and, from Node 22.15 on,
 * zstd are Node's own.
 */
export const Codec = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const
export type Codec = (typeof Codec)[keyof typeof Codec]
export type CodecName = keyof typeof Codec

/** In the order of their numbers. */
export const codecNames: readonly CodecName[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** Levels, where a codec has them; Kafka's defaults. */
export interface CompressionLevels {
  readonly gzip: number
  readonly zstd: number
}
export const defaultLevels: CompressionLevels = { gzip: -1, zstd: 3 }

/** The types of Node 20 do not know it. */
interface ZstdOfNode {
  readonly zstdCompressSync?: (bytes: Uint8Array, options: object) => Uint8Array
  readonly zstdDecompressSync?: (bytes: Uint8Array, options: object) => Uint8Array
}
export const zstdOfNode: ZstdOfNode = zlib as ZstdOfNode

export function canCompress(codec: Codec): boolean {
  return codec !== Codec.zstd || zstdOfNode.zstdCompressSync !== undefined
}

/** Throws COMPRESSION_UNSUPPORTED where this Node cannot write the codec. `what` begins the message. */
export function assertCanCompress(codec: Codec, what: string): void {
  if (canCompress(codec)) return
  throw new MillraceError('COMPRESSION_UNSUPPORTED', `${what} cannot be compressed with ${codecNames[codec]} here`, {
    detail: `Node ${process.versions.node} has no zstd, which came with 22.15; reading it works`,
    hint: "run a newer Node, or choose 'lz4', 'snappy' or 'gzip'",
  })
}
