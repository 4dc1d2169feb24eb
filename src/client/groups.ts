import { MillraceError } from '../common/errors.js'
import { nearestName } from '../common/nearest-name.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import { describe } from '../types/invalid-value.js'
import { placeOf, type TopicPartition } from './assignor.js'
import { checkBoolean, checkNames, fieldsOf, isPartition, wrong } from './consumer-arguments.js'
import type { Group, GroupState } from './group.js'
import type { GroupCoordinator } from './group-coordinator.js'
import { checkGroupId, unknownPartition } from './group-offsets.js'
import type { HostLog } from './host-log.js'
import { recordReading } from './later-parts.js'

export interface GroupListing {
  readonly groupId: string
  readonly protocolType: 'consumer'
  readonly state: GroupState
  readonly members: number
}

export interface GroupPartition extends TopicPartition {
  /** Who reads it; null: nobody. */
  readonly memberId: string | null
  /** The next record that the group will read; null: nothing is committed. */
  readonly committedOffset: number | null
  readonly metadata: string | null
  readonly logStartOffset: number
  readonly logEndOffset: number
  /** Records between the committed offset and the log end; null: nothing is committed. */
  readonly lag: number | null
}

export interface GroupDescription {
  readonly groupId: string
  readonly protocolType: 'consumer'
  readonly state: GroupState
  /** Of the assignor in force; empty without members. */
  readonly protocol: string
  /** Goes up with every new assignment. */
  readonly generation: number
  readonly members: readonly {
    readonly memberId: string
    readonly clientId: string
    readonly assignment: readonly TopicPartition[]
  }[]
  /** All partitions that are assigned or have a committed offset. */
  readonly partitions: readonly GroupPartition[]
  /** Over all partitions. */
  readonly lag: number
}

/** Where a group is to go on. */
export type OffsetTarget =
  | 'earliest'
  | 'latest'
  | { readonly offset: number }
  /** The first record that is not older. */
  | { readonly timestamp: number | Date }
  /** So many records on, or back where it is negative; no further than the log reaches. */
  | { readonly shiftBy: number }

export interface ResetOffsetsOptions {
  /** Default: all topics that the group has committed for. */
  readonly topic?: string | undefined
  /** Default: all partitions. */
  readonly partitions?: readonly number[] | undefined
  readonly to: OffsetTarget
  /** Says what would be, and changes nothing. */
  readonly dryRun?: boolean | undefined
}

export interface OffsetChange extends TopicPartition {
  readonly from: number | null
  readonly to: number
}

/** `mill.groups`. */
export class Groups {
  readonly #log: HostLog
  readonly #coordinator: GroupCoordinator

  constructor(log: HostLog, coordinator: GroupCoordinator) {
    this.#log = log
    this.#coordinator = coordinator
  }

