import type { GroupDescription, GroupListing, GroupPartition } from '../group-facts.js'
import { RecordState } from './record-state.js'
import type { ShareGroup } from './share-group.js'
import type { SharedPartition } from './shared-partition.js'

/** Share groups as `mill.groups` shows them. */
export function listShareGroups(groups: {
  ids(): readonly string[]
  group(id: string): ShareGroup | undefined
}): GroupListing[] {
  return groups.ids().map((groupId) => {
    const members = groups.group(groupId)?.members.length ?? 0
    return { groupId, protocolType: 'share', state: members === 0 ? 'Empty' : 'Stable', members }
  })
}

export async function describeShareGroup(group: ShareGroup): Promise<GroupDescription> {
  const partitions = group.partitions.map(partitionOf).sort(byPlace)
  return {
    groupId: group.id,
    protocolType: 'share',
    state: group.members.length === 0 ? 'Empty' : 'Stable',
    protocol: '',
    generation: group.epoch,
    members: group.members.map(({ member, partitions: taken }) => ({
      memberId: member.memberId,
      clientId: member.clientId,
      assignment: taken.map(({ topic, partition }) => ({ topic, partition })).sort(byPlace),
    })),
    partitions,
    lag: partitions.reduce((sum, { lag }) => sum + (lag ?? 0), 0),
    config: group.config,
  }
}

function partitionOf(shared: SharedPartition): GroupPartition {
  const { topic, partition, records } = shared
  const logStartOffset = shared.logStartOffset()
  const logEndOffset = shared.logEndOffset()
  const acknowledged = records.count(RecordState.acknowledged)
  const archived = records.count(RecordState.archived)
  return {
    topic,
    partition,
    memberId: null,
    committedOffset: records.start,
    metadata: null,
    logStartOffset,
    logEndOffset,
    lag: Math.max(0, logEndOffset - Math.max(records.start, logStartOffset) - acknowledged - archived),
    inFlight: {
      available: records.available,
      acquired: records.count(RecordState.acquired),
      acknowledged,
      archived: archived + records.count(RecordState.archiving),
    },
  }
}

function byPlace(a: { topic: string; partition: number }, b: { topic: string; partition: number }): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1
  return a.partition - b.partition
}
