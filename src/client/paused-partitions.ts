import type { PartitionFilter } from './assigned-partitions.js'
import type { TopicPartition } from './assignor.js'

/**
 * What a consumer has been told to hold back. It outlives an assignment: a partition that is paused stays so when a rebalance takes it away
 * and gives it back, and one may be paused before it is there. What was said last of a whole topic or of one of its partitions counts.
 */
export class PausedPartitions {
  readonly #topics = new Map<string, { isPaused: boolean; readonly partitions: Map<number, boolean> }>()

  note(filters: readonly PartitionFilter[], isPaused: boolean): void {
    for (const { topic, partitions } of filters) {
      if (partitions === undefined) {
        if (isPaused) this.#topics.set(topic, { isPaused, partitions: new Map() })
        else this.#topics.delete(topic)
        continue
      }
      let said = this.#topics.get(topic)
      if (said === undefined) {
        said = { isPaused: false, partitions: new Map() }
        this.#topics.set(topic, said)
      }
      for (const partition of partitions) said.partitions.set(partition, isPaused)
    }
  }

  has({ topic, partition }: TopicPartition): boolean {
    const said = this.#topics.get(topic)
    return said?.partitions.get(partition) ?? said?.isPaused ?? false
  }

  clear(): void {
    this.#topics.clear()
  }
}
