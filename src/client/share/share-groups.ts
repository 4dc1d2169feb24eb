import { MillraceError } from '../../common/errors.js'
import type { HostLog } from '../host-log.js'
import { checkDeadLetterTopic, type LetterRoute, leadsTo } from './dead-letters.js'
import { ShareConsumer } from './share-consumer.js'
import type { ShareConsumerOptions } from './share-consumer-options.js'
import { ShareGroup } from './share-group.js'
import { changedSettings, settingsOf } from './share-group-settings.js'
import { ShareState, type StoredShareGroup } from './share-state.js'

/** What share groups must know of the consumer groups beside them: a name is of one kind. */
export interface ConsumerGroupNames {
  /** `has` knows of those from before when this resolves. */
  load(): Promise<void>
  has(groupId: string): boolean
}

export { describeShareGroup, listShareGroups } from './share-group-facts.js'

/** All share groups of one engine. */
export class ShareGroups {
  readonly #log: HostLog
  readonly #others: ConsumerGroupNames
  readonly #state: ShareState
  readonly #groups = new Map<string, ShareGroup>()
  #stored: ReadonlyMap<string, StoredShareGroup> = new Map()
  readonly #forgotten = new Set<string>()
  #loading: Promise<void> | undefined

  constructor(log: HostLog, others: ConsumerGroupNames) {
    this.#log = log
    this.#others = others
    this.#state = new ShareState(log)
  }

  consumer(options: ShareConsumerOptions): ShareConsumer {
    return new ShareConsumer(this.#log, options, this)
  }

  /** What there was before is known when this resolves; read once. */
  load(): Promise<void> {
    this.#loading ??= this.#load().catch((error: unknown) => {
      this.#loading = undefined
      throw error
    })
    return this.#loading
  }

  /** After `load`. */
  has(groupId: string): boolean {
    return this.#groups.has(groupId) || (this.#stored.has(groupId) && !this.#forgotten.has(groupId))
  }

  /** Undefined: it has not been asked for since the engine was opened. */
  group(groupId: string): ShareGroup | undefined {
    return this.#groups.get(groupId)
  }

  /** After `load`. */
  ids(): readonly string[] {
    return [...new Set([...this.#groups.keys(), ...[...this.#stored.keys()].filter((id) => this.has(id))])].sort()
  }

  /** The group, made where there is none; refused where the name is a consumer group's. */
  async open(groupId: string): Promise<ShareGroup> {
    await Promise.all([this.load(), this.#others.load()])
    return this.#open(groupId)
  }

  /** Changes settings of the group, which need not have had a member. */
  async alter(groupId: string, change: unknown): Promise<Record<string, string | number | boolean>> {
    await Promise.all([this.load(), this.#others.load()])
    if (this.#others.has(groupId)) throw otherType(groupId, 'consumer')
    const before = this.#groups.get(groupId)?.storedSettings ?? this.#storedOf(groupId)?.settings ?? {}
    const settings = changedSettings(groupId, before, change)
    const { deadLetterTopic } = settingsOf(settings)
    if (deadLetterTopic !== undefined) checkDeadLetterTopic(this.#log, groupId, deadLetterTopic)
    const group = this.#open(groupId)
    await group.configure(settings)
    return group.config
  }

  /** Nothing is known of it any more. Only without members. */
  async forget(groupId: string): Promise<void> {
    const group = await this.open(groupId)
    this.#groups.delete(groupId)
    this.#forgotten.add(groupId)
    await group.forget()
  }

  /** Throws where the group was deleted, and may have been made anew. */
  assertCurrent(group: ShareGroup): void {
    if (this.#groups.get(group.id) === group) return
    throw new MillraceError('UNKNOWN_GROUP', `share group ${group.id} has been deleted`, {
      detail: 'it was deleted after this consumer had subscribed',
      hint: 'subscribe() again, which makes it anew',
    })
  }

  #open(groupId: string): ShareGroup {
    const known = this.#groups.get(groupId)
    if (known !== undefined) return known
    if (this.#others.has(groupId)) throw otherType(groupId, 'consumer')
    const stored = this.#storedOf(groupId)
    const group = new ShareGroup({
      id: groupId,
      log: this.#log,
      state: this.#state,
      stored,
      leadsTo: (from, to) => leadsTo(this.#letterRoutes(), from, to),
    })
    this.#groups.set(groupId, group)
    return group
  }

  /** Of all groups, those too that nobody has asked for yet. */
  #letterRoutes(): LetterRoute[] {
    const topics = this.#log.listTopics()
    return this.ids().flatMap((id) => {
      const group = this.#groups.get(id)
      const stored = this.#storedOf(id)
      const { deadLetterTopic: to } = group?.settings ?? settingsOf(stored?.settings ?? {})
      if (to === undefined) return []
      const topicIds = new Set([...(stored?.partitions.values() ?? [])].map(({ topicId }) => topicId))
      const known = group?.topics() ?? topics.filter((topic) => topicIds.has(topic.id))
      return [{ from: known.map(({ name }) => name), to }]
    })
  }

  #storedOf(groupId: string): StoredShareGroup | undefined {
    return this.#forgotten.has(groupId) ? undefined : this.#stored.get(groupId)
  }

  async #load(): Promise<void> {
    this.#log.assertOpen()
    const stored = await this.#state.load()
    // Topics that were deleted while no member was there.
    const there = new Set(this.#log.listTopics().map((topic) => topic.id))
    for (const [id, { partitions }] of stored) {
      const gone = [...partitions].filter(([, { topicId }]) => !there.has(topicId))
      if (gone.length === 0) continue
      await this.#state.forget(
        id,
        gone.map(([, { topicId, partition }]) => ({ topicId, partition })),
      )
      const left = new Map([...partitions].filter(([, { topicId }]) => there.has(topicId)))
      stored.set(id, { partitions: left, settings: stored.get(id)?.settings ?? {} })
    }
    this.#stored = stored
  }
}

/** A name is a share group's or a consumer group's. */
export function otherType(groupId: string, type: 'consumer' | 'share'): MillraceError {
  const [article, other] = type === 'share' ? ['a share group', 'consumer'] : ['a consumer group', 'share group']
  return new MillraceError('INCONSISTENT_GROUP_PROTOCOL', `group ${groupId} is ${article}`, {
    detail: `a ${other} cannot use its name: the one commits offsets, the other acknowledges records`,
    hint: `choose another groupId, or delete the group first: mill.groups.delete('${groupId}')`,
  })
}
