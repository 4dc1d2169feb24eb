import { MillraceError } from '../common/errors.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { AssignedPartitions } from './assigned-partitions.js'
import type { PartitionAssignor, TopicPartition } from './assignor.js'
import type { Group, GroupMember } from './group.js'
import type { GroupCoordinator } from './group-coordinator.js'
import type { OffsetCommit } from './group-offsets.js'
import type { PartitionFetcher } from './partition-fetcher.js'

export interface GroupMembershipOptions {
  readonly groupId: string
  readonly memberId: string
  readonly clientId: string
  readonly assignors: readonly PartitionAssignor[]
  readonly rebalanceTimeoutMs: number
  readonly coordinator: GroupCoordinator
  readonly partitions: AssignedPartitions
  /** Topics that it subscribes to and that there are now. */
  readonly topics: () => readonly TopicDescriptor[]
  /** A fetcher at the place where the group goes on. */
  readonly open: (topic: TopicDescriptor, partition: number, group: Group) => PartitionFetcher
  /** What was done with is committed when partitions go. */
  readonly commitsOnRevoke: () => boolean
  readonly onRebalancing: () => void
  readonly onAssigned: (generation: number) => void
  readonly onExpelled: (error: MillraceError) => void
}

/**
 * A consumer's part in its group: gives up partitions when it is told to, once their handlers have ended and their offsets are committed, and
 * takes those that it is given. Commits go out under the generation that it was told last.
 */
export class GroupMembership implements GroupMember {
  readonly memberId: string
  readonly clientId: string
  readonly assignors: readonly PartitionAssignor[]
  readonly rebalanceTimeoutMs: number
  generation = 0
  readonly #options: GroupMembershipOptions
  #group: Group | undefined
  #hasLeft = false
  #expulsion: MillraceError | undefined

  constructor(options: GroupMembershipOptions) {
    this.#options = options
    this.memberId = options.memberId
    this.clientId = options.clientId
    this.assignors = options.assignors
    this.rebalanceTimeoutMs = options.rebalanceTimeoutMs
  }

  /** Resolves when the first partitions are assigned. */
  async join(): Promise<void> {
    await this.#options.coordinator.join(this.#options.groupId, this)
    if (this.#expulsion !== undefined) throw this.#expulsion
  }

  /** What was done with is committed first, where that is wanted; no handler may run any more. */
  async leave(): Promise<void> {
    if (this.#hasLeft) return
    const { partitions, commitsOnRevoke } = this.#options
    try {
      if (commitsOnRevoke()) await this.commitPositions(partitions.all)
    } finally {
      this.#hasLeft = true
      partitions.remove(partitions.all)
      this.#group?.leave(this.memberId)
    }
  }

  topics(): readonly string[] {
    return this.#options.topics().map((topic) => topic.name)
  }

  async revoke(places: readonly TopicPartition[]): Promise<void> {
    const { partitions, onRebalancing, commitsOnRevoke } = this.#options
    onRebalancing()
    const fetchers = places.flatMap((place) => partitions.find(place) ?? [])
    for (const fetcher of fetchers) takeAway(fetcher)
    await Promise.all(fetchers.map((fetcher) => fetcher.idle()))
    if (commitsOnRevoke()) await this.commitPositions(fetchers)
    partitions.remove(fetchers)
  }

  async assign(places: readonly TopicPartition[], generation: number): Promise<void> {
    const { partitions, open, onAssigned, coordinator, groupId } = this.#options
    if (this.#hasLeft) return
    this.generation = generation
    this.#group = coordinator.group(groupId)
    const topics = new Map(this.#options.topics().map((topic) => [topic.name, topic]))
    for (const place of places) {
      const topic = topics.get(place.topic)
      if (topic === undefined) continue
      const present = partitions.find(place)
      if (present?.topicId === topic.id) continue
      // The topic was made anew under its name.
      if (present !== undefined) {
        takeAway(present)
        await present.idle()
        partitions.remove([present])
      }
      partitions.add(open(topic, place.partition, this.#group as Group))
    }
    onAssigned(generation)
  }

  expelled(error: MillraceError): void {
    if (this.#hasLeft) return
    this.#hasLeft = true
    this.#expulsion = error
    const { partitions } = this.#options
    for (const fetcher of partitions.all) takeAway(fetcher)
    this.#options.onExpelled(error)
  }

  /** Commits how far these partitions are, where the group does not know it yet. */
  async commitPositions(fetchers: readonly PartitionFetcher[]): Promise<void> {
    const names = new Set(this.#options.topics().map((topic) => topic.name))
    // Of a topic that has been deleted there is nothing to go on from.
    const ahead = fetchers.filter((f) => f.committable !== f.committed && names.has(f.topic))
    await this.commit(
      ahead.map((f) => ({ topic: f.topic, partition: f.partition, offset: f.committable, metadata: undefined })),
    )
  }

  /** Refused where the group has gone on without this member. */
  async commit(commits: readonly OffsetCommit[]): Promise<void> {
    if (commits.length === 0) return
    const { coordinator, groupId, partitions } = this.#options
    await coordinator.commit(groupId, this, commits)
    for (const commit of commits) {
      const fetcher = partitions.find(commit)
      if (fetcher !== undefined) fetcher.committed = commit.offset
    }
  }

  /** In Kafka's shape: what is assigned, by topic. */
  assignment(): Record<string, number[]> {
    const byTopic: Record<string, number[]> = {}
    for (const { topic, partition } of this.#options.partitions.all) {
      byTopic[topic] = [...(byTopic[topic] ?? []), partition].sort((a, b) => a - b)
    }
    return byTopic
  }
}

function takeAway(fetcher: PartitionFetcher): void {
  fetcher.isRevoked = true
  fetcher.abort(
    new MillraceError(
      'PARTITION_REVOKED',
      `${fetcher.topic}-${fetcher.partition} has been taken away from this consumer`,
      {
        detail: 'its group rebalances',
        hint: 'end soon; what is not finished is handed out again where the partition goes',
      },
    ),
  )
}
