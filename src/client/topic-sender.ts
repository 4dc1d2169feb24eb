import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { APPEND_BUSY, PartitionAppender, partitionError } from '../log/partition-appender.js'
import { PartitionStatus } from '../log/partition-control.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { LogMemory } from '../log/shared-memory.js'
import { topicRules } from '../log/topic-config.js'
import { NO_PRODUCER } from '../record/batch-header.js'
import { Codec } from '../record/codec.js'
import type { Message } from '../record/key-scatter.js'
import type { PreparedBatch } from '../record/prepared-batch.js'
import { RowsBatchBuilder } from '../record/rows-batch-builder.js'
import { TypedBatchBuilder } from '../record/typed-batch-builder.js'
import { JoinedWrite, mayShare, type PendingSend } from './joined-write.js'
import { SLICE_RECORDS, SMALL_SEND_RECORDS, SPACE_RETRY_MS, TURN_MS } from './limits.js'
import { SendAcks } from './send-acks.js'

/**
 * Brings the sends of one topic into its log, in their order. Nothing of a send is written before all of it is valid.
 * Small sends of one turn share a batch in each partition; large ones are cut so that the event loop breathes; where the log
 * has no memory to give the queue stands until the host's doorbell rings.
 */
export class TopicSender {
  readonly appenders: readonly PartitionAppender[]
  readonly #env: Env
  readonly #builder: TypedBatchBuilder | RowsBatchBuilder
  readonly #acks: SendAcks
  readonly #onActive: () => void
  readonly #leavesCodecToProducers: boolean
  #queue: PendingSend[] = []
  #queuedRecords = 0
  /** The sends being written: joined messages, and how far. */
  #current: JoinedWrite | undefined
  #turn: 'none' | 'microtask' | 'immediate' = 'none'
  #waitsForMemory = false
  #isRunning = false
  #closed: unknown
  #after: TopicSender | undefined

  constructor(
    readonly topic: TopicDescriptor,
    options: {
      readonly memory: LogMemory
      readonly env: Env
      readonly onActive: () => void
      /** The sender of the topic as it was: what it still has queued goes before anything of this one. */
      readonly after?: TopicSender | undefined
    },
  ) {
    this.#after = options.after
    this.#env = options.env
    this.#onActive = options.onActive
    this.#leavesCodecToProducers = topic.config['compression.type'] === 'producer'
    this.appenders = topic.partitions.map((partition) => new PartitionAppender(partition, options.memory))
    const builderOptions = {
      partitions: topic.partitions.length,
      partitioner: topic.partitioner,
      random: () => options.env.random(),
      batchBytesMax: Number(topic.config['max.message.bytes']),
      rules: topicRules(topic.config, () => options.env.now()),
    }
    this.#builder =
      topic.schema === undefined
        ? new RowsBatchBuilder(builderOptions)
        : new TypedBatchBuilder(topic.schema, builderOptions)
    this.#acks = new SendAcks(this.appenders, () => options.env.monotonic())
  }

  /** Records handed over and not yet in the log. */
  get queuedRecords(): number {
    return this.#queuedRecords
  }

  /** Something is queued, or waits for an acknowledgement. */
  get isActive(): boolean {
    return this.#queue.length > 0 || this.#current !== undefined || this.#acks.waiting > 0
  }

