import { assert } from '../common/assert.js'
import { invalidValue } from '../types/invalid-value.js'
import { isBytes, timestampOf } from '../types/user-value.js'
import { type PartitionerName, StickyPartitioner, murmur2, murmur2OfString, murmur3OfKey, partitionOfHash } from './partitioner.js'

/** A record as a producer hands it over. `value` is what the topic wants: an object, or bytes. */
export interface Message {
  readonly key?: string | Uint8Array | null | undefined
  readonly value?: unknown
  readonly headers?: unknown
  /** Epoch milliseconds as a number or, as in kafkajs, a string of them; or a Date. Default: the send's time. */
  readonly timestamp?: number | string | Date | undefined
  /** Overrides the partitioner. */
  readonly partition?: number | undefined
}

/**
 * First pass over the messages of a send: keys are checked and hashed, partitions chosen, and a counting
 * sort puts the messages in the order of their partitions, each partition's in the order of the send.
 * Everything is checked before anything is written, so a bad message refuses the whole send.
 */
export class KeyScatter {
  /** Message indexes in the order of their partitions. */
  order = new Int32Array(0)
  /** order[starts[p] … starts[p + 1]) are partition p's. */
  readonly starts: Int32Array
  /** murmur2 of the key of row r (in `order`), 0 for a null key. */
  hashes = new Int32Array(0)
  /** Timestamp of row r. */
  timestamps = new Float64Array(0)
  nullKeys = 0
  /** Messages that have headers. */
  withHeaders = 0
  readonly sticky: StickyPartitioner

  #hashOf = new Int32Array(0)
  #partitionOf = new Int32Array(0)
  #timestampOf = new Float64Array(0)
  readonly #fill: Int32Array

  constructor(
    readonly partitions: number,
    readonly partitioner: PartitionerName,
    random: () => number,
  ) {
    assert(Number.isInteger(partitions) && partitions > 0, `${partitions} partitions`)
    this.starts = new Int32Array(partitions + 1)
    this.#fill = new Int32Array(partitions)
    this.sticky = new StickyPartitioner(partitions, random)
  }

  scatter(messages: readonly Message[], from: number, to: number, defaultTimestamp: number): void {
    const count = to - from
    this.#ensure(count)
    this.#hashKeys(messages, from, to, defaultTimestamp)
    const { starts, order, hashes, timestamps, partitions } = this
    const partitionOf = this.#partitionOf
    const hashOf = this.#hashOf
    const timestampsOf = this.#timestampOf
    const fill = this.#fill
    starts.fill(0)
    for (let i = 0; i < count; i++) {
      const p = (partitionOf[i] as number) + 1
      starts[p] = (starts[p] as number) + 1
    }
    for (let p = 0; p < partitions; p++) {
      fill[p] = starts[p] as number
      starts[p + 1] = (starts[p + 1] as number) + (starts[p] as number)
    }
    for (let i = 0; i < count; i++) {
      const p = partitionOf[i] as number
      const row = fill[p] as number
      fill[p] = row + 1
      order[row] = from + i
      hashes[row] = hashOf[i] as number
      timestamps[row] = timestampsOf[i] as number
    }
  }

  /** Checks the parts of messages [from, to) that scatter() checks, and keeps nothing. */
  check(messages: readonly Message[], from: number, to: number): void {
    for (let i = from; i < to; i++) this.#checkMessage(messages, i)
  }

  #hashKeys(messages: readonly Message[], from: number, to: number, defaultTimestamp: number): void {
    const { partitions } = this
    const murmur3 = this.partitioner === 'murmur3'
    const sticky = this.sticky.current
    const hashOf = this.#hashOf
    const partitionOf = this.#partitionOf
    const timestamps = this.#timestampOf
    let nullKeys = 0
    let withHeaders = 0
    for (let i = from, n = 0; i < to; i++, n++) {
      const message = messages[i] as Message
      if (typeof message !== 'object' || message === null) throw badMessage(i, message)
      const key = message.key
      let hash = 0
      let partition = sticky
      if (typeof key === 'string') {
        hash = murmur2OfString(key)
        partition = ((murmur3 ? murmur3OfKey(key) : hash) & 0x7fffffff) % partitions
      } else if (key === null || key === undefined) nullKeys++
      else if (isBytes(key)) {
        hash = murmur2(key)
        partition = partitionOfHash(murmur3 ? murmur3OfKey(key) : hash, partitions)
      } else throw badKey(i, key)
      hashOf[n] = hash
      const chosen = message.partition
      partitionOf[n] = chosen === undefined || chosen === null ? partition : this.#checkedPartition(i, chosen)
      const timestamp = message.timestamp
      timestamps[n] = timestamp === undefined || timestamp === null ? defaultTimestamp : messageTimestamp(i, timestamp)
      const headers = message.headers
      if (headers !== undefined && headers !== null) withHeaders++
    }
    this.nullKeys = nullKeys
    this.withHeaders = withHeaders
  }

  #checkMessage(messages: readonly Message[], i: number): void {
    const message = messages[i] as Message
    if (typeof message !== 'object' || message === null) throw badMessage(i, message)
    const key = message.key
    if (typeof key !== 'string' && key !== null && key !== undefined && !isBytes(key)) throw badKey(i, key)
    if (message.partition !== undefined && message.partition !== null) this.#checkedPartition(i, message.partition)
    if (message.timestamp !== undefined && message.timestamp !== null) messageTimestamp(i, message.timestamp)
  }

  #checkedPartition(index: number, partition: unknown): number {
    if (typeof partition === 'number' && Number.isInteger(partition) && partition >= 0 && partition < this.partitions) return partition
    throw invalidValue(`messages[${index}].partition`, partition, `an integer from 0 to ${this.partitions - 1}`)
  }

  #ensure(count: number): void {
    if (count <= this.order.length) return
    const capacity = Math.max(count, this.order.length * 2)
    this.order = new Int32Array(capacity)
    this.hashes = new Int32Array(capacity)
    this.timestamps = new Float64Array(capacity)
    this.#hashOf = new Int32Array(capacity)
    this.#partitionOf = new Int32Array(capacity)
    this.#timestampOf = new Float64Array(capacity)
  }
}

function messageTimestamp(index: number, timestamp: unknown): number {
  const ms = typeof timestamp === 'string' && /^-?\d{1,16}$/.test(timestamp) ? timestampOf(Number(timestamp)) : timestampOf(timestamp)
  if (Number.isNaN(ms)) throw invalidValue(`messages[${index}].timestamp`, timestamp, 'epoch milliseconds as a number or string, or a valid Date')
  return ms
}

const badMessage = (index: number, found: unknown): Error => invalidValue(`messages[${index}]`, found, 'an object with key and value')
const badKey = (index: number, found: unknown): Error => invalidValue(`messages[${index}].key`, found, 'a string, a Uint8Array, or null')
