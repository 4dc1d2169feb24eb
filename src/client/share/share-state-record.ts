import { assert } from '../../common/assert.js'
import { MillraceError } from '../../common/errors.js'
import type { Message } from '../../record/key-scatter.js'
import { FieldReader } from '../record-fields.js'
import { RecordState, type StateBatch } from './record-state.js'

/**
 * What is kept of share groups, as records of `__share_group_state` in Kafka's format, so that `kafka-dump-log --share-group-state-decoder` reads
 * them. Integers are big-endian, a string is its length as int16 and its UTF-8 bytes, an array its length + 1 as an unsigned varint.
 *
 *   // key                              snapshot (kind 0), version 0     update (kind 1), version 0
 *   //   kind       int16  0 or 1         version        int16            version        int16
 *   //   group      string                snapshotEpoch  int32            snapshotEpoch  int32  of the snapshot it adds to
 *   //   topicId    16 bytes              stateEpoch     int32            leaderEpoch    int32
 *   //   partition  int32                 leaderEpoch    int32            startOffset    int64
 *   //                                    startOffset    int64            batches        array
 *   // batch                              created        int64  ms        tagged fields
 *   //   first          int64             written        int64  ms
 *   //   last           int64             batches        array
 *   //   state          int8              tagged fields
 *   //   deliveryCount  int16
 *   //   tagged fields  0
 *
 * `leaderEpoch` is that of the partition when it was written (log/leader-epochs.ts): offsets behind the end of that epoch were other records than today's.
 *
 * Kafka deletes what is old of the topic; here it is compacted, so of each key the last record counts: an update holds all that has changed since its
 * snapshot, not since the update before it, and one of another snapshot is passed over.
 *
 * A third kind is ours, which Kafka passes over: the settings of a group, by their names, as JSON.
 *
 *   // key: kind int16 1000, group string        value: version int16 0, JSON as UTF-8
 */
const SNAPSHOT = 0
const UPDATE = 1
const SETTINGS = 1000
const VERSION = 0
const TOPIC_ID_BYTES = 16
const BATCH_BYTES = 8 + 8 + 1 + 2 + 1
/** An int16 of the format. */
const DELIVERY_COUNT_MAX = 32_767

export interface SharePartitionKey {
  readonly group: string
  readonly topicId: string
  readonly partition: number
}

export interface ShareSnapshot {
  readonly snapshotEpoch: number
  readonly stateEpoch: number
  readonly leaderEpoch: number
  readonly start: number
  readonly createdAt: number
  readonly writtenAt: number
  readonly batches: readonly StateBatch[]
}

export interface ShareUpdate {
  readonly snapshotEpoch: number
  readonly leaderEpoch: number
  readonly start: number
  readonly batches: readonly StateBatch[]
}

/** Settings of a group that are not at their defaults. */
export type StoredSettings = Readonly<Record<string, string>>

export type ShareStateRecord =
  | { readonly kind: 'snapshot'; readonly key: SharePartitionKey; readonly value: ShareSnapshot | undefined }
  | { readonly kind: 'update'; readonly key: SharePartitionKey; readonly value: ShareUpdate | undefined }
  | { readonly kind: 'settings'; readonly group: string; readonly value: StoredSettings | undefined }

/** `undefined`: a tombstone. */
export function snapshotMessage(key: SharePartitionKey, snapshot: ShareSnapshot | undefined): Message {
  const message = { key: partitionKey(SNAPSHOT, key), partition: 0 }
  if (snapshot === undefined) return { ...message, value: null }
  const value = Buffer.alloc(2 + 4 + 4 + 4 + 8 + 8 + 8 + batchesBytes(snapshot.batches) + 1)
  let at = value.writeInt16BE(VERSION, 0)
  at = value.writeInt32BE(snapshot.snapshotEpoch, at)
  at = value.writeInt32BE(snapshot.stateEpoch, at)
  at = value.writeInt32BE(snapshot.leaderEpoch, at)
  at = value.writeBigInt64BE(BigInt(snapshot.start), at)
  at = value.writeBigInt64BE(BigInt(snapshot.createdAt), at)
  at = value.writeBigInt64BE(BigInt(snapshot.writtenAt), at)
  at = writeBatches(value, snapshot.batches, at)
  assert(at + 1 === value.length, 'a snapshot is as long as it was reckoned')
  return { ...message, value, timestamp: snapshot.writtenAt }
}

