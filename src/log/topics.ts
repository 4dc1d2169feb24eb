import type { Env } from '../common/env.js'
import { MillraceError, toErrorShape } from '../common/errors.js'
import { sealJson, unsealJson } from '../common/sealed-json.js'
import type { PartitionerName } from '../record/partitioner.js'
import type { StructType } from '../types/data-type.js'
import { isCompacted } from './compaction-policy.js'
import { TOPIC_PARTITIONS_MAX } from './limits.js'
import type { TopicConfig } from './partition-descriptor.js'
import { assertCanWrite, completeTopicConfig } from './topic-config.js'
import { assertTopicName, unknownTopic } from './topic-name.js'

/** What is known of a topic apart from its records. Kept in `<dir>/topics/<name>.json`, replaced as a whole. */
export interface Topic {
  readonly id: string
  readonly name: string
  readonly partitions: number
  readonly storage: 'memory' | 'disk'
  readonly schema: StructType | undefined
  readonly partitioner: PartitionerName
  readonly config: TopicConfig
  readonly createdAt: number
  /** It is or was compacted, or was salvaged: offsets may be missing between its records, for ever. */
  readonly hasGaps: boolean
}

export interface TopicSpec {
  readonly name: string
  /** Default 1. */
  readonly partitions?: number | undefined
  readonly schema?: StructType | undefined
  readonly partitioner?: PartitionerName | undefined
  readonly config?: TopicConfig | undefined
  /** Default: where the engine's other topics are. */
  readonly storage?: 'memory' | 'disk' | undefined
}

/** What may become of a topic later. */
export interface TopicChange {
  /** Settings by Kafka's names; null = back to the default. What is not named stays. */
  readonly config?: Readonly<Record<string, string | number | null>> | undefined
  /** The new total. */
  readonly partitions?: number | undefined
}

export class Topics {
  readonly #env: Env
  readonly #directory: string | undefined
  readonly #byName = new Map<string, Topic>()
  /** Two names that differ in case alone would be one directory on some systems. */
  readonly #byLowerName = new Map<string, string>()

  /** Reads what is there; `directory` undefined: nothing is kept. */
  constructor(env: Env, directory: string | undefined) {
    this.#env = env
    this.#directory = directory
    if (directory === undefined) return
    env.fs.makeDirectory(directory)
    // A process that was killed may have left names that no sync has covered; from now on they are relied on.
    env.fs.syncDirectory(directory)
    for (const file of env.fs.list(directory)) {
      // What a crash has left of a file that was being replaced.
      if (file.endsWith('.json.tmp')) env.fs.remove(`${directory}/${file}`)
      if (!file.endsWith('.json')) continue
      this.#add(parseTopic(`${directory}/${file}`, env.fs.readFile(`${directory}/${file}`)))
    }
  }

