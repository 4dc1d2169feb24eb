import { EventEmitter } from 'node:events'
import { MillraceError } from '../common/errors.js'
import { OFFSETS_TOPIC } from '../log/internal-topics.js'
import type { ProducerSession } from '../log/producer-session.js'
import { Codec } from '../record/codec.js'
import type { Message } from '../record/key-scatter.js'
import { codecOf } from './compression-types.js'
import { GroupOffsets } from './group-offsets.js'
import type { HostLog } from './host-log.js'
import { copyOf, type PendingSend, type WrittenPart } from './joined-write.js'
import { sendResuming } from './later-parts.js'
import { WRITE_QUEUE_RECORDS_MAX } from './limits.js'
import { notInTransaction, ProducerIdentity } from './producer-identity.js'
import {
  assertBatch,
  assertRecord,
  assertTopic,
  type ProducerBatch,
  type ProducerRecord,
  type RecordMetadata,
} from './producer-record.js'
import {
  acksOf,
  idempotentAcks,
  type ProducerOptions,
  type ProducerSettings,
  producerSettings,
} from './producer-settings.js'
import type { ResumedSend } from './resend.js'
import { SendBuffer } from './send-buffer.js'
import type { TopicSender } from './topic-sender.js'
import { Transaction } from './transaction.js'
import { TransactionalOffsets } from './transactional-offsets.js'
import { neverSent, takeUnfinished, type UnfinishedSend, unfinishedOf, withUnfinished } from './unfinished-send.js'
import { WriteBuffer } from './write-buffer.js'

export type { ProducerBatch, ProducerRecord, RecordMetadata } from './producer-record.js'
export type { ProducerOptions } from './producer-settings.js'

/**
 * Sends records, in the shapes of kafkajs. What is sent in one turn of the event loop is joined, and goes when the turn ends, or when
 * `linger.ms` is over. `write` is `send` without a promise for each record. With a transactionalId everything is sent in transactions.
 *
 *   'drain'   write() said false, and now there is room again
 *   'error'   a record given to write() was refused (only where somebody listens; flush() rejects in any case)
 */
export class Producer extends EventEmitter {
  readonly #log: HostLog
  readonly #settings: ProducerSettings
  readonly #codec: Codec
  readonly #identity: ProducerIdentity | undefined
  readonly #offsets: TransactionalOffsets
  readonly #buffer: SendBuffer
  readonly #buffers = new Map<string, WriteBuffer>()
  /** Of an idempotent producer, once it is known. */
  #session: ProducerSession | undefined
  #transaction: Transaction | 'beginning' | undefined
  #connected = true
  #mustDrain = false
  #writeError: unknown

  constructor(log: HostLog, options: ProducerOptions = {}, offsets?: TransactionalOffsets) {
    super()
    this.#settings = producerSettings(options)
    this.#codec = codecOf(this.#settings.compression) ?? Codec.none
    this.#log = log
    this.#offsets = offsets ?? new TransactionalOffsets(new GroupOffsets(log))
    this.#buffer = new SendBuffer(log.env, this.#settings)
    const { isIdempotent, transactionalId, transactionTimeoutMs } = this.#settings
    if (isIdempotent) this.#identity = new ProducerIdentity(log.coordinator, transactionalId, transactionTimeoutMs)
  }

  /** With a transactionalId it fences whoever had that id before. Else there is nothing to connect to; here for code written for kafkajs. */
  async connect(): Promise<void> {
    this.#log.assertOpen()
    this.#connected = true
    await this.#identity?.init()
  }

