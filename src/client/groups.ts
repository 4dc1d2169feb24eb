import { MillraceError } from '../common/errors.js'
import { nearestName } from '../common/nearest-name.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import { describe } from '../types/invalid-value.js'
import { placeOf, type TopicPartition } from './assignor.js'
import { checkBoolean, checkNames, fieldsOf, isPartition, wrong } from './consumer-arguments.js'
import type { Group } from './group.js'
import type { GroupCoordinator } from './group-coordinator.js'
import type {
  GroupDescription,
  GroupListing,
  GroupPartition,
  OffsetChange,
  OffsetTarget,
  ResetOffsetsOptions,
  ShareGroupChange,
} from './group-facts.js'
import { checkGroupId, unknownPartition } from './group-offsets.js'
import type { HostLog } from './host-log.js'
import { recordReading } from './later-parts.js'
import { sharing } from './later-share.js'
import type { ShareGroup } from './share/share-group.js'

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
    const listings = (await this.#coordinator.ids()).map((groupId): GroupListing => {
      const group = this.#coordinator.group(groupId)
      return {
        groupId,
        protocolType: 'consumer',
        state: group?.state ?? 'Empty',
        members: group?.members.length ?? 0,
      }
    })
    const share = await this.#coordinator.knownShareGroups()
    if (share !== undefined) listings.push(...sharing().listShareGroups(share))
    return listings.sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
  }

  /** Members, who reads what, and how far behind the log they are. */
  async describe(groupId: string): Promise<GroupDescription> {
    const shared = await this.#shareGroup(groupId)
    if (shared !== undefined) return await sharing().describeShareGroup(shared)
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
    const shared = await this.#shareGroup(groupId)
    if (shared !== undefined) {
      assertEmpty(groupId, shared.members, 'deleted')
      await this.#coordinator.shareGroups.forget(groupId)
      return
    }
    await this.#withoutMembers(groupId, 'deleted')
    await this.#coordinator.forget(groupId)
  }

  /** Commits for the group where it is to go on; what changed. Only without members, since they would commit over it. */
  async resetOffsets(groupId: string, options: ResetOffsetsOptions): Promise<OffsetChange[]> {
    checkGroupId(groupId)
    checkReset(options)
    const to = checkedTarget(options)
    const shared = await this.#shareGroup(groupId)
    if (shared !== undefined) return await this.#resetShareGroup(shared, options, to)
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

  /**
   * Changes settings of a share group, by Kafka's names, at once and for good; null gives a setting its default back, what is not named stays. A group may
   * be given settings before it has ever had a member. Answers with all of its settings.
   */
  async alter(groupId: string, change: ShareGroupChange): Promise<Record<string, string | number | boolean>> {
    this.#log.assertOpen()
    checkGroupId(groupId)
    return await this.#coordinator.shareGroups.alter(groupId, change)
  }

  /** Undefined: there is no share group of this name. */
  async #shareGroup(groupId: string): Promise<ShareGroup | undefined> {
    this.#log.assertOpen()
    checkGroupId(groupId)
    const groups = await this.#coordinator.knownShareGroups()
    if (groups?.has(groupId) !== true) return undefined
    const group = await groups.open(groupId)
    await group.openKnown()
    return group
  }

  async #resetShareGroup(group: ShareGroup, options: ResetOffsetsOptions, to: OffsetTarget): Promise<OffsetChange[]> {
    assertEmpty(group.id, group.members, 'given other offsets')
    const topics = options.topic === undefined ? group.topics() : [await this.#log.topic(options.topic)]
    const changes: OffsetChange[] = []
    for (const topic of topics) {
      for (const partition of options.partitions ?? topic.partitions.map((p) => p.partition)) {
        const from = group.partition(topic.name, partition)?.records.start ?? null
        changes.push({ topic: topic.name, partition, from, to: this.#resolve(topic, partition, to, from) })
      }
    }
    if (options.dryRun === true) return changes
    for (const topic of topics) {
      await group.open(
        topic,
        (_, partition) => changes.find((c) => c.topic === topic.name && c.partition === partition)?.to ?? 'by settings',
      )
    }
    for (const change of changes) await group.partition(change.topic, change.partition)?.reset(change.to)
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
    assertEmpty(groupId, group?.members ?? [], what)
  }

  /** Undefined: it has offsets and never had members since the engine was opened. */
  async #known(groupId: string): Promise<Group | undefined> {
    this.#log.assertOpen()
    checkGroupId(groupId)
    const own = await this.#coordinator.ids()
    if (own.includes(groupId)) return this.#coordinator.group(groupId)
    const ids = [...own, ...((await this.#coordinator.knownShareGroups())?.ids() ?? [])].sort()
    const nearest = nearestName(groupId, ids)
    throw new MillraceError('UNKNOWN_GROUP', `there is no group ${JSON.stringify(groupId)}`, {
      detail: ids.length === 0 ? 'there are no groups yet' : `groups are ${ids.slice(0, 20).join(', ')}`,
      hint: nearest === undefined ? 'a group is there once it has a member or an offset' : `did you mean '${nearest}'?`,
    })
  }
}

function assertEmpty(groupId: string, members: readonly { member: { memberId: string } }[], what: string): void {
  if (members.length === 0) return
  throw new MillraceError('NON_EMPTY_GROUP', `group ${groupId} cannot be ${what} while it has members`, {
    detail: `it has ${members.length}: ${members.map(({ member }) => member.memberId).join(', ')}`,
    hint: 'stop its consumers first',
  })
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
