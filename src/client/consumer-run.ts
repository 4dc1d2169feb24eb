import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import type { AssignedPartitions } from './assigned-partitions.js'
import type { TopicPartition } from './assignor.js'
import { fieldsOf, wrong } from './consumer-arguments.js'
import { inKeyOrder } from './key-order.js'
import { CONSUMER_TURN_MS, MESSAGES_PER_LOOK, RETRY_BACKOFF_MS_MAX } from './limits.js'
import type { Fetch, PartitionFetcher } from './partition-fetcher.js'
import type { ConsumerMessage } from './record-decoder.js'
import type { ConsumerBatch, EachBatchPayload, OffsetsByTopic, ResolvedRunOptions } from './run-options.js'

export interface ConsumerRunOptions {
  readonly env: Env
  readonly partitions: AssignedPartitions
  readonly run: ResolvedRunOptions
  /** So many messages more are done with. */
  readonly handled: (messages: number) => void
  readonly commitIfDue: () => Promise<void>
  readonly commit: (offsets: readonly (TopicPartition & { readonly offset: string })[]) => Promise<void>
  /** Nothing more of the partition, or again, whoever reads it by then. */
  readonly pause: (place: TopicPartition, isPaused: boolean) => void
  readonly skipped: (fetcher: PartitionFetcher, message: ConsumerMessage, error: unknown) => void
}

/**
 * One `consumer.run`: lanes that claim partitions and hand out their records, each lane one partition at a time. A position moves only
 * behind what a callback has finished: what was in hand when it threw, or when the partition was taken away, is handed out again.
 */
export class ConsumerRun {
  readonly #options: ConsumerRunOptions
  readonly #mendsErrors: boolean
  #isStopping = false
  #failure: { readonly error: unknown } | undefined

  constructor(options: ConsumerRunOptions) {
    this.#options = options
    this.#mendsErrors = options.run.attempts > 1 || options.run.skips
  }

  /** Resolves when it was stopped and no callback runs any more; rejects with what a callback has thrown. */
  async finished(): Promise<void> {
    const { lanes } = this.#options.run
    await Promise.all(Array.from({ length: lanes }, () => this.#lane()))
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** No callback is begun any more. */
  stop(): void {
    this.#isStopping = true
    this.#options.partitions.ring()
  }

  async #lane(): Promise<void> {
    const { env, partitions, run } = this.#options
    const isOver = (): boolean => this.#isStopping
    let until = env.monotonic() + CONSUMER_TURN_MS
    try {
      for (;;) {
        const fetcher = await partitions.claim(isOver)
        if (fetcher === undefined) return
        const { signal } = fetcher
        try {
          if (run.eachMessage === undefined) await this.#giveBatch(fetcher)
          else if (run.keys > 1) await this.#giveByKey(fetcher)
          else await this.#giveMessages(fetcher)
        } catch (error) {
          // A handler that was told to end may say so by throwing: its message is not done with, and comes again where the partition goes.
          if (!signal.aborted) throw error
        } finally {
          partitions.release(fetcher)
        }
        if (env.monotonic() > until) {
          await nextTurn()
          until = env.monotonic() + CONSUMER_TURN_MS
        }
      }
    } catch (error) {
      this.#failure ??= { error }
      this.stop()
    }
  }

  #goesOn(fetcher: PartitionFetcher, fetch: Fetch): boolean {
    return !this.#isStopping && fetcher.isCurrent(fetch)
  }

  async #giveMessages(fetcher: PartitionFetcher): Promise<void> {
    const { env, handled } = this.#options
    const fetched = fetcher.fetch()
    const fetch = fetched instanceof Promise ? await fetched : fetched
    const { messages } = fetch
    const pause = this.#pauseOf(fetcher)
    let until = env.monotonic() + CONSUMER_TURN_MS
    let done = 0
    let told = 0
    try {
      for (; done < messages.length && this.#goesOn(fetcher, fetch); done++) {
        const { seeks } = fetcher
        const given = this.#give(fetcher, fetch, done, pause)
        if (given !== undefined) await given
        // A seek within the callback has the last word.
        if (fetcher.seeks === seeks) fetcher.position = fetch.offsetAfter(done)
        if (done - told < MESSAGES_PER_LOOK) continue
        handled(done - told)
        told = done
        if (env.monotonic() > until) {
          await nextTurn()
          until = env.monotonic() + CONSUMER_TURN_MS
        }
      }
    } finally {
      handled(done - told)
    }
  }

