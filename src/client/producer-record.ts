import { MillraceError } from '../common/errors.js'
import { refuseInternalTopic } from '../log/internal-topics.js'
import type { Message } from '../record/key-scatter.js'
import { describe } from '../types/invalid-value.js'
import type { Compression } from './compression-types.js'
import type { Acks } from './producer-settings.js'

/** What `send` and `sendBatch` take and give, in the shapes of kafkajs. */
export interface ProducerRecord {
  readonly topic: string
  readonly messages: readonly Message[]
  /** Instead of the producer's. 0: in the log; 1: the operating system's; -1 or 'all': what the fsync mode promises. */
  readonly acks?: Acks | undefined
  /** Instead of the producer's. */
  readonly compression?: Compression | undefined
}

export interface ProducerBatch {
  readonly topicMessages: readonly { readonly topic: string; readonly messages: readonly Message[] }[]
  readonly acks?: Acks | undefined
  readonly compression?: Compression | undefined
}

export interface RecordMetadata {
  readonly topicName: string
  readonly partition: number
  readonly errorCode: number
  readonly baseOffset: number
  readonly recordCount: number
}

export function assertTopic(topic: unknown): asserts topic is string {
  if (typeof topic !== 'string') throw badArgument('topic', topic, 'the name of a topic')
  refuseInternalTopic(topic)
}

export function assertRecord(name: string, record: unknown): asserts record is ProducerRecord {
  assertObject(name, record, '{ topic, messages }')
  const { topic, messages } = record as { topic?: unknown; messages?: unknown }
  assertTopic(topic)
  if (!Array.isArray(messages))
    throw badArgument('messages', messages, 'an array of { key, value, headers, timestamp, partition }')
}

export function assertBatch(batch: unknown): asserts batch is ProducerBatch {
  assertObject('the argument of sendBatch', batch, '{ topicMessages }')
  const { topicMessages } = batch as { topicMessages?: unknown }
  if (!Array.isArray(topicMessages))
    throw badArgument('topicMessages', topicMessages, 'an array of { topic, messages }')
  for (const part of topicMessages) assertRecord('a part of topicMessages', part)
}

/**
 * About how many bytes the messages are, to hold against a batch's size or a buffer's. Bytes and strings are counted; an object counts
 * 16 for each of its fields, since what it takes in columns is not known before it is written.
 */
export function estimatedBytes(messages: readonly Message[]): number {
  let bytes = 0
  for (let i = 0; i < messages.length; i++) {
    const { key, value } = messages[i] as Message
    bytes += 16 + lengthOf(key) + lengthOf(value)
  }
  return bytes
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  if (ArrayBuffer.isView(value)) return value.byteLength
  let fields = 0
  for (const _ in value) fields += 1
  return fields * 16
}

function assertObject(name: string, found: unknown, expected: string): void {
  if (typeof found !== 'object' || found === null) throw badArgument(name, found, expected)
}

function badArgument(name: string, found: unknown, expected: string): MillraceError {
  return new MillraceError('INVALID_ARGUMENT', `${name} is not valid`, {
    detail: `found ${describe(found)}, expected ${expected}`,
    hint: "producer.send({ topic: 'user-clicks', messages: [{ key: 'u1', value }] })",
  })
}
