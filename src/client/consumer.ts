import { EventEmitter } from 'node:events'
import { MillraceError } from '../common/errors.js'
import { checkClientOptions } from './client-options.js'
import type { HostLog } from './host-log.js'
import { CONSUMER_TURN_MS } from './limits.js'
import { PartitionFetcher } from './partition-fetcher.js'
import type { ConsumerMessage } from './record-decoder.js'

export interface ConsumerOptions {
  readonly groupId?: string | undefined
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface EachMessagePayload extends TopicPartition {
  readonly message: ConsumerMessage
  readonly heartbeat: () => Promise<void>
  readonly pause: () => () => void
}

export interface EachBatchPayload {
  readonly batch: {
    readonly topic: string
    readonly partition: number
    readonly messages: readonly ConsumerMessage[]
    /** The log end offset, as text. */
    readonly highWatermark: string
    isEmpty(): boolean
    firstOffset(): string | null
    lastOffset(): string
    offsetLag(): string
  }
  readonly resolveOffset: (offset: string) => void
  readonly heartbeat: () => Promise<void>
  readonly pause: () => () => void
  readonly isRunning: () => boolean
  readonly isStale: () => boolean
}

export interface RunOptions {
  readonly eachMessage?: (payload: EachMessagePayload) => Promise<void> | void
  readonly eachBatch?: (payload: EachBatchPayload) => Promise<void> | void
}

export type IteratedMessage = ConsumerMessage & TopicPartition

/**
 * Reads topics on the host's thread, in the shapes of kafkajs. It sleeps on the host's doorbell, never on a timer. What is handed out is
 * a copy. Order holds within a partition; partitions take turns, one record batch each.
 *
 *   'crash'   the callback of run() has thrown, or the log has; the consumer has stopped
 */
export class Consumer extends EventEmitter {
  readonly #log: HostLog
  readonly #fetchers: PartitionFetcher[] = []
  #turn = 0
  #running: Promise<void> | undefined
  #stopping = false
  #wake: (() => void) | undefined
  #endRings: (() => void) | undefined
  #failure: unknown
  /** Somebody waits in finished() and will hear of its end. */
  #isAwaited = false

  constructor(
    log: HostLog,
    readonly options: ConsumerOptions = {},
  ) {
    super()
    checkClientOptions('consumer', options, ['groupId'])
    this.#log = log
  }

  /** Nothing to connect to; here for code written for kafkajs. */
  async connect(): Promise<void> {
    this.#log.assertOpen()
  }