  /** A transaction that is open is aborted. */
  async disconnect(): Promise<void> {
    if (!this.#connected) return
    await this.flush()
    this.#connected = false
    const transaction = this.#transaction
    if (transaction instanceof Transaction && transaction.isActive()) await transaction.abort()
  }

  isIdempotent(): boolean {
    return this.#identity !== undefined
  }

  /** Resolves when all of the records are acknowledged; rejects with nothing written where one of them is not valid. */
  async send(record: ProducerRecord): Promise<RecordMetadata[]> {
    assertRecord('the argument of send', record)
    this.#assertNoTransactions()
    return await this.#send(record, await this.#sessionFor([record]))
  }

  /** Several topics at once. Each topic's part is written as a whole or not at all. */
  async sendBatch(batch: ProducerBatch): Promise<RecordMetadata[]> {
    assertBatch(batch)
    this.#assertNoTransactions()
    return await this.#sendBatch(batch, await this.#sessionFor(partsOf(batch)))
  }

  /**
   * Goes on with what an idempotent producer was refused with `error`: a send, a sendBatch, records given to write. What is in the log already is waited
   * for, what is not is sent; nothing is there twice, also where the engine was closed and opened anew meanwhile, and this producer is
   * another than the one that sent. Resolves with the places of all records, or rejects with an error that can be gone on with in turn.
   */
  async resend(error: unknown): Promise<RecordMetadata[]> {
    this.#assertConnected()
    const { transactionalId } = this.#settings
    if (transactionalId !== undefined) throw notInTransaction(transactionalId)
    const { sends, done } = takeUnfinished(error)
    return await this.#allOf(
      sends.map((send) => this.#resume(send)),
      done,
    )
  }

  /** Begins a transaction; one at a time. The first one asks the engine for the producer's id, and fences whoever had it before. */
  async transaction(): Promise<Transaction> {
    this.#assertConnected()
    const identity = this.#identity
    if (identity?.transactionalId === undefined) throw noTransactionalId()
    if (this.#transaction !== undefined) throw transactionOpen(identity.transactionalId)
    this.#transaction = 'beginning'
    let session: ProducerSession
    try {
      session = await identity.begin()
    } catch (error) {
      this.#transaction = undefined
      throw error
    }
    const transaction = new Transaction(
      {
        send: (record, of) => this.#sendIn(record, of),
        sendBatch: (batch, of) => this.#sendBatchIn(batch, of),
        sendOffsets: (messages, of) => this.#sendOffsets(messages, of),
        hurry: (work) => this.#buffer.hurry(work),
        end: (of, commit) => identity.end(of, commit),
        offsets: this.#offsets,
        over: () => {
          this.#transaction = undefined
        },
      },
      session,
    )
    this.#transaction = transaction
    return transaction
  }

  /** Takes one record; false asks the caller to wait for 'drain' before more. */
  write(topic: string, message: Message): boolean {
    this.#assertConnected()
    assertTopic(topic)
    this.#assertNoTransactions()
    let buffer = this.#buffers.get(topic)
    if (buffer === undefined) {
      buffer = new WriteBuffer(
        topic,
        this.#log,
        (sender, send) => this.#enqueueWritten(sender, send),
        (error) => this.#refused(error),
        () => this.#settled(),
      )
      this.#buffers.set(topic, buffer)
    }
    if (buffer.add(message) < WRITE_QUEUE_RECORDS_MAX && !this.#buffer.isFull) return true
    this.#mustDrain = true
    return false
  }

  /** Resolves when everything written before the call is acknowledged; rejects with the first record refused since the last flush. */
  async flush(): Promise<void> {
    for (const buffer of this.#buffers.values()) buffer.handOver()
    await this.#buffer.hurry(async () => {
      await Promise.all([...this.#buffers.values()].map((buffer) => buffer.idle()))
    })
    const error = this.#writeError
    this.#writeError = undefined
    if (error !== undefined) throw error
  }

  async #sendIn(record: ProducerRecord, session: ProducerSession): Promise<RecordMetadata[]> {
    this.#assertConnected()
    assertRecord('the argument of send', record)
    return await this.#send(record, session)
  }

  async #sendBatchIn(batch: ProducerBatch, session: ProducerSession): Promise<RecordMetadata[]> {
    this.#assertConnected()
    assertBatch(batch)
    return await this.#sendBatch(batch, session)
  }

  async #sendOffsets(messages: readonly Message[], session: ProducerSession): Promise<number> {
    this.#assertConnected()
    const inOne = messages.map((message) => ({ ...message, partition: 0 }))
    const [place] = await this.#send({ topic: OFFSETS_TOPIC, messages: inOne }, session)
    return place?.baseOffset ?? -1
  }

  async #sendBatch(batch: ProducerBatch, session: ProducerSession | undefined): Promise<RecordMetadata[]> {
    const records = partsOf(batch)
    try {
      // All topics are known before anything is written.
      for (const { topic } of records) await this.#log.sender(topic)
    } catch (error) {
      throw this.#unsent(error, records)
    }
    return await this.#allOf(records.map((record) => this.#send(record, session)))
  }

