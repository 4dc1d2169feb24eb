import type { ScanPartition } from '../connector/inputs.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { QueryMode } from './engine-protocol.js'
import type { QuerySources } from './query-sources.js'

/**
 * Partitions that the topics of a running query get. They are taken up between two epochs, so that all of one speaks of the same input
 * partitions, and are read from their beginning. What reads up to an end that was fixed at the start does without them.
 */
export class AddedPartitions {
  /** By id, topics that have got more partitions than are read. */
  readonly #grown = new Map<string, TopicDescriptor>()
  #isBetweenEpochs = false

  /** `onAdded`: the source has these input partitions more. */
  constructor(
    private readonly source: QuerySources,
    private readonly mode: QueryMode,
    private readonly onAdded: (added: readonly ScanPartition[]) => void,
  ) {}

  topicGrown(topic: TopicDescriptor): void {
    const { mode, source } = this
    const isBounded = mode.kind === 'batch' || (mode.kind === 'microBatch' && mode.stopWhenCaughtUp === true)
    if (isBounded || !source.reads(topic.id)) return
    this.#grown.set(topic.id, topic)
    if (this.#isBetweenEpochs) this.#takeUp()
  }

  /** Or the run has ended. */
  epochBegins(): void {
    this.#isBetweenEpochs = false
  }

  betweenEpochs(): void {
    this.#isBetweenEpochs = true
    if (this.#grown.size > 0) this.#takeUp()
  }

  #takeUp(): void {
    const { source } = this
    const from = source.inputs.length
    for (const topic of this.#grown.values()) source.grow(topic)
    this.#grown.clear()
    const starts = source.earliest().slice(from)
    if (starts.length === 0) return
    this.onAdded(starts.map((offset, i) => source.scanPartition(from + i, offset, Number.NEGATIVE_INFINITY)))
  }
}
