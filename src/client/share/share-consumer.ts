import { EventEmitter } from 'node:events'
import type { TopicDescriptor } from '../../log/partition-descriptor.js'
import type { TopicPartition } from '../assignor.js'
import { notInGroup, notSubscribed, stopped } from '../consumer-errors.js'
import { consumerEvents } from '../consumer-events.js'
import { ConsumerLife } from '../consumer-life.js'
import { nextTurn } from '../consumer-run.js'
import type { HostLog } from '../host-log.js'
import { CONSUMER_TURN_MS } from '../limits.js'
import { endableLoop } from '../message-loop.js'
import { type ConsumerSubscription, Subscription } from '../subscription.js'
import type { SharedMessage } from './delivery.js'
import {
  type AcknowledgeType,
  checkAcknowledgement,
  type ResolvedShareConsumerOptions,
  resolveShareConsumerOptions,
  resolveShareRunOptions,
  type ShareConsumerOptions,
  type ShareRunOptions,
} from './share-consumer-options.js'
import { notAcquired, type ShareGroup, type ShareMember } from './share-group.js'
import { Appetite, ShareRun } from './share-run.js'

/** Where a consumer finds its group. */
export interface OpenShareGroups {
  open(groupId: string): Promise<ShareGroup>
  /** Throws where the group was deleted since. */
  assertCurrent(group: ShareGroup): void
}

/**
 * Takes records out of topics as out of a queue: the consumers of one share group get different records of the same partitions, and each record is acknowledged
 * by itself. In the shapes of kafkajs and of Kafka's ShareConsumer.
 *
 *   'failed'  a callback has thrown: `{ topic, partition, message, error, deliveryCount }`; `message` is undefined for a batch
 *   'crash'   it has stopped on an error
 *   and `consumer.events.STOP` and `CRASH`
 */
export class ShareConsumer extends EventEmitter {
  readonly events = consumerEvents
  readonly #log: HostLog
  readonly #groups: OpenShareGroups
  readonly #options: ResolvedShareConsumerOptions
  readonly #subscription: Subscription
  readonly #member: ShareMember
  readonly #life: ConsumerLife
  #group: ShareGroup | undefined
  /** Its number in the group while it runs. */
  #owner = 0
  #run: ShareRun | undefined
  #hasWarned = false

