import type { ProducerSession } from '../log/producer-session.js'
import { Codec } from '../record/codec.js'
import type { Message } from '../record/key-scatter.js'
import type { PreparedBatch } from '../record/prepared-batch.js'
import type { AckLevel, SendAcks } from './send-acks.js'
import type { AppendedBatch, AppendedRun, LeftOfSend } from './unfinished-send.js'

/** One call of `send` for one topic. Settled once, when it is acknowledged or refused. */
export interface PendingSend {
  readonly messages: readonly Message[]
  /** False: settled when it is in the log, whatever the fsync mode. */
  readonly waitForAck: boolean
  /** What its batches are to be compressed with in files, where the topic leaves that to producers. Default: none. */
  readonly codec?: Codec
  /** Default: what the topic's fsync mode promises. */
  readonly ackLevel?: AckLevel
  /** Whose it is, where batches carry a producer id. */
  readonly producer?: ProducerSession | undefined
  /** Bytes of a batch that are enough. */
  readonly batchBytes?: number | undefined
  /** On the monotonic clock: until then a full disk is waited out. */
  readonly deliverBy?: number | undefined
  readonly written: (parts: readonly WrittenPart[]) => void
  /** `left`: what may be in the log all the same. Not given where the send itself is at fault. */
  readonly refused: (error: unknown, left?: LeftOfSend) => void
  /** Given: an invalid record is refused alone, by this, and the others go in. */
  readonly recordRefused?: ((error: unknown) => void) | undefined
}

/**
 * A copy, to be changed. Every property by its name: V8 puts what a spread makes by the thousand into old space, where a send that is
 * long over keeps its records and promises alive through every scavenge, which then took milliseconds and not a fraction of one.
 */
export function copyOf(send: PendingSend): { -readonly [K in keyof PendingSend]: PendingSend[K] } {
  return {
    messages: send.messages,
    waitForAck: send.waitForAck,
    codec: send.codec ?? Codec.none,
    ackLevel: send.ackLevel ?? 'promised',
    producer: send.producer,
    batchBytes: send.batchBytes,
    deliverBy: send.deliverBy,
    written: send.written,
    refused: send.refused,
    recordRefused: send.recordRefused,
  }
}

/** Whether the two may share batches. */
export function mayShare(a: PendingSend, b: PendingSend): boolean {
  return (
    a.producer === b.producer && a.batchBytes === b.batchBytes && (a.codec ?? Codec.none) === (b.codec ?? Codec.none)
  )
}

/** What a send wrote to one partition. */
export interface WrittenPart {
  readonly partition: number
  readonly baseOffset: number
  records: number
}

/**
 * Sends that are being written together: how far they are, and which records of which send went where. Within a partition
 * the records of a batch are in the order of the sends, so each send's are one run.
 */
export class JoinedWrite {
  readonly messages: readonly Message[]
  /** Messages known to be valid, messages handed to the builder, batches of the builder that are in the log. */
  validated = 0
  prepared = 0
  nextBatch = 0
  isPrepared = false
  hasWritten = false
  /** First message of each send. */
  readonly #starts: Int32Array
  readonly #parts: WrittenPart[][]
  readonly #targets = new Map<number, number>()
  readonly #lastParts = new Map<number, WrittenPart>()
  /** Of an idempotent producer: every batch that was appended, and the messages in it. */
  readonly #batches: { readonly batch: AppendedBatch; readonly indexes: Int32Array }[] = []

  constructor(
    readonly sends: readonly PendingSend[],
    records: number,
    readonly topicId: string,
  ) {
    const single = sends.length === 1 ? sends[0] : undefined
    this.#parts = sends.map(() => [])
    this.#starts = new Int32Array(sends.length)
    if (single !== undefined) {
      this.messages = single.messages
      return
    }
    const messages: Message[] = new Array<Message>(records)
    let at = 0
    for (let s = 0; s < sends.length; s++) {
      this.#starts[s] = at
      const own = (sends[s] as PendingSend).messages
      for (let i = 0; i < own.length; i++) messages[at++] = own[i] as Message
    }
    this.messages = messages
  }