export function updateMessage(key: SharePartitionKey, update: ShareUpdate | undefined): Message {
  const message = { key: partitionKey(UPDATE, key), partition: 0 }
  if (update === undefined) return { ...message, value: null }
  const value = Buffer.alloc(2 + 4 + 4 + 8 + batchesBytes(update.batches) + 1)
  let at = value.writeInt16BE(VERSION, 0)
  at = value.writeInt32BE(update.snapshotEpoch, at)
  at = value.writeInt32BE(update.leaderEpoch, at)
  at = value.writeBigInt64BE(BigInt(update.start), at)
  at = writeBatches(value, update.batches, at)
  assert(at + 1 === value.length, 'an update is as long as it was reckoned')
  return { ...message, value }
}

export function settingsMessage(group: string, settings: StoredSettings | undefined): Message {
  const groupBytes = Buffer.from(group, 'utf8')
  const key = Buffer.alloc(2 + 2 + groupBytes.length)
  writeGroup(key, SETTINGS, groupBytes)
  if (settings === undefined) return { key, value: null, partition: 0 }
  return { key, value: Buffer.concat([Buffer.alloc(2), Buffer.from(JSON.stringify(settings))]), partition: 0 }
}

/** Undefined for a record of a kind that is not known. */
export function readShareStateRecord(
  keyBytes: Uint8Array | null,
  value: Uint8Array | null,
): ShareStateRecord | undefined {
  if (keyBytes === null) return undefined
  const reader = new FieldReader(keyBytes, 'key', unreadable)
  const kind = reader.int16()
  if (kind !== SNAPSHOT && kind !== UPDATE && kind !== SETTINGS) return undefined
  const group = reader.string()
  if (kind === SETTINGS) {
    reader.end()
    return { kind: 'settings', group, value: value === null ? undefined : readSettings(value) }
  }
  const topicId = reader.bytes(TOPIC_ID_BYTES).toString('base64url')
  const key = { group, topicId, partition: reader.int32() }
  reader.end()
  return kind === SNAPSHOT
    ? { kind: 'snapshot', key, value: value === null ? undefined : readSnapshot(value) }
    : { kind: 'update', key, value: value === null ? undefined : readUpdate(value) }
}

function readSnapshot(bytes: Uint8Array): ShareSnapshot {
  const reader = versioned(bytes)
  const snapshotEpoch = reader.int32()
  const stateEpoch = reader.int32()
  const leaderEpoch = reader.int32()
  const start = reader.int64()
  const createdAt = reader.int64()
  const writtenAt = reader.int64()
  const batches = readBatches(reader, start)
  return { snapshotEpoch, stateEpoch, leaderEpoch, start, createdAt, writtenAt, batches }
}

function readUpdate(bytes: Uint8Array): ShareUpdate {
  const reader = versioned(bytes)
  const snapshotEpoch = reader.int32()
  const leaderEpoch = reader.int32()
  const start = reader.int64()
  return { snapshotEpoch, leaderEpoch, start, batches: readBatches(reader, start) }
}

function readSettings(bytes: Uint8Array): StoredSettings {
  versioned(bytes.subarray(0, 2)).end()
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes.subarray(2)).toString('utf8'))
    if (typeof parsed !== 'object' || parsed === null) throw unreadable('settings are no object')
    return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, String(value)]))
  } catch (error) {
    throw error instanceof MillraceError ? error : unreadable('settings are no JSON')
  }
}

function versioned(bytes: Uint8Array): FieldReader {
  const reader = new FieldReader(bytes, 'value', unreadable)
  const version = reader.int16()
  if (version !== VERSION) throw unreadable(`value has version ${version}, expected ${VERSION}`)
  return reader
}

