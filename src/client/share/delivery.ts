import type { TopicPartition } from '../assignor.js'
import type { Fetch } from '../partition-fetcher.js'
import type { ConsumerMessage } from '../record-decoder.js'
import type { Outcome } from './share-partition.js'

/** A record as a share consumer gets it: with its place, by which it is acknowledged, and how often it was handed out, this time included. */
export type SharedMessage<V = unknown> = ConsumerMessage<V> & TopicPartition & { readonly deliveryCount: number }

/** What a delivery needs of its partition. */
export interface DeliveredFrom extends TopicPartition {
  holds(owner: number, offset: number, deliveryCount: number): boolean
  settle(owner: number, first: number, last: number, outcome: Outcome, deliveryCount: number): number
  watch(owner: number, offset: number, deliveryCount: number): AbortSignal
}

/** Records of one partition that a member has acquired together, all of them delivered so often. */
export class Delivery {
  readonly topic: string
  readonly partition: number
  readonly messages: readonly SharedMessage[]
  readonly #fetch: Fetch

  constructor(
    readonly from: DeliveredFrom,
    readonly owner: number,
    readonly deliveryCount: number,
    /** When its locks are over, on the monotonic clock. */
    readonly deadline: number,
    fetch: Fetch,
  ) {
    const { topic, partition } = from
    this.topic = topic
    this.partition = partition
    this.#fetch = fetch
    const messages: SharedMessage[] = []
    for (const message of fetch.messages) messages.push(Object.assign(message, { topic, partition, deliveryCount }))
    this.messages = messages
  }

  offsetAt(index: number): number {
    return this.#fetch.offsetAt(index)
  }

  /** False once its lock is over, or it was acknowledged. */
  holds(index: number): boolean {
    return this.from.holds(this.owner, this.offsetAt(index), this.deliveryCount)
  }

  /** The delivery of this message has ended so, if it has not ended before. */
  conclude(index: number, outcome: Outcome): void {
    const offset = this.offsetAt(index)
    this.from.settle(this.owner, offset, offset, outcome, this.deliveryCount)
  }

  /** The deliveries from this message on. */
  concludeFrom(index: number, outcome: Outcome): void {
    if (index >= this.messages.length) return
    const last = this.offsetAt(this.messages.length - 1)
    this.from.settle(this.owner, this.offsetAt(index), last, outcome, this.deliveryCount)
  }

  /** Aborted when the lock on the message is over, or its member stops. */
  signalOf(index: number): AbortSignal {
    return this.from.watch(this.owner, this.offsetAt(index), this.deliveryCount)
  }
}
