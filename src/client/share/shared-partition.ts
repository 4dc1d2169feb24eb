import { MillraceError } from '../../common/errors.js'
import { currentEpoch } from '../../log/leader-epochs.js'
import type { TopicDescriptor } from '../../log/partition-descriptor.js'
import { partitionOf } from '../../log/partition-descriptor.js'
import type { HostLog } from '../host-log.js'
import type { Fetch } from '../partition-fetcher.js'
import type { DeadLetters } from './dead-letters.js'
import { Delivery } from './delivery.js'
import type { ShareGroupSettings } from './share-group-settings.js'
import { type Outcome, SharePartition } from './share-partition.js'
import { isTopicGone, ShareReader } from './share-reader.js'
import type { ShareState, StoredSharePartition } from './share-state.js'
import { batchesBelow } from './share-state-record.js'
import { RETRY_MS, StateWriter } from './state-writer.js'

export interface SharedPartitionOptions {
  readonly group: string
  readonly topic: TopicDescriptor
  readonly partition: number
  readonly log: HostLog
  readonly state: ShareState
  readonly settings: () => ShareGroupSettings
  readonly deadLetters: DeadLetters
  /** From an earlier life. */
  readonly stored: StoredSharePartition | undefined
  /** Where it begins that was never there before. */
  readonly start: number
  /** Somebody may find something here now who found nothing before. */
  readonly onAvailable: () => void
  /** What was acknowledged cannot be written down. */
  readonly onFailed: (error: unknown) => void
}

/** One partition of a share group: what is in flight of it, where its records are read, where its state is written down, and its dead letters. */
export class SharedPartition {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly #options: SharedPartitionOptions
  readonly #records: SharePartition
  readonly #writer: StateWriter
  readonly #watched = new Map<
    number,
    { readonly owner: number; readonly count: number; readonly abort: AbortController }
  >()
  #reader: ShareReader
  #isReading = false
  #isFlushLater = false
  #isClosed = false

  constructor(options: SharedPartitionOptions) {
    const { topic, partition, log, stored, settings } = options
    this.#options = options
    this.topic = topic.name
    this.topicId = topic.id
    this.partition = partition
    this.#reader = this.#openReader()
    this.#records = new SharePartition(options.start, rulesOf(settings()))
    // The topic's files may be older than the group's, as after they were put back from a copy.
    const end = this.#reader.logEndOffset()
    if (stored !== undefined) this.#records.restore(Math.min(stored.start, end), batchesBelow(stored.batches, end))
    this.#records.moveStart(this.#reader.logStartOffset())
    this.#writer = new StateWriter({
      key: { group: options.group, topicId: topic.id, partition },
      records: this.#records,
      log,
      topic: topic.name,
      leaderEpoch: currentEpoch(partitionOf(topic, partition).leaderEpochs),
      state: options.state,
      stored,
      write: (letters) => options.deadLetters.write(this, letters, (from, to) => this.#readAgain(from, to)),
    })
    if (this.#records.letters.length > 0) this.#changed()
  }

  /** What is in flight. */
  get records(): Pick<SharePartition, 'start' | 'end' | 'inFlight' | 'count' | 'available'> {
    return this.#records
  }

  logStartOffset(): number {
    return this.#reader.logStartOffset()
  }

  logEndOffset(): number {
    return this.#reader.logEndOffset()
  }

