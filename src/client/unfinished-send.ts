import { MillraceError } from '../common/errors.js'
import type { Message } from '../record/key-scatter.js'
import type { Compression } from './compression-types.js'
import type { ProducerRecord, RecordMetadata } from './producer-record.js'

/**
 * What a send of an idempotent producer that failed has left behind: which of its records are in the log without an acknowledgement, and which never
 * came there. Kept beside the error, so that who has the error can go on with the send without sending anything twice.
 */
export interface UnfinishedSend {
  readonly topic: string
  readonly compression: Compression | undefined
  readonly left: LeftOfSend
}

/** What is left to do of a send for one topic. */
export interface LeftOfSend {
  /** Undefined: it never came to the topic. */
  readonly topicId: string | undefined
  readonly messages: readonly Message[]
  /** Those that are in the log. */
  readonly runs: readonly AppendedRun[]
}

/** Records of one send that follow each other in one record batch. */
export interface AppendedRun {
  readonly batch: AppendedBatch
  readonly offset: number
  /** Places in the list of the messages. */
  readonly indexes: Int32Array
}

export interface AppendedBatch {
  readonly partition: number
  readonly baseOffset: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
}

export function neverSent(record: ProducerRecord): UnfinishedSend {
  const { topic, messages, compression } = record
  return { topic, compression, left: { topicId: undefined, messages, runs: [] } }
}

/** What belongs to one error. */
export interface Unfinished {
  readonly sends: readonly UnfinishedSend[]
  /** What the same call has written elsewhere, acknowledged. */
  readonly done: readonly RecordMetadata[]
}

const unfinished = new WeakMap<MillraceError, Unfinished>()

/** The error to give to the caller: this one, or a copy where another send was refused with it already. */
export function withUnfinished(
  error: unknown,
  sends: readonly UnfinishedSend[],
  done: readonly RecordMetadata[] = [],
): unknown {
  if (!(error instanceof MillraceError)) return error
  const { code, summary, detail, hint, retriable, cause } = error
  const own = unfinished.has(error) ? new MillraceError(code, summary, { detail, hint, retriable, cause }) : error
  unfinished.set(own, { sends, done })
  return own
}

export function unfinishedOf(error: unknown): Unfinished | undefined {
  return error instanceof MillraceError ? unfinished.get(error) : undefined
}

/** The same send is not gone on with twice. */
export function takeUnfinished(error: unknown): Unfinished {
  const found = unfinishedOf(error)
  if (found === undefined) {
    throw new MillraceError('INVALID_ARGUMENT', 'there is nothing to be sent again for this error', {
      detail:
        error instanceof MillraceError
          ? `the error is ${error.code}: of a producer that is not idempotent, of a transaction, or sent again already`
          : 'expected the error that send(), sendBatch() or write() of an idempotent producer was refused with',
      hint: 'mill.producer({ idempotent: true }); producer.send(record).catch((error) => producer.resend(error))',
    })
  }
  unfinished.delete(error as MillraceError)
  return found
}