  /** Notes which records of which send the batch holds; the order of rows is made where it is asked for: within a partition they are in the order of the sends. */
  appended(batch: PreparedBatch, baseOffset: number, rows: { readonly order: Int32Array }): void {
    this.hasWritten = true
    this.#targets.set(batch.partition, baseOffset + batch.records)
    const producer = this.sends[0]?.producer
    if (producer !== undefined && !producer.isTransactional) this.#remember(batch, baseOffset, rows, producer)
    if (this.sends.length === 1) {
      this.#addSlice(batch, baseOffset)
      return
    }
    const { order } = rows
    let s = 0
    for (let row = batch.from; row < batch.to; row++) {
      const index = order[row] as number
      while (s + 1 < this.sends.length && (this.#starts[s + 1] as number) <= index) s++
      addRecord(this.#parts[s] as WrittenPart[], batch.partition, baseOffset + row - batch.from)
    }
  }

  /** So that a send that fails can be gone on with: a number for each record, until the acknowledgement. */
  #remember(
    { partition, from, to }: PreparedBatch,
    baseOffset: number,
    rows: { readonly order: Int32Array },
    { producerId, producerEpoch, stamp }: ProducerSession,
  ): void {
    const batch = { partition, baseOffset, producerId, producerEpoch, baseSequence: stamp.baseSequence }
    this.#batches.push({ batch, indexes: rows.order.slice(from, to) })
  }

  /** Each send hears of the error, and of what is in the log of it all the same. */
  refuse(error: unknown, sends: (send: PendingSend) => boolean = () => true): void {
    for (let s = 0; s < this.sends.length; s++) {
      const send = this.sends[s] as PendingSend
      if (sends(send)) send.refused(error, this.#leftOf(s))
    }
  }

  #leftOf(s: number): LeftOfSend {
    const { messages } = this.sends[s] as PendingSend
    const start = this.#starts[s] as number
    const end = start + messages.length
    const runs: AppendedRun[] = []
    for (const { batch, indexes } of this.#batches) {
      // The rows of a batch are in the order of the sends.
      const from = indexes.findIndex((index) => index >= start && index < end)
      if (from === -1) continue
      let to = from + 1
      while (to < indexes.length && (indexes[to] as number) < end) to += 1
      runs.push({ batch, offset: batch.baseOffset + from, indexes: indexes.slice(from, to).map((i) => i - start) })
    }
    return { topicId: this.topicId, messages, runs }
  }

  /** A large send comes back to each partition slice by slice; what follows on there is one part. */
  #addSlice(batch: PreparedBatch, baseOffset: number): void {
    const parts = this.#parts[0] as WrittenPart[]
    const last = this.#lastParts.get(batch.partition)
    if (last !== undefined && last.baseOffset + last.records === baseOffset) {
      last.records += batch.records
      return
    }
    const part = { partition: batch.partition, baseOffset, records: batch.records }
    parts.push(part)
    this.#lastParts.set(batch.partition, part)
  }

  /** Of the send that gives up first. */
  get deliverBy(): number {
    let least = Number.POSITIVE_INFINITY
    for (const { deliverBy } of this.sends) least = Math.min(least, deliverBy ?? Number.NEGATIVE_INFINITY)
    return least
  }

  finish(acks: SendAcks): void {
    for (let s = 0; s < this.sends.length; s++) {
      const send = this.sends[s] as PendingSend
      if (!send.waitForAck) send.written(this.#parts[s] as WrittenPart[])
    }
    this.#expect(acks, 'written')
    this.#expect(acks, 'promised')
  }

  #expect(acks: SendAcks, level: AckLevel): void {
    const waits = (send: PendingSend): boolean => send.waitForAck && (send.ackLevel ?? 'promised') === level
    if (!this.sends.some(waits)) return
    acks.expect(
      [...this.#targets],
      () => {
        for (let s = 0; s < this.sends.length; s++) {
          const send = this.sends[s] as PendingSend
          if (waits(send)) send.written(this.#parts[s] as WrittenPart[])
        }
      },
      (error) => this.refuse(error, waits),
      { level, deliverBy: this.deliverBy },
    )
  }
}

/** The records of a small send follow each other within a partition, unless another thread appended between; then a part begins anew. */
function addRecord(parts: WrittenPart[], partition: number, offset: number): void {
  const last = parts[parts.length - 1]
  if (last !== undefined && last.partition === partition && last.baseOffset + last.records === offset) last.records += 1
  else parts.push({ partition, baseOffset: offset, records: 1 })
}
