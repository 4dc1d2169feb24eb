import { MillraceError } from '../common/errors.js'
import { assertCanCompress, Codec, type CodecName, codecNames } from '../record/codec.js'
import { describe } from '../types/invalid-value.js'

/** A codec as a producer is told it: one of CompressionTypes, or Kafka's name. */
export type Compression = Codec | CodecName

/** Undefined where nothing is said; throws where it is none, or none that this Node can write. */
export function codecOf(compression: unknown): Codec | undefined {
  if (compression === undefined) return undefined
  const number = typeof compression === 'string' ? codecNames.indexOf(compression as CodecName) : compression
  const codec = Object.values(Codec).find((known) => known === number)
  if (codec === undefined) {
    throw new MillraceError('INVALID_ARGUMENT', `compression is ${describe(compression)}`, {
      detail: `expected one of ${codecNames.map((name) => `'${name}'`).join(', ')}, or a number of CompressionTypes`,
      hint: "mill.producer({ compression: 'lz4' }), or producer.send({ topic, compression: CompressionTypes.GZIP, messages })",
    })
  }
  assertCanCompress(codec, 'the batches of a producer')
  return codec
}
