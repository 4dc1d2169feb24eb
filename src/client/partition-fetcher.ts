import { MillraceError } from '../common/errors.js'
import type { PartitionDescriptor, TopicDescriptor } from '../log/partition-descriptor.js'
import { type IsolationLevel, PartitionReader } from '../log/partition-reader.js'
import type { HostLog } from './host-log.js'
import { FETCH_BYTES, FETCH_RECORDS } from './limits.js'
import { type ConsumerMessage, RecordDecoder } from './record-decoder.js'

/** Records of one or more record batches, taken out at once. Stale as soon as the consumer has sought elsewhere, paused, or lost the partition. */
export class Fetch {
  /** The offsets have no gaps between them. */
  readonly #isDense: boolean
  readonly #firstOffset: number

  constructor(
    readonly messages: readonly ConsumerMessage[],
    readonly generation: number,
    /** Where to go on when all of the messages are done with. */
    readonly nextOffset: number,
  ) {
    const first = messages[0]
    this.#firstOffset = first === undefined ? nextOffset : Number(first.offset)
    const last = messages[messages.length - 1]
    this.#isDense = last === undefined || Number(last.offset) - this.#firstOffset === messages.length - 1
  }

  offsetAt(index: number): number {
    return this.#isDense ? this.#firstOffset + index : Number(this.messages[index]?.offset)
  }

  /** Where to go on behind the message; behind the last one that is behind what is hidden after it, too. */
  offsetAfter(index: number): number {
    return index === this.messages.length - 1 ? this.nextOffset : this.offsetAt(index) + 1
  }
}

export interface PartitionFetcherOptions {
  readonly topic: TopicDescriptor
  readonly partition: PartitionDescriptor
  readonly log: HostLog
  /** Where to go on where the position is not in the log any more; it may throw instead. Default: an error. */
  readonly outOfRange?: ((fetcher: PartitionFetcher, error: MillraceError) => number) | undefined
  /** Default read_uncommitted. */
  readonly isolation?: IsolationLevel | undefined
  /** A topic that is deleted is no error here: nothing more comes, and the group will take the partition away. */
  readonly endsWithTopic?: boolean
}

/** A consumer's place in one partition: what it has handed out, whether it may hand out more, and whether anybody is at it. */
export class PartitionFetcher {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  /** Next offset to be handed out. */
  position = 0
  /** What the group has on record, as far as this consumer knows; -1 for nothing. */
  committed = -1
  /** Offset of a message that somebody holds who has not said yet that it is done; -1 for none. */
  inHand = -1
  isPaused = false
  /** Taken away: nothing is handed out any more. */
  isRevoked = false
  /** How often it was sought: who hands out a record looks whether its place was taken away meanwhile. */
  seeks = 0
  readonly #reader: PartitionReader
  readonly #decoder: RecordDecoder
  readonly #outOfRange: PartitionFetcherOptions['outOfRange']
  readonly #endsWithTopic: boolean
  #generation = 0
  /** The reader's place is not `position`. */
  #hasMoved = true
  #isClaimed = false
  #idle: (() => void)[] = []
  #abort = new AbortController()

