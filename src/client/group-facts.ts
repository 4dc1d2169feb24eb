import type { TopicPartition } from './assignor.js'
import type { GroupState } from './group.js'
import type { ShareGroupConfig } from './share/share-group-settings.js'

/** What `mill.groups` is asked and what it answers, for consumer groups and for share groups. */

export interface GroupListing {
  readonly groupId: string
  /** 'share': its members take records of the same partitions. */
  readonly protocolType: 'consumer' | 'share'
  readonly state: GroupState
  readonly members: number
}

export interface GroupPartition extends TopicPartition {
  /** Who reads it; null: nobody, or all members of a share group. */
  readonly memberId: string | null
  /** The next record that the group will read; null: nothing is committed. Of a share group: its start offset, below which everything is done with. */
  readonly committedOffset: number | null
  readonly metadata: string | null
  readonly logStartOffset: number
  readonly logEndOffset: number
  /** Records between the committed offset and the log end; null: nothing is committed. Of a share group: without those that are done with. */
  readonly lag: number | null
  /** Of a share group: records from its start offset on, by state. */
  readonly inFlight?: InFlightRecords
}

export interface GroupDescription {
  readonly groupId: string
  readonly protocolType: 'consumer' | 'share'
  readonly state: GroupState
  /** Of the assignor in force; empty without members, and for a share group. */
  readonly protocol: string
  /** Goes up with every new assignment; with every member that comes to a share group, or goes. */
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
  /** Settings of a share group. */
  readonly config?: Readonly<Record<string, string | number | boolean>>
}

/** Records of a partition of a share group, from its start offset on. */
export interface InFlightRecords {
  /** Given back, or never handed out. */
  readonly available: number
  readonly acquired: number
  readonly acknowledged: number
  /** Given up; those whose dead letters are not written yet are among them. */
  readonly archived: number
}

/** What `alter` takes: the settings alone, or as `config`. */
export type ShareGroupChange = ShareGroupConfig | { readonly config: ShareGroupConfig }

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
