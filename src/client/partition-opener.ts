import { present } from '../common/assert.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { IsolationLevel } from '../log/partition-reader.js'
import { placeOf } from './assignor.js'
import type { Group } from './group.js'
import type { HostLog } from './host-log.js'
import { recordReading } from './later-parts.js'
import type { CommittedOffset } from './offset-record.js'
import type { PartitionFetcher } from './partition-fetcher.js'
import { PausedPartitions } from './paused-partitions.js'
import { type SeekTarget, seekTo } from './seek-target.js'
import { resetOffset, type StartOffsetRules, startOffset } from './start-offset.js'

export interface PartitionOpenerOptions {
  readonly log: HostLog
  readonly isolation: IsolationLevel
  /** The partitions come from a group, which takes them away where their topic is deleted. */
  readonly inGroup: boolean
  readonly rules: StartOffsetRules
}

/** Where a consumer takes up a partition, and what it remembers of those that it does not read now. */
export class PartitionOpener {
  readonly paused = new PausedPartitions()
  readonly #options: PartitionOpenerOptions
  /** Sought before the group has assigned the partition. */
  readonly #sought = new Map<string, SeekTarget>()
  /** Where this consumer was when it left, and what was committed then. */
  readonly #left = new Map<string, { readonly position: number; readonly committed: CommittedOffset | undefined }>()

  constructor(options: PartitionOpenerOptions) {
    this.#options = options
  }

  /** Without a group: where the subscription says. */
  open(topic: TopicDescriptor, partition: number): PartitionFetcher {
    const fetcher = this.#fetcher(topic, partition)
    fetcher.position = startOffset(fetcher, topic, this.#options.rules)
    return fetcher
  }

  /** Where the group goes on, unless this consumer was told to seek; where nobody has committed since it left, it goes on where it was. */
  openAssigned(
    topic: TopicDescriptor,
    partition: number,
    group: Group,
    committed: CommittedOffset | undefined,
  ): PartitionFetcher {
    const fetcher = this.#fetcher(topic, partition)
    fetcher.committed = committed?.offset ?? -1
    const place = placeOf(fetcher)
    const left = this.#left.get(place)
    this.#left.delete(place)
    const resumed = left !== undefined && left.committed === committed && left.position <= fetcher.logEndOffset()
    fetcher.position = resumed ? left.position : startOffset(fetcher, topic, this.#options.rules, group, committed)
    const sought = this.#sought.get(place)
    if (sought !== undefined) seekTo(fetcher, sought)
    return fetcher
  }

  seekLater(to: SeekTarget): void {
    this.#sought.set(placeOf(to), to)
  }

  /** The first partitions are there: a seek from now on is one of a partition that is read. */
  assigned(): void {
    this.#sought.clear()
  }

  leftAt(place: string, position: number, committed: CommittedOffset | undefined): void {
    this.#left.set(place, { position, committed })
  }

  #fetcher(topic: TopicDescriptor, partition: number): PartitionFetcher {
    const { log, isolation, inGroup, rules } = this.#options
    const { PartitionFetcher } = recordReading()
    const fetcher = new PartitionFetcher({
      topic,
      partition: present(topic.partitions[partition], `partition ${partition} of ${topic.name}`),
      log,
      isolation,
      endsWithTopic: inGroup,
      outOfRange: (of, error) => resetOffset(of, topic, rules, error),
    })
    if (this.paused.has({ topic: topic.name, partition })) fetcher.pause()
    return fetcher
  }
}