  constructor(options: PartitionFetcherOptions) {
    const { topic, partition, log } = options
    this.topic = topic.name
    this.topicId = topic.id
    this.partition = partition.partition
    this.#reader = new PartitionReader({
      partition,
      memory: log.memory,
      env: log.env,
      schema: topic.schema,
      isolation: options.isolation,
    })
    this.#decoder = new RecordDecoder(topic)
    this.#outOfRange = options.outOfRange
    this.#endsWithTopic = options.endsWithTopic === true
    this.#reader.watch()
  }

  /** For handlers: aborted when the partition is taken away or the consumer stops. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Everything below is done with. */
  get committable(): number {
    return this.inHand === -1 ? this.position : this.inHand
  }

  /** Whoever hands out records has the partition to itself until `release`. False where there is nothing, or nothing to be had now. */
  tryClaim(): boolean {
    if (this.#isClaimed || this.isPaused || this.isRevoked) return false
    this.#align()
    if (!this.#reader.hasNew()) return false
    this.#isClaimed = true
    return true
  }

  release(): void {
    this.#isClaimed = false
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Resolves when nobody is at it. */
  idle(): Promise<void> {
    return this.#isClaimed ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve()
  }

  /** Handlers are told to end; what is taken out counts as stale. */
  abort(reason: unknown): void {
    this.#generation += 1
    this.#hasMoved = true
    this.#abort.abort(reason)
  }

  /** After `abort`, for a consumer that runs again. */
  renew(): void {
    if (this.#abort.signal.aborted) this.#abort = new AbortController()
    this.inHand = -1
  }

  /**
   * The records of the next record batches; a promise where they have to be read from a file first. Until they are handed out the position
   * stays in front of them.
   */
  fetch(): Fetch | Promise<Fetch> {
    this.#align()
    const loading = this.#reader.prepare()
    return loading === undefined ? this.#take() : loading.then(() => this.#take())
  }

  #take(): Fetch {
    // Meanwhile somebody may have come in between.
    if (this.isRevoked || this.isPaused) return new Fetch([], this.#generation, this.position)
    try {
      return this.#read()
    } catch (error) {
      if (!this.#endsWithTopic || !(error instanceof MillraceError) || error.code !== 'TOPIC_DELETED') throw error
      this.isRevoked = true
      return new Fetch([], this.#generation, this.position)
    }
  }

  #read(): Fetch {
    this.#align()
    const reader = this.#reader
    let messages: ConsumerMessage[] = []
    let bytes = 0
    let end = this.position
    try {
      while (messages.length < FETCH_RECORDS && bytes < FETCH_BYTES) {
        if (!reader.next()) break
        bytes += reader.byteLength
        const decoded = this.#decoder.decode(reader, this.position)
        if (messages.length === 0) messages = decoded
        else for (const message of decoded) messages.push(message)
        end = reader.nextOffset
        // The next piece of the file comes while these are being handled.
        if (reader.prepare() !== undefined) break
      }
      // Markers, what was aborted and what was compacted away are passed without anybody being told.
      end = reader.nextOffset
      if (messages.length === 0) this.position = Math.max(this.position, end)
    } catch (error) {
      // What lies before damage is handed out first; who comes back for more hears of it.
      if (messages.length === 0) throw error
      this.#hasMoved = true
    } finally {
      // Everything has been copied: the chunk need not be held while callbacks run.
      reader.release()
    }
    return new Fetch(messages, this.#generation, end)
  }

  isCurrent(fetch: Fetch): boolean {
    return fetch.generation === this.#generation
  }

  /** The next record to be handed out; between the log's start and its end. */
  seek(offset: number): void {
    this.#reader.seek(offset)
    this.position = offset
    this.inHand = -1
    this.seeks += 1
    this.#generation += 1
    this.#hasMoved = true
  }

  pause(): void {
    if (this.isPaused) return
    this.isPaused = true
    this.#generation += 1
    this.#hasMoved = true
  }

  resume(): void {
    this.isPaused = false
  }

  logStartOffset(): number {
    return this.#reader.logStartOffset()
  }

  logEndOffset(): number {
    return this.#reader.logEndOffset()
  }

  /** The first record that is not older than the time; the log end offset where there is none. */
  offsetForTimestamp(timestamp: number): number {
    const reader = this.#reader
    this.#hasMoved = true
    const end = reader.logEndOffset()
    // The batch is known by its greatest time; within it the first such record is looked for.
    const from = reader.offsetForTimestamp(timestamp)
    while (from < end && reader.next(end)) {
      const found = this.#decoder.decode(reader, from).find((message) => Number(message.timestamp) >= timestamp)
      if (found === undefined) continue
      reader.release()
      return Number(found.offset)
    }
    return end
  }

  close(): void {
    this.isRevoked = true
    this.#reader.close()
  }

  /** After a seek, a pause or a stop amid a batch the reader goes back to where the consumer is. */
  #align(): void {
    if (!this.#hasMoved && this.#reader.nextOffset === this.position) return
    try {
      this.#reader.seek(this.position)
    } catch (error) {
      if (this.#outOfRange === undefined || !(error instanceof MillraceError) || error.code !== 'OFFSET_OUT_OF_RANGE') {
        throw error
      }
      this.position = this.#outOfRange(this, error)
      this.#reader.seek(this.position)
    }
    this.#hasMoved = false
  }
}
