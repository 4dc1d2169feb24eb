import type { Env } from '../common/env.js'
import { engineClosed, MillraceError } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { LogMemory } from '../log/shared-memory.js'
import type { TopicSpec } from '../log/topics.js'
import type { CoordinatorClient } from './producer-identity.js'
import type { TopicSender } from './topic-sender.js'

export interface HostLogOptions {
  readonly memory: LogMemory
  readonly env: Env
  /** Asks the engine; rejects with UNKNOWN_TOPIC. */
  readonly resolveTopic: (name: string) => Promise<TopicDescriptor>
  /** All topics that there are, internal ones too. */
  readonly listTopics: () => readonly TopicDescriptor[]
  /** For internal topics. Resolves when the topic is there, and durably so. */
  readonly createTopic: (spec: TopicSpec) => Promise<TopicDescriptor>
  /** Of transactions; and it gives producers their ids. */
  readonly coordinator: CoordinatorClient
}

const sending = lazyModule(import.meta.url, './topic-sender.js', () => import('./topic-sender.js'))

/**
 * The log as the host's clients see it: topics that have been asked for, one sender for each, and what is to be done
 * when the host's doorbell rings. Whoever listens to that bell calls `rung`.
 */
export class HostLog {
  readonly memory: LogMemory
  readonly env: Env
  readonly listTopics: HostLogOptions['listTopics']
  readonly coordinator: CoordinatorClient
  readonly #resolveTopic: HostLogOptions['resolveTopic']
  readonly #createTopic: HostLogOptions['createTopic']
  readonly #senders = new Map<string, TopicSender>()
  readonly #asked = new Map<string, Promise<TopicSender>>()
  /** Senders that have something queued or wait for an acknowledgement. */
  readonly #active = new Set<TopicSender>()
  readonly #listeners = new Set<() => void>()
  /** Consumers that hand out records now: who closes the log lets them end first. */
  readonly runningConsumers = new Set<{ disconnect(): Promise<void> }>()
  readonly #topicListeners = new Set<() => void>()
  #closed: MillraceError | undefined

  constructor(options: HostLogOptions) {
    this.memory = options.memory
    this.env = options.env
    this.#resolveTopic = options.resolveTopic
    this.listTopics = options.listTopics
    this.coordinator = options.coordinator
    this.#createTopic = options.createTopic
  }

  /** Undefined where the topic has not been asked for yet. */
  knownSender(name: string): TopicSender | undefined {
    return this.#senders.get(name)
  }

  async sender(name: string): Promise<TopicSender> {
    this.assertOpen()
    const known = this.#senders.get(name)
    if (known !== undefined) return known
    let asked = this.#asked.get(name)
    if (asked === undefined) {
      asked = this.#resolveTopic(name)
        .then((topic) => this.addTopic(topic))
        .finally(() => this.#asked.delete(name))
      this.#asked.set(name, asked)
    }
    return asked
  }

  async topic(name: string): Promise<TopicDescriptor> {
    return (await this.sender(name)).topic
  }

  /** What writes records, which the first topic that this thread hears of needs; for who knows that one is to come. */
  loadSending(): void {
    sending()
  }

  /** For a topic that has just been created, so that nobody needs to ask. */
  addTopic(topic: TopicDescriptor): TopicSender {
    this.assertOpen()
    const known = this.#senders.get(topic.name)
    if (known !== undefined && known.topic.id === topic.id) return known
    known?.close(deleted(topic.name))
    const sender = this.#newSender(topic)
    this.#senders.set(topic.name, sender)
    for (const listener of this.#topicListeners) listener()
    return sender
  }

  #newSender(topic: TopicDescriptor, after?: TopicSender): TopicSender {
    const { TopicSender: Sender } = sending()
    const sender: TopicSender = new Sender(topic, {
      memory: this.memory,
      env: this.env,
      onActive: () => this.#active.add(sender),
      ...(after === undefined ? {} : { after }),
    })
    return sender
  }

  /** Its settings have changed, or it has got more partitions. What is queued is written as it was meant, then what comes. */
  topicChanged(topic: TopicDescriptor): void {
    const before = this.#senders.get(topic.name)
    if (before === undefined) return
    this.#senders.set(topic.name, this.#newSender(topic, before))
    for (const listener of this.#topicListeners) listener()
  }

  /** The topic has been deleted. */
  forgetTopic(name: string): void {
    const sender = this.#senders.get(name)
    if (sender === undefined) return
    this.#senders.delete(name)
    sender.close(deleted(name))
    for (const each of this.#active) {
      if (each.topic.name !== name) continue
      // One that a change of the topic has replaced may have something queued too.
      each.close(deleted(name))
      this.#active.delete(each)
    }
    for (const listener of this.#topicListeners) listener()
  }

  /** For a topic of the engine's own. */
  async createTopic(spec: TopicSpec): Promise<TopicDescriptor> {
    this.assertOpen()
    return this.addTopic(await this.#createTopic(spec)).topic
  }

  /** Called when topics have come, gone or changed; the returned function ends that. */
  onTopicsChanged(listener: () => void): () => void {
    this.#topicListeners.add(listener)
    return () => this.#topicListeners.delete(listener)
  }

  /** The host's doorbell rang. */
  rung(): void {
    for (const sender of this.#active) {
      sender.rung()
      if (!sender.isActive) this.#active.delete(sender)
    }
    for (const listener of this.#listeners) listener()
  }

  /** Called at every ring; the returned function ends that. */
  onRing(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** What is not acknowledged by now is refused. Call it when the engine has closed, or has died. */
  close(error: MillraceError = engineClosed()): void {
    if (this.#closed !== undefined) return
    this.#closed = error
    for (const sender of new Set([...this.#senders.values(), ...this.#active])) sender.close(error)
    this.#active.clear()
    for (const listener of this.#listeners) listener()
  }

  get closedWith(): MillraceError | undefined {
    return this.#closed
  }

  assertOpen(): void {
    if (this.#closed !== undefined) throw this.#closed
  }
}

const deleted = (name: string): MillraceError =>
  new MillraceError('TOPIC_DELETED', `topic ${name} has been deleted`, {
    detail: 'its records are gone',
    hint: 'create it again with mill.topics.create, and ask for it anew',
  })