  /** Groups with members, or with committed offsets. */
  async list(): Promise<GroupListing[]> {
    this.#log.assertOpen()
    return (await this.#coordinator.ids()).map((groupId) => {
      const group = this.#coordinator.group(groupId)
      return {
        groupId,
        protocolType: 'consumer',
        state: group?.state ?? 'Empty',
        members: group?.members.length ?? 0,
      }
    })
  }

  /** Members, who reads what, and how far behind the log they are. */
  async describe(groupId: string): Promise<GroupDescription> {
    const group = await this.#known(groupId)
    const readers = new Map<string, string>()
    const places = new Map<string, TopicPartition>()
    for (const { member, held } of group?.members ?? []) {
      for (const place of held) {
        readers.set(placeOf(place), member.memberId)
        places.set(placeOf(place), place)
      }
    }
    for (const place of this.#coordinator.offsets.of(groupId)) places.set(placeOf(place), place)
    const partitions: GroupPartition[] = []
    for (const place of [...places.values()].sort(byPlace)) {
      const found = await this.#partition(groupId, place, readers.get(placeOf(place)) ?? null)
      if (found !== undefined) partitions.push(found)
    }
    return {
      groupId,
      protocolType: 'consumer',
      state: group?.state ?? 'Empty',
      protocol: group?.protocol ?? '',
      generation: group?.generation ?? 0,
      members: (group?.members ?? []).map(({ member, held }) => ({
        memberId: member.memberId,
        clientId: member.clientId,
        assignment: [...held].sort(byPlace).map(({ topic, partition }) => ({ topic, partition })),
      })),
      partitions,
      lag: partitions.reduce((sum, partition) => sum + (partition.lag ?? 0), 0),
    }
  }

  /** Forgets the group and its offsets. Only without members. */
  async delete(groupId: string): Promise<void> {
    await this.#withoutMembers(groupId, 'deleted')
    await this.#coordinator.forget(groupId)
  }

  /** Commits for the group where it is to go on; what changed. Only without members, since they would commit over it. */
  async resetOffsets(groupId: string, options: ResetOffsetsOptions): Promise<OffsetChange[]> {
    checkGroupId(groupId)
    checkReset(options)
    const to = checkedTarget(options)
    // A group may be given offsets before it has ever been there.
    if (options.topic === undefined || (await this.#coordinator.ids()).includes(groupId)) {
      await this.#withoutMembers(groupId, 'given other offsets')
    }
    const { offsets } = this.#coordinator
    const topics =
      options.topic === undefined ? new Set(offsets.of(groupId).map(({ topic }) => topic)) : [options.topic]
    const changes: OffsetChange[] = []
    for (const name of topics) {
      const topic = await this.#log.topic(name)
      for (const partition of options.partitions ?? topic.partitions.map((p) => p.partition)) {
        const from = offsets.get(groupId, topic, partition)?.offset ?? null
        changes.push({ topic: name, partition, from, to: this.#resolve(topic, partition, to, from) })
      }
    }
    if (options.dryRun !== true) {
      await offsets.commit(
        groupId,
        changes.map((change) => ({ topic: change.topic, partition: change.partition, offset: change.to })),
      )
    }
    return changes
  }

  async #partition(
    groupId: string,
    place: TopicPartition,
    memberId: string | null,
  ): Promise<GroupPartition | undefined> {
    // A topic that is gone has no lag.
    const topic = this.#log.listTopics().find((known) => known.name === place.topic)
    if (topic === undefined) return undefined
    const appender = (await this.#log.sender(topic.name)).appenders[place.partition]
    if (appender === undefined) return undefined
    const committed = this.#coordinator.offsets.get(groupId, topic, place.partition)
    if (committed === undefined && memberId === null) return undefined
    const logStartOffset = appender.control.logStartOffset()
    const logEndOffset = appender.control.logEndOffset()
    return {
      topic: place.topic,
      partition: place.partition,
      memberId,
      committedOffset: committed?.offset ?? null,
      metadata: committed?.metadata ?? null,
      logStartOffset,
      logEndOffset,
      lag: committed === undefined ? null : Math.max(0, logEndOffset - Math.max(committed.offset, logStartOffset)),
    }
  }

  #resolve(topic: TopicDescriptor, partition: number, to: OffsetTarget, from: number | null): number {
    const descriptor = topic.partitions[partition]
    if (descriptor === undefined) throw unknownPartition(topic.name, partition, topic.partitions.length)
    const { PartitionFetcher } = recordReading()
    const fetcher = new PartitionFetcher({ topic, partition: descriptor, log: this.#log })
    try {
      const start = fetcher.logStartOffset()
      const end = fetcher.logEndOffset()
      if (to === 'earliest') return start
      if (to === 'latest') return end
      if ('timestamp' in to) return fetcher.offsetForTimestamp(Number(to.timestamp))
      if ('shiftBy' in to) return Math.min(end, Math.max(start, (from ?? start) + to.shiftBy))
      if (to.offset >= start && to.offset <= end) return to.offset
      throw new MillraceError('OFFSET_OUT_OF_RANGE', `${topic.name}-${partition} has no offset ${to.offset}`, {
        detail: `it has offsets from ${start} to ${end}, the next to be given`,
        hint: 'choose one of these',
      })
    } finally {
      fetcher.close()
    }
  }

  async #withoutMembers(groupId: string, what: string): Promise<void> {
    const group = await this.#known(groupId)
    const count = group?.members.length ?? 0
    if (count === 0) return
    throw new MillraceError('NON_EMPTY_GROUP', `group ${groupId} cannot be ${what} while it has members`, {
      detail: `it has ${count}: ${group?.members.map(({ member }) => member.memberId).join(', ')}`,
      hint: 'stop its consumers first',
    })
  }

  /** Undefined: it has offsets and never had members since the engine was opened. */
  async #known(groupId: string): Promise<Group | undefined> {
    this.#log.assertOpen()
    checkGroupId(groupId)
    const ids = await this.#coordinator.ids()
    if (ids.includes(groupId)) return this.#coordinator.group(groupId)
    const nearest = nearestName(groupId, ids)
    throw new MillraceError('UNKNOWN_GROUP', `there is no group ${JSON.stringify(groupId)}`, {
      detail: ids.length === 0 ? 'there are no groups yet' : `groups are ${ids.slice(0, 20).join(', ')}`,
      hint: nearest === undefined ? 'a group is there once it has a member or an offset' : `did you mean '${nearest}'?`,
    })
  }
}

function byPlace(a: TopicPartition, b: TopicPartition): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1
  return a.partition - b.partition
}

function checkReset(options: unknown): void {
  const hint = "mill.groups.resetOffsets('audit', { topic: 'user-clicks', to: 'earliest' })"
  if (typeof options !== 'object' || options === null) {
    throw wrong('the second argument of resetOffsets', options, '{ to, topic?, partitions?, dryRun? }', hint)
  }
  checkNames('resetOffsets', options, ['topic', 'partitions', 'to', 'dryRun'])
  const { topic, partitions, dryRun } = fieldsOf(options)
  checkBoolean('resetOffsets', 'dryRun', dryRun)
  if (topic !== undefined && typeof topic !== 'string') {
    throw wrong('topic of resetOffsets', topic, 'the name of a topic', hint)
  }
  if (partitions === undefined) return
  if (!Array.isArray(partitions) || !partitions.every(isPartition)) {
    throw wrong('partitions of resetOffsets', partitions, 'an array of whole numbers from 0 on', hint)
  }
}

function checkedTarget(options: unknown): OffsetTarget {
  const to = (options as Partial<ResetOffsetsOptions> | undefined)?.to as unknown
  if (to === 'earliest' || to === 'latest') return to
  if (typeof to === 'object' && to !== null) {
    const { offset, timestamp, shiftBy } = to as { offset?: unknown; timestamp?: unknown; shiftBy?: unknown }
    if (Number.isSafeInteger(offset)) return { offset: offset as number }
    if (Number.isSafeInteger(shiftBy)) return { shiftBy: shiftBy as number }
    const time = timestamp instanceof Date ? timestamp.getTime() : timestamp
    if (Number.isSafeInteger(time)) return { timestamp: time as number }
  }
  throw new MillraceError('INVALID_ARGUMENT', 'resetOffsets was not told where to', {
    detail: `found ${describe(to)}, expected to: 'earliest', 'latest', { offset }, { timestamp } or { shiftBy }`,
    hint: "mill.groups.resetOffsets('audit', { topic: 'user-clicks', to: 'earliest' })",
  })
}
