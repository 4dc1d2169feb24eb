import { assert } from '../common/assert.js'
import { invalidValue } from '../types/invalid-value.js'
import { isBytes, timestampOf } from '../types/user-value.js'
import { JOINED_KEY_LENGTH_MAX, KeyTexts } from './key-texts.js'
import {
  murmur2,
  murmur2OfString,
  murmur2OfView,
  murmur3OfKey,
  type PartitionerName,
  partitionOfHash,
  StickyPartitioner,
} from './partitioner.js'
import { FIELD_BYTES_MAX, recordTooLarge } from './prepared-batch.js'
import { checkTimestamp, keyMissing, type TopicRules } from './topic-rules.js'

/** Records whose keys are joined and hashed together. */
const TILE_ROWS = 256
/** Fewer are not worth a call of the encoder. */
const JOINED_KEYS_MIN = 8
/** The partition of a key that is not hashed yet. */
const BY_HASH = -1

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
 * sort gives every message its row, so that the rows of a partition lie together, in the order of the send.
 *
 *   // rows: a free one, partition 0's, a free one, partition 1's, …   (see BlockBuilder.setParts)
 */
export class KeyScatter {
  /** Row of message from + i. */
  rows = new Int32Array(0)
  /** Partition of message from + i. */
  parts = new Int32Array(0)
  /** murmur2 of the key of message from + i, 0 for a null key. */
  hashes = new Int32Array(0)
  /** Timestamp of row r. */
  timestamps = new Float64Array(0)
  /** Rows of partition p: [firstRow[p], endRow[p]). */
  readonly firstRow: Int32Array
  readonly endRow: Int32Array
  /** The partitions that have rows: active[0 … activeCount). */
  readonly active: Int32Array
  activeCount = 0
  nullKeys = 0
  /** Messages that have headers. */
  withHeaders = 0
  readonly sticky: StickyPartitioner
  readonly keys = new KeyTexts()

  #timestampOf = new Float64Array(0)
  #order = new Int32Array(0)
  #isOrdered = false
  #from = 0
  #count = 0

  constructor(
    readonly partitions: number,
    readonly partitioner: PartitionerName,
    random: () => number,
    readonly rules?: TopicRules | undefined,
  ) {
    assert(Number.isInteger(partitions) && partitions > 0, `${partitions} partitions`)
    this.firstRow = new Int32Array(partitions)
    this.endRow = new Int32Array(partitions)
    this.active = new Int32Array(partitions)
    this.sticky = new StickyPartitioner(partitions, random)
  }

  scatter(messages: readonly Message[], from: number, to: number, defaultTimestamp: number): void {
    const count = to - from
    this.#from = from
    this.#count = count
    this.#isOrdered = false
    this.#ensure(count)
    this.#hashKeys(messages, from, to, defaultTimestamp)
    const { rows, parts, timestamps, firstRow, endRow, partitions } = this
    const timestampOf = this.#timestampOf
    endRow.fill(0)
    for (let i = 0; i < count; i++) {
      const p = parts[i] as number
      endRow[p] = (endRow[p] as number) + 1
    }
    let next = 0
    this.activeCount = 0
    for (let p = 0; p < partitions; p++) {
      if (endRow[p] !== 0) this.active[this.activeCount++] = p
      next++
      firstRow[p] = next
      next += endRow[p] as number
      endRow[p] = firstRow[p] as number
    }
    for (let i = 0; i < count; i++) {
      const p = parts[i] as number
      const row = endRow[p] as number
      endRow[p] = row + 1
      rows[i] = row
      timestamps[row] = timestampOf[i] as number
    }
  }

  /** One more than the last row of all. */
  rowsEnd(): number {
    return this.endRow[this.partitions - 1] as number
  }

  /** Index in `messages` of each row that there is; made when it is first asked for. */
  get order(): Int32Array {
    if (!this.#isOrdered) {
      this.#isOrdered = true
      const end = this.rowsEnd()
      if (this.#order.length < end) this.#order = new Int32Array(this.timestamps.length)
      for (let i = 0; i < this.#count; i++) this.#order[this.rows[i] as number] = this.#from + i
    }
    return this.#order
  }

  /** Checks the parts of messages [from, to) that scatter() checks, and keeps nothing. */
  check(messages: readonly Message[], from: number, to: number): void {
    for (let i = from; i < to; i++) this.#checkMessage(messages, i)
  }

  #hashKeys(messages: readonly Message[], from: number, to: number, defaultTimestamp: number): void {
    this.nullKeys = 0
    this.withHeaders = 0
    const { keys } = this
    keys.begin(to - from)
    for (let tile = from; tile < to; tile += TILE_ROWS) {
      const end = Math.min(to, tile + TILE_ROWS)
      const text = this.#takeKeys(messages, from, tile, end, defaultTimestamp)
      keys.write(text, tile - from, end - from)
      this.#hashTexts(tile - from, end - from)
    }
    if (this.rules !== undefined) this.#applyRules(this.rules, messages, from, to, defaultTimestamp)
  }

  /** Checks messages [tile, end), and chooses the partitions of those whose keys are not in the text that it returns. */
  #takeKeys(messages: readonly Message[], from: number, tile: number, end: number, defaultTimestamp: number): string {
    const { partitions, hashes, parts, keys } = this
    const murmur3 = this.partitioner === 'murmur3'
    const sticky = this.sticky.current
    const isJoining = end - tile >= JOINED_KEYS_MIN
    const timestamps = this.#timestampOf
    const { ends } = keys
    let nullKeys = 0
    let withHeaders = 0
    let text = ''
    let at = keys.length
    for (let i = tile, n = tile - from; i < end; i++, n++) {
      const message = messages[i] as Message
      if (typeof message !== 'object' || message === null) throw badMessage(i, message)
      const key = message.key
      let hash = 0
      let partition = sticky
      if (typeof key === 'string') {
        if (isJoining && key.length <= JOINED_KEY_LENGTH_MAX && key.length > 0) {
          text += key
          at += key.length
          partition = murmur3 ? partitionOfHash(murmur3OfKey(key), partitions) : BY_HASH
        } else {
          if (key.length > FIELD_BYTES_MAX) throw keyTooLarge(i, key.length)
          hash = murmur2OfString(key)
          partition = partitionOfHash(murmur3 ? murmur3OfKey(key) : hash, partitions)
        }
      } else if (key === null || key === undefined) nullKeys++
      else if (isBytes(key)) {
        if (key.length > FIELD_BYTES_MAX) throw keyTooLarge(i, key.length)
        hash = murmur2(key)
        partition = partitionOfHash(murmur3 ? murmur3OfKey(key) : hash, partitions)
      } else throw badKey(i, key)
      ends[n] = at
      hashes[n] = hash
      const chosen = message.partition
      parts[n] = chosen === undefined || chosen === null ? partition : this.#checkedPartition(i, chosen)
      const timestamp = message.timestamp
      timestamps[n] = timestamp === undefined || timestamp === null ? defaultTimestamp : messageTimestamp(i, timestamp)
      const headers = message.headers
      if (headers !== undefined && headers !== null) withHeaders++
    }
    this.nullKeys += nullKeys
    this.withHeaders += withHeaders
    return text
  }

