import { MillraceError } from '../common/errors.js'
import { OFFSETS_TOPIC } from '../log/internal-topics.js'
import { currentEpoch, endOfEpoch } from '../log/leader-epochs.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { Message } from '../record/key-scatter.js'
import { placeOf, type TopicPartition } from './assignor.js'
import type { HostLog } from './host-log.js'
import type { WrittenPart } from './joined-write.js'
import { recordReading } from './later-parts.js'
import { OFFSET_METADATA_BYTES_MAX } from './limits.js'
import { type CommittedOffset, OFFSET_STRING_BYTES_MAX, offsetMessage, readOffsetRecord } from './offset-record.js'
import type { TopicSender } from './topic-sender.js'

/** What is to be committed. */
export interface OffsetCommit {
  readonly topic: string
  readonly partition: number
  /** The next record to be read. */
  readonly offset: number
  readonly metadata?: string | null | undefined
}

/** One partition of one group. */
export interface GroupOffset {
  readonly topic: string
  readonly partition: number
  readonly committed: CommittedOffset
  /** Offset of its record in `__consumer_offsets`: of two the later record counts, whichever was known first. */
  readonly at: number
}

/**
 * The committed offsets of all groups: a map in this thread, and behind it the internal topic `__consumer_offsets`, of which the last
 * record for each group and partition counts. A commit is done when its record is acknowledged as the fsync mode promises, and it is
 * written only once the records in front of it are. Where the power has taken these all the same, since they were acknowledged without a sync, the commit
 * counts up to where the partition has begun anew (log/leader-epochs.ts), however much was sent since.
 *
 * A transaction writes `messages(…)` as records of its own to the topic, and calls `apply(…)` once it is committed (transactional-offsets.ts).
 */
export class GroupOffsets {
  readonly #log: HostLog
  readonly #groups = new Map<string, Map<string, GroupOffset>>()
  #loading: Promise<void> | undefined
  #topic: Promise<TopicDescriptor> | undefined

  constructor(log: HostLog) {
    this.#log = log
  }

  /** What was committed before is known when this resolves; read once. */
  load(): Promise<void> {
    this.#loading ??= this.#load()
    return this.#loading
  }

  /** Of the topic as it is now; undefined where nothing is committed. After `load`. */
  get(group: string, topic: Pick<TopicDescriptor, 'name' | 'id'>, partition: number): CommittedOffset | undefined {
    const found = this.#groups.get(group)?.get(placeOf({ topic: topic.name, partition }))?.committed
    return found === undefined || (found.topicId !== '' && found.topicId !== topic.id) ? undefined : found
  }