  list(): readonly Topic[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  get(name: string): Topic {
    const topic = this.#byName.get(name)
    if (topic !== undefined) return topic
    throw unknownTopic(name, [...this.#byName.keys()])
  }

  /** Checks everything, keeps nothing yet. */
  plan(spec: TopicSpec): Topic {
    assertTopicName(spec.name)
    const existing = this.#byLowerName.get(spec.name.toLowerCase())
    if (existing !== undefined) {
      throw new MillraceError('TOPIC_EXISTS', `topic ${spec.name} cannot be created`, {
        detail:
          existing === spec.name ? 'it exists already' : `topic ${existing} exists, and the two differ in case alone`,
        hint:
          existing === spec.name
            ? 'use it as it is, or delete it first'
            : 'choose a name that differs in more than case',
      })
    }
    const partitions = spec.partitions ?? 1
    assertPartitions(spec.name, partitions)
    const partitioner = spec.partitioner ?? 'murmur2'
    if (partitioner !== 'murmur2' && partitioner !== 'murmur3') {
      throw new MillraceError(
        'TOPIC_CONFIG_INVALID',
        `partitioner of topic ${spec.name} is ${JSON.stringify(partitioner)}`,
        {
          detail: "expected 'murmur2' (Kafka's) or 'murmur3'",
          hint: 'leave it out for the partitions that Kafka would choose',
        },
      )
    }
    const config = completeTopicConfig(spec.name, spec.config ?? {})
    assertCanWrite(spec.name, config)
    return Object.freeze({
      id: Buffer.from(this.#env.randomBytes(16)).toString('base64url'),
      name: spec.name,
      partitions,
      storage: spec.storage ?? (this.#directory === undefined ? 'memory' : 'disk'),
      schema: spec.schema,
      partitioner,
      config,
      createdAt: this.#env.now(),
      hasGaps: isCompacted(config),
    })
  }

  /** The topic as it would be with other settings, or more partitions; keeps nothing yet. */
  planChange(name: string, change: TopicChange): Topic {
    const topic = this.get(name)
    const { partitions } = change
    if (partitions !== undefined && (!Number.isInteger(partitions) || partitions <= topic.partitions)) {
      throw new MillraceError(
        'TOPIC_PARTITIONS_INVALID',
        `topic ${name} cannot get ${JSON.stringify(partitions)} partitions`,
        {
          detail: `it has ${topic.partitions}, and the number given is the new total`,
          hint: 'partitions can be added but not taken away: their records would go with them',
        },
      )
    }
    if (partitions !== undefined) assertPartitions(name, partitions)
    const given: Record<string, string | number> = { ...topic.config }
    for (const [setting, value] of Object.entries(change.config ?? {})) {
      if (value === null) delete given[setting]
      else given[setting] = value
    }
    const config = completeTopicConfig(name, given)
    return Object.freeze({
      ...topic,
      partitions: partitions ?? topic.partitions,
      config,
      hasGaps: topic.hasGaps || isCompacted(config),
    })
  }

  keep(topic: Topic): void {
    if (topic.storage === 'disk') this.#env.fs.replaceFile(this.#path(topic.name), sealJson(topic, 2))
    this.#add(topic)
  }

  /** Where this throws and the topic is not known any more, its description is removed, but perhaps not for good. */
  remove(name: string): void {
    const topic = this.get(name)
    if (topic.storage === 'disk') this.#env.fs.remove(this.#path(name))
    this.#byName.delete(name)
    this.#byLowerName.delete(name.toLowerCase())
    if (topic.storage === 'disk') this.#env.fs.syncDirectory(this.#directory as string)
  }

  #add(topic: Topic): void {
    this.#byName.set(topic.name, topic)
    this.#byLowerName.set(topic.name.toLowerCase(), topic.name)
  }

  #path(name: string): string {
    return `${this.#directory}/${name}.json`
  }
}

function assertPartitions(name: string, partitions: number): void {
  if (Number.isInteger(partitions) && partitions >= 1 && partitions <= TOPIC_PARTITIONS_MAX) return
  throw new MillraceError(
    'TOPIC_PARTITIONS_INVALID',
    `topic ${name} cannot have ${JSON.stringify(partitions)} partitions`,
    {
      detail: `expected a whole number from 1 to ${TOPIC_PARTITIONS_MAX}`,
      hint: 'as many as tasks are to read at once are enough, a few for each core',
    },
  )
}

export function parseTopic(path: string, content: Uint8Array): Topic {
  try {
    const topic: Partial<Topic> = unsealJson(path, content).value
    const { id, name, partitions, schema, partitioner, config, createdAt, hasGaps } = topic
    assertTopicName(name)
    if (
      typeof id !== 'string' ||
      typeof partitions !== 'number' ||
      typeof config !== 'object' ||
      createdAt === undefined
    ) {
      throw new Error('a field is missing')
    }
    const complete = completeTopicConfig(name, config)
    return Object.freeze({
      id,
      name,
      partitions,
      storage: 'disk',
      schema,
      partitioner: partitioner ?? 'murmur2',
      config: complete,
      createdAt,
      hasGaps: hasGaps === true || isCompacted(complete),
    })
  } catch (error) {
    throw new MillraceError('TOPIC_FILE_CORRUPT', `${path} does not describe a topic`, {
      detail: faultOf(error),
      hint: 'restore the file from a copy; the records are untouched',
      cause: error,
    })
  }
}

function faultOf(error: unknown): string {
  const { message, detail } = toErrorShape(error)
  return detail === undefined ? message : detail
}