  /** Where it begins is durable when this resolves. */
  async begin(): Promise<void> {
    if (this.#options.stored === undefined) await this.#writer.begin()
  }

  /** Records for the member: such as were given back before such as are new. Undefined: nothing is to be had, or somebody else is reading. */
  acquire(owner: number, max: number): Delivery | undefined | Promise<Delivery | undefined> {
    while (!this.#isReading && !this.#isClosed) {
      const { records, reader } = { records: this.#records, reader: this.#reader }
      records.moveStart(reader.logStartOffset())
      const again = records.nextAvailable()
      let read: Fetch | Promise<Fetch>
      const { end } = records
      try {
        if (again !== -1) read = reader.again(again, Math.min(records.availableTo(again), again + max))
        else {
          const room = this.#options.settings().inFlightMax - records.inFlight
          if (room <= 0 || reader.readableEnd() <= end) return undefined
          read = reader.next(end, Math.min(max, room))
        }
      } catch (error) {
        return this.#gone(error)
      }
      if (read instanceof Promise) return this.#later(read, owner, again)
      const delivery = this.#take(read, owner, again)
      // There was nothing but markers, or what is not there any more; behind it there may be something.
      if (delivery !== undefined || (again === -1 && records.end === end)) return delivery
    }
    return undefined
  }

  /** Whether the member still has the record, from that delivery. */
  holds(owner: number, offset: number, deliveryCount: number): boolean {
    return this.#records.holds(owner, offset, deliveryCount)
  }

  /** The same, from whatever delivery where the count is 0. */
  holdsAny(owner: number, offset: number, deliveryCount: number): boolean {
    return this.#records.holds(owner, offset, deliveryCount === 0 ? this.#records.deliveries(offset) : deliveryCount)
  }

  /** Retention has taken the record. */
  isGone(offset: number): boolean {
    return this.#records.isGone(offset)
  }

  /** Of these records those that the member has from a delivery with this count (0: any). How many they were. */
  settle(owner: number, first: number, last: number, outcome: Outcome, deliveryCount: number): number {
    const records = this.#records
    const wasFull = records.inFlight >= this.#options.settings().inFlightMax
    const { available } = records
    const settled = records.settle(owner, first, last, outcome, deliveryCount)
    if (settled === 0) return 0
    if (this.#watched.size > 0) for (let at = first; at <= last; at++) this.#watched.delete(at)
    this.#changed()
    if (wasFull || records.available > available) this.#options.onAvailable()
    return settled
  }

  renew(owner: number, offset: number): void {
    this.#records.renew(owner, offset, offset, this.#deadline())
  }

  /** The member has left. */
  releaseOwner(owner: number): void {
    for (const [offset, watched] of this.#watched) if (watched.owner === owner) this.#watched.delete(offset)
    if (this.#records.releaseOwner(owner) === 0) return
    this.#changed()
    this.#options.onAvailable()
  }

  /** Locks that are over by now are released; when the next one is over. */
  expire(now: number): number {
    if (this.#records.expire(now) > 0) {
      for (const [offset, { owner, count, abort }] of this.#watched) {
        if (this.#records.holds(owner, offset, count)) continue
        this.#watched.delete(offset)
        abort.abort(lockOver(this.topic, this.partition, offset))
      }
      this.#changed()
      this.#options.onAvailable()
    }
    return this.#records.nextDeadline()
  }

  /** Aborted when the lock is over, or by `abort`. */
  watch(owner: number, offset: number, deliveryCount: number): AbortSignal {
    const known = this.#watched.get(offset)
    if (known !== undefined && known.owner === owner && known.count === deliveryCount) return known.abort.signal
    const abort = new AbortController()
    if (this.#records.holds(owner, offset, deliveryCount))
      this.#watched.set(offset, { owner, count: deliveryCount, abort })
    else abort.abort(lockOver(this.topic, this.partition, offset))
    return abort.signal
  }

  /** The member stops: who handles its records is told. */
  abort(owner: number, reason: unknown): void {
    for (const watched of this.#watched.values()) if (watched.owner === owner) watched.abort.abort(reason)
  }

  /** Resolves when everything that was acknowledged by now is durable as the fsync mode promises. */
  async flush(): Promise<void> {
    if (this.#isClosed) return
    await this.#writer.flush().catch((error: unknown) => {
      // Of a topic that was deleted there is nothing to keep.
      if (!isTopicGone(error)) throw error
    })
  }

  /** No dead letter is being written. */
  settled(): Promise<void> {
    return this.#writer.settled()
  }

  /** Begins again at `start`. Only while nobody is in the group. */
  async reset(start: number): Promise<void> {
    this.#records.reset(start)
    await this.#writer.begin()
  }

  /** The group's settings have changed. */
  configure(mustReopen: boolean): void {
    this.#records.rules = rulesOf(this.#options.settings())
    if (!mustReopen || this.#isClosed) return
    this.#reader.close()
    this.#reader = this.#openReader()
  }

  close(): void {
    this.#isClosed = true
    this.#reader.close()
    this.#writer.close()
  }

  #openReader(): ShareReader {
    const { topic, partition, log, settings } = this.#options
    return new ShareReader({ topic, partition: partitionOf(topic, partition), log, isolation: settings().isolation })
  }

  #deadline(): number {
    return this.#options.log.env.monotonic() + this.#options.settings().lockMs
  }

  async #later(read: Promise<Fetch>, owner: number, again: number): Promise<Delivery | undefined> {
    this.#isReading = true
    try {
      const fetch = await read
      return this.#isClosed ? undefined : this.#take(fetch, owner, again)
    } catch (error) {
      return this.#gone(error)
    } finally {
      this.#isReading = false
      this.#options.onAvailable()
    }
  }

  /** What was read is the member's now; offsets without a record are done with. */
  #take(fetch: Fetch, owner: number, again: number): Delivery | undefined {
    const { messages, nextOffset } = fetch
    const records = this.#records
    const deadline = this.#deadline()
    let deliveryCount = 1
    // The next offset that is not accounted for; while records were being read their neighbours may have been released, not taken.
    let at = again
    for (let i = 0; i < messages.length; ) {
      const first = fetch.offsetAt(i)
      let last = first
      for (i += 1; i < messages.length && fetch.offsetAt(i) === last + 1; i++) last += 1
      if (again === -1) records.acquireNew(first, last, owner, deadline)
      else {
        if (first > at) records.archiveGap(at, first - 1)
        deliveryCount = records.acquire(first, last, owner, deadline)
        at = last + 1
      }
    }
    if (again === -1) records.skipTo(nextOffset)
    else if (nextOffset > at) records.archiveGap(at, nextOffset - 1)
    return messages.length === 0 ? undefined : new Delivery(this, owner, deliveryCount, deadline, fetch)
  }

  async #readAgain(from: number, to: number): Promise<Fetch> {
    // Somebody else's read moves the same reader.
    const reader = this.#openReader()
    try {
      return await reader.again(from, to)
    } finally {
      reader.close()
    }
  }

  #gone(error: unknown): undefined {
    if (!isTopicGone(error)) throw error
    this.close()
    return undefined
  }

  /** What has changed goes out at the end of the turn, with what changes until then. */
  #changed(): void {
    if (this.#isFlushLater) return
    this.#isFlushLater = true
    setImmediate(() => {
      this.#isFlushLater = false
      this.flush().catch((error: unknown) => {
        const { log, onFailed } = this.#options
        if (log.closedWith !== undefined) return
        if (error instanceof MillraceError && error.retriable) log.env.timer(RETRY_MS, () => this.#changed())
        else onFailed(error)
      })
    })
  }
}

const rulesOf = ({ deliveryLimit, deadLetterTopic }: ShareGroupSettings) => ({
  deliveryLimit,
  hasDeadLetters: deadLetterTopic !== undefined,
})

function lockOver(topic: string, partition: number, offset: number): MillraceError {
  return new MillraceError(
    'ACQUISITION_LOCK_EXPIRED',
    `the lock on record ${offset} of ${topic}-${partition} is over`,
    {
      detail: 'it is handed out again, and acknowledging this delivery is refused',
      hint: "renew it before, acknowledge(message, 'renew'), or give the group a longer share.record.lock.duration.ms",
    },
  )
}
