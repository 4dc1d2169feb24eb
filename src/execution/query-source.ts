import { present } from '../common/assert.js'
import { ENGINE_SLOT } from '../common/doorbell.js'
import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import type { BlockDescriptor, ScanPartition } from '../connector/inputs.js'
import { isolationOf } from '../connector/isolation.js'
import { type Rate, RateInput } from '../connector/rate-input.js'
import { PartitionControl } from '../log/partition-control.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { SourceSpec } from '../plan/logical-plan.js'
import { BLOCK_ROW_COUNT } from '../types/block.js'
import type { FileSource } from './file-source.js'
import { type InputName, inputOrder } from './input-order.js'
import type { OffsetsByTopic } from './progress.js'

/** One input partition as the coordinator sees it. */
interface InputPartitionInfo {
  readonly topic: string
  readonly partition: number
  readonly control: PartitionControl | undefined
}

/**
 * One source of a query on the engine thread: which input partitions there are, how far they reach now, and where to
 * start. An input partition is a log partition; its place in the list is the same in every run of the query: partitions that are
 * added come behind.
 */
export class QuerySource {
  readonly description: string
  /** It ends where the oldest open transaction begins. */
  readonly #committed: boolean
  readonly #partitions: InputPartitionInfo[]
  #topics: readonly TopicDescriptor[]
  #isWatched = false
  readonly #rate: Rate | undefined

