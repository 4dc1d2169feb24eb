import { MillraceError } from '../../common/errors.js'
import type { TopicDescriptor } from '../../log/partition-descriptor.js'
import type { TopicPartition } from '../assignor.js'
import type { HostLog } from '../host-log.js'
import { PartitionFetcher } from '../partition-fetcher.js'
import { DeadLetters, type LeadsTo } from './dead-letters.js'
import type { Delivery } from './delivery.js'
import { completeSettings, type ShareGroupSettings, settingsOf } from './share-group-settings.js'
import { type ShareState, type StoredShareGroup, storedKey } from './share-state.js'
import type { StoredSettings } from './share-state-record.js'
import { SharedPartition } from './shared-partition.js'

/** A consumer that is in a share group. */
export interface ShareMember {
  readonly memberId: string
  readonly clientId: string
  /** Topics that it subscribes to and that there are now. */
  topics(): readonly TopicDescriptor[]
  /** The group cannot go on. */
  failed(error: unknown): void
}

/** Where a member subscribes to a topic that the group has never been at. */
export type Beginning = (topic: TopicDescriptor, partition: number) => number | 'earliest' | 'by settings'

interface Membership {
  readonly member: ShareMember
  readonly owner: number
  partitions: readonly SharedPartition[]
  turn: number
}

export interface ShareGroupOptions {
  readonly id: string
  readonly log: HostLog
  readonly state: ShareState
  readonly stored: StoredShareGroup | undefined
  /** By all groups together. */
  readonly leadsTo: LeadsTo
}

/**
 * A share group: members that take records of the same partitions, each record one member's for as long as its lock lasts. Every member may take from every
 * partition that it subscribes to: nothing is assigned, so nothing has to be given up when members come and go.
 */
export class ShareGroup {
  readonly id: string
  /** Goes up when members come and go. */
  epoch = 0
  readonly #log: HostLog
  readonly #state: ShareState
  readonly #stored: StoredShareGroup | undefined
  readonly #deadLetters: DeadLetters
  readonly #partitions = new Map<string, SharedPartition>()
  readonly #opening = new Map<string, Promise<void>>()
  readonly #members = new Map<number, Membership>()
  #settings: ShareGroupSettings
  #storedSettings: StoredSettings
  #owners = 0
  #sleepers: (() => void)[] = []
  #endListening: (() => void)[] = []
  #locksEndAt = Number.POSITIVE_INFINITY
  #cancelLocks: (() => void) | undefined

  constructor(options: ShareGroupOptions) {
    const { id, log, state, stored, leadsTo } = options
    this.id = id
    this.#log = log
    this.#state = state
    this.#stored = stored
    this.#storedSettings = stored?.settings ?? {}
    this.#settings = settingsOf(this.#storedSettings)
    this.#deadLetters = new DeadLetters(id, log, () => this.#settings, leadsTo)
  }

  get settings(): ShareGroupSettings {
    return this.#settings
  }

  get storedSettings(): StoredSettings {
    return this.#storedSettings
  }

