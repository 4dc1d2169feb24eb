import type { HostLog } from '../client/host-log.js'
import { MillraceError } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import { nearestName } from '../common/nearest-name.js'
import type { RecordExplanation } from '../log/explain-record.js'
import { isInternalTopic, refuseInternalTopic } from '../log/internal-topics.js'
import type { CompactedPartition } from '../log/log-cleaner.js'
import type { TopicState } from '../log/log-engine.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import { unknownTopic } from '../log/topic-name.js'
import type { TopicChange, TopicSpec } from '../log/topics.js'
import type { PartitionerName } from '../record/partitioner.js'
import { type StructType, typeName } from '../types/data-type.js'
import { describe } from '../types/invalid-value.js'
import { SchemaType, type StructSchema } from '../types/schema.js'
import type { RequestName, Requests } from './engine-protocol.js'

const letterTopics = lazyModule(
  import.meta.url,
  '../dead-letter/letter-topic.js',
  () => import('../dead-letter/letter-topic.js'),
)

export type Request = <N extends RequestName>(
  name: N,
  argument: Requests[N]['argument'],
) => Promise<Requests[N]['result']>

export interface TopicOptions {
  /** Default 1. More partitions are more parallelism; the order of records holds within one. */
  readonly partitions?: number
  /** Makes the topic typed: values are objects, stored in columns. Without it keys and values are bytes. */
  readonly schema?: StructSchema<object, unknown> | StructType
  readonly partitioner?: PartitionerName
  /** Kafka's names: `retention.ms`, `segment.bytes`, … */
  readonly config?: Readonly<Record<string, string | number>>
  /** Default: disk where the engine has a directory. */
  readonly storage?: 'memory' | 'disk'
}

/** A topic in a few words. */
export interface TopicFacts {
  readonly name: string
  readonly id: string
  readonly partitions: number
  readonly schema: StructType | undefined
  readonly storage: 'memory' | 'disk'
}

export interface TopicDescription extends TopicFacts {
  readonly partitioner: PartitionerName
  readonly config: Readonly<Record<string, string | number>>
  readonly partitionStates: TopicState['partitions']
}

/** What may change of a topic: settings by Kafka's names (null = the default), and the number of its partitions, which can only grow. */
export type TopicAlteration =
  | {
      readonly config?: Readonly<Record<string, string | number | null>>
      readonly partitions?: number
    }
  | Readonly<Record<string, string | number | null>>

/** `mill.topics`. Descriptions are kept on the host, so that building a query asks nobody. */
export class SessionTopics {
  readonly #known = new Map<string, TopicDescriptor>()
  readonly #creating = new Map<string, Promise<TopicDescriptor>>()

  constructor(
    private readonly request: Request,
    private readonly log: HostLog,
  ) {}

  async load(): Promise<void> {
    for (const topic of await this.request('listTopics', undefined)) this.#known.set(topic.name, topic)
  }

  /** Resolves when the topic is there, and durably so. */
  async create(name: string, options: TopicOptions = {}): Promise<TopicFacts> {
    checkOptions(name, options)
    refuseInternalTopic(name)
    const { partitions, schema, partitioner, config, storage } = options
    const spec: TopicSpec = {
      name,
      partitions: partitions ?? 1,
      ...(schema === undefined ? {} : { schema: structOf(schema) }),
      ...(partitioner === undefined ? {} : { partitioner }),
      ...(config === undefined ? {} : { config }),
      ...(storage === undefined ? {} : { storage }),
    }
    const created = this.request('createTopic', spec)
    // While the engine is busy with it.
    this.log.loadSending()
    const topic = await created
    this.#known.set(name, topic)
    this.log.addTopic(topic)
    return factsOf(topic)
  }

  /** Without the topics that the engine keeps for itself. */
  list(): readonly TopicFacts[] {
    return this.descriptors()
      .filter((topic) => !isInternalTopic(topic.name))
      .map(factsOf)
  }

  /** Throws UNKNOWN_TOPIC, with the names that exist and the nearest. */
  get(name: string): TopicFacts {
    return factsOf(this.descriptor(name))
  }