  /** All that is kept of a group, by topic and partition. After `load`. */
  of(group: string): readonly GroupOffset[] {
    const found = [...(this.#groups.get(group)?.values() ?? [])]
    return found.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
  }

  /** Groups that have committed anything. After `load`. */
  groups(): readonly string[] {
    return [...this.#groups.keys()]
  }

  /**
   * Resolves when the commit is durable as the fsync mode promises. Refused as a whole where one of the offsets is not possible, or where
   * `mayCommit` throws: it is asked when nothing is waited for any more before the records go out.
   */
  async commit(group: string, offsets: readonly OffsetCommit[], mayCommit?: () => void): Promise<void> {
    if (offsets.length === 0) return
    await this.load()
    const messages = await this.messages(group, offsets)
    const sender = await this.#log.sender(OFFSETS_TOPIC)
    mayCommit?.()
    this.apply(group, offsets, await write(sender, messages))
  }

  /**
   * The records of a commit, checked, for partition 0 of `__consumer_offsets`, which is there when this resolves. They wait for the records
   * that they are about: these are acknowledged when it resolves.
   */
  async messages(group: string, offsets: readonly OffsetCommit[]): Promise<readonly Message[]> {
    checkGroupId(group)
    const entries = await this.#entries(offsets)
    await this.ensureTopic()
    return entries.map((entry) => offsetMessage({ group, ...entry }))
  }

  /** The records of a commit are in the log to stay, at offset `at` and behind it: they are what the group goes on from. */
  apply(group: string, offsets: readonly OffsetCommit[], at: number): void {
    const topics = new Map(this.#log.listTopics().map((topic) => [topic.name, topic]))
    const commitTimestamp = this.#log.env.now()
    for (const { topic, partition, offset, metadata } of offsets) {
      const known = topics.get(topic)
      // A topic that was deleted meanwhile has nothing to go on from.
      if (known === undefined) continue
      const leaderEpoch = epochOf(known, partition)
      const committed = { offset, metadata: metadata ?? '', commitTimestamp, topicId: known.id, leaderEpoch }
      this.#set(group, topic, partition, committed, at)
    }
  }

  /** Tombstones for these partitions of the group. */
  async forget(group: string, places: readonly TopicPartition[]): Promise<void> {
    if (places.length === 0) return
    await this.ensureTopic()
    const at = await write(
      await this.#log.sender(OFFSETS_TOPIC),
      places.map(({ topic, partition }) => offsetMessage({ group, topic, partition, committed: undefined })),
    )
    for (const { topic, partition } of places) this.#set(group, topic, partition, undefined, at)
  }

  /** `__consumer_offsets`, made where it is missing. */
  ensureTopic(): Promise<TopicDescriptor> {
    this.#topic ??= this.#ensureTopic().catch((error: unknown) => {
      this.#topic = undefined
      throw error
    })
    return this.#topic
  }

  async #ensureTopic(): Promise<TopicDescriptor> {
    const known = this.#log.listTopics().find((topic) => topic.name === OFFSETS_TOPIC)
    return (
      known ??
      // Kafka spreads groups over fifty partitions since it has many nodes; one process needs one. The segment size is Kafka's.
      (await this.#log.createTopic({
        name: OFFSETS_TOPIC,
        partitions: 1,
        config: { 'cleanup.policy': 'compact', 'segment.bytes': 104_857_600, 'retention.ms': -1 },
      }))
    )
  }

  async #load(): Promise<void> {
    const topic = this.#log.listTopics().find((known) => known.name === OFFSETS_TOPIC)
    if (topic === undefined) return
    const topics = new Map(this.#log.listTopics().map((known) => [known.name, known]))
    const { PartitionReader, RecordDecoder } = recordReading()
    for (const partition of topic.partitions) {
      const reader = new PartitionReader({
        partition,
        memory: this.#log.memory,
        env: this.#log.env,
        // Nothing of a transaction that was aborted, or is open.
        isolation: 'read_committed',
      })
      const decoder = new RecordDecoder(topic)
      try {
        reader.seek(reader.logStartOffset())
        while (reader.next()) {
          for (const message of decoder.decode(reader, reader.baseOffset)) {
            const record = readOffsetRecord(message.key, message.value as Buffer | null, message.headers)
            if (record === undefined) continue
            const { committed } = record
            const known =
              committed === undefined ? undefined : heldBy(topics.get(record.topic), record.partition, committed)
            this.#set(record.group, record.topic, record.partition, known, Number(message.offset))
          }
        }
      } finally {
        reader.close()
      }
    }
  }

  #set(group: string, topic: string, partition: number, committed: CommittedOffset | undefined, at: number): void {
    const place = placeOf({ topic, partition })
    const offsets = this.#groups.get(group)
    // A transaction's record may be committed after a later one was.
    if (at < (offsets?.get(place)?.at ?? -1)) return
    if (committed !== undefined) {
      const known = { topic, partition, committed, at }
      if (offsets === undefined) this.#groups.set(group, new Map([[place, known]]))
      else offsets.set(place, known)
      return
    }
    offsets?.delete(place)
    if (offsets?.size === 0) this.#groups.delete(group)
  }

  async #entries(offsets: readonly OffsetCommit[]) {
    const commitTimestamp = this.#log.env.now()
    const entries = []
    for (const { topic, partition, offset, metadata } of offsets) {
      const sender = await this.#log.sender(topic)
      const appender = sender.appenders[partition]
      if (appender === undefined) throw unknownPartition(topic, partition, sender.appenders.length)
      const end = appender.control.logEndOffset()
      if (!Number.isSafeInteger(offset) || offset < 0 || offset > end) {
        throw new MillraceError(
          'OFFSET_OUT_OF_RANGE',
          `offset ${String(offset)} of ${topic}-${partition} cannot be committed`,
          {
            detail: `expected a whole number from 0 to ${end}, the next offset to be given`,
            hint: 'commit the offset of the next record to be read: that of the last one handled, plus 1',
          },
        )
      }
      checkMetadata(topic, partition, metadata)
      await sender.acknowledged(partition, offset)
      entries.push({
        topic,
        partition,
        committed: {
          offset,
          metadata: metadata ?? '',
          commitTimestamp,
          topicId: sender.topic.id,
          leaderEpoch: epochOf(sender.topic, partition),
        },
      })
    }
    return entries
  }
}

function epochOf(topic: TopicDescriptor, partition: number): number {
  return currentEpoch(topic.partitions[partition]?.leaderEpochs ?? [])
}

/** What of it still speaks of records that the log has. */
function heldBy(topic: TopicDescriptor | undefined, partition: number, committed: CommittedOffset): CommittedOffset {
  if (topic === undefined || (committed.topicId !== '' && committed.topicId !== topic.id)) return committed
  const end = endOfEpoch(topic.partitions[partition]?.leaderEpochs ?? [], committed.leaderEpoch)
  return committed.offset <= end ? committed : { ...committed, offset: end, lostFrom: committed.offset }
}

/** Resolves with the offset of the first record. */
function write(sender: TopicSender, messages: readonly Message[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const written = (parts: readonly WrittenPart[]): void => resolve(parts[0]?.baseOffset ?? -1)
    sender.enqueue({ messages, waitForAck: true, written, refused: reject })
  })
}

/** Kafka's rule: not empty; and it must fit its field in the record. */
export function checkGroupId(group: unknown): asserts group is string {
  if (typeof group === 'string' && group !== '' && Buffer.byteLength(group) <= OFFSET_STRING_BYTES_MAX) return
  throw new MillraceError('INVALID_GROUP_ID', 'the id of a group is not valid', {
    detail: `found ${typeof group === 'string' ? `a text of ${Buffer.byteLength(group)} bytes` : typeof group}, expected a text of 1 to ${OFFSET_STRING_BYTES_MAX} bytes`,
    hint: "mill.consumer({ groupId: 'audit' })",
  })
}

export function unknownPartition(topic: string, partition: unknown, partitions: number): MillraceError {
  return new MillraceError('UNKNOWN_PARTITION', `topic ${topic} has no partition ${String(partition)}`, {
    detail: `its partitions are 0 to ${partitions - 1}`,
    hint: 'choose one of these',
  })
}

function checkMetadata(topic: string, partition: number, metadata: unknown): void {
  if (metadata === undefined || metadata === null) return
  if (typeof metadata === 'string' && Buffer.byteLength(metadata) <= OFFSET_METADATA_BYTES_MAX) return
  throw new MillraceError('OFFSET_METADATA_INVALID', `the metadata of a commit of ${topic}-${partition} is not valid`, {
    detail: `found ${typeof metadata === 'string' ? `${Buffer.byteLength(metadata)} bytes` : typeof metadata}, expected a text of at most ${OFFSET_METADATA_BYTES_MAX} bytes`,
    hint: 'keep a key here, and what is large elsewhere',
  })
}