  get config(): Record<string, string | number | boolean> {
    return completeSettings(this.#storedSettings)
  }

  get members(): readonly { readonly member: ShareMember; readonly partitions: readonly TopicPartition[] }[] {
    return [...this.#members.values()]
  }

  get partitions(): readonly SharedPartition[] {
    return [...this.#partitions.values()]
  }

  partition(topic: string, partition: number): SharedPartition | undefined {
    for (const shared of this.#partitions.values()) {
      if (shared.topic === topic && shared.partition === partition) return shared
    }
    return undefined
  }

  /** Opens the partitions of a topic: those that are known go on, others begin, durably when this resolves. */
  async open(topic: TopicDescriptor, begin: Beginning): Promise<void> {
    await Promise.all(topic.partitions.map(({ partition }) => this.#openOne(topic, partition, begin)))
  }

  /** The member takes part from now on. */
  join(member: ShareMember): number {
    this.#owners += 1
    this.epoch += 1
    this.#members.set(this.#owners, { member, owner: this.#owners, partitions: this.#partitionsOf(member), turn: 0 })
    if (this.#endListening.length === 0) {
      this.#endListening = [this.#log.onRing(() => this.wake()), this.#log.onTopicsChanged(() => this.#topicsChanged())]
    }
    return this.#owners
  }

  /** What the member still has is released. */
  leave(owner: number): void {
    if (!this.#members.delete(owner)) return
    this.epoch += 1
    for (const shared of this.#partitions.values()) shared.releaseOwner(owner)
    if (this.#members.size === 0) for (const end of this.#endListening.splice(0)) end()
    this.wake()
  }

  /** Records for the member, of its partitions in turn; sleeps until there are some. Undefined: it is over. */
  async take(owner: number, max: number, isOver: () => boolean): Promise<Delivery | undefined> {
    for (;;) {
      const membership = this.#members.get(owner)
      if (isOver() || membership === undefined) return undefined
      const closed = this.#log.closedWith
      if (closed !== undefined) throw closed
      const { partitions } = membership
      let hasWaited = false
      for (let i = 0; i < partitions.length && !isOver(); i++) {
        const shared = partitions[membership.turn++ % partitions.length] as SharedPartition
        const taken = shared.acquire(owner, max)
        hasWaited ||= taken instanceof Promise
        const delivery = taken instanceof Promise ? await taken : taken
        if (delivery === undefined) continue
        this.#lockUntil(delivery.deadline)
        if (!isOver() && this.#members.has(owner)) return delivery
        // It came too late, and was never handed out.
        delivery.concludeFrom(0, 'undo')
      }
      // Meanwhile somebody may have rung.
      if (hasWaited) continue
      await new Promise<void>((resolve) => this.#sleepers.push(resolve))
    }
  }

  /** Whoever sleeps looks again. */
  wake(): void {
    if (this.#sleepers.length === 0) return
    for (const wake of this.#sleepers.splice(0)) wake()
  }

  /** Handlers of the member are told to end. */
  abort(owner: number, reason: unknown): void {
    for (const shared of this.#partitions.values()) shared.abort(owner, reason)
  }

  renew(owner: number, shared: SharedPartition, offset: number): void {
    shared.renew(owner, offset)
    this.#lockUntil(this.#log.env.monotonic() + this.#settings.lockMs)
  }

  /** Everything that was acknowledged is durable when this resolves. */
  async flush(): Promise<void> {
    await Promise.all(this.partitions.map((shared) => shared.flush()))
  }

  /** The same, and dead letters that could be written are. */
  async settled(): Promise<void> {
    await this.flush()
    await Promise.all(this.partitions.map((shared) => shared.settled()))
  }

  /** Durable when it resolves; in force for what is acquired from then on. */
  async configure(settings: StoredSettings): Promise<void> {
    await this.#state.settings(this.id, settings)
    const { isolation } = this.#settings
    this.#storedSettings = settings
    this.#settings = settingsOf(settings)
    for (const shared of this.#partitions.values()) shared.configure(this.#settings.isolation !== isolation)
    this.wake()
  }

  /** Nothing is known of it any more. Only without members. */
  async forget(): Promise<void> {
    const places = new Map<string, { topicId: string; partition: number }>()
    for (const [key, place] of this.#stored?.partitions ?? []) places.set(key, place)
    for (const [key, shared] of this.#partitions) places.set(key, shared)
    // Nothing may be written behind the tombstones.
    await this.flush()
    this.close()
    await this.#state.forget(
      this.id,
      [...places.values()].map(({ topicId, partition }) => ({ topicId, partition })),
      true,
    )
  }

  close(): void {
    this.#cancelLocks?.()
    this.#cancelLocks = undefined
    this.#locksEndAt = Number.POSITIVE_INFINITY
    for (const end of this.#endListening.splice(0)) end()
    for (const shared of this.#partitions.values()) shared.close()
    this.#partitions.clear()
  }

  /** Topics that it has a start offset of, open or not. */
  topics(): readonly TopicDescriptor[] {
    const ids = new Set([...this.#partitions.values()].map(({ topicId }) => topicId))
    for (const { topicId } of this.#stored?.partitions.values() ?? []) ids.add(topicId)
    return this.#log.listTopics().filter(({ id }) => ids.has(id))
  }

  /** What is left of an earlier life goes on: start offsets, and dead letters that were not written. */
  async openKnown(): Promise<void> {
    for (const topic of this.topics()) {
      for (const { partition } of topic.partitions) {
        const isKnown = this.#stored?.partitions.has(storedKey(topic.id, partition)) === true
        if (isKnown) await this.#openOne(topic, partition, () => 'earliest')
      }
    }
  }

  #openOne(topic: TopicDescriptor, partition: number, begin: Beginning): Promise<void> {
    const key = storedKey(topic.id, partition)
    if (this.#partitions.has(key)) return Promise.resolve()
    let opening = this.#opening.get(key)
    if (opening === undefined) {
      opening = this.#openNow(key, topic, partition, begin).finally(() => this.#opening.delete(key))
      this.#opening.set(key, opening)
    }
    return opening
  }

  async #openNow(key: string, topic: TopicDescriptor, partition: number, begin: Beginning): Promise<void> {
    const stored = this.#stored?.partitions.get(key)
    const shared = new SharedPartition({
      group: this.id,
      topic,
      partition,
      log: this.#log,
      state: this.#state,
      settings: () => this.#settings,
      deadLetters: this.#deadLetters,
      stored,
      start: stored?.start ?? this.#beginning(topic, partition, begin(topic, partition)),
      onAvailable: () => this.wake(),
      onFailed: (error) => this.#failed(error),
    })
    try {
      await shared.begin()
    } catch (error) {
      shared.close()
      throw error
    }
    this.#partitions.set(key, shared)
    for (const membership of this.#members.values()) membership.partitions = this.#partitionsOf(membership.member)
    this.wake()
  }

  #beginning(topic: TopicDescriptor, partition: number, begin: number | 'earliest' | 'by settings'): number {
    const descriptor = topic.partitions[partition]
    if (typeof begin === 'number' || descriptor === undefined) return Number(begin)
    const fetcher = new PartitionFetcher({ topic, partition: descriptor, log: this.#log })
    try {
      const { reset } = this.#settings
      if (begin === 'earliest' || reset.kind === 'earliest') return fetcher.logStartOffset()
      if (reset.kind === 'duration') return fetcher.offsetForTimestamp(this.#log.env.now() - reset.ms)
      return fetcher.logEndOffset()
    } finally {
      fetcher.close()
    }
  }

  #partitionsOf(member: ShareMember): readonly SharedPartition[] {
    const ids = new Set(member.topics().map((topic) => topic.id))
    return [...this.#partitions.values()].filter((shared) => ids.has(shared.topicId))
  }

  /** Topics that come, and partitions that are added, are new to their last record. */
  #topicsChanged(): void {
    const there = new Set(this.#log.listTopics().map((topic) => topic.id))
    for (const [key, shared] of this.#partitions) {
      if (there.has(shared.topicId)) continue
      shared.close()
      this.#partitions.delete(key)
      const { topicId, partition } = shared
      this.#state.forget(this.id, [{ topicId, partition }]).catch((error: unknown) => this.#failed(error))
    }
    for (const membership of this.#members.values()) {
      membership.partitions = this.#partitionsOf(membership.member)
      for (const topic of membership.member.topics()) {
        this.open(topic, () => 'earliest').catch((error: unknown) => this.#failed(error))
      }
    }
    this.wake()
  }

  #failed(error: unknown): void {
    if (this.#log.closedWith !== undefined) return
    for (const { member } of [...this.#members.values()]) member.failed(error)
  }

  #lockUntil(deadline: number): void {
    if (deadline >= this.#locksEndAt) return
    this.#cancelLocks?.()
    this.#locksEndAt = deadline
    this.#cancelLocks = this.#log.env.timer(deadline - this.#log.env.monotonic(), () => {
      this.#locksEndAt = Number.POSITIVE_INFINITY
      let next = Number.POSITIVE_INFINITY
      const now = this.#log.env.monotonic()
      for (const shared of this.#partitions.values()) next = Math.min(next, shared.expire(now))
      if (next !== Number.POSITIVE_INFINITY) this.#lockUntil(next)
    })
  }
}

/** Who acknowledges what it does not have. */
export function notAcquired({ topic, partition }: TopicPartition, offset: number, group: string): MillraceError {
  return new MillraceError(
    'INVALID_RECORD_STATE',
    `record ${offset} of ${topic}-${partition} cannot be acknowledged by this consumer of group ${group}`,
    {
      detail: 'it was acknowledged before, its lock is over, or another member has it',
      hint: "acknowledge each message once, before its lock is over; acknowledge(message, 'renew') makes the lock last longer",
    },
  )
}