  constructor(
    readonly spec: SourceSpec,
    topics: readonly TopicDescriptor[],
    private readonly blocks: readonly BlockDescriptor[],
    private readonly env: Env,
    startedAt: number,
    /** The order of the input partitions in an earlier run. */
    known?: readonly InputName[],
    /** Where it reads files. */
    readonly files?: FileSource,
  ) {
    this.#topics = topics
    this.#committed = isolationOf(spec.options) === 'read_committed'
    if (files !== undefined) {
      this.#partitions = Array.from({ length: files.lanes }, (_, partition) => ({
        topic: 'files',
        partition,
        control: undefined,
      }))
      this.description = `${spec.format}[${spec.options.path}]`
    } else if (spec.format === 'topic' || spec.format === 'log') {
      this.#partitions = inputOrder(topics, known).map((input) => this.#input(input))
      this.description = `${spec.format}[${topics.map((topic) => topic.name).join(', ')}]`
    } else if (spec.format === 'rate') {
      const partitions = Number(spec.options.numPartitions ?? 1)
      this.#rate = { rowsPerSecond: Number(spec.options.rowsPerSecond ?? 1), startedAt, partitions }
      this.#partitions = Array.from({ length: partitions }, (_, partition) => ({
        topic: 'rate',
        partition,
        control: undefined,
      }))
      this.description = `rate[${this.#rate.rowsPerSecond} rows/s]`
    } else {
      this.#partitions = [{ topic: 'memory', partition: 0, control: undefined }]
      this.description = 'memory'
    }
  }

  /** Whether it reads the topic with this id. */
  reads(topicId: string): boolean {
    return this.#topics.some((topic) => topic.id === topicId)
  }

  /** By place. */
  get inputs(): InputName[] {
    return this.#partitions.map(({ topic, partition }) => [topic, partition])
  }

  /** The topic has got more partitions: they are input partitions from now on, behind those that there are. */
  grow(topic: TopicDescriptor): void {
    this.#topics = this.#topics.map((known) => (known.id === topic.id ? topic : known))
    const added = inputOrder(this.#topics, this.inputs).slice(this.#partitions.length)
    for (const input of added) {
      const info = this.#input(input)
      this.#partitions.push(info)
      if (this.#isWatched) info.control?.watch(ENGINE_SLOT)
    }
  }

  /** Whether the engine's bell rings when rows come; a source by the clock has to be looked at. */
  get rings(): boolean {
    return this.spec.format !== 'rate' && (this.files === undefined || !this.spec.streaming)
  }

  /** How far each input partition reaches now. */
  latest(): number[] {
    if (this.files !== undefined) return this.files.latest()
    return this.#partitions.map((p) => {
      if (p.control !== undefined) return this.#committed ? p.control.lastStableOffset() : p.control.logEndOffset()
      if (this.#rate !== undefined) return RateInput.due(this.env.now(), { ...this.#rate, partition: p.partition })
      return this.blocks.reduce(
        (rows, b) => rows + (new Int32Array(b.buffer)[(b.position + BLOCK_ROW_COUNT) >> 2] as number),
        0,
      )
    })
  }

  earliest(): number[] {
    return this.#partitions.map((p) => p.control?.logStartOffset() ?? 0)
  }

  /** Start offsets of a query without a checkpoint. */
  startingOffsets(): number[] {
    const option = this.spec.options.startingOffsets ?? (this.spec.streaming ? 'latest' : 'earliest')
    if (!this.#hasOffsets || option === 'earliest') return this.earliest()
    if (option === 'latest') return this.latest()
    return this.#offsetsOf(option, this.spec.streaming ? 'latest' : 'earliest')
  }

  /** Where a bounded read ends. */
  endingOffsets(): number[] {
    const option = this.spec.options.endingOffsets ?? 'latest'
    if (option === 'latest' || !this.#hasOffsets) return this.latest()
    return this.#offsetsOf(option, 'latest')
  }

  /**
   * The ends of the next micro-batch: everything there is, or with `maxOffsetsPerTrigger` a share of each partition's backlog in
   * proportion, never less than one record where there is one.
   */
  nextEnds(from: readonly number[]): number[] {
    if (this.files !== undefined) return this.files.nextEnds(from)
    const latest = this.latest()
    const limit = this.spec.options.maxOffsetsPerTrigger
    if (limit === undefined) return latest
    const backlog = latest.map((end, i) => end - (from[i] as number))
    const total = backlog.reduce((sum, n) => sum + n, 0)
    if (total <= Number(limit)) return latest
    return from.map((offset, i) => {
      const share = (Number(limit) * (backlog[i] as number)) / total
      return Math.min(latest[i] as number, offset + (share < 1 ? Math.ceil(share) : Math.floor(share)))
    })
  }

  /** The engine's bell rings after every append. */
  watch(on: boolean): void {
    this.#isWatched = on
    for (const { control } of this.#partitions) {
      if (on) control?.watch(ENGINE_SLOT)
      else control?.unwatch(ENGINE_SLOT)
    }
  }

  /** What a task must be told of the input partition at this place. */
  scanPartition(index: number, offset: number, maxEventTime: number): ScanPartition {
    const info = present(this.#partitions[index], `input partition ${index}`)
    if (info.control !== undefined) {
      const topic = this.#topic(info.topic)
      const partition = present(topic.partitions[info.partition], `partition ${info.partition}`)
      return { index, offset, maxEventTime, topic: { partition, schema: topic.schema } }
    }
    if (this.#rate !== undefined) {
      return { index, offset, maxEventTime, rate: { ...this.#rate, partition: info.partition } }
    }
    if (this.files !== undefined) return { index, offset, maxEventTime, files: this.files.filesFrom(index, offset) }
    return { index, offset, maxEventTime, blocks: this.blocks }
  }

  offsetsByTopic(offsets: readonly number[]): OffsetsByTopic {
    const result: Record<string, Record<string, number>> = {}
    this.#partitions.forEach((p, i) => {
      const ofTopic = result[p.topic] ?? {}
      result[p.topic] = ofTopic
      ofTopic[String(p.partition)] = offsets[i] as number
    })
    return result
  }

  /** For the log: what must be synced before a checkpoint may name these offsets. */
  logOffsets(offsets: readonly number[]): { topic: string; partition: number; offset: number }[] {
    return this.#partitions.flatMap((p, i) =>
      p.control === undefined ? [] : [{ topic: p.topic, partition: p.partition, offset: offsets[i] as number }],
    )
  }

  /** Of records, that a user can name. */
  get #hasOffsets(): boolean {
    return this.spec.format === 'topic' || this.spec.format === 'log'
  }

  #topic(name: string): TopicDescriptor {
    return present(
      this.#topics.find((topic) => topic.name === name),
      `topic ${name}`,
    )
  }

  #input([topic, partition]: InputName): InputPartitionInfo {
    const { control, controlOffset } = present(this.#topic(topic).partitions[partition], `partition ${partition}`)
    return { topic, partition, control: new PartitionControl(control, controlOffset) }
  }

  /** `otherwise`: of a partition that the text does not name. */
  #offsetsOf(text: string, otherwise: 'earliest' | 'latest'): number[] {
    const earliest = this.earliest()
    const latest = this.latest()
    let wanted: Record<string, Record<string, number>>
    try {
      wanted = JSON.parse(text)
    } catch (cause) {
      throw new MillraceError('OPTION_INVALID', `offsets ${text} are neither earliest, latest nor JSON`, {
        detail: 'expected earliest, latest or JSON',
        hint: 'write them as {"topic": {"0": 23, "1": -2}}; -2 is earliest, -1 is latest',
        cause,
      })
    }
    return this.#partitions.map((p, i) => {
      const offset = wanted[p.topic]?.[String(p.partition)]
      const start = earliest[i] as number
      const end = latest[i] as number
      if (offset === undefined) return otherwise === 'earliest' ? start : end
      if (offset === -2) return start
      if (offset === -1) return end
      if (Number.isSafeInteger(offset) && offset >= start && offset <= end) return offset
      throw new MillraceError('OFFSET_OUT_OF_RANGE', `${p.topic}-${p.partition} has no offset ${offset}`, {
        detail: `it has offsets from ${start} to ${end}, the next to be given`,
        hint: 'choose one of these, or -2 for the earliest and -1 for the latest',
      })
    })
  }
}
