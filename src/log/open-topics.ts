import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { ControlArena } from './control-arena.js'
import { PARTITIONS_MAX } from './limits.js'
import type { FsyncMode } from './log-writer.js'
import type { AckWhen, PartitionDescriptor, TopicDescriptor } from './partition-descriptor.js'
import { PartitionLog } from './partition-log.js'
import type { RecoveredPartition } from './recovery.js'
import type { LogMemory } from './shared-memory.js'
import { rollLimits } from './topic-config.js'
import { type Topic, Topics } from './topics.js'

export interface OpenTopicsOptions {
  readonly env: Env
  readonly dir: string | undefined
  readonly fsync: FsyncMode
  readonly memory: LogMemory
  readonly spillDirectory: string
  /** A segment takes no more. */
  readonly onSealed: (log: PartitionLog) => void
  /** Throws where the directory is another engine's by now. */
  readonly assertHeld: () => void
}

/** A partition that was there before, and the epochs of its log by now. */
export type OpenedPartition = RecoveredPartition & Pick<PartitionDescriptor, 'leaderEpochs'>

/** The topics of an engine with their partitions, each under the number that all threads know it by. */
export class OpenTopics {
  readonly topics: Topics
  /** By ordinal; undefined where the topic was deleted. */
  readonly partitions: (PartitionLog | undefined)[] = []
  readonly #options: OpenTopicsOptions
  readonly #arena = new ControlArena()
  readonly #descriptors = new Map<string, TopicDescriptor>()

  constructor(options: OpenTopicsOptions) {
    this.#options = options
    this.topics = new Topics(options.env, options.dir === undefined ? undefined : `${options.dir}/topics`)
  }

  /** Opens partitions of a topic from the `from`th on; those before are open already. */
  open(
    topic: Topic,
    recover: (partition: number, directory: string) => OpenedPartition | undefined,
    from = 0,
  ): TopicDescriptor {
    const ackWhen = this.#ackWhen(topic)
    const partitions = this.#descriptors.get(topic.name)?.partitions.slice(0, from) ?? []
    for (let p = from; p < topic.partitions; p++) {
      const directory = this.directoryOf(topic, p)
      const recovered = recover(p, directory)
      const descriptor: PartitionDescriptor = {
        topicId: topic.id,
        topic: topic.name,
        partition: p,
        ordinal: this.partitions.length,
        ...this.#arena.next(),
        directory,
        ackWhen,
        leaderEpochs: recovered?.leaderEpochs ?? [],
      }
      partitions.push(descriptor)
      const log = new PartitionLog(descriptor, {
        env: this.#options.env,
        memory: this.#options.memory,
        limits: rollLimits(topic.config),
        recovered,
        onSealed: this.#options.onSealed,
        assertHeld: this.#options.assertHeld,
      })
      if (topic.hasGaps) log.control.allowGaps()
      this.partitions.push(log)
    }
    const descriptor: TopicDescriptor = {
      id: topic.id,
      name: topic.name,
      storage: topic.storage,
      schema: topic.schema,
      partitioner: topic.partitioner,
      config: topic.config,
      createdAt: topic.createdAt,
      partitions,
    }
    this.#descriptors.set(topic.name, descriptor)
    return descriptor
  }

  /** Throws where another `count` would be too many. */
  assertRoomFor(name: string, count: number): void {
    if (this.partitions.length + count <= PARTITIONS_MAX) return
    throw new MillraceError('TOO_MANY_PARTITIONS', `topic ${name} would be one too many`, {
      detail: `${this.partitions.length} partitions have been made since the engine was opened, at most ${PARTITIONS_MAX} can be`,
      hint: 'open the engine again: partitions of deleted topics count no more then',
    })
  }

  /** Directories of the partitions from the `from`th on, empty: whatever an earlier try left behind goes. */
  makeDirectories(topic: Topic, from = 0): void {
    const { fs } = this.#options.env
    for (let p = from; p < topic.partitions; p++) {
      const directory = this.directoryOf(topic, p)
      if (fs.exists(directory)) fs.removeTree(directory)
      fs.makeDirectory(directory)
    }
    fs.syncDirectory(`${this.#options.dir}/log`)
  }

  list(): readonly TopicDescriptor[] {
    return this.topics.list().map((topic) => this.describe(topic.name))
  }

  /** Throws UNKNOWN_TOPIC, with the names that exist and the nearest. */
  describe(name: string): TopicDescriptor {
    const topic = this.topics.get(name)
    const descriptor = this.#descriptors.get(topic.name)
    if (descriptor === undefined) throw new Error(`assertion failed: topic ${name} is not open`)
    return descriptor
  }

  /** Undefined where there is no such topic. */
  find(name: string): TopicDescriptor | undefined {
    return this.#descriptors.get(name)
  }

  forget(name: string): void {
    try {
      this.topics.remove(name)
    } finally {
      if (!this.topics.has(name)) this.#descriptors.delete(name)
    }
  }

  log(partition: PartitionDescriptor): PartitionLog {
    const log = this.partitions[partition.ordinal]
    if (log !== undefined) return log
    throw new MillraceError('TOPIC_DELETED', `topic ${partition.topic} has been deleted`, {
      detail: 'its records are gone',
      hint: 'create it again with mill.topics.create, and ask for it anew',
    })
  }

  directoryOf(topic: Topic, partition: number): string {
    const root = topic.storage === 'disk' ? `${this.#options.dir}/log` : this.#options.spillDirectory
    return `${root}/${topic.name}-${partition}`
  }

  #ackWhen(topic: Topic): AckWhen {
    if (topic.storage === 'memory') return 'appended'
    return this.#options.fsync === 'group' || this.#options.fsync === 'always' ? 'synced' : 'written'
  }
}