  enqueue(send: PendingSend): void {
    if (this.#closed !== undefined) {
      this.#refuseUntouched(send, this.#closed)
      return
    }
    this.#queue.push(send)
    this.#queuedRecords += send.messages.length
    if (this.#turn === 'none' && this.#current === undefined) {
      this.#turn = 'microtask'
      queueMicrotask(this.#runTurn)
    }
    this.#onActive()
  }

  /** Resolves when what lies below `offset` is acknowledged, whoever has sent it. `deliverBy`: until then a full disk is waited out. */
  acknowledged(partition: number, offset: number, deliverBy?: number): Promise<void> {
    const appender = this.appenders[partition] as PartitionAppender
    if (appender.ackedOffset() >= offset) return Promise.resolve()
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    const done = new Promise<void>((resolve, reject) => {
      this.#acks.expect([[partition, offset]], resolve, reject, deliverBy === undefined ? {} : { deliverBy })
    })
    // Where the partition takes nothing any more nobody rings.
    this.#acks.settle()
    this.#onActive()
    return done
  }

  /** Writes what is queued now, as far as memory and the turn's time reach. */
  flushNow(): void {
    if (this.#turn === 'immediate' || this.#waitsForMemory) return
    this.#run()
  }

  /** The host's doorbell rang: there may be acknowledgements, and there may be memory. */
  rung(): void {
    this.#acks.settle()
    if (this.#waitsForMemory) {
      this.#waitsForMemory = false
      this.#run()
    }
  }

  close(error: unknown): void {
    this.#closed = error
    this.#acks.settle()
    this.#acks.refuseAll(error)
    const current = this.#current
    this.#current = undefined
    current?.refuse(error)
    for (const send of this.#queue) this.#refuseUntouched(send, error)
    this.#queue = []
    this.#queuedRecords = 0
  }

  /** Nothing of it came into the log. */
  #refuseUntouched(send: PendingSend, error: unknown): void {
    send.refused(error, { topicId: this.topic.id, messages: send.messages, runs: [] })
  }

  readonly #runTurn = (): void => {
    this.#turn = 'none'
    if (!this.#waitsForMemory) this.#run()
  }

  #run(): void {
    // A getter of a user's object may send while it is being read.
    if (this.#isRunning) return
    this.#isRunning = true
    try {
      this.#runUntil(this.#env.monotonic() + TURN_MS)
    } finally {
      this.#isRunning = false
    }
    this.#acks.settle()
  }

  #runUntil(until: number): void {
    if (this.#after !== undefined) {
      if (this.#after.queuedRecords > 0) {
        this.#comeBack()
        return
      }
      this.#after = undefined
    }
    for (;;) {
      const current = this.#current ?? this.#take()
      if (current === undefined) break
      this.#current = current
      const state = this.#advance(current)
      if (state === 'done') {
        this.#current = undefined
        if (this.#queue.length === 0) break
      }
      if (state === 'memory') {
        this.#waitsForMemory = true
        break
      }
      if (state === 'busy' || this.#env.monotonic() >= until) {
        this.#comeBack()
        break
      }
    }
  }

  #comeBack(): void {
    if (this.#turn === 'immediate') return
    this.#turn = 'immediate'
    setImmediate(this.#runTurn)
  }

  /** The next send, joined with its neighbours while all are small. */
  #take(): JoinedWrite | undefined {
    const queue = this.#queue
    const first = queue[0]
    if (first === undefined) return undefined
    let count = 1
    let records = first.messages.length
    if (records < SMALL_SEND_RECORDS) {
      for (; count < queue.length; count++) {
        const send = queue[count] as PendingSend
        const next = send.messages.length
        if (!mayShare(send, first)) break
        if (next >= SMALL_SEND_RECORDS || records + next > SLICE_RECORDS) break
        records += next
      }
    }
    const sends = count === queue.length ? queue : queue.slice(0, count)
    this.#queue = count === queue.length ? [] : queue.slice(count)
    return new JoinedWrite(sends, records, this.topic.id)
  }

  #advance(current: JoinedWrite): 'done' | 'more' | 'busy' | 'memory' {
    try {
      if (current.validated < current.messages.length && !current.isPrepared) {
        if (!this.#validateOrPrepare(current)) return 'more'
      } else if (!current.isPrepared) {
        this.#prepare(current)
      }
      const state = this.#append(current)
      if (state !== 'done') return state
      if (current.prepared < current.messages.length) {
        current.isPrepared = false
        return 'more'
      }
    } catch (error) {
      if (!isDiskFull(error) || this.#env.monotonic() >= current.deliverBy) return this.#refuse(current, error)
      // Nothing of this batch is in the log, and what was before it stays: it goes on from here.
      this.#env.timer(SPACE_RETRY_MS, () => this.rung())
      return 'memory'
    }
    this.#queuedRecords -= current.messages.length
    current.finish(this.#acks)
    return 'done'
  }

  /** What fits one slice is prepared at once, which checks it too. What does not is checked slice by slice first. */
  #validateOrPrepare(current: JoinedWrite): boolean {
    const { messages } = current
    if (current.validated === 0 && messages.length <= SLICE_RECORDS) {
      this.#prepare(current)
      if (current.prepared === messages.length) {
        current.validated = messages.length
        return true
      }
      current.isPrepared = false
      current.prepared = 0
    }
    const to = Math.min(messages.length, current.validated + SLICE_RECORDS)
    this.#builder.validate(messages, current.validated, to)
    current.validated = to
    return false
  }

  #prepare(current: JoinedWrite): void {
    const { messages, prepared } = current
    const to = Math.min(messages.length, prepared + SLICE_RECORDS)
    this.#builder.batchBytesAim = (current.sends[0] as PendingSend).batchBytes
    current.prepared = this.#builder.prepare(messages, prepared, to, this.#env.now())
    current.isPrepared = true
    current.nextBatch = 0
  }

  #append(current: JoinedWrite): 'done' | 'busy' | 'memory' {
    const builder = this.#builder
    const { batches } = builder
    builder.wantedCodec = this.#leavesCodecToProducers
      ? ((current.sends[0] as PendingSend).codec ?? Codec.none)
      : Codec.none
    const { producer } = current.sends[0] as PendingSend
    builder.stamp = producer?.stamp ?? NO_PRODUCER
    for (; current.nextBatch < batches.length; current.nextBatch++) {
      const batch = batches[current.nextBatch] as PreparedBatch
      const appender = this.appenders[batch.partition] as PartitionAppender
      const baseOffset = appender.tryAppend(batch, builder, producer)
      if (baseOffset < 0) return baseOffset === APPEND_BUSY ? 'busy' : 'memory'
      current.appended(batch, baseOffset, builder)
    }
    return 'done'
  }

  /** Where one send of several that were joined is at fault, only that one is refused; the others go on, before all that came later. */
  #refuse(current: JoinedWrite, error: unknown): 'done' {
    this.#queuedRecords -= current.messages.length
    const valid = current.hasWritten ? current.sends : this.#validOnes(current.sends)
    // Where none is at fault by itself the error is not of their making: the partition takes no appends.
    if (valid === current.sends) current.refuse(error)
    else {
      this.#queue = [...valid, ...this.#queue]
      for (const send of valid) this.#queuedRecords += send.messages.length
    }
    return 'done'
  }