  /** Where some of them fail, what is left of all of these is gone on with for the error of the first. */
  async #allOf(
    sends: readonly Promise<RecordMetadata[]>[],
    before: readonly RecordMetadata[] = [],
  ): Promise<RecordMetadata[]> {
    const done = [...before]
    const left: UnfinishedSend[] = []
    let first: PromiseRejectedResult | undefined
    for (const one of await Promise.allSettled(sends)) {
      if (one.status === 'fulfilled') done.push(...one.value)
      else {
        const unfinished = unfinishedOf(one.reason)
        first ??= one
        left.push(...(unfinished?.sends ?? []))
        done.push(...(unfinished?.done ?? []))
      }
    }
    if (first === undefined) return done
    throw left.length === 0 ? first.reason : withUnfinished(first.reason, left, done)
  }

  async #resume(send: UnfinishedSend): Promise<RecordMetadata[]> {
    const { topic, compression } = send
    let resumed: ResumedSend
    try {
      const sender = this.#log.knownSender(topic) ?? (await this.#log.sender(topic))
      resumed = sendResuming().resumeSend(
        this.#log,
        sender,
        send,
        this.#log.env.monotonic() + this.#settings.deliveryTimeoutMs,
      )
    } catch (error) {
      throw withUnfinished(error, [send])
    }
    const { found, missing } = resumed
    const record = { topic, messages: missing, compression }
    const sent = this.#sessionFor([record]).then((session) => this.#send(record, session))
    return await this.#allOf([found.then((parts) => parts.map((part) => metadata(topic, part))), sent])
  }

  async #send(record: ProducerRecord, session: ProducerSession | undefined): Promise<RecordMetadata[]> {
    const { topic, messages } = record
    const codec = codecOf(record.compression) ?? this.#codec
    const acks = acksOf(record.acks) ?? this.#settings.acks
    if (session !== undefined) idempotentAcks(acks)
    if (messages.length === 0) return []
    let sender: TopicSender
    try {
      sender = this.#log.knownSender(topic) ?? (await this.#log.sender(topic))
      // What was written before goes before.
      this.#buffers.get(topic)?.handOver()
      const room = this.#buffer.room({ messages })
      if (room !== undefined) await room
    } catch (error) {
      throw this.#unsent(error, [record])
    }
    const parts = await new Promise<readonly WrittenPart[]>((written, reject) => {
      const refused = this.#refusal(record, session, reject)
      const send: PendingSend = { messages, waitForAck: acks !== 0, written, refused }
      this.#buffer.add(sender, this.#with(send, codec, acks === 1 ? 'written' : 'promised', session))
    })
    return parts.map((part) => metadata(topic, part))
  }

  /** Where nothing of these came to a topic an idempotent producer keeps them beside the error, for `resend`. */
  #unsent(error: unknown, records: readonly ProducerRecord[]): unknown {
    if (this.#identity === undefined || this.#identity.transactionalId !== undefined) return error
    return withUnfinished(error, records.map(neverSent))
  }

  #refusal(
    record: ProducerRecord,
    session: ProducerSession | undefined,
    refused: (error: unknown) => void,
  ): PendingSend['refused'] {
    if (session === undefined || session.isTransactional) return refused
    const { topic, compression } = record
    return (error, left) => {
      refused(withUnfinished(error, [left === undefined ? neverSent(record) : { topic, compression, left }]))
    }
  }

  #with(
    send: PendingSend,
    codec: Codec,
    ackLevel: 'written' | 'promised',
    producer: ProducerSession | undefined,
  ): PendingSend {
    const { batchBytes, deliveryTimeoutMs } = this.#settings
    const deliverBy = producer === undefined ? undefined : this.#log.env.monotonic() + deliveryTimeoutMs
    const copy = copyOf(send)
    copy.codec = codec
    copy.ackLevel = ackLevel
    copy.producer = producer
    copy.batchBytes = batchBytes
    copy.deliverBy = deliverBy
    return copy
  }

  #enqueueWritten(sender: TopicSender, send: PendingSend): void {
    const level = this.#settings.acks === 1 ? 'written' : 'promised'
    const acked = copyOf(send)
    acked.waitForAck = this.#settings.acks !== 0
    const session = this.#session
    const record = { topic: sender.topic.name, messages: send.messages }
    const add = (known: ProducerSession | undefined): void => {
      acked.refused = this.#refusal(record, known, send.refused)
      this.#buffer.add(sender, this.#with(acked, this.#codec, level, known))
    }
    if (this.#identity === undefined || session !== undefined) add(session)
    else this.#ownSession().then(add, (error: unknown) => send.refused(this.#unsent(error, [record])))
  }

  async #sessionFor(records: readonly ProducerRecord[]): Promise<ProducerSession | undefined> {
    try {
      this.#assertConnected()
      return this.#session ?? (await this.#ownSession())
    } catch (error) {
      throw this.#unsent(error, records)
    }
  }

  async #ownSession(): Promise<ProducerSession | undefined> {
    if (this.#identity === undefined) return undefined
    this.#session = await this.#identity.session()
    return this.#session
  }

  #refused(error: unknown): void {
    this.#writeError ??= error
    if (this.listenerCount('error') > 0) this.emit('error', error)
  }

  #settled(): void {
    if (!this.#mustDrain || this.#buffer.isFull) return
    for (const buffer of this.#buffers.values()) if (buffer.pending >= WRITE_QUEUE_RECORDS_MAX / 2) return
    this.#mustDrain = false
    this.emit('drain')
  }

  #assertNoTransactions(): void {
    const { transactionalId } = this.#settings
    if (transactionalId !== undefined) throw notInTransaction(transactionalId)
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

function partsOf({ topicMessages, acks, compression }: ProducerBatch): ProducerRecord[] {
  return topicMessages.map(({ topic, messages }) => ({ topic, messages, acks, compression }))
}

function metadata(topicName: string, part: WrittenPart): RecordMetadata {
  return { topicName, partition: part.partition, errorCode: 0, baseOffset: part.baseOffset, recordCount: part.records }
}

function noTransactionalId(): MillraceError {
  return new MillraceError('NO_TRANSACTIONAL_ID', 'the producer has no transactionalId', {
    detail: "found a producer without one, expected a text that is this producer's alone and the same after a restart",
    hint: "mill.producer({ transactionalId: 'orders-1' })",
  })
}

function transactionOpen(transactionalId: string): MillraceError {
  return new MillraceError('TRANSACTION_OPEN', 'the producer has a transaction open already', {
    detail: `transactionalId ${JSON.stringify(transactionalId)} has one at a time`,
    hint: 'commit or abort it first, or use another producer with a transactionalId of its own',
  })
}