  /** Where it begins is settled when this resolves: what is sent afterwards will be seen. */
  async subscribe(subscription: {
    readonly topics?: readonly string[]
    readonly topic?: string
    readonly fromBeginning?: boolean
  }): Promise<void> {
    const names = subscription.topics ?? (subscription.topic === undefined ? undefined : [subscription.topic])
    if (!Array.isArray(names) || names.length === 0 || names.some((name) => typeof name !== 'string')) {
      throw new MillraceError('INVALID_ARGUMENT', 'subscribe was told no topics', {
        detail: "expected { topics: ['name'], fromBeginning?: boolean }",
        hint: "consumer.subscribe({ topics: ['user-clicks'], fromBeginning: true })",
      })
    }
    const topics = await Promise.all(names.map((name: string) => this.#log.topic(name)))
    for (const topic of topics) {
      if (this.#fetchers.some((fetcher) => fetcher.topic === topic.name)) continue
      for (const partition of topic.partitions) {
        this.#fetchers.push(new PartitionFetcher(topic, partition, this.#log, subscription.fromBeginning === true))
      }
    }
    this.#endRings ??= this.#log.onRing(() => this.#ring())
    this.#ring()
  }

  /** Starts handing out records; resolves at once, as in kafkajs. `finished` tells of the end. */
  async run(options: RunOptions): Promise<void> {
    const { eachMessage, eachBatch } = options
    if ((eachMessage === undefined) === (eachBatch === undefined)) {
      throw new MillraceError('INVALID_ARGUMENT', 'run takes one callback', {
        detail: 'expected eachMessage or eachBatch',
        hint: 'consumer.run({ eachMessage: async ({ topic, partition, message }) => { … } })',
      })
    }
    this.#assertIdle()
    this.#stopping = false
    this.#running = this.#runLoop(eachMessage, eachBatch).finally(() => {
      this.#running = undefined
    })
    // Its error is given to who asks: 'crash' now, finished() and stop() later.
    this.#running.catch(() => undefined)
  }

  /** Resolves when it has stopped; rejects with what stopped it. */
  async finished(): Promise<void> {
    this.#isAwaited = true
    await this.#running
    if (this.#failure !== undefined) throw this.#failure
  }

  /** One message after the other. Leaving the loop, by `break` too, stops the consumer; positions are kept. */
  async *[Symbol.asyncIterator](): AsyncGenerator<IteratedMessage, void, undefined> {
    this.#assertIdle()
    this.#stopping = false
    let until = this.#log.env.monotonic() + CONSUMER_TURN_MS
    for (;;) {
      const fetcher = await this.#nextWithRecords()
      if (fetcher === undefined) return
      const fetch = fetcher.fetch()
      for (const message of fetch.messages) {
        if (this.#stopping || !fetcher.isCurrent(fetch)) break
        fetcher.passed(message)
        yield Object.assign(message, { topic: fetcher.topic, partition: fetcher.partition })
        if (this.#log.env.monotonic() > until) {
          await nextTurn()
          until = this.#log.env.monotonic() + CONSUMER_TURN_MS
        }
      }
    }
  }

  /** The next record of the partition to be handed out. */
  seek(to: TopicPartition & { readonly offset: string | number }): void {
    const offset = Number(to.offset)
    if (!Number.isSafeInteger(offset)) {
      throw new MillraceError('INVALID_ARGUMENT', `offset is ${JSON.stringify(to.offset)}`, {
        detail: 'expected a whole number, or one as text',
        hint: "consumer.seek({ topic, partition: 0, offset: '42' })",
      })
    }
    this.#fetcher(to).seek(offset)
    this.#ring()
  }

  pause(topics: readonly { readonly topic: string; readonly partitions?: readonly number[] | undefined }[]): void {
    for (const fetcher of this.#matching(topics)) fetcher.pause()
  }

  resume(topics: readonly { readonly topic: string; readonly partitions?: readonly number[] | undefined }[]): void {
    for (const fetcher of this.#matching(topics)) fetcher.resume()
    this.#ring()
  }

  paused(): { topic: string; partitions: number[] }[] {
    const byTopic = new Map<string, number[]>()
    for (const fetcher of this.#fetchers) {
      if (fetcher.isPaused) byTopic.set(fetcher.topic, [...(byTopic.get(fetcher.topic) ?? []), fetcher.partition])
    }
    return [...byTopic].map(([topic, partitions]) => ({ topic, partitions }))
  }

  /** Next offset to be handed out, per partition. */
  positions(): (TopicPartition & { readonly offset: string })[] {
    return this.#fetchers.map((fetcher) => ({
      topic: fetcher.topic,
      partition: fetcher.partition,
      offset: String(fetcher.position),
    }))
  }

  /** Ends run() or the iteration; the callback in progress is waited for. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#ring()
    await this.#running?.catch(() => undefined)
  }

  async disconnect(): Promise<void> {
    await this.stop()
    this.#endRings?.()
    this.#endRings = undefined
    for (const fetcher of this.#fetchers.splice(0)) fetcher.close()
  }

  async #runLoop(eachMessage: RunOptions['eachMessage'], eachBatch: RunOptions['eachBatch']): Promise<void> {
    try {
      let until = this.#log.env.monotonic() + CONSUMER_TURN_MS
      for (
        let fetcher = await this.#nextWithRecords();
        fetcher !== undefined;
        fetcher = await this.#nextWithRecords()
      ) {
        if (eachMessage !== undefined) await this.#giveMessages(fetcher, eachMessage)
        else if (eachBatch !== undefined) await this.#giveBatch(fetcher, eachBatch)
        if (this.#log.env.monotonic() > until) {
          await nextTurn()
          until = this.#log.env.monotonic() + CONSUMER_TURN_MS
        }
      }
    } catch (error) {
      this.#failure = error
      // An error that nobody is there to hear must not look like an end.
      if (!this.emit('crash', error) && !this.#isAwaited) {
        process.emitWarning(`a consumer has stopped: ${String(error)}`, 'MillraceWarning')
      }
      throw error
    }
  }

  async #giveMessages(fetcher: PartitionFetcher, eachMessage: NonNullable<RunOptions['eachMessage']>): Promise<void> {
    const fetch = fetcher.fetch()
    let until = this.#log.env.monotonic() + CONSUMER_TURN_MS
    for (const message of fetch.messages) {
      if (this.#stopping || !fetcher.isCurrent(fetch)) return
      const { seeks } = fetcher
      const given = eachMessage({
        topic: fetcher.topic,
        partition: fetcher.partition,
        message,
        heartbeat: async () => undefined,
        pause: () => this.#pauseOne(fetcher),
      })
      if (given !== undefined) await given
      // A seek within the callback has the last word.
      if (fetcher.seeks === seeks) fetcher.passed(message)
      if (this.#log.env.monotonic() > until) {
        await nextTurn()
        until = this.#log.env.monotonic() + CONSUMER_TURN_MS
      }
    }
  }

  async #giveBatch(fetcher: PartitionFetcher, eachBatch: NonNullable<RunOptions['eachBatch']>): Promise<void> {
    const { seeks } = fetcher
    const fetch = fetcher.fetch()
    const { messages } = fetch
    const end = fetcher.logEndOffset()
    const first = messages[0]
    const last = messages[messages.length - 1]
    if (first === undefined || last === undefined) return
    await eachBatch({
      batch: {
        topic: fetcher.topic,
        partition: fetcher.partition,
        messages,
        highWatermark: String(end),
        isEmpty: () => false,
        firstOffset: () => first.offset,
        lastOffset: () => last.offset,
        offsetLag: () => String(Math.max(0, end - 1 - Number(last.offset))),
      },
      resolveOffset: (offset) => {
        if (fetcher.isCurrent(fetch)) fetcher.passedOffset(Number(offset))
      },
      heartbeat: async () => undefined,
      pause: () => this.#pauseOne(fetcher),
      isRunning: () => !this.#stopping,
      isStale: () => !fetcher.isCurrent(fetch),
    })
    if (fetcher.seeks === seeks) fetcher.passed(last)
  }

  /** The next partition in turn that has something; sleeps until there is one. Undefined: stop. */
  async #nextWithRecords(): Promise<PartitionFetcher | undefined> {
    for (;;) {
      const closed = this.#log.closedWith
      if (this.#stopping) return undefined
      if (closed !== undefined) throw closed
      for (let i = 0; i < this.#fetchers.length; i++) {
        const fetcher = this.#fetchers[this.#turn++ % this.#fetchers.length] as PartitionFetcher
        if (fetcher.hasRecords()) return fetcher
      }
      // No ring is lost: this thread's rings are heard in turns of their own, and there was none since the look.
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #ring(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  #pauseOne(fetcher: PartitionFetcher): () => void {
    fetcher.pause()
    return () => {
      fetcher.resume()
      this.#ring()
    }
  }

  #matching(
    topics: readonly { readonly topic: string; readonly partitions?: readonly number[] | undefined }[],
  ): PartitionFetcher[] {
    return this.#fetchers.filter((fetcher) =>
      topics.some(
        (t) => t.topic === fetcher.topic && (t.partitions === undefined || t.partitions.includes(fetcher.partition)),
      ),
    )
  }

  #fetcher(of: TopicPartition): PartitionFetcher {
    const found = this.#fetchers.find((fetcher) => fetcher.topic === of.topic && fetcher.partition === of.partition)
    if (found !== undefined) return found
    throw new MillraceError('NOT_ASSIGNED', `${of.topic}-${of.partition} is not read by this consumer`, {
      detail: `it reads ${this.#fetchers.map((f) => `${f.topic}-${f.partition}`).join(', ') || 'nothing'}`,
      hint: 'subscribe to the topic first',
    })
  }

  #assertIdle(): void {
    this.#log.assertOpen()
    if (this.#running !== undefined)
      throw new MillraceError('CONSUMER_RUNNING', 'the consumer is running already', {
        detail: 'run() or a for-await loop has it',
        hint: 'stop() it first',
      })
    this.#failure = undefined
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