  constructor(
    log: HostLog,
    readonly options: ShareConsumerOptions,
    groups: OpenShareGroups,
  ) {
    super()
    this.#options = resolveShareConsumerOptions(options)
    this.#log = log
    this.#groups = groups
    this.#subscription = new Subscription(log)
    const { clientId, groupId } = this.#options
    this.#life = new ConsumerLife(log, this, groupId)
    this.#member = {
      memberId: `${clientId}-${Buffer.from(log.env.randomBytes(8)).toString('hex')}`,
      clientId,
      topics: () => this.#subscription.topics(),
      failed: (error) => this.#fail(error),
    }
  }

  /** Nothing to connect to; here for code written for kafkajs. */
  async connect(): Promise<void> {
    this.#log.assertOpen()
  }

  /**
   * Where the group was never at a topic, it begins as `fromBeginning` says, or, left out, as its setting `share.auto.offset.reset`; durably so when this
   * resolves: what is sent afterwards is the group's.
   */
  async subscribe(subscription: ConsumerSubscription): Promise<void> {
    this.#life.assertIdle('subscribe() comes before run()')
    await this.#subscription.add(subscription)
    const group = await this.#groups.open(this.#options.groupId)
    this.#group = group
    const { fromBeginning } = subscription
    const begin = (topic: TopicDescriptor, partition: number): number | 'earliest' | 'by settings' => {
      if (fromBeginning === true) return 'earliest'
      const isLatest = fromBeginning === false || group.settings.reset.kind === 'latest'
      return isLatest ? this.#subscription.endAtSubscription(topic, partition) : 'by settings'
    }
    await Promise.all(this.#subscription.topics().map((topic) => group.open(topic, begin)))
  }

  /** Starts handing out records. `finished` tells of the end. */
  async run(options: ShareRunOptions): Promise<void> {
    const run = resolveShareRunOptions(options)
    const group = this.#begin()
    const { signal } = run
    if (signal?.aborted === true) return
    this.#join(group)
    const stop = (): void => void this.stop()
    signal?.addEventListener('abort', stop)
    const { isExplicit, maxRecords } = this.#options
    const shareRun = new ShareRun({
      env: this.#log.env,
      run,
      isExplicit,
      maxRecords,
      take: (max, isOver) => group.take(this.#owner, max, () => this.#life.isStopping || isOver()),
      acknowledge: (message, type) => this.acknowledge(message, type),
      wake: () => group.wake(),
      failed: ({ from: { topic, partition }, deliveryCount }, message, error) =>
        this.#callbackFailed({ topic, partition, message, error, deliveryCount }),
    })
    this.#run = shareRun
    const running = shareRun
      .finished()
      .finally(() => this.#leave())
      .then(() => this.#life.throwFailure())
    this.#life.run(running, {
      isCrash: () => true,
      ended: () => {
        signal?.removeEventListener('abort', stop)
        this.#run = undefined
      },
    })
  }

  /** Resolves when it has stopped; rejects with what stopped it. */
  finished(): Promise<void> {
    return this.#life.finished()
  }

  /**
   * One message after the other. With implicit acknowledgement a message is accepted when the loop asks for the next one; leaving the loop releases
   * the one in hand, and stops the consumer.
   */
  [Symbol.asyncIterator](): AsyncGenerator<SharedMessage, void, undefined> {
    const state = { isOn: false }
    return endableLoop(this.#iterate(state), () => {
      if (!state.isOn) return
      this.#life.isStopping = true
      this.#group?.wake()
    })
  }

  async *#iterate(state: { isOn: boolean }): AsyncGenerator<SharedMessage, void, undefined> {
    const { env } = this.#log
    const { isExplicit, maxRecords } = this.#options
    const group = this.#begin()
    this.#life.isIterating = true
    state.isOn = true
    this.#join(group)
    const appetite = new Appetite(maxRecords)
    let until = env.monotonic() + CONSUMER_TURN_MS
    try {
      for (;;) {
        const delivery = await group.take(this.#owner, appetite.max, () => this.#life.isStopping)
        if (delivery === undefined) break
        const before = env.monotonic()
        let i = 0
        try {
          for (; i < delivery.messages.length && !this.#life.isStopping; i++) {
            if (!delivery.holds(i)) continue
            yield delivery.messages[i] as SharedMessage
            if (!isExplicit && !this.#life.isStopping) delivery.conclude(i, 'accept')
            if (env.monotonic() > until) {
              await nextTurn()
              until = env.monotonic() + CONSUMER_TURN_MS
            }
          }
        } finally {
          // Those behind the one in hand were never handed out.
          delivery.concludeFrom(i + 1, 'undo')
        }
        appetite.handled(delivery.messages.length, env.monotonic() - before)
      }
    } finally {
      state.isOn = false
      this.#life.isIterating = false
      await this.#leave()
      this.#life.sayStopped()
    }
    this.#life.throwFailure()
  }

  /**
   * What becomes of a message; written down by itself, and durable when a `commit` behind it resolves. Throws where this consumer does not have it any
   * more. `message` may also be `{ topic, partition, offset }`.
   */
  acknowledge(
    message: SharedMessage | (TopicPartition & { readonly offset: string | number }),
    type: AcknowledgeType = 'accept',
  ): void {
    const { place, offset, count } = checkAcknowledgement(message, type)
    const group = this.#joined()
    const shared = group.partition(place.topic, place.partition)
    if (shared === undefined) throw notAcquired(place, offset, group.id)
    if (type === 'renew') {
      if (!group.settings.canRenew || !shared.holdsAny(this.#owner, offset, count)) {
        if (shared.isGone(offset)) return
        throw notAcquired(place, offset, group.id)
      }
      group.renew(this.#owner, shared, offset)
      return
    }
    if (shared.settle(this.#owner, offset, offset, type, count) === 1 || shared.isGone(offset)) return
    throw notAcquired(place, offset, group.id)
  }

  /** Resolves when everything that was acknowledged by now is durable as the fsync mode promises; Kafka's commitSync, and not awaited its commitAsync. */
  async commit(): Promise<void> {
    this.#log.assertOpen()
    await this.#group?.flush()
  }

  /** Kafka's name for how long a record is this consumer's: the group's `share.record.lock.duration.ms`. */
  acquisitionLockTimeoutMs(): number | undefined {
    return this.#group?.settings.lockMs
  }

  /** Partitions that it takes records of: all of its topics. */
  assignment(): TopicPartition[] {
    return this.#subscription
      .topics()
      .flatMap((topic) => topic.partitions.map(({ partition }) => ({ topic: topic.name, partition })))
  }

  /** Ends run() or the iteration; callbacks in progress are told by their signal, and waited for. So not to be awaited within one. */
  async stop(): Promise<void> {
    this.#life.isStopping = true
    this.#group?.abort(this.#owner, stopped())
    this.#run?.stop()
    this.#group?.wake()
    await this.#life.stopped()
  }

  /** Stops; what it has and did not acknowledge is released, and what was acknowledged is durable when this resolves. */
  async disconnect(): Promise<void> {
    await this.stop()
    // A loop that is not asking for more does not end by itself.
    if (this.#life.isIterating) await this.#leave()
  }

  #begin(): ShareGroup {
    this.#life.assertIdle('run() or a for-await loop has it')
    if (this.#group === undefined || this.#subscription.isEmpty) throw notSubscribed()
    // Its group may have been deleted since.
    this.#groups.assertCurrent(this.#group)
    this.#life.begin()
    return this.#group
  }

  #join(group: ShareGroup): void {
    this.#owner = group.join(this.#member)
    this.#log.runningConsumers.add(this)
  }

  #joined(): ShareGroup {
    this.#log.assertOpen()
    if (this.#group !== undefined && this.#owner !== 0) return this.#group
    throw notInGroup(this.#options.groupId)
  }

  async #leave(): Promise<void> {
    const group = this.#group
    const owner = this.#owner
    this.#owner = 0
    if (group !== undefined && owner !== 0) {
      group.leave(owner)
      if (this.#log.closedWith === undefined) await group.settled()
    }
    this.#log.runningConsumers.delete(this)
  }

  /** What it acknowledged cannot be written down. */
  #fail(error: unknown): void {
    this.#life.fail(error)
    this.#run?.stop()
    this.#group?.wake()
  }

  #callbackFailed(failure: {
    readonly topic: string
    readonly partition: number
    readonly message: SharedMessage | undefined
    readonly error: unknown
    readonly deliveryCount: number
  }): void {
    if (this.emit('failed', failure) || this.#hasWarned) return
    // Nobody listens, and after its last delivery the record is given up.
    this.#hasWarned = true
    const { topic, partition, error } = failure
    process.emitWarning(
      `a callback of share group ${this.#options.groupId} has thrown on ${topic}-${partition}: ${String(error)}`,
      { type: 'MillraceWarning', detail: "said once for a consumer; consumer.on('failed', …) hears of every one" },
    )
  }
}
