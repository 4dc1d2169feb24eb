import { parseDuration } from '../../common/duration.js'
import { MillraceError } from '../../common/errors.js'
import { describe } from '../../types/invalid-value.js'
import type { TopicPartition } from '../assignor.js'
import { byOurNames, checkClientOptions } from '../client-options.js'
import { checkNames, wrong } from '../consumer-arguments.js'
import { invalid, positive } from '../consumer-options.js'
import { checkGroupId } from '../group-offsets.js'
import { FETCH_RECORDS } from '../limits.js'
import type { SharedMessage } from './delivery.js'

/**
 * Kafka's words for what becomes of a record: it is done with, it is to be handed out again, it never will be, or its lock begins anew.
 */
export type AcknowledgeType = 'accept' | 'release' | 'reject' | 'renew'

export interface ShareConsumerOptions {
  /** Consumers of one share group take records of the same partitions, each record one of them. */
  readonly groupId?: string | undefined
  /** A name for people, in `mill.groups.describe`. */
  readonly clientId?: string | undefined
  /**
   * 'implicit' (default): a message whose callback has ended is accepted, where it was not acknowledged otherwise. 'explicit': it is acknowledged by
   * `acknowledge` alone, also long after its callback.
   */
  readonly acknowledgementMode?: 'implicit' | 'explicit' | undefined
  /** Records acquired at a time at most. Default 500; callbacks that take one message get as few as they handle in some milliseconds. */
  readonly maxRecords?: number | undefined
  // The same by Kafka's names.
  readonly 'group.id'?: string | undefined
  readonly 'client.id'?: string | undefined
  readonly 'share.acknowledgement.mode'?: 'implicit' | 'explicit' | undefined
  readonly 'max.poll.records'?: number | undefined
}

export interface ResolvedShareConsumerOptions {
  readonly groupId: string
  readonly clientId: string
  readonly isExplicit: boolean
  readonly maxRecords: number
}

const aliases: Readonly<Record<string, string>> = {
  groupId: 'group.id',
  clientId: 'client.id',
  acknowledgementMode: 'share.acknowledgement.mode',
  maxRecords: 'max.poll.records',
}

export function resolveShareConsumerOptions(given: ShareConsumerOptions): ResolvedShareConsumerOptions {
  checkClientOptions('shareConsumer', given, Object.entries(aliases).flat())
  const {
    groupId,
    clientId,
    acknowledgementMode = 'implicit',
    maxRecords,
  }: ShareConsumerOptions = byOurNames('shareConsumer', given, aliases)
  checkGroupId(groupId)
  if (clientId !== undefined && typeof clientId !== 'string') throw invalid('clientId', clientId, 'a text')
  if (acknowledgementMode !== 'implicit' && acknowledgementMode !== 'explicit') {
    throw invalid('acknowledgementMode', acknowledgementMode, "'implicit' or 'explicit'")
  }
  return {
    groupId,
    clientId: clientId ?? 'consumer',
    isExplicit: acknowledgementMode === 'explicit',
    maxRecords: positive('maxRecords', maxRecords, FETCH_RECORDS),
  }
}

export interface EachSharedMessagePayload extends TopicPartition {
  readonly message: SharedMessage
  /** Aborted when the lock on the message is over, or the consumer stops. */
  readonly signal: AbortSignal
  /** Says what becomes of the message; Default 'accept'. */
  readonly acknowledge: (type?: AcknowledgeType) => void
  /** Here for code written for kafkajs. */
  readonly heartbeat: () => Promise<void>
}

export interface EachSharedBatchPayload {
  readonly batch: TopicPartition & { readonly messages: readonly SharedMessage[] }
  /** Aborted when the lock on the first message is over, or the consumer stops. */
  readonly signal: AbortSignal
  readonly acknowledge: (message: SharedMessage, type?: AcknowledgeType) => void
  readonly heartbeat: () => Promise<void>
  /** False once the consumer stops. */
  readonly isRunning: () => boolean
}

export interface SharedErrorOptions {
  /** What becomes of a message whose callback throws. Default 'release'; 'stop': it is released, and the consumer stops. */
  readonly then?: 'release' | 'reject' | 'stop' | undefined
  /** It is released only so long after. Default: at once. */
  readonly backoff?: string | number | undefined
}