  /** Hashes of the keys that are in `keys`, of records [from, to). */
  #hashTexts(from: number, to: number): void {
    const { partitions, hashes, parts, keys } = this
    const { ends, dv } = keys
    let start = from === 0 ? 0 : (ends[from - 1] as number)
    for (let n = from; n < to; n++) {
      const end = ends[n] as number
      if (end === start) continue
      const hash = murmur2OfView(dv, start, end)
      hashes[n] = hash
      if (parts[n] === BY_HASH) parts[n] = (hash & 0x7fffffff) % partitions
      start = end
    }
  }

  #applyRules(rules: TopicRules, messages: readonly Message[], from: number, to: number, nowMs: number): void {
    const timestamps = this.#timestampOf
    if (rules.requiresKey && this.nullKeys > 0) {
      for (let i = from; i < to; i++) if (hasNoKey(messages[i] as Message)) throw keyMissing(i)
    }
    if (rules.logAppendTime) {
      timestamps.fill(nowMs, 0, to - from)
      return
    }
    const earliest = nowMs - rules.beforeMaxMs
    const latest = nowMs + rules.afterMaxMs
    for (let i = from, n = 0; i < to; i++, n++) {
      const timestamp = timestamps[n] as number
      if (timestamp < earliest || timestamp > latest) checkTimestamp(rules, i, timestamp, nowMs)
    }
  }

  #checkMessage(messages: readonly Message[], i: number): void {
    const message = messages[i] as Message
    if (typeof message !== 'object' || message === null) throw badMessage(i, message)
    const key = message.key
    if (typeof key !== 'string' && key !== null && key !== undefined && !isBytes(key)) throw badKey(i, key)
    if (message.partition !== undefined && message.partition !== null) this.#checkedPartition(i, message.partition)
    const { rules } = this
    if (rules?.requiresKey === true && hasNoKey(message)) throw keyMissing(i)
    if (message.timestamp === undefined || message.timestamp === null) return
    const timestamp = messageTimestamp(i, message.timestamp)
    if (rules !== undefined && !rules.logAppendTime) checkTimestamp(rules, i, timestamp, rules.now())
  }

  #checkedPartition(index: number, partition: unknown): number {
    if (typeof partition === 'number' && Number.isInteger(partition) && partition >= 0 && partition < this.partitions)
      return partition
    throw invalidValue(`messages[${index}].partition`, partition, `an integer from 0 to ${this.partitions - 1}`)
  }

  #ensure(count: number): void {
    if (count <= this.rows.length) return
    const capacity = Math.max(count, this.rows.length * 2)
    this.rows = new Int32Array(capacity)
    this.parts = new Int32Array(capacity)
    this.hashes = new Int32Array(capacity)
    this.#timestampOf = new Float64Array(capacity)
    this.timestamps = new Float64Array(capacity + this.partitions)
  }
}

const hasNoKey = (message: Message): boolean => message.key === null || message.key === undefined

function messageTimestamp(index: number, timestamp: unknown): number {
  const ms =
    typeof timestamp === 'string' && /^-?\d{1,16}$/.test(timestamp)
      ? timestampOf(Number(timestamp))
      : timestampOf(timestamp)
  // Kafka has no record times before 1970 either; and so the difference of two of them is a safe integer.
  if (!(ms >= 0)) {
    throw invalidValue(
      `messages[${index}].timestamp`,
      timestamp,
      'epoch milliseconds from 0 on, as an integer or a string of one, or a valid Date',
    )
  }
  return ms
}

const badMessage = (index: number, found: unknown): Error =>
  invalidValue(`messages[${index}]`, found, 'an object with key and value', 'leave it out of messages')
const keyTooLarge = (index: number, length: number): Error =>
  recordTooLarge(`messages[${index}].key`, `at least ${length}`, FIELD_BYTES_MAX)
const badKey = (index: number, found: unknown): Error =>
  invalidValue(`messages[${index}].key`, found, 'a string, a Uint8Array, or null')
