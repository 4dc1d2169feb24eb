import { SHARE_STATE_TOPIC } from '../../log/internal-topics.js'
import { endOfEpoch } from '../../log/leader-epochs.js'
import type { TopicDescriptor } from '../../log/partition-descriptor.js'
import { PartitionReader } from '../../log/partition-reader.js'
import type { Message } from '../../record/key-scatter.js'
import type { HostLog } from '../host-log.js'
import { RecordDecoder } from '../record-decoder.js'
import type { StateBatch } from './record-state.js'
import {
  batchesBelow,
  overlaid,
  readShareStateRecord,
  type SharePartitionKey,
  type ShareSnapshot,
  type ShareStateRecord,
  type ShareUpdate,
  type StoredSettings,
  settingsMessage,
  snapshotMessage,
  updateMessage,
} from './share-state-record.js'

/** What is known of a partition of a share group from an earlier life. */
export interface StoredSharePartition {
  readonly topicId: string
  readonly partition: number
  readonly snapshotEpoch: number
  readonly stateEpoch: number
  readonly createdAt: number
  readonly start: number
  readonly batches: readonly StateBatch[]
}

export interface StoredShareGroup {
  readonly partitions: ReadonlyMap<string, StoredSharePartition>
  readonly settings: StoredSettings
}

interface Found {
  readonly key: SharePartitionKey
  snapshot: ShareSnapshot | undefined
  update: ShareUpdate | undefined
}

export const storedKey = (topicId: string, partition: number): string => `${topicId}:${partition}`

/**
 * The internal topic `__share_group_state`, where share groups keep their start offsets, what is in flight, and their settings. It is read once; from then on
 * the groups know better, and only write.
 */
export class ShareState {
  readonly #log: HostLog
  #topic: Promise<TopicDescriptor> | undefined

  constructor(log: HostLog) {
    this.#log = log
  }

  /** What every group had when the last engine ended. */
  async load(): Promise<Map<string, StoredShareGroup>> {
    const found = new Map<string, Map<string, Found>>()
    const settings = new Map<string, StoredSettings>()
    for (const record of this.#records()) {
      if (record.kind === 'settings') {
        if (record.value === undefined) settings.delete(record.group)
        else settings.set(record.group, record.value)
        continue
      }
      const { group, topicId, partition } = record.key
      const partitions = found.get(group) ?? new Map<string, Found>()
      found.set(group, partitions)
      const place = storedKey(topicId, partition)
      const known = partitions.get(place) ?? { key: record.key, snapshot: undefined, update: undefined }
      partitions.set(place, known)
      if (record.kind === 'snapshot') known.snapshot = record.value
      else known.update = record.value
    }
    const topics = new Map(this.#log.listTopics().map((topic) => [topic.id, topic]))
    const groups = new Map<string, StoredShareGroup>()
    for (const group of new Set([...found.keys(), ...settings.keys()])) {
      const partitions = new Map<string, StoredSharePartition>()
      for (const [place, one] of found.get(group) ?? []) {
        const stored = storedOf(one, topics.get(one.key.topicId))
        if (stored !== undefined) partitions.set(place, stored)
      }
      const own = settings.get(group)
      if (partitions.size > 0 || own !== undefined) groups.set(group, { partitions, settings: own ?? {} })
    }
    return groups
  }

  /** Resolves when it is durable as the fsync mode promises. */
  async snapshot(key: SharePartitionKey, snapshot: ShareSnapshot): Promise<void> {
    await this.#write([snapshotMessage(key, snapshot)])
  }

  async update(key: SharePartitionKey, update: ShareUpdate): Promise<void> {
    await this.#write([updateMessage(key, update)])
  }

  async settings(group: string, settings: StoredSettings): Promise<void> {
    await this.#write([settingsMessage(group, Object.keys(settings).length === 0 ? undefined : settings)])
  }

  /** Nothing is known of these partitions any more, nor, with `all`, of the group's settings. */
  async forget(group: string, places: readonly Omit<SharePartitionKey, 'group'>[], all = false): Promise<void> {
    const messages: Message[] = places.flatMap((place) => [
      snapshotMessage({ group, ...place }, undefined),
      updateMessage({ group, ...place }, undefined),
    ])
    if (all) messages.push(settingsMessage(group, undefined))
    if (messages.length > 0) await this.#write(messages)
  }

  *#records(): Generator<ShareStateRecord> {
    const topic = this.#log.listTopics().find((known) => known.name === SHARE_STATE_TOPIC)
    for (const partition of topic?.partitions ?? []) {
      const reader = new PartitionReader({ partition, memory: this.#log.memory, env: this.#log.env })
      const decoder = new RecordDecoder(topic as TopicDescriptor)
      try {
        reader.seek(reader.logStartOffset())
        while (reader.next()) {
          for (const message of decoder.decode(reader, reader.baseOffset)) {
            const record = readShareStateRecord(message.key, message.value as Buffer | null)
            if (record !== undefined) yield record
          }
        }
      } finally {
        reader.close()
      }
    }
  }

  async #write(messages: readonly Message[]): Promise<void> {
    this.#topic ??= this.#ensureTopic().catch((error: unknown) => {
      this.#topic = undefined
      throw error
    })
    await this.#topic
    const sender = await this.#log.sender(SHARE_STATE_TOPIC)
    await new Promise<void>((resolve, reject) => {
      sender.enqueue({ messages, waitForAck: true, written: () => resolve(), refused: reject })
    })
  }

  async #ensureTopic(): Promise<TopicDescriptor> {
    const known = this.#log.listTopics().find((topic) => topic.name === SHARE_STATE_TOPIC)
    return (
      known ??
      (await this.#log.createTopic({
        name: SHARE_STATE_TOPIC,
        partitions: 1,
        config: { 'cleanup.policy': 'compact', 'segment.bytes': 104_857_600, 'retention.ms': -1 },
      }))
    )
  }
}

/** An update without its snapshot says nothing, and neither speaks of records that were sent after the log had lost those that it is about. */
function storedOf({ key, snapshot, update }: Found, topic?: TopicDescriptor): StoredSharePartition | undefined {
  if (snapshot === undefined) return undefined
  const { topicId, partition } = key
  const { snapshotEpoch, stateEpoch, createdAt } = snapshot
  const facts = { topicId, partition, snapshotEpoch, stateEpoch, createdAt }
  // The first that is written after the engine is opened is a snapshot: an update is of its epoch.
  const end = endOfEpoch(topic?.partitions[partition]?.leaderEpochs ?? [], snapshot.leaderEpoch)
  const isOld = update?.snapshotEpoch !== snapshotEpoch
  const batches = isOld ? snapshot.batches : overlaid(snapshot.batches, update.batches)
  const start = isOld ? snapshot.start : update.start
  return { ...facts, start: Math.min(start, end), batches: batchesBelow(batches, end) }
}