  /** Refuses what is not valid and gives the rest; the same array where there is nothing to refuse. */
  #validOnes(sends: readonly PendingSend[]): readonly PendingSend[] {
    const valid: PendingSend[] = []
    for (const send of sends) {
      const fault = this.#faultOf(send.messages, 0, send.messages.length)
      if (fault === undefined) {
        valid.push(send)
        continue
      }
      const { recordRefused } = send
      if (recordRefused === undefined) {
        send.refused(fault)
        continue
      }
      const messages = send.messages.filter((_, i) => {
        const own = this.#faultOf(send.messages, i, i + 1)
        if (own !== undefined) recordRefused(own)
        return own === undefined
      })
      if (messages.length > 0) valid.push({ ...send, messages })
      else send.written([])
    }
    return valid.length === sends.length && valid.every((send, i) => send === sends[i]) ? sends : valid
  }

  #faultOf(messages: readonly Message[], from: number, to: number): unknown {
    try {
      this.#builder.validate(messages, from, to)
      return undefined
    } catch (fault) {
      return fault
    }
  }

  /** Throws where the partitions take nothing. */
  assertWritable(): void {
    for (const appender of this.appenders) {
      const status = appender.control.status()
      if (status !== PartitionStatus.ok) throw partitionError(appender.descriptor, status)
    }
  }
}

const isDiskFull = (error: unknown): boolean => error instanceof MillraceError && error.code === 'DISK_FULL'
