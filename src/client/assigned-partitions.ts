import { MillraceError } from '../common/errors.js'
import type { TopicPartition } from './assignor.js'
import type { HostLog } from './host-log.js'
import type { PartitionFetcher } from './partition-fetcher.js'

export interface PartitionFilter {
  readonly topic: string
  /** Undefined: all. */
  readonly partitions?: readonly number[] | undefined
}

/**
 * The partitions that a consumer reads, in turn. Who hands out records claims a partition that has some, and sleeps where none
 * has, until the log rings, a partition is released or one comes.
 */
export class AssignedPartitions {
  readonly #log: HostLog
  #fetchers: PartitionFetcher[] = []
  #turn = 0
  #sleepers: (() => void)[] = []

  constructor(log: HostLog) {
    this.#log = log
  }

  get all(): readonly PartitionFetcher[] {
    return this.#fetchers
  }

  add(fetcher: PartitionFetcher): void {
    this.#fetchers.push(fetcher)
    this.ring()
  }

  remove(fetchers: readonly PartitionFetcher[]): void {
    this.#fetchers = this.#fetchers.filter((fetcher) => !fetchers.includes(fetcher))
    for (const fetcher of fetchers) fetcher.close()
  }

  find(place: TopicPartition): PartitionFetcher | undefined {
    return this.#fetchers.find((f) => f.topic === place.topic && f.partition === place.partition)
  }

  get(place: TopicPartition): PartitionFetcher {
    const found = this.find(place)
    if (found !== undefined) return found
    throw new MillraceError('NOT_ASSIGNED', `${place.topic}-${place.partition} is not read by this consumer`, {
      detail: `it reads ${this.#fetchers.map((f) => `${f.topic}-${f.partition}`).join(', ') || 'nothing'}`,
      hint: 'subscribe to the topic first; in a group another member may have the partition',
    })
  }

  matching(filters: readonly PartitionFilter[]): readonly PartitionFetcher[] {
    return this.#fetchers.filter((fetcher) =>
      filters.some(
        ({ topic, partitions }) =>
          topic === fetcher.topic && (partitions === undefined || partitions.includes(fetcher.partition)),
      ),
    )
  }

  /** The next partition in turn that has something, to be released; sleeps until there is one. Undefined: `isOver`. */
  async claim(isOver: () => boolean): Promise<PartitionFetcher | undefined> {
    for (;;) {
      if (isOver()) return undefined
      const closed = this.#log.closedWith
      if (closed !== undefined) throw closed
      for (let i = 0; i < this.#fetchers.length; i++) {
        const fetcher = this.#fetchers[this.#turn++ % this.#fetchers.length] as PartitionFetcher
        if (fetcher.tryClaim()) return fetcher
      }
      // No ring is lost: this thread's rings are heard in turns of their own, and there was none since the look.
      await new Promise<void>((resolve) => this.#sleepers.push(resolve))
    }
  }

  /** What was claimed is there for others again. */
  release(fetcher: PartitionFetcher): void {
    fetcher.release()
    this.ring()
  }

  /** Whoever sleeps looks again. */
  ring(): void {
    if (this.#sleepers.length === 0) return
    for (const wake of this.#sleepers.splice(0)) wake()
  }
}
