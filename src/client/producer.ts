import { EventEmitter } from 'node:events'
import { MillraceError } from '../common/errors.js'
import { Codec } from '../record/compression.js'
import type { Message } from '../record/key-scatter.js'
import { describe } from '../types/invalid-value.js'
import { checkClientOptions } from './client-options.js'
import { type Compression, codecOf } from './compression-types.js'
import type { HostLog } from './host-log.js'
import type { WrittenPart } from './joined-write.js'
import { WRITE_BUFFER_RECORDS, WRITE_QUEUE_RECORDS_MAX } from './limits.js'
import type { TopicSender } from './topic-sender.js'

export interface ProducerOptions {
  /** A send inside one process is not sent twice, so this is always so; here for code written for kafkajs. */
  readonly idempotent?: boolean | undefined
  /**
   * What its records are compressed with in segment files, in topics whose `compression.type` is 'producer', as it is by default.
   * The engine does it on the way to the disk; a memory topic's records are not. Default: 'none'.
   */
  readonly compression?: Compression | undefined
}

export interface ProducerRecord {
  readonly topic: string
  readonly messages: readonly Message[]
  /** 0: the promise resolves when the records are in the log, whatever the fsync mode. Default: what the mode promises. */
  readonly acks?: number | undefined
  /** Instead of the producer's. */
  readonly compression?: Compression | undefined
}

export interface ProducerBatch {
  readonly topicMessages: readonly { readonly topic: string; readonly messages: readonly Message[] }[]
  readonly acks?: number | undefined
  readonly compression?: Compression | undefined
}

export interface RecordMetadata {
  readonly topicName: string
  readonly partition: number
  readonly errorCode: number
  readonly baseOffset: number
  readonly recordCount: number
}

/**
 * Sends records, in the shapes of kafkajs. There is no linger: what is sent in one turn of the event loop is
 * joined, and goes when the turn ends. `write` is `send` without a promise for each record.
 *
 *   'drain'   write() said false, and now there is room again
 *   'error'   a record given to write() was refused (only where somebody listens; flush() rejects in any case)
 */
export class Producer extends EventEmitter {
  readonly #log: HostLog
  readonly #buffers = new Map<string, WriteBuffer>()
  #connected = true
  #mustDrain = false
  #writeError: unknown
  readonly #codec: Codec

  constructor(log: HostLog, options: ProducerOptions = {}) {
    super()
    checkClientOptions('producer', options, ['idempotent', 'compression'])
    this.#codec = codecOf(options.compression) ?? Codec.none
    this.#log = log
  }

  /** Nothing to connect to; here for code written for kafkajs. */
  async connect(): Promise<void> {
    this.#log.assertOpen()
    this.#connected = true
  }