  async #giveByKey(fetcher: PartitionFetcher): Promise<void> {
    const fetched = fetcher.fetch()
    const fetch = fetched instanceof Promise ? await fetched : fetched
    const { seeks } = fetcher
    const pause = this.#pauseOf(fetcher)
    let told = 0
    await inKeyOrder(fetch.messages, this.#options.run.keys, {
      goesOn: () => this.#goesOn(fetcher, fetch),
      handle: (index) => this.#give(fetcher, fetch, index, pause),
      finished: (count) => {
        if (fetcher.seeks === seeks) fetcher.position = fetch.offsetAfter(count - 1)
        this.#options.handled(count - told)
        told = count
      },
    })
  }

  /** Calls eachMessage; a promise where it gives one, or where it is to be called again. */
  #give(fetcher: PartitionFetcher, fetch: Fetch, index: number, pause: () => () => void): Promise<void> | void {
    const message = fetch.messages[index] as ConsumerMessage
    const { topic, partition, signal } = fetcher
    const payload = { topic, partition, message, signal, heartbeat, pause }
    const { eachMessage } = this.#options.run
    // Where an error stops the consumer there is nothing to wrap.
    if (!this.#mendsErrors) return eachMessage?.(payload)
    const call = async (): Promise<void> => eachMessage?.(payload)
    return call().catch((error: unknown) => this.#again(fetcher, fetch, message, error, call))
  }

  /** The tries behind the first one, and what comes after the last. */
  async #again(
    fetcher: PartitionFetcher,
    fetch: Fetch,
    message: ConsumerMessage | undefined,
    first: unknown,
    call: () => Promise<void>,
  ): Promise<void> {
    const { attempts, backoffMs, skips } = this.#options.run
    let error = first
    let wait = backoffMs
    for (let attempt = 2; attempt <= attempts; attempt++) {
      await this.#sleep(wait, fetcher.signal)
      if (!this.#goesOn(fetcher, fetch)) throw error
      try {
        await call()
        return
      } catch (next) {
        error = next
      }
      wait = Math.min(wait * 2, RETRY_BACKOFF_MS_MAX)
    }
    if (!skips || message === undefined) throw error
    this.#options.skipped(fetcher, message, error)
  }

  async #giveBatch(fetcher: PartitionFetcher): Promise<void> {
    const fetched = fetcher.fetch()
    const fetch = fetched instanceof Promise ? await fetched : fetched
    if (fetch.messages.length === 0) return
    const { seeks } = fetcher
    const call = async (): Promise<void> => {
      // What a failed try has resolved is not handed out again.
      const done = fetch.messages.findIndex((_, i) => fetch.offsetAt(i) >= fetcher.position)
      await this.#options.run.eachBatch?.(
        this.#batchPayload(fetcher, fetch, done <= 0 ? fetch.messages : fetch.messages.slice(done)),
      )
    }
    try {
      await call()
    } catch (error) {
      if (!this.#mendsErrors) throw error
      await this.#again(fetcher, fetch, undefined, error, call)
    }
    if (!this.#options.run.autoResolve || fetcher.seeks !== seeks) return
    this.#options.handled(fetch.messages.length)
    fetcher.position = fetch.nextOffset
  }

  #batchPayload(fetcher: PartitionFetcher, fetch: Fetch, messages: readonly ConsumerMessage[]): EachBatchPayload {
    const { run, commit, commitIfDue, handled } = this.#options
    const batch = batchOf(fetcher, messages)
    return {
      batch,
      signal: fetcher.signal,
      resolveOffset: (text) => {
        if (!fetcher.isCurrent(fetch)) return
        const offset = resolvable(batch, text)
        if (offset < fetcher.position) return
        if (!run.autoResolve) handled(offset + 1 - fetcher.position)
        fetcher.position = text === batch.lastOffset() ? fetch.nextOffset : offset + 1
      },
      heartbeat,
      pause: this.#pauseOf(fetcher),
      commitOffsetsIfNecessary: async (offsets) => {
        if (offsets === undefined) await commitIfDue()
        else await commit(placesOf(offsets))
      },
      uncommittedOffsets: () => ({
        topics: [
          {
            topic: fetcher.topic,
            partitions:
              fetcher.position === fetcher.committed
                ? []
                : [{ partition: fetcher.partition, offset: String(fetcher.position) }],
          },
        ],
      }),
      isRunning: () => !this.#isStopping && !fetcher.isRevoked,
      isStale: () => !fetcher.isCurrent(fetch),
    }
  }

  #pauseOf(fetcher: PartitionFetcher): () => () => void {
    const { topic, partition } = fetcher
    return () => {
      this.#options.pause({ topic, partition }, true)
      return () => this.#options.pause({ topic, partition }, false)
    }
  }

  /** Ends early when the partition is taken away or the consumer stops. */
  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const end = (): void => {
        cancel()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const cancel = this.#options.env.timer(ms, end)
      signal.addEventListener('abort', end)
    })
  }
}

const heartbeat = async (): Promise<void> => undefined

function placesOf(offsets: OffsetsByTopic): (TopicPartition & { readonly offset: string })[] {
  if (
    !Array.isArray(fieldsOf(offsets).topics) ||
    !offsets.topics.every((of) => Array.isArray(fieldsOf(of).partitions))
  ) {
    const shape = '{ topics: [{ topic, partitions: [{ partition, offset }] }] }'
    throw wrong('the argument of commitOffsetsIfNecessary', offsets, shape, `commitOffsetsIfNecessary(${shape})`)
  }
  return offsets.topics.flatMap(({ topic, partitions }) => partitions.map((place) => ({ topic, ...place })))
}

function batchOf(fetcher: PartitionFetcher, messages: readonly ConsumerMessage[]): ConsumerBatch {
  const end = fetcher.logEndOffset()
  const first = messages[0]?.offset ?? null
  const last = messages[messages.length - 1]?.offset ?? String(fetcher.position - 1)
  return {
    topic: fetcher.topic,
    partition: fetcher.partition,
    messages,
    highWatermark: String(end),
    isEmpty: () => messages.length === 0,
    firstOffset: () => first,
    lastOffset: () => last,
    offsetLag: () => String(Math.max(0, end - 1 - Number(last))),
    offsetLagLow: () => String(first === null ? 0 : Math.max(0, end - 1 - Number(first))),
  }
}

/** An offset of the batch, as a number: what is beyond it nobody has seen. */
function resolvable(batch: ConsumerBatch, text: string): number {
  const offset = Number(text)
  if (Number.isSafeInteger(offset) && offset >= Number(batch.firstOffset()) && offset <= Number(batch.lastOffset())) {
    return offset
  }
  throw new MillraceError(
    'OFFSET_OUT_OF_RANGE',
    `offset ${String(text)} of ${batch.topic}-${batch.partition} cannot be resolved`,
    {
      detail: `the batch has offsets from ${batch.firstOffset()} to ${batch.lastOffset()}`,
      hint: 'resolveOffset(message.offset) for a message of the batch',
    },
  )
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
