import type { Env } from '../../common/env.js'
import { nextTurn } from '../consumer-run.js'
import { CONSUMER_TURN_MS, MESSAGES_PER_LOOK } from '../limits.js'
import type { Delivery, SharedMessage } from './delivery.js'
import type {
  AcknowledgeType,
  EachSharedBatchPayload,
  EachSharedMessagePayload,
  ResolvedShareRunOptions,
} from './share-consumer-options.js'

export interface ShareRunParts {
  readonly env: Env
  readonly run: ResolvedShareRunOptions
  readonly isExplicit: boolean
  readonly maxRecords: number
  /** Sleeps until there are records; undefined: it is over. */
  readonly take: (max: number, isOver: () => boolean) => Promise<Delivery | undefined>
  readonly acknowledge: (message: SharedMessage, type: AcknowledgeType) => void
  readonly wake: () => void
  /** A callback has thrown; undefined: that of a batch. */
  readonly failed: (delivery: Delivery, message: SharedMessage | undefined, error: unknown) => void
}

/** What eachMessage gets. Few callbacks ask for a signal, so it is made when they do. */
class EachSharedMessage implements EachSharedMessagePayload {
  readonly topic: string
  readonly partition: number
  readonly message: SharedMessage
  readonly #delivery: Delivery
  readonly #index: number
  readonly #parts: ShareRunParts

  constructor(delivery: Delivery, index: number, parts: ShareRunParts) {
    this.topic = delivery.from.topic
    this.partition = delivery.from.partition
    this.message = delivery.messages[index] as SharedMessage
    this.#delivery = delivery
    this.#index = index
    this.#parts = parts
  }

  get signal(): AbortSignal {
    return this.#delivery.signalOf(this.#index)
  }

  get acknowledge(): (type?: AcknowledgeType) => void {
    return (type = 'accept') => this.#parts.acknowledge(this.message, type)
  }

  get heartbeat(): () => Promise<void> {
    return heartbeat
  }
}

/**
 * What eachBatch gets. A class, and not an object that is put together at each call: such objects V8 soon makes in old space, and with them all messages of the batch
 * live on until that is collected.
 */
class EachSharedBatch implements EachSharedBatchPayload {
  readonly batch: EachSharedBatchPayload['batch']
  readonly isRunning: () => boolean
  readonly #delivery: Delivery
  readonly #parts: ShareRunParts

  constructor(delivery: Delivery, parts: ShareRunParts, isRunning: () => boolean) {
    this.batch = delivery
    this.isRunning = isRunning
    this.#delivery = delivery
    this.#parts = parts
  }

  get signal(): AbortSignal {
    return this.#delivery.signalOf(0)
  }

  get acknowledge(): (message: SharedMessage, type?: AcknowledgeType) => void {
    return (message, type = 'accept') => this.#parts.acknowledge(message, type)
  }

  get heartbeat(): () => Promise<void> {
    return heartbeat
  }
}

const heartbeat = async (): Promise<void> => undefined

/**
 * How many records a loop acquires next that handles one after the other: twice as many while they take no time, and no more than it handles in some
 * milliseconds. So a quick loop takes them by the hundred, and a slow one takes no record that another member could have.
 */
export class Appetite {
  max = 1

  constructor(private readonly most: number) {}

  /** So many were handled, in so many milliseconds. */
  handled(messages: number, ms: number): void {
    if (ms > CONSUMER_TURN_MS) this.max = Math.max(1, Math.floor((messages * CONSUMER_TURN_MS) / ms))
    else if (messages >= this.max && ms * 2 <= CONSUMER_TURN_MS) this.max = Math.min(this.most, this.max * 2)
  }
}

/** One `run` of a share consumer: lanes that acquire records, hand them out, and say what became of them. */
export class ShareRun {
  readonly #parts: ShareRunParts
  #isStopping = false
  readonly #isRunning = (): boolean => !this.#isStopping
  #failure: { readonly error: unknown } | undefined

  constructor(parts: ShareRunParts) {
    this.#parts = parts
  }

  /** Resolves when it was stopped and no callback runs any more; rejects with what stopped it. */
  async finished(): Promise<void> {
    await Promise.all(Array.from({ length: this.#parts.run.lanes }, () => this.#lane()))
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** No callback is begun any more. */
  stop(): void {
    this.#isStopping = true
    this.#parts.wake()
  }

  async #lane(): Promise<void> {
    const { env, run, take, maxRecords } = this.#parts
    const appetite = new Appetite(maxRecords)
    const isOver = (): boolean => this.#isStopping
    let until = env.monotonic() + CONSUMER_TURN_MS
    try {
      for (;;) {
        const delivery = await take(run.eachBatch === undefined ? appetite.max : maxRecords, isOver)
        if (delivery === undefined) return
        const before = env.monotonic()
        if (run.eachBatch === undefined) {
          await this.#giveMessages(delivery)
          appetite.handled(delivery.messages.length, env.monotonic() - before)
        } else await this.#giveBatch(delivery)
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

  async #giveMessages(delivery: Delivery): Promise<void> {
    const { env, run, isExplicit } = this.#parts
    const { eachMessage } = run
    const { length } = delivery.messages
    let until = env.monotonic() + CONSUMER_TURN_MS
    for (let i = 0; i < length; i++) {
      if (this.#isStopping) {
        // They were never handed out.
        delivery.concludeFrom(i, 'undo')
        return
      }
      // Its lock may be over, while those before it were handled.
      if (!delivery.holds(i)) continue
      try {
        const given = eachMessage?.(new EachSharedMessage(delivery, i, this.#parts))
        if (given !== undefined) await given
        if (!isExplicit) delivery.conclude(i, 'accept')
      } catch (error) {
        this.#messageFailed(delivery, i, error)
      }
      if ((i + 1) % MESSAGES_PER_LOOK === 0 && env.monotonic() > until) {
        await nextTurn()
        until = env.monotonic() + CONSUMER_TURN_MS
      }
    }
  }

  #messageFailed(delivery: Delivery, index: number, error: unknown): void {
    const { env, run, failed } = this.#parts
    const { then, backoffMs } = run
    if (then === 'stop') {
      delivery.conclude(index, 'release')
      delivery.concludeFrom(index + 1, 'undo')
      throw error
    }
    // Once its lock is over, or it was acknowledged, this says nothing any more.
    if (then === 'reject') delivery.conclude(index, 'reject')
    else if (backoffMs === 0 || this.#isStopping) delivery.conclude(index, 'release')
    else env.timer(backoffMs, () => delivery.conclude(index, 'release'))
    failed(delivery, delivery.messages[index], error)
  }

  async #giveBatch(delivery: Delivery): Promise<void> {
    const { env, run, isExplicit, failed } = this.#parts
    try {
      await run.eachBatch?.(new EachSharedBatch(delivery, this.#parts, this.#isRunning))
      if (!isExplicit) delivery.concludeFrom(0, 'accept')
    } catch (error) {
      if (run.then === 'stop') {
        delivery.concludeFrom(0, 'release')
        throw error
      }
      if (run.then === 'reject') delivery.concludeFrom(0, 'reject')
      else if (run.backoffMs === 0 || this.#isStopping) delivery.concludeFrom(0, 'release')
      else env.timer(run.backoffMs, () => delivery.concludeFrom(0, 'release'))
      failed(delivery, undefined, error)
    }
  }
}