  async disconnect(): Promise<void> {
    if (!this.#connected) return
    await this.flush()
    this.#connected = false
  }

  /** Resolves when all of the records are acknowledged; rejects with nothing written where one of them is not valid. */
  async send(record: ProducerRecord): Promise<RecordMetadata[]> {
    this.#assertConnected()
    assertObject('the argument of send', record, '{ topic, messages }')
    const { topic, messages, acks } = record
    assertMessages(topic, messages)
    const codec = codecOf(record.compression) ?? this.#codec
    if (messages.length === 0) return []
    const sender = this.#log.knownSender(topic) ?? (await this.#log.sender(topic))
    // What was written before goes before.
    this.#buffers.get(topic)?.handOver()
    const parts = await enqueue(sender, messages, acks !== 0, codec)
    return parts.map((part) => metadata(topic, part))
  }

  /** Several topics at once. Each topic's part is written as a whole or not at all. */
  async sendBatch(batch: ProducerBatch): Promise<RecordMetadata[]> {
    this.#assertConnected()
    assertObject('the argument of sendBatch', batch, '{ topicMessages }')
    const { topicMessages, acks, compression } = batch
    if (!Array.isArray(topicMessages))
      throw badArgument('topicMessages', topicMessages, 'an array of { topic, messages }')
    // All topics are known before anything is written.
    for (const part of topicMessages) {
      assertObject('a part of topicMessages', part, '{ topic, messages }')
      const { topic, messages } = part
      assertMessages(topic, messages)
      await this.#log.sender(topic)
    }
    const sent = await Promise.all(
      topicMessages.map(({ topic, messages }) => this.send({ topic, messages, acks, compression })),
    )
    return sent.flat()
  }

  /** Takes one record; false asks the caller to wait for 'drain' before more. */
  write(topic: string, message: Message): boolean {
    this.#assertConnected()
    if (typeof topic !== 'string') throw badArgument('topic', topic, 'the name of a topic')
    let buffer = this.#buffers.get(topic)
    if (buffer === undefined) {
      buffer = new WriteBuffer(
        topic,
        this.#log,
        this.#codec,
        (error) => this.#refused(error),
        () => this.#settled(),
      )
      this.#buffers.set(topic, buffer)
    }
    if (buffer.add(message) < WRITE_QUEUE_RECORDS_MAX) return true
    this.#mustDrain = true
    return false
  }

  /** Resolves when everything written before the call is acknowledged; rejects with the first record refused since the last flush. */
  async flush(): Promise<void> {
    for (const buffer of this.#buffers.values()) buffer.handOver()
    await Promise.all([...this.#buffers.values()].map((buffer) => buffer.idle()))
    const error = this.#writeError
    this.#writeError = undefined
    if (error !== undefined) throw error
  }

  #refused(error: unknown): void {
    this.#writeError ??= error
    if (this.listenerCount('error') > 0) this.emit('error', error)
  }

  #settled(): void {
    if (!this.#mustDrain) return
    for (const buffer of this.#buffers.values()) if (buffer.pending >= WRITE_QUEUE_RECORDS_MAX / 2) return
    this.#mustDrain = false
    this.emit('drain')
  }

  #assertConnected(): void {
    this.#log.assertOpen()
    if (!this.#connected) {
      throw new MillraceError('PRODUCER_DISCONNECTED', 'the producer is disconnected', {
        detail: 'disconnect() was called',
        hint: 'connect() it again, or make a new one',
      })
    }
  }
}

/** What `write` has taken for one topic. */
class WriteBuffer {
  /** Taken and not yet acknowledged or refused. */
  pending = 0
  readonly #topic: string
  readonly #log: HostLog
  readonly #refused: (error: unknown) => void
  readonly #settled: () => void
  #messages: Message[] = []
  #handOverIsComing = false
  #sender: TopicSender | undefined
  #resolving: Promise<void> | undefined
  #idle: (() => void)[] = []

  readonly #codec: Codec

  constructor(topic: string, log: HostLog, codec: Codec, refused: (error: unknown) => void, settled: () => void) {
    this.#topic = topic
    this.#log = log
    this.#codec = codec
    this.#refused = refused
    this.#settled = settled
  }

  /** How many are pending now. */
  add(message: Message): number {
    this.#messages.push(message)
    this.pending += 1
    if (this.#messages.length >= WRITE_BUFFER_RECORDS) {
      this.handOver()
      this.#sender?.flushNow()
    } else if (!this.#handOverIsComing) {
      this.#handOverIsComing = true
      queueMicrotask(() => this.handOver())
    }
    return this.pending
  }

  handOver(): void {
    this.#handOverIsComing = false
    if (this.#messages.length === 0) return
    const sender = this.#log.knownSender(this.#topic)
    if (sender === undefined) {
      this.#resolve()
      return
    }
    this.#sender = sender
    const messages = this.#messages
    this.#messages = []
    sender.enqueue({
      messages,
      waitForAck: true,
      codec: this.#codec,
      written: () => this.#done(messages.length),
      refused: (error) => {
        this.#refused(error)
        this.#done(messages.length)
      },
      recordRefused: this.#refused,
    })
  }

  idle(): Promise<void> {
    return this.pending === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve))
  }

  #resolve(): void {
    this.#resolving ??= this.#log
      .sender(this.#topic)
      .then(
        () => this.handOver(),
        (error: unknown) => {
          const lost = this.#messages.length
          this.#messages = []
          this.#refused(error)
          this.#done(lost)
        },
      )
      .finally(() => {
        this.#resolving = undefined
      })
  }

  #done(records: number): void {
    this.pending -= records
    if (this.pending === 0) for (const resolve of this.#idle.splice(0)) resolve()
    this.#settled()
  }
}

function enqueue(
  sender: TopicSender,
  messages: readonly Message[],
  waitForAck: boolean,
  codec: Codec,
): Promise<readonly WrittenPart[]> {
  return new Promise((resolve, reject) =>
    sender.enqueue({ messages, waitForAck, codec, written: resolve, refused: reject }),
  )
}

function metadata(topicName: string, part: WrittenPart): RecordMetadata {
  return { topicName, partition: part.partition, errorCode: 0, baseOffset: part.baseOffset, recordCount: part.records }
}

function assertMessages(topic: unknown, messages: unknown): void {
  if (typeof topic !== 'string') throw badArgument('topic', topic, 'the name of a topic')
  if (!Array.isArray(messages))
    throw badArgument('messages', messages, 'an array of { key, value, headers, timestamp, partition }')
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
