import { MillraceError } from '../../common/errors.js'
import type { PartitionDescriptor, TopicDescriptor } from '../../log/partition-descriptor.js'
import { type IsolationLevel, PartitionReader } from '../../log/partition-reader.js'
import type { HostLog } from '../host-log.js'
import { FETCH_BYTES } from '../limits.js'
import { Fetch } from '../partition-fetcher.js'
import { type ConsumerMessage, RecordDecoder } from '../record-decoder.js'

/**
 * Reads the records that a share group hands out of one partition: the next ones, for the first time, and single ones again. A record batch is decoded once
 * for the members that share it: what is left of it waits for the next who asks.
 */
export class ShareReader {
  readonly #reader: PartitionReader
  readonly #decoder: RecordDecoder
  /** Decoded, and not handed out: records from `#aheadFrom` on, behind which the log goes on at `#aheadTo`. */
  #ahead: readonly ConsumerMessage[] = []
  #aheadAt = 0
  #aheadFrom = -1
  #aheadTo = -1

  constructor(options: {
    readonly topic: TopicDescriptor
    readonly partition: PartitionDescriptor
    readonly log: HostLog
    readonly isolation: IsolationLevel
  }) {
    const { topic, partition, log, isolation } = options
    this.#reader = new PartitionReader({
      partition,
      memory: log.memory,
      env: log.env,
      schema: topic.schema,
      skipDeleted: true,
      isolation,
    })
    this.#decoder = new RecordDecoder(topic)
    this.#reader.watch()
  }

  logStartOffset(): number {
    return this.#reader.logStartOffset()
  }

  logEndOffset(): number {
    return this.#reader.logEndOffset()
  }

  /** Where reading ends now: for committed records alone the last stable offset. */
  readableEnd(): number {
    return this.#reader.readableEnd()
  }

  /** At most so many of the records from there on; a promise where they have to be read from a file first. None: there are none before `nextOffset`. */
  next(from: number, max: number): Fetch | Promise<Fetch> {
    if (this.#aheadFrom === from) return this.#fromAhead(max)
    const loading = this.#goTo(from)
    return loading === undefined ? this.#readNext(from, max) : loading.then(() => this.#readNext(from, max))
  }

  /** The records from there on that lie below `to`. */
  again(from: number, to: number): Fetch | Promise<Fetch> {
    const loading = this.#goTo(from)
    return loading === undefined ? this.#readAgain(from, to) : loading.then(() => this.#readAgain(from, to))
  }

  close(): void {
    this.#reader.close()
    this.#ahead = []
    this.#aheadFrom = -1
  }

  #goTo(offset: number): Promise<void> | undefined {
    if (this.#reader.nextOffset !== offset) this.#reader.seek(offset)
    return this.#reader.prepare()
  }

  #fromAhead(max: number): Fetch {
    const to = Math.min(this.#ahead.length, this.#aheadAt + max)
    const isLast = to === this.#ahead.length
    const messages = isLast && this.#aheadAt === 0 ? this.#ahead : this.#ahead.slice(this.#aheadAt, to)
    const next = isLast ? this.#aheadTo : Number((this.#ahead[to] as ConsumerMessage).offset)
    this.#aheadAt = to
    this.#aheadFrom = isLast ? -1 : next
    if (isLast) this.#ahead = []
    return new Fetch(messages, 0, next)
  }

  #readNext(from: number, max: number): Fetch {
    const reader = this.#reader
    let messages: ConsumerMessage[] = []
    let bytes = 0
    let next = from
    try {
      while (messages.length < max && bytes < FETCH_BYTES && reader.next()) {
        bytes += reader.byteLength
        const decoded = this.#decoder.decode(reader, from)
        if (messages.length === 0) messages = decoded
        else for (const message of decoded) messages.push(message)
        next = reader.nextOffset
        // The next piece of the file comes while these are being handled.
        if (reader.prepare() !== undefined) break
      }
      next = Math.max(from, reader.nextOffset)
    } catch (error) {
      // What lies before damage is handed out first; who comes back for more hears of it.
      if (messages.length === 0) throw error
    } finally {
      reader.release()
    }
    if (messages.length === 0) return new Fetch([], 0, next)
    this.#ahead = messages
    this.#aheadAt = 0
    this.#aheadFrom = from
    this.#aheadTo = next
    return this.#fromAhead(max)
  }

  #readAgain(from: number, to: number): Fetch {
    const reader = this.#reader
    const messages: ConsumerMessage[] = []
    try {
      while (reader.nextOffset < to && reader.next(to)) {
        for (const message of this.#decoder.decode(reader, from, to - from)) {
          if (Number(message.offset) < to) messages.push(message)
        }
        // The rest, which lies in another piece of the file, comes another time.
        if (reader.nextOffset < to && reader.prepare() !== undefined) break
      }
      return new Fetch(messages, 0, Math.min(to, Math.max(from, reader.nextOffset)))
    } finally {
      reader.release()
    }
  }
}

/** Nothing more can come of a topic that is not there any more. */
export const isTopicGone = (error: unknown): boolean =>
  error instanceof MillraceError && (error.code === 'TOPIC_DELETED' || error.code === 'UNKNOWN_TOPIC')
