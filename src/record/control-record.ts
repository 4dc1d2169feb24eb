import { assert } from '../common/assert.js'
import { VarintReader, writeVarint } from '../common/bytes.js'
import { MillraceError } from '../common/errors.js'
import type { BufferViews } from '../types/block.js'
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchAttributes,
  batchByteLength,
  CONTROL,
  sealBatch,
  TRANSACTIONAL,
} from './batch-header.js'
import { writeRecordHead } from './rows-payload.js'

/**
 * How a transaction ended, as Kafka writes it into every partition that the transaction touched: a batch of its own with the attributes
 * TRANSACTIONAL and CONTROL and one record, which no application is ever given. It takes an offset like any record.
 *
 *   // key:   version int16 = 0, type int16      0 abort, 1 commit
 *   // value: version int16 = 0, coordinatorEpoch int32
 *
 * Kafka reads a value that is longer than it needs. A typed topic's markers use that: two more bytes of zero make the batch
 * 80 bytes, a multiple of 8, so that the blocks behind it keep their alignment.
 */
export const ControlType = { abort: 0, commit: 1 } as const
export type ControlType = (typeof ControlType)[keyof typeof ControlType]

const KEY_BYTES = 4
const VALUE_BYTES = 6
const ALIGNED_VALUE_BYTES = 8

export interface TransactionMarker {
  readonly type: ControlType
  readonly producerId: number
  readonly producerEpoch: number
  readonly coordinatorEpoch: number
  readonly timestamp: number
  /** A typed topic's. */
  readonly aligned: boolean
  /** With `byteLength` and `records` it is a batch that a PartitionAppender takes. */
  readonly byteLength: number
  readonly records: 1
}

export function transactionMarker(
  marker: Omit<TransactionMarker, 'byteLength' | 'records'> & { readonly aligned: boolean },
): TransactionMarker {
  return Object.freeze({ ...marker, byteLength: BATCH_HEADER_BYTES + 1 + bodyBytes(marker.aligned), records: 1 })
}

/** Writes a marker's whole batch at `position`; the writer of a PartitionAppender. */
export const markerWriter = {
  writeTo(marker: TransactionMarker, views: BufferViews, position: number, baseOffset: number): number {
    const { u8, dv } = views
    const valueBytes = marker.aligned ? ALIGNED_VALUE_BYTES : VALUE_BYTES
    let at = writeRecordHead(u8, position + BATCH_HEADER_BYTES, bodyBytes(marker.aligned), 0, 0, KEY_BYTES)
    dv.setInt16(at, 0)
    dv.setInt16(at + 2, marker.type)
    at = writeVarint(u8, at + KEY_BYTES, valueBytes)
    dv.setInt16(at, 0)
    dv.setInt32(at + 2, marker.coordinatorEpoch)
    if (marker.aligned) dv.setInt16(at + VALUE_BYTES, 0)
    at += valueBytes
    u8[at++] = 0
    assert(at - position === marker.byteLength, `a marker took ${at - position} bytes, not ${marker.byteLength}`)
    sealBatch(views, position, {
      baseOffset,
      byteLength: marker.byteLength,
      attributes: TRANSACTIONAL | CONTROL,
      recordCount: 1,
      baseTimestamp: marker.timestamp,
      maxTimestamp: marker.timestamp,
      producerId: marker.producerId,
      producerEpoch: marker.producerEpoch,
    })
    return marker.byteLength
  },
} as const

export function isControlBatch(dv: DataView, position: number): boolean {
  return (batchAttributes(dv, position) & CONTROL) !== 0
}

export interface ControlRecord {
  /** 0 abort, 1 commit. Kafka has others, for its own topics, and may have more. */
  readonly type: number
  /** Of abort and commit; -1 for others. */
  readonly coordinatorEpoch: number
}

/** The record of a control batch whose header and checksum have been found right. */
export function readControlRecord(views: BufferViews, position: number): ControlRecord {
  const { dv } = views
  const end = position + batchByteLength(dv, position)
  const reader = new VarintReader(views.u8, position + BATCH_HEADER_BYTES, end)
  const length = reader.varint()
  if (!reader.ok || length < 1 || length > end - reader.at) corrupt(dv, position, `found a record of ${length} bytes`)
  reader.end = reader.at + length
  reader.at += 1
  reader.varlong()
  reader.varint()
  const keyBytes = reader.varint()
  if (!reader.ok || keyBytes < KEY_BYTES || keyBytes > reader.end - reader.at)
    corrupt(dv, position, `found a key of ${keyBytes} bytes, expected ${KEY_BYTES}`)
  const version = dv.getInt16(reader.at)
  if (version < 0) corrupt(dv, position, `found version ${version}, expected 0 or more`)
  const type = dv.getInt16(reader.at + 2)
  reader.at += keyBytes
  if (type !== ControlType.abort && type !== ControlType.commit) return { type, coordinatorEpoch: -1 }
  const valueBytes = reader.varint()
  if (!reader.ok || valueBytes < VALUE_BYTES || valueBytes > reader.end - reader.at)
    corrupt(dv, position, `found a value of ${valueBytes} bytes, expected at least ${VALUE_BYTES}`)
  return { type, coordinatorEpoch: dv.getInt32(reader.at + 2) }
}

/** Attributes, two deltas and four lengths or counts of a byte each, beside key and value. */
const bodyBytes = (aligned: boolean): number => 6 + KEY_BYTES + (aligned ? ALIGNED_VALUE_BYTES : VALUE_BYTES)

function corrupt(dv: DataView, position: number, detail: string): never {
  throw new MillraceError('RECORD_CORRUPT', `the control record at offset ${baseOffsetOf(dv, position)} is corrupt`, {
    detail,
    hint: 'verify the log: mill.verify() names the damaged range',
  })
}
