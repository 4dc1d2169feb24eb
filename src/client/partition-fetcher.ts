import type { PartitionDescriptor, TopicDescriptor } from '../log/partition-descriptor.js'
import { PartitionReader } from '../log/partition-reader.js'
import type { HostLog } from './host-log.js'
import { type ConsumerMessage, RecordDecoder } from './record-decoder.js'

/** Records of one record batch, taken out at once. Stale as soon as the consumer has sought elsewhere or paused. */
export interface Fetch {
  readonly messages: readonly ConsumerMessage[]
  readonly generation: number
}

/** A consumer's place in one partition: what it has handed out, and whether it may hand out more. */
export class PartitionFetcher {
  readonly topic: string
  readonly partition: number
  /** Next offset to be handed out. */
  position: number
  isPaused = false
  /** How often it was sought: who hands out a record looks whether its place was taken away meanwhile. */
  seeks = 0
  readonly #reader: PartitionReader
  readonly #decoder: RecordDecoder
  #generation = 0
  /** Offset of the last record of the last fetch, and the next one that there may be a record at. */
  #lastFetched = -1
  #behindFetched = 0
  /** The reader's place is not `position`. */
  #hasMoved = true

  constructor(topic: TopicDescriptor, partition: PartitionDescriptor, log: HostLog, fromBeginning: boolean) {
    this.topic = topic.name
    this.partition = partition.partition
    this.#reader = new PartitionReader({ partition, memory: log.memory, env: log.env })
    this.#decoder = new RecordDecoder(topic)
    this.#reader.watch()
    this.position = fromBeginning ? this.#reader.logStartOffset() : this.#reader.logEndOffset()
  }

  hasRecords(): boolean {
    if (this.isPaused) return false
    this.#align()
    return this.#reader.hasNew()
  }

  /** The records of the next record batch. */
  fetch(): Fetch {
    this.#align()
    const reader = this.#reader
    const messages = reader.next() ? this.#decoder.decode(reader, this.position) : []
    // Everything has been copied: the chunk need not be held while callbacks run.
    reader.release()
    const last = messages[messages.length - 1]
    // Markers, what was aborted and what was compacted away are passed without anybody being told.
    if (last === undefined) this.position = Math.max(this.position, reader.nextOffset)
    else {
      this.#lastFetched = Number(last.offset)
      this.#behindFetched = reader.nextOffset
    }
    // Until they are handed out the place is in front of them.
    return { messages, generation: this.#generation }
  }

  isCurrent(fetch: Fetch): boolean {
    return fetch.generation === this.#generation
  }

  passed(message: ConsumerMessage): void {
    this.passedOffset(Number(message.offset))
  }

  passedOffset(offset: number): void {
    this.position = offset === this.#lastFetched ? this.#behindFetched : offset + 1
  }

  seek(offset: number): void {
    this.position = offset
    this.seeks += 1
    this.#generation += 1
    this.#hasMoved = true
  }

  pause(): void {
    this.isPaused = true
    this.#generation += 1
    this.#hasMoved = true
  }

  resume(): void {
    this.isPaused = false
  }

  logEndOffset(): number {
    return this.#reader.logEndOffset()
  }

  close(): void {
    this.#reader.close()
  }

  /** After a seek, a pause or a stop amid a batch the reader goes back to where the consumer is. */
  #align(): void {
    if (!this.#hasMoved && this.#reader.nextOffset === this.position) return
    this.#reader.seek(this.position)
    this.#hasMoved = false
  }
}