/** In order and apart from each other. */
function readBatches(reader: FieldReader, start: number): StateBatch[] {
  if (start < 0) throw unreadable(`it starts at offset ${start}`)
  const batches: StateBatch[] = []
  let end = 0
  for (let left = reader.arrayLength(BATCH_BYTES); left > 0; left--) {
    const first = reader.int64()
    const last = reader.int64()
    const state = reader.int8()
    const deliveryCount = reader.int16()
    reader.taggedFields()
    if (first < end || last < first) throw unreadable(`offsets ${first} to ${last} follow behind ${end - 1}`)
    if (!isState(state)) throw unreadable(`offset ${first} has state ${state}, expected 0 to 4`)
    if (deliveryCount < 0) throw unreadable(`offset ${first} was delivered ${deliveryCount} times`)
    batches.push({ first, last, state, deliveryCount })
    end = last + 1
  }
  reader.taggedFields()
  reader.end()
  return batches
}

const states: ReadonlySet<number> = new Set(Object.values(RecordState))

const isState = (state: number): state is RecordState => states.has(state)

/** The batches of a snapshot with those of an update laid over them. */
export function overlaid(under: readonly StateBatch[], over: readonly StateBatch[]): StateBatch[] {
  const batches: StateBatch[] = [...over]
  let next = 0
  for (const batch of under) {
    let { first } = batch
    while (next < over.length && (over[next] as StateBatch).last < first) next += 1
    for (let i = next; i < over.length && first <= batch.last; i++) {
      const upper = over[i] as StateBatch
      if (upper.first > batch.last) break
      if (upper.first > first) batches.push({ ...batch, first, last: upper.first - 1 })
      first = upper.last + 1
    }
    if (first <= batch.last) batches.push({ ...batch, first })
  }
  return batches.sort((a, b) => a.first - b.first)
}

/** What of the batches lies below `end`. */
export function batchesBelow(batches: readonly StateBatch[], end: number): StateBatch[] {
  return batches.filter(({ first }) => first < end).map((one) => (one.last < end ? one : { ...one, last: end - 1 }))
}

function partitionKey(kind: number, { group, topicId, partition }: SharePartitionKey): Buffer {
  const groupBytes = Buffer.from(group, 'utf8')
  const id = Buffer.from(topicId, 'base64url')
  assert(id.length === TOPIC_ID_BYTES, `the id of a topic has ${TOPIC_ID_BYTES} bytes`)
  const key = Buffer.alloc(2 + 2 + groupBytes.length + TOPIC_ID_BYTES + 4)
  let at = writeGroup(key, kind, groupBytes)
  at += id.copy(key, at)
  key.writeInt32BE(partition, at)
  return key
}

function writeGroup(key: Buffer, kind: number, group: Buffer): number {
  const at = key.writeInt16BE(group.length, key.writeInt16BE(kind, 0))
  return at + group.copy(key, at)
}

function batchesBytes(batches: readonly StateBatch[]): number {
  return varintBytes(batches.length + 1) + batches.length * BATCH_BYTES
}

function writeBatches(value: Buffer, batches: readonly StateBatch[], from: number): number {
  let at = from
  let length = batches.length + 1
  for (; length >= 0x80; length >>>= 7) at = value.writeUInt8((length & 0x7f) | 0x80, at)
  at = value.writeUInt8(length, at)
  for (const { first, last, state, deliveryCount } of batches) {
    at = value.writeBigInt64BE(BigInt(first), at)
    at = value.writeBigInt64BE(BigInt(last), at)
    at = value.writeInt8(state, at)
    at = value.writeInt16BE(Math.min(deliveryCount, DELIVERY_COUNT_MAX), at)
    at = value.writeUInt8(0, at)
  }
  return at
}

function varintBytes(value: number): number {
  let bytes = 1
  for (let left = value >>> 7; left > 0; left >>>= 7) bytes += 1
  return bytes
}

function unreadable(detail: string): MillraceError {
  return new MillraceError('SHARE_STATE_UNREADABLE', 'a record of __share_group_state cannot be read', {
    detail,
    hint: 'it was written by a newer version of Millrace or Kafka, or by hand',
  })
}
