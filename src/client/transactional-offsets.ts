import type { Message } from '../record/key-scatter.js'
import type { TopicPartition } from './assignor.js'
import { type Group, unknownMember } from './group.js'
import type { GroupOffsets, OffsetCommit } from './group-offsets.js'

/** Who commits for a group: Kafka's ConsumerGroupMetadata, which `consumer.groupMetadata()` gives. */
export interface ConsumerGroupMetadata {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  /** There are no static members in one process. */
  readonly groupInstanceId: null
}

/** Offsets of one group that go with a transaction. */
export interface TransactionalCommit {
  readonly group: string
  readonly offsets: readonly OffsetCommit[]
  /** Undefined: somebody who is no member, as a program that keeps its own partitions is. */
  readonly member: ConsumerGroupMetadata | undefined
  /** Where in `__consumer_offsets` they are. */
  readonly at: number
}

interface ConsumerGroups {
  group(id: string): Group | undefined
  /** Throws where the name is a share group's, which has no offsets. */
  assertConsumerGroup?(id: string): Promise<void>
}

/**
 * The offsets that transactions commit for groups, and the fence in front of them. A member commits for what it has read without a break since the
 * generation that it comes with; where the group has gone on without it it is refused, when it sends its offsets and once more when it commits: between
 * the two its partitions may have moved, and their new owner has begun where the group was. While the decision is being made nothing moves.
 */
export class TransactionalOffsets {
  readonly #offsets: GroupOffsets
  readonly #groups: ConsumerGroups

  constructor(offsets: GroupOffsets, groups: ConsumerGroups = { group: () => undefined }) {
    this.#offsets = offsets
    this.#groups = groups
  }

  /** Checked; records for partition 0 of the internal topic. */
  async messages(
    group: string,
    offsets: readonly OffsetCommit[],
    member: ConsumerGroupMetadata | undefined,
  ): Promise<readonly Message[]> {
    this.#check(member, offsets)
    await this.#groups.assertConsumerGroup?.(group)
    const messages = await this.#offsets.messages(group, offsets)
    // They had to wait for the records that they are about, and may have been overtaken by a rebalance.
    this.#check(member, offsets)
    return messages
  }

  /** Throws where one of them is not its member's to make any more. Until the returned function is called no partition of these groups moves. */
  hold(commits: readonly TransactionalCommit[]): () => void {
    const releases: (() => void)[] = []
    try {
      for (const { member, offsets } of commits) {
        if (member !== undefined)
          releases.push(this.#groupOf(member).hold(member.memberId, member.generationId, offsets))
      }
    } catch (error) {
      for (const release of releases) release()
      throw error
    }
    return () => {
      for (const release of releases) release()
    }
  }

  /** The transaction is committed. */
  apply({ group, offsets, at }: TransactionalCommit): void {
    this.#offsets.apply(group, offsets, at)
  }

  #check(member: ConsumerGroupMetadata | undefined, places: readonly TopicPartition[]): void {
    if (member !== undefined) this.#groupOf(member).checkKept(member.memberId, member.generationId, places)
  }

  #groupOf({ groupId, memberId }: ConsumerGroupMetadata): Group {
    const group = this.#groups.group(groupId)
    if (group === undefined) throw unknownMember(memberId, groupId, 'the group has no members')
    return group
  }
}
