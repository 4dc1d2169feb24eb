import { MillraceError } from '../common/errors.js'
import { isInternalTopic } from '../log/internal-topics.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import { describe } from '../types/invalid-value.js'
import { placeOf } from './assignor.js'
import { checkBoolean, checkNames } from './consumer-arguments.js'
import type { HostLog } from './host-log.js'

/** What `subscribe` takes: names, or patterns of names; of those, topics that come later are read too. */
export interface ConsumerSubscription {
  readonly topics?: readonly (string | RegExp)[] | undefined
  readonly topic?: string | RegExp | undefined
  /** Where nothing is committed: at the beginning. Default: with what is sent from now on. */
  readonly fromBeginning?: boolean | undefined
}

/** What a consumer has subscribed to, and where the partitions that were there ended at that time. */
export class Subscription {
  readonly #log: HostLog
  readonly #names = new Map<string, boolean>()
  readonly #patterns: { readonly pattern: RegExp; readonly fromBeginning: boolean }[] = []
  readonly #ends = new Map<string, number>()

  constructor(log: HostLog) {
    this.#log = log
  }

  get isEmpty(): boolean {
    return this.#names.size === 0 && this.#patterns.length === 0
  }

  /** Where it begins is settled when this resolves: what is sent afterwards will be seen. */
  async add(subscription: ConsumerSubscription): Promise<void> {
    const wanted = checked(subscription)
    checkNames('subscribe', subscription, ['topics', 'topic', 'fromBeginning'])
    checkBoolean('subscribe', 'fromBeginning', subscription.fromBeginning)
    const fromBeginning = subscription.fromBeginning === true
    const topics = await Promise.all(
      wanted.map((one) => (typeof one === 'string' ? this.#log.topic(one) : Promise.resolve(undefined))),
    )
    for (const topic of topics) {
      if (topic === undefined || this.#names.has(topic.name)) continue
      this.#names.set(topic.name, fromBeginning)
      await this.#noteEnds(topic)
    }
    for (const one of wanted) {
      if (typeof one === 'string') continue
      // A pattern that remembers where it was would match every second time.
      const pattern = new RegExp(one.source, one.flags.replace(/[gy]/g, ''))
      this.#patterns.push({ pattern, fromBeginning })
      for (const topic of this.#log.listTopics()) if (matches(pattern, topic.name)) await this.#noteEnds(topic)
    }
  }

  /** Topics that there are now and that it is about. */
  topics(): readonly TopicDescriptor[] {
    return this.#log
      .listTopics()
      .filter((topic) => this.#names.has(topic.name) || this.#patterns.some((p) => matches(p.pattern, topic.name)))
  }

  fromBeginning(topic: string): boolean {
    return this.#names.get(topic) ?? this.#patterns.find((p) => matches(p.pattern, topic))?.fromBeginning ?? false
  }

  /** Log end offset at the time of the subscription; 0 for a partition that has come since, all of which is new. */
  endAtSubscription(topic: TopicDescriptor, partition: number): number {
    return this.#ends.get(endKey(topic, partition)) ?? 0
  }

  async #noteEnds(topic: TopicDescriptor): Promise<void> {
    const { appenders } = await this.#log.sender(topic.name)
    for (let partition = 0; partition < appenders.length; partition++) {
      const end = appenders[partition]?.control.logEndOffset() ?? 0
      if (!this.#ends.has(endKey(topic, partition))) this.#ends.set(endKey(topic, partition), end)
    }
  }
}

const endKey = (topic: TopicDescriptor, partition: number): string => placeOf({ topic: topic.id, partition })

const matches = (pattern: RegExp, name: string): boolean => !isInternalTopic(name) && pattern.test(name)

function checked(subscription: ConsumerSubscription): readonly (string | RegExp)[] {
  const { topics, topic } = (subscription ?? {}) as ConsumerSubscription
  const wanted = topics ?? (topic === undefined ? undefined : [topic])
  if (
    Array.isArray(wanted) &&
    wanted.length > 0 &&
    wanted.every((one: unknown) => typeof one === 'string' || one instanceof RegExp)
  ) {
    return wanted
  }
  throw new MillraceError('INVALID_ARGUMENT', 'subscribe was told no topics', {
    detail: `found ${describe(wanted)}, expected { topics: ['name', /pattern/], fromBeginning?: boolean }`,
    hint: "consumer.subscribe({ topics: ['user-clicks'], fromBeginning: true })",
  })
}
