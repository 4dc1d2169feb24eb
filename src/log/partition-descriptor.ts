import { MillraceError } from '../common/errors.js'
import type { PartitionerName } from '../record/partitioner.js'
import type { StructType } from '../types/data-type.js'
import type { LeaderEpoch } from './leader-epochs.js'

/** What a thread must be told to append to a partition or to read it. Survives structuredClone; the control block is shared. */
export interface PartitionDescriptor {
  readonly topicId: string
  readonly topic: string
  readonly partition: number
  /** The engine's number for it, the same for all threads, never given twice. */
  readonly ordinal: number
  readonly control: SharedArrayBuffer
  readonly controlOffset: number
  /** Where its segment files are, or will be once it spills. */
  readonly directory: string | undefined
  readonly ackWhen: AckWhen
  /** In which epochs its log has begun anew; empty where it never lost anything. They stay the same while the engine is open. */
  readonly leaderEpochs: readonly LeaderEpoch[]
}

/** What an acknowledgement waits for: nothing but the append, bytes handed to the operating system, or bytes on the disk. */
export type AckWhen = 'appended' | 'written' | 'synced'

export interface TopicDescriptor {
  readonly id: string
  readonly name: string
  readonly storage: 'memory' | 'disk'
  /** Schema of the value; undefined for an untyped topic. */
  readonly schema: StructType | undefined
  readonly partitioner: PartitionerName
  /** Kafka's names, with their defaults filled in. */
  readonly config: TopicConfig
  readonly createdAt: number
  readonly partitions: readonly PartitionDescriptor[]
}

export type TopicConfig = Readonly<Record<string, string | number>>

/** A key for what is kept of a partition beside its files: a topic made anew under an old name has another id. */
export function partitionKey(descriptor: Pick<PartitionDescriptor, 'topic' | 'partition' | 'topicId'>): string {
  return `${descriptor.topic}-${descriptor.partition}@${descriptor.topicId}`
}

/** Throws where the topic has no such partition. */
export function partitionOf(topic: TopicDescriptor, partition: number): PartitionDescriptor {
  const found = topic.partitions[partition]
  if (found !== undefined) return found
  throw new MillraceError('UNKNOWN_PARTITION', `topic ${topic.name} has no partition ${partition}`, {
    detail: `its partitions are 0 to ${topic.partitions.length - 1}`,
    hint: 'count from 0',
  })
}

export function partitionName(descriptor: Pick<PartitionDescriptor, 'topic' | 'partition'>): string {
  return `${descriptor.topic}-${descriptor.partition}`
}
