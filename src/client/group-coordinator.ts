import { SHARE_STATE_TOPIC } from '../log/internal-topics.js'
import { Group, type GroupMember } from './group.js'
import { GroupOffsets, type OffsetCommit } from './group-offsets.js'
import type { HostLog } from './host-log.js'
import { sharing } from './later-share.js'
import { CLOSE_TIMEOUT_MS, GROUP_EXPIRY_CHECK_MS } from './limits.js'
import type { ShareGroups } from './share/share-groups.js'

/**
 * All groups of one engine: their members, which are consumers of this thread, and their committed offsets. Topics that come, go or get
 * partitions make the groups that subscribe to them rebalance. Offsets of a group without members are forgotten after
 * `offsetsRetentionMs`; those of a group with members are written again before they get that old.
 */
export class GroupCoordinator {
  readonly offsets: GroupOffsets
  readonly #log: HostLog
  readonly #groups = new Map<string, Group>()
  readonly #offsetsRetentionMs: number
  #cancelExpiry: (() => void) | undefined
  #shareGroups: ShareGroups | undefined

  constructor(log: HostLog, options: { readonly offsetsRetentionMs: number; readonly offsets?: GroupOffsets }) {
    this.#log = log
    this.offsets = options.offsets ?? new GroupOffsets(log)
    this.#offsetsRetentionMs = options.offsetsRetentionMs
    log.onTopicsChanged(() => {
      for (const group of this.#groups.values()) if (group.members.length > 0) void group.rebalance()
    })
  }

  /** Resolves when the member has its first assignment. */
  async join(groupId: string, member: GroupMember): Promise<Group> {
    await this.offsets.load()
    await this.assertConsumerGroup(groupId)
    // Meanwhile somebody may have made one of the other kind.
    if (this.#shareGroups?.has(groupId) === true) throw sharing().otherType(groupId, 'share')
    const group = this.#group(groupId)
    await group.join(member)
    this.#expireLater()
    return group
  }

  /** The share groups, whose names are none of these groups'. */
  get shareGroups(): ShareGroups {
    this.#shareGroups ??= new (sharing().ShareGroups)(this.#log, {
      load: () => this.offsets.load(),
      has: (id) => (this.#groups.get(id)?.members.length ?? 0) > 0 || this.offsets.groups().includes(id),
    })
    return this.#shareGroups
  }

  /** Undefined: there has never been one. What there was before is known. */
  async knownShareGroups(): Promise<ShareGroups | undefined> {
    const isFirst = this.#shareGroups === undefined
    if (isFirst && !this.#log.listTopics().some((topic) => topic.name === SHARE_STATE_TOPIC)) return undefined
    await this.shareGroups.load()
    return this.shareGroups
  }

  /** Throws where the name is a share group's. */
  async assertConsumerGroup(groupId: string): Promise<void> {
    if ((await this.knownShareGroups())?.has(groupId) === true) throw sharing().otherType(groupId, 'share')
  }

  /** Undefined where it has never had members since the engine was opened; it may have offsets all the same. */
  group(groupId: string): Group | undefined {
    return this.#groups.get(groupId)
  }

  /** Groups that have, or had, members, and groups that have committed. */
  async ids(): Promise<readonly string[]> {
    await this.offsets.load()
    const active = [...this.#groups].filter(([, group]) => group.members.length > 0).map(([id]) => id)
    return [...new Set([...active, ...this.offsets.groups()])].sort()
  }

  /** A commit of a member; refused where it is not the member's to make. */
  async commit(
    groupId: string,
    member: { readonly memberId: string; readonly generation: number },
    commits: readonly OffsetCommit[],
  ): Promise<void> {
    const group = this.#group(groupId)
    const { memberId, generation } = member
    group.checkCommit(memberId, generation, commits)
    // A commit that had to wait for its records may be overtaken by a rebalance.
    await this.offsets.commit(groupId, commits, () => group.checkKept(memberId, generation, commits))
  }

  /** Its offsets are gone, and it is forgotten. Only for a group without members. */
  async forget(groupId: string): Promise<void> {
    await this.offsets.forget(groupId, this.offsets.of(groupId))
    this.#groups.delete(groupId)
  }

  /** Forgets what is older than the retention and has no owner; rewrites what has one. Called now and then, and by tests. */
  async expireOffsets(): Promise<void> {
    await this.offsets.load()
    const now = this.#log.env.now()
    for (const groupId of this.offsets.groups()) {
      const group = this.#groups.get(groupId)
      const isActive = group !== undefined && group.members.length > 0
      const old = this.offsets.of(groupId).filter(({ committed }) => {
        // A group that lost its members a moment ago has its offsets for as long as one that committed a moment ago.
        const since = Math.max(committed.commitTimestamp, group?.emptySince ?? 0)
        return isActive
          ? now - committed.commitTimestamp > this.#offsetsRetentionMs / 2
          : now - since > this.#offsetsRetentionMs
      })
      if (isActive) await this.#renew(groupId, old)
      else await this.offsets.forget(groupId, old)
    }
  }

  /**
   * All consumers stop, in a group or not; members commit and leave. Those whose handlers do not end in time are left behind, with what they had
   * committed.
   */
  async close(): Promise<void> {
    this.#cancelExpiry?.()
    this.#cancelExpiry = undefined
    const consumers = [...this.#log.runningConsumers]
    if (consumers.length === 0) return
    let cancel = (): void => undefined
    const late = new Promise<void>((resolve) => {
      cancel = this.#log.env.timer(CLOSE_TIMEOUT_MS, resolve)
    })
    await Promise.race([Promise.allSettled(consumers.map((consumer) => consumer.disconnect())), late])
    cancel()
  }

  async #renew(groupId: string, old: ReturnType<GroupOffsets['of']>): Promise<void> {
    const known = new Map(this.#log.listTopics().map((topic) => [topic.name, topic.id]))
    await this.offsets.commit(
      groupId,
      old
        .filter(({ topic, committed }) => known.get(topic) === committed.topicId)
        .map(({ topic, partition, committed }) => ({
          topic,
          partition,
          offset: committed.offset,
          metadata: committed.metadata,
        })),
    )
  }

  #group(groupId: string): Group {
    let group = this.#groups.get(groupId)
    if (group === undefined) {
      group = new Group({
        id: groupId,
        env: this.#log.env,
        partitionsOf: (topic) => this.#log.listTopics().find((t) => t.name === topic)?.partitions.length ?? 0,
      })
      this.#groups.set(groupId, group)
    }
    return group
  }

  #expireLater(): void {
    this.#cancelExpiry ??= this.#log.env.timer(GROUP_EXPIRY_CHECK_MS, () => {
      this.#cancelExpiry = undefined
      if (this.#log.closedWith !== undefined) return
      // What cannot be written now is looked at again in ten minutes.
      this.expireOffsets().catch(() => undefined)
      this.#expireLater()
    })
  }
}
