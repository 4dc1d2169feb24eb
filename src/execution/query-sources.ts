import { present } from '../common/assert.js'
import type { LaneFile } from '../connector/files/lane.js'
import type { ScanPartition } from '../connector/inputs.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { FilesRecord } from './file-source.js'
import type { InputName } from './input-order.js'
import type { OffsetsByTopic } from './progress.js'
import type { QuerySource } from './query-source.js'

/** Where an input partition is: the source, and its place in that source's list. */
interface Place {
  readonly source: number
  readonly local: number
}

/**
 * All sources of a query as one list of input partitions. The place in this list is a partition's *index*, by which goals, positions and
 * checkpoints name it; it is the same in every run. What is added comes behind, whichever source it belongs to.
 */
export class QuerySources {
  readonly #places: Place[] = []

  /** In the order of the scans of the plan. `known`: the order of the input partitions in an earlier run. */
  constructor(
    readonly all: readonly QuerySource[],
    known: readonly InputName[] = [],
  ) {
    const inputs = all.map((source) => source.inputs)
    for (const [topic, partition, source = 0] of known) {
      const local = inputs[source]?.findIndex(([t, p]) => t === topic && p === partition) ?? -1
      if (local !== -1) this.#places.push({ source, local })
    }
    this.#placeNew()
  }

  /** For the checkpoint: what tells one query's sources from another's. */
  get description(): string {
    return this.all.map((source) => source.description).join('; ')
  }

  /** By index. */
  get inputs(): InputName[] {
    const inputs = this.all.map((source) => source.inputs)
    return this.#places.map(({ source, local }) => {
      const [topic, partition] = present(inputs[source]?.[local], `input ${local} of source ${source}`)
      return source === 0 ? [topic, partition] : [topic, partition, source]
    })
  }

  /** Whether one of them reads the topic with this id. */
  reads(topicId: string): boolean {
    return this.all.some((source) => source.reads(topicId))
  }

  /** The topic has got more partitions: they are input partitions from now on. */
  grow(topic: TopicDescriptor): void {
    for (const source of this.all) if (source.reads(topic.id)) source.grow(topic)
    this.#placeNew()
  }

  /** Whether the engine's bell rings when rows come; a source by the clock has to be looked at. */
  get rings(): boolean {
    return this.all.every((source) => source.rings)
  }

  /** How far each input partition reaches now. */
  latest(): number[] {
    return this.#gathered((source) => source.latest())
  }

  earliest(): number[] {
    return this.#gathered((source) => source.earliest())
  }

  /** Start offsets of a query without a checkpoint. */
  startingOffsets(): number[] {
    return this.#gathered((source) => source.startingOffsets())
  }

  /** Where a bounded read ends. */
  endingOffsets(): number[] {
    return this.#gathered((source) => source.endingOffsets())
  }

  /** Folders are looked at now. */
  refresh(): void {
    for (const { files } of this.all) files?.refresh()
  }

  /** Files at the start are written down by `tell`, and so are those that are found later. */
  beginFiles(tell: (record: FilesRecord) => void): void {
    for (const { files } of this.all) files?.begin(tell)
  }

  /** From now on tasks are told what is found; `index` is that of an input partition. */
  followFiles(tell: (index: number, files: readonly LaneFile[]) => void): void {
    this.all.forEach(({ files }, of) => {
      files?.follow((lane, found) => {
        tell(
          this.#places.findIndex(({ source, local }) => source === of && local === lane),
          found,
        )
      })
    })
  }

  /** Everything that is known of files, for a checkpoint that begins anew. */
  fileRecords(offsets: readonly number[]): FilesRecord[] {
    return this.all.flatMap(({ files }, i) => (files === undefined ? [] : [files.snapshot(this.ofSource(i, offsets))]))
  }

  /** The ends of the next micro-batch; each source has limits of its own. */
  nextEnds(from: readonly number[]): number[] {
    return this.#gathered((source, i) => source.nextEnds(this.ofSource(i, from)))
  }

  /** The engine's bell rings after every append. */
  watch(on: boolean): void {
    for (const source of this.all) source.watch(on)
  }

  /** The source that input partition `index` belongs to, and its place there. */
  place(index: number): Place {
    return present(this.#places[index], `input partition ${index}`)
  }

  /** What a task must be told of input partition `index`. */
  scanPartition(index: number, offset: number, maxEventTime: number): ScanPartition {
    const { source, local } = this.place(index)
    return { ...this.#source(source).scanPartition(local, offset, maxEventTime), index }
  }

  /** Of values by index, those of one source, in its own order. */
  ofSource<T>(source: number, values: readonly T[]): T[] {
    const own: T[] = []
    this.#places.forEach((place, i) => {
      if (place.source === source) own[place.local] = values[i] as T
    })
    return own
  }

  offsetsByTopic(source: number, offsets: readonly number[]): OffsetsByTopic {
    return this.#source(source).offsetsByTopic(this.ofSource(source, offsets))
  }

  /** For the log: what must be synced before a checkpoint may name these offsets. */
  logOffsets(offsets: readonly number[]): { topic: string; partition: number; offset: number }[] {
    return this.all.flatMap((source, i) => source.logOffsets(this.ofSource(i, offsets)))
  }

  #gathered(valuesOf: (source: QuerySource, i: number) => readonly number[]): number[] {
    const values = this.all.map(valuesOf)
    return this.#places.map(({ source, local }) => present(values[source]?.[local], `a value of source ${source}`))
  }

  /** Input partitions that have no index yet. */
  #placeNew(): void {
    this.all.forEach(({ inputs }, source) => {
      const placed = this.#places.filter((place) => place.source === source).length
      for (let local = placed; local < inputs.length; local++) this.#places.push({ source, local })
    })
  }

  #source(i: number): QuerySource {
    return present(this.all[i], `source ${i}`)
  }
}
