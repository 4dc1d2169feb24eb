import type { HostLog } from '../client/host-log.js'
import { MillraceError } from '../common/errors.js'
import type { TopicState } from '../log/log-engine.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import { type TopicSpec, unknownTopic } from '../log/topics.js'
import type { PartitionerName } from '../record/partitioner.js'
import type { StructType } from '../types/data-type.js'
import type { StructSchema } from '../types/schema.js'
import type { RequestName, Requests } from './engine-protocol.js'

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

/** `mill.topics`. Descriptions are kept on the host, so that building a query asks nobody. */
export class SessionTopics {
  readonly #known = new Map<string, TopicDescriptor>()

  constructor(
    private readonly request: Request,
    private readonly log: HostLog,
  ) {}

  async load(): Promise<void> {
    for (const topic of await this.request('listTopics', undefined)) this.#known.set(topic.name, topic)
  }

  /** Resolves when the topic is there, and durably so. */
  async create(name: string, options: TopicOptions = {}): Promise<TopicFacts> {
    const { partitions, schema, partitioner, config, storage } = options
    const spec: TopicSpec = {
      name,
      partitions: partitions ?? 1,
      ...(schema === undefined ? {} : { schema: structOf(schema) }),
      ...(partitioner === undefined ? {} : { partitioner }),
      ...(config === undefined ? {} : { config }),
      ...(storage === undefined ? {} : { storage }),
    }
    const topic = await this.request('createTopic', spec)
    this.#known.set(name, topic)
    this.log.addTopic(topic)
    return factsOf(topic)
  }

  list(): readonly TopicFacts[] {
    return [...this.#known.values()].map(factsOf)
  }

  /** Throws UNKNOWN_TOPIC, with the names that exist and the nearest. */
  get(name: string): TopicFacts {
    return factsOf(this.descriptor(name))
  }

  descriptor(name: string): TopicDescriptor {
    const topic = this.#known.get(name)
    if (topic === undefined) throw unknownTopic(name, [...this.#known.keys()])
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

  /** The topic and its files are gone when this resolves. */
  async delete(name: string): Promise<void> {
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

function structOf(schema: NonNullable<TopicOptions['schema']>): StructType {
  if ('kind' in schema && schema.kind === 'struct') return schema
  if ('type' in schema && schema.type.kind === 'struct') return schema.type
  throw new MillraceError('TOPIC_SCHEMA_INVALID', 'the schema of a topic is a t.struct({ … })', {
    detail: `found ${JSON.stringify(schema)}`,
    hint: "t.struct({ userId: t.string, at: t.timestamp }), or t.ddl('userId string, at timestamp')",
  })
}