export interface ShareRunOptions {
  readonly eachMessage?: ((payload: EachSharedMessagePayload) => Promise<void> | void) | undefined
  readonly eachBatch?: ((payload: EachSharedBatchPayload) => Promise<void> | void) | undefined
  /** Messages, or batches, whose callbacks run at the same time. Default 1. */
  readonly messagesConsumedConcurrently?: number | undefined
  readonly onError?: SharedErrorOptions | undefined
  /** Aborting it is `stop()`. */
  readonly signal?: AbortSignal | undefined
}

export interface ResolvedShareRunOptions {
  readonly eachMessage: ShareRunOptions['eachMessage']
  readonly eachBatch: ShareRunOptions['eachBatch']
  readonly lanes: number
  readonly then: 'release' | 'reject' | 'stop'
  readonly backoffMs: number
  readonly signal: AbortSignal | undefined
}

export function resolveShareRunOptions(options: ShareRunOptions): ResolvedShareRunOptions {
  const { eachMessage, eachBatch, onError, signal } = (options ?? {}) as ShareRunOptions
  const callbacks = [eachMessage, eachBatch].filter((callback) => callback !== undefined)
  if (callbacks.length !== 1 || typeof callbacks[0] !== 'function') {
    throw new MillraceError('INVALID_ARGUMENT', 'run takes one callback', {
      detail: `found ${callbacks.length === 1 ? describe(callbacks[0]) : `${callbacks.length} of them`}, expected eachMessage or eachBatch`,
      hint: 'consumer.run({ eachMessage: async ({ topic, partition, message }) => { … } })',
    })
  }
  checkNames('run', options, ['eachMessage', 'eachBatch', 'messagesConsumedConcurrently', 'onError', 'signal'])
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalid('signal', signal, 'an AbortSignal')
  if (onError !== undefined && (typeof onError !== 'object' || onError === null)) {
    throw wrong('onError of run', onError, 'an object with then and backoff', "onError: { then: 'reject' }")
  }
  if (onError !== undefined) checkNames('onError of run', onError, ['then', 'backoff'])
  const then = onError?.then ?? 'release'
  if (then !== 'release' && then !== 'reject' && then !== 'stop') {
    throw invalid('onError.then', then, "'release', 'reject' or 'stop'")
  }
  return {
    eachMessage,
    eachBatch,
    lanes: positive('messagesConsumedConcurrently', options.messagesConsumedConcurrently, 1),
    then,
    backoffMs: onError?.backoff === undefined ? 0 : parseDuration(onError.backoff, 'a backoff'),
    signal,
  }
}

const types: readonly unknown[] = ['accept', 'release', 'reject', 'renew']

/** What `acknowledge` is given: a message, or where it is. */
export function checkAcknowledgement(
  given: unknown,
  type: unknown,
): { place: TopicPartition; offset: number; count: number } {
  const hint = "consumer.acknowledge(message, 'accept')"
  if (typeof given !== 'object' || given === null) {
    throw wrong('the first argument of acknowledge', given, 'a message, or { topic, partition, offset }', hint)
  }
  const { topic, partition, offset, deliveryCount } = given as Partial<Record<keyof SharedMessage, unknown>>
  const number = typeof offset === 'string' && offset !== '' ? Number(offset) : offset
  const isPlace =
    typeof topic === 'string' &&
    Number.isSafeInteger(partition) &&
    typeof number === 'number' &&
    Number.isSafeInteger(number)
  if (!isPlace) {
    const found = `topic ${describe(topic)}, partition ${describe(partition)}, offset ${describe(offset)}`
    throw new MillraceError('INVALID_ARGUMENT', 'acknowledge was given no message of a share consumer', {
      detail: `found ${found}, expected the name of a topic and two whole numbers`,
      hint,
    })
  }
  if (!types.includes(type)) {
    throw wrong('the second argument of acknowledge', type, "'accept', 'release', 'reject' or 'renew'", hint)
  }
  const count = typeof deliveryCount === 'number' ? deliveryCount : 0
  return { place: { topic, partition: Number(partition) }, offset: number, count }
}
