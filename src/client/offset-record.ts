import { MillraceError } from '../common/errors.js'
import type { Message } from '../record/key-scatter.js'
import { FieldReader } from './record-fields.js'

/**
 * A committed offset as a record of `__consumer_offsets`, in Kafka's format, so that `kafka-dump-log --offsets-decoder` reads it. Integers
 * are big-endian, a string is its length as int16 and its UTF-8 bytes.
 *
 *   // key                            value (null: the offset is forgotten)
 *   //   version    int16  1            version          int16  3
 *   //   group      string              offset           int64  next record to be read
 *   //   topic      string              leaderEpoch      int32  of the partition, see log/leader-epochs.ts
 *   //   partition  int32               metadata         string
 *   //                                  commitTimestamp  int64  epoch milliseconds
 *
 * One thing is ours, as a header, which Kafka's decoder passes over: the topic's id, since a topic made anew under an old name begins
 * again at 0. Versions 0 to 3 of the value are read; version 2 of the key (Kafka's group metadata) is passed over.
 */
const KEY_VERSION = 1
const VALUE_VERSION = 3
const GROUP_METADATA_KEY_VERSION = 2
const TOPIC_ID_HEADER = 'millrace.topicId'

/** A string of the format must fit its int16. */
export const OFFSET_STRING_BYTES_MAX = 32_767

export interface CommittedOffset {
  /** The next record to be read. */
  readonly offset: number
  readonly metadata: string
  /** Epoch milliseconds. */
  readonly commitTimestamp: number
  /** Of the topic that was meant; another topic of the same name has nothing committed. */
  readonly topicId: string
  /** In which the partition was when it was committed; -1: nobody knows. */
  readonly leaderEpoch: number
  /** The offset that was committed, where the log has lost what it spoke of. */
  readonly lostFrom?: number
}

export interface OffsetRecord {
  readonly group: string
  readonly topic: string
  readonly partition: number
  /** Undefined: forgotten. */
  readonly committed: CommittedOffset | undefined
}

export function offsetMessage(record: OffsetRecord): Message {
  const key = offsetKey(record.group, record.topic, record.partition)
  const { committed } = record
  if (committed === undefined) return { key, value: null, partition: 0 }
  const metadata = Buffer.from(committed.metadata, 'utf8')
  const value = Buffer.alloc(2 + 8 + 4 + 2 + metadata.length + 8)
  let at = value.writeInt16BE(VALUE_VERSION, 0)
  at = value.writeBigInt64BE(BigInt(committed.offset), at)
  at = value.writeInt32BE(committed.leaderEpoch, at)
  at = value.writeInt16BE(metadata.length, at)
  at += metadata.copy(value, at)
  value.writeBigInt64BE(BigInt(committed.commitTimestamp), at)
  return {
    key,
    value,
    partition: 0,
    timestamp: committed.commitTimestamp,
    headers: { [TOPIC_ID_HEADER]: committed.topicId },
  }
}

/** Undefined for a record of another kind, which Kafka keeps in the same topic. */
export function readOffsetRecord(
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: Readonly<Record<string, unknown>>,
): OffsetRecord | undefined {
  if (key === null) return undefined
  const reader = new FieldReader(key, 'key', unreadable)
  const version = reader.int16()
  if (version === GROUP_METADATA_KEY_VERSION) return undefined
  if (version !== 0 && version !== KEY_VERSION) throw unreadable(`key has version ${version}, expected 0 to 2`)
  const group = reader.string()
  const topic = reader.string()
  const partition = reader.int32()
  reader.end()
  return { group, topic, partition, committed: value === null ? undefined : readValue(value, headers) }
}

function readValue(bytes: Uint8Array, headers: Readonly<Record<string, unknown>>): CommittedOffset {
  const reader = new FieldReader(bytes, 'value', unreadable)
  const version = reader.int16()
  if (version < 0 || version > VALUE_VERSION) {
    throw unreadable(`value has version ${version}, expected 0 to ${VALUE_VERSION}`)
  }
  const offset = reader.int64()
  const leaderEpoch = version >= 3 ? reader.int32() : -1
  const metadata = reader.string()
  const commitTimestamp = reader.int64()
  // The time at which it expires, which Kafka dropped again.
  if (version === 1) reader.int64()
  reader.end()
  const topicId = headers[TOPIC_ID_HEADER]
  return {
    offset,
    metadata,
    commitTimestamp,
    topicId: topicId instanceof Uint8Array ? Buffer.from(topicId).toString('utf8') : '',
    leaderEpoch,
  }
}

function offsetKey(group: string, topic: string, partition: number): Buffer {
  const groupBytes = Buffer.from(group, 'utf8')
  const topicBytes = Buffer.from(topic, 'utf8')
  const key = Buffer.alloc(2 + 2 + groupBytes.length + 2 + topicBytes.length + 4)
  let at = key.writeInt16BE(KEY_VERSION, 0)
  at = key.writeInt16BE(groupBytes.length, at)
  at += groupBytes.copy(key, at)
  at = key.writeInt16BE(topicBytes.length, at)
  at += topicBytes.copy(key, at)
  key.writeInt32BE(partition, at)
  return key
}

function unreadable(detail: string): MillraceError {
  return new MillraceError('OFFSET_RECORD_UNREADABLE', 'a record of __consumer_offsets cannot be read', {
    detail,
    hint: 'it was written by a newer version of Millrace or Kafka, or by hand',
  })
}