  /** All of them, internal ones too. */
  descriptors(): readonly TopicDescriptor[] {
    return [...this.#known.values()]
  }

  /** The dead-letter queue of each, made where it is not there. */
  async ensureLetterTopics(names: readonly string[]): Promise<void> {
    const { checkLetterTopic, letterTopicOf } = letterTopics()
    for (const name of new Set(names)) {
      const known = this.#known.get(letterTopicOf(name))
      if (known !== undefined) checkLetterTopic(known, `topic ${name}`)
      else await this.#createLetters(name)
    }
  }

  /** Several queries may want it at the same time, and one may have had its first dead letter meanwhile. */
  async #createLetters(name: string): Promise<void> {
    const spec = letterTopics().letterTopicSpec(this.descriptor(name))
    const begun = this.#creating.get(spec.name) ?? this.createInternal(spec)
    this.#creating.set(spec.name, begun)
    try {
      this.log.addTopic(await begun)
    } catch (error) {
      if (!this.#known.has(spec.name)) throw error
    } finally {
      this.#creating.delete(spec.name)
    }
  }

  /** By the engine, of its own accord. */
  made(topic: TopicDescriptor): void {
    this.#known.set(topic.name, topic)
    this.log.addTopic(topic)
  }

  /** A topic of the engine's own. */
  async createInternal(spec: TopicSpec): Promise<TopicDescriptor> {
    const topic = await this.request('createTopic', spec)
    this.#known.set(topic.name, topic)
    return topic
  }

  descriptor(name: string): TopicDescriptor {
    const topic = this.#known.get(name)
    if (topic === undefined)
      throw unknownTopic(
        name,
        [...this.#known.keys()].filter((known) => !isInternalTopic(known)),
      )
    return topic
  }

  /** With the offsets, bytes and state of every partition. */
  async describe(name: string): Promise<TopicDescription> {
    const topic = this.descriptor(name)
    const state = await this.request('topicState', name)
    return {
      ...factsOf(topic),
      partitioner: topic.partitioner,
      config: topic.config,
      partitionStates: state.partitions,
    }
  }

  /**
   * Changes settings, by Kafka's names, at once and for good; null gives a setting its default back, what is not named stays. Takes
   * `{ config: { … }, partitions }` as `create` does, or the settings alone.
   */
  async alter(name: string, change: TopicAlteration): Promise<TopicDescription> {
    const { config, partitions } = alterationOf(name, change)
    // Its sizes and times are the user's to choose; what it keeps, and in how many partitions, the engine relies on.
    if (partitions !== undefined || config?.['cleanup.policy'] !== undefined) refuseInternalTopic(name)
    this.descriptor(name)
    this.#changed(await this.request('alterTopic', { name, change: { config, partitions } }))
    return await this.describe(name)
  }

  /**
   * Gives a topic more partitions: `total` is how many it has then. They are empty, and what was sent stays where it is; but from now on a key may
   * go to another partition than before (its hash modulo the number), so the order of a key's records holds on either side of the change, not
   * across it. Running queries read them from their next epoch on, groups rebalance.
   */
  async addPartitions(name: string, total: number): Promise<TopicFacts> {
    refuseInternalTopic(name)
    this.descriptor(name)
    checkTotal(name, total)
    const topic = await this.request('alterTopic', { name, change: { partitions: total } })
    this.#changed(topic)
    return factsOf(topic)
  }

  /**
   * Deletes the records below an offset in each partition named: its log start offset moves there, at once and durably. Offset -1 means all
   * that there are now. Answers with the new log start offsets, kafkajs' `lowWatermark`.
   */
  async deleteRecords(
    name: string,
    partitions: readonly { readonly partition: number; readonly offset: number | string }[],
  ): Promise<{ partition: number; lowWatermark: string }[]> {
    refuseInternalTopic(name)
    this.descriptor(name)
    if (!Array.isArray(partitions)) {
      throw new MillraceError('INVALID_ARGUMENT', 'deleteRecords was told no partitions', {
        detail: `found ${describe(partitions)}, expected an array of { partition, offset }`,
        hint: `mill.topics.deleteRecords('${name}', [{ partition: 0, offset: 42 }])`,
      })
    }
    return await Promise.all(
      partitions.map(checkedPlace).map(async ({ partition, offset }) => {
        const start = await this.request('deleteRecords', { name, partition, offset: wholeNumber(offset, 'offset') })
        return { partition, lowWatermark: String(start) }
      }),
    )
  }

  /** Says why a record is still there, rule by rule, or what became of it. */
  async explainRecord(
    name: string,
    place: { readonly partition?: number; readonly offset: number | string },
  ): Promise<RecordExplanation> {
    this.descriptor(name)
    const { partition, offset } = checkedPlace({ offset: place?.offset, partition: place?.partition ?? 0 })
    return await this.request('explainRecord', { name, partition, offset: wholeNumber(offset, 'offset') })
  }

  #changed(topic: TopicDescriptor): void {
    this.#known.set(topic.name, topic)
    this.log.topicChanged(topic)
  }

  /**
   * Compacts a topic whose `cleanup.policy` has `compact`, now and whatever its dirty ratio: of each key the last record stays, everything younger
   * than `min.compaction.lag.ms` stays too. Readers that begin after it resolves see the compacted log.
   */
  async compactNow(name: string): Promise<readonly CompactedPartition[]> {
    this.descriptor(name)
    return await this.request('compactNow', name)
  }

  /** The topic and its files are gone when this resolves. */
  async delete(name: string): Promise<void> {
    refuseInternalTopic(name)
    this.descriptor(name)
    await this.request('deleteTopic', name)
    this.#known.delete(name)
    this.log.forgetTopic(name)
  }
}

function factsOf(topic: TopicDescriptor): TopicFacts {
  return {
    name: topic.name,
    id: topic.id,
    partitions: topic.partitions.length,
    schema: topic.schema,
    storage: topic.storage,
  }
}

/** What `alter` takes: as `create` does, or the settings alone, whose names all have a dot. */
function alterationOf(name: string, change: unknown): TopicChange {
  if (typeof change !== 'object' || change === null || Array.isArray(change)) {
    throw new MillraceError('INVALID_ARGUMENT', `the change of topic ${name} is ${describe(change)}`, {
      detail: 'expected an object with config, partitions, or both',
      hint: `mill.topics.alter('${name}', { config: { 'retention.ms': 3600000 } })`,
    })
  }
  const names = Object.keys(change)
  if (names.length > 0 && names.every((each) => each.includes('.'))) return { config: change as TopicChange['config'] }
  if ('config' in change) checkConfig(name, change.config)
  for (const each of names) {
    if (each === 'config' || each === 'partitions') continue
    throw new MillraceError('UNKNOWN_OPTION', `alter has no option '${each}'`, {
      detail: 'there is config, partitions',
      hint: "Kafka's settings go into config: { 'retention.ms': … }; schema and partitioner cannot change",
    })
  }
  return change
}

function checkConfig(name: string, config: unknown): void {
  if (config === undefined || (typeof config === 'object' && config !== null && !Array.isArray(config))) return
  throw new MillraceError('INVALID_ARGUMENT', `the config of topic ${name} is ${describe(config)}`, {
    detail: "expected an object with Kafka's settings",
    hint: `mill.topics.alter('${name}', { config: { 'retention.ms': 3600000 } })`,
  })
}

function checkTotal(name: string, total: unknown): void {
  if (typeof total === 'number' && Number.isSafeInteger(total) && total > 0) return
  throw new MillraceError('TOPIC_PARTITIONS_INVALID', `topic ${name} cannot get ${describe(total)} partitions`, {
    detail: 'expected a whole number: how many it has then, those that there are included',
    hint: `mill.topics.addPartitions('${name}', 8)`,
  })
}

/** Where a record is: the offset is looked at by itself. */
function checkedPlace(place: unknown): { readonly partition: number; readonly offset: unknown } {
  const { partition, offset } = typeof place === 'object' && place !== null ? (place as Record<string, unknown>) : {}
  if (typeof partition === 'number') return { partition, offset }
  throw new MillraceError('INVALID_ARGUMENT', `partition is ${describe(partition)}`, {
    detail: `found ${describe(place)}, expected { partition, offset }`,
    hint: "{ partition: 0, offset: '42' }",
  })
}

/** Offsets come as text too, as in kafkajs. */
function wholeNumber(value: unknown, what: string): number {
  const number = typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : value
  if (typeof number === 'number' && Number.isSafeInteger(number)) return number
  throw new MillraceError('INVALID_ARGUMENT', `${what} is ${describe(value)}`, {
    detail: 'expected a whole number, or one as text',
    hint: "{ partition: 0, offset: '42' }",
  })
}

const optionNames = ['partitions', 'schema', 'partitioner', 'config', 'storage']

/** An option that is not known would be a topic other than the one that was asked for. */
function checkOptions(name: string, options: unknown): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new MillraceError('INVALID_ARGUMENT', `the options of topic ${name} are ${describe(options)}`, {
      detail: `expected an object with ${optionNames.join(', ')}`,
      hint: `mill.topics.create('${name}', { partitions: 4 })`,
    })
  }
  if ('config' in options) checkConfig(name, options.config)
  for (const option of Object.keys(options)) {
    if (optionNames.includes(option)) continue
    // kafkajs and Kafka's tools have names of their own for it.
    const nearest = option === 'numPartitions' ? 'partitions' : nearestName(option, optionNames)
    throw new MillraceError('UNKNOWN_OPTION', `a topic has no option '${option}'`, {
      detail: `there is ${optionNames.join(', ')}`,
      hint:
        nearest === undefined ? "Kafka's settings go into config: { 'retention.ms': … }" : `did you mean '${nearest}'?`,
    })
  }
}

function structOf(schema: unknown): StructType {
  if (typeof schema === 'object' && schema !== null) {
    if (isStruct(schema)) return schema
    if ('type' in schema && isStruct(schema.type)) return schema.type
  }
  throw new MillraceError('TOPIC_SCHEMA_INVALID', 'the schema of a topic is a t.struct({ … })', {
    detail: `found ${schema instanceof SchemaType ? typeName(schema.type) : describe(schema)}`,
    hint: "t.struct({ userId: t.string, at: t.timestamp }), or t.ddl('userId string, at timestamp')",
  })
}

function isStruct(type: unknown): type is StructType {
  return typeof type === 'object' && type !== null && 'kind' in type && type.kind === 'struct'
}
