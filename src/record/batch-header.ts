import { crc32c } from '../common/checksum.js'
import type { BufferViews } from '../types/block.js'

/**
 * Kafka's record batch header, version 2. Everything is big-endian. The checksum begins behind itself, so
 * base offset and leader epoch can be set after a batch is built, without counting it anew.
 *
 *   // offset  size  field
 *   //      0     8  baseOffset
 *   //      8     4  batchLength           bytes after this field
 *   //     12     4  partitionLeaderEpoch
 *   //     16     1  magic                 2
 *   //     17     4  crc                   CRC-32C of everything after it
 *   //     21     2  attributes            see below
 *   //     23     4  lastOffsetDelta
 *   //     27     8  baseTimestamp
 *   //     35     8  maxTimestamp
 *   //     43     8  producerId            -1 = none
 *   //     51     2  producerEpoch
 *   //     53     4  baseSequence
 *   //     57     4  recordCount
 *   //     61        payload: Kafka's records, or where COLUMNS_PAYLOAD is set:
 *   //     61     1  columnsVersion        0; a reader refuses what is higher
 *   //     62     1  padding               zeros at the end of a compressed block, 0 to 7
 *   //     63     1  0
 *   //     64        a block, see types/block.ts
 */
export const BASE_OFFSET = 0
export const BATCH_LENGTH = BASE_OFFSET + 8
export const PARTITION_LEADER_EPOCH = BATCH_LENGTH + 4
export const MAGIC = PARTITION_LEADER_EPOCH + 4
export const CRC = MAGIC + 1
export const ATTRIBUTES = CRC + 4
export const LAST_OFFSET_DELTA = ATTRIBUTES + 2
export const BASE_TIMESTAMP = LAST_OFFSET_DELTA + 4
export const MAX_TIMESTAMP = BASE_TIMESTAMP + 8
export const PRODUCER_ID = MAX_TIMESTAMP + 8
export const PRODUCER_EPOCH = PRODUCER_ID + 8
export const BASE_SEQUENCE = PRODUCER_EPOCH + 2
export const RECORD_COUNT = BASE_SEQUENCE + 4
export const BATCH_HEADER_BYTES = RECORD_COUNT + 4

export const COLUMNS_VERSION = BATCH_HEADER_BYTES
export const COLUMNS_PADDING = COLUMNS_VERSION + 1
/** Where the block of a typed batch begins. */
export const COLUMNS_PAYLOAD_OFFSET = 64
/** The newest layout of a columns payload that is written and read. */
export const COLUMNS_VERSION_MAX = 0
/** What batchLength does not count: itself and the base offset before it. */
export const BATCH_LENGTH_OVERHEAD = BATCH_LENGTH + 4
export const BATCH_MAGIC = 2

// Attributes, bit by bit. Bits 7 to 15 are unused by Kafka; bit 14 is ours, and in memory bits 7 to 9 (batch-compression.ts).
export const COMPRESSION_MASK = 0x07
export const LOG_APPEND_TIME = 1 << 3
export const TRANSACTIONAL = 1 << 4
export const CONTROL = 1 << 5
export const DELETE_HORIZON = 1 << 6
export const COLUMNS_PAYLOAD = 1 << 14

export interface BatchHeader {
  readonly baseOffset: number
  /** Of the whole batch, header included. */
  readonly byteLength: number
  readonly partitionLeaderEpoch: number
  readonly magic: number
  readonly crc: number
  readonly attributes: number
  readonly lastOffsetDelta: number
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly recordCount: number
}

/** Offsets, timestamps and ids are 64 bits in the file and numbers here: all of ours are below 2^53. */
export function readInt64BE(dv: DataView, at: number): number {
  return dv.getInt32(at) * 4294967296 + dv.getUint32(at + 4)
}

export function writeInt64BE(dv: DataView, at: number, value: number): void {
  dv.setInt32(at, Math.floor(value / 4294967296))
  dv.setInt32(at + 4, value | 0)
}

export function readBatchHeader(dv: DataView, position: number): BatchHeader {
  return {
    baseOffset: readInt64BE(dv, position + BASE_OFFSET),
    byteLength: batchByteLength(dv, position),
    partitionLeaderEpoch: dv.getInt32(position + PARTITION_LEADER_EPOCH),
    magic: dv.getInt8(position + MAGIC),
    crc: dv.getUint32(position + CRC),
    attributes: dv.getInt16(position + ATTRIBUTES),
    lastOffsetDelta: dv.getInt32(position + LAST_OFFSET_DELTA),
    baseTimestamp: readInt64BE(dv, position + BASE_TIMESTAMP),
    maxTimestamp: readInt64BE(dv, position + MAX_TIMESTAMP),
    producerId: readInt64BE(dv, position + PRODUCER_ID),
    producerEpoch: dv.getInt16(position + PRODUCER_EPOCH),
    baseSequence: dv.getInt32(position + BASE_SEQUENCE),
    recordCount: dv.getInt32(position + RECORD_COUNT),
  }
}

/** Whose batch it is. */
export interface BatchStamp {
  /** TRANSACTIONAL or 0. */
  readonly attributes: number
  readonly producerId: number
  readonly producerEpoch: number
  baseSequence: number
}

export const NO_PRODUCER: BatchStamp = Object.freeze({
  attributes: 0,
  producerId: -1,
  producerEpoch: -1,
  baseSequence: -1,
})

/** What a new batch says of itself; the rest of the header follows from it. */
export interface NewBatch {
  readonly baseOffset: number
  readonly byteLength: number
  readonly attributes: number
  readonly recordCount: number
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
}

/** Writes the header of a batch whose payload is there already, and its checksum last. */
export function sealBatch(views: BufferViews, position: number, batch: NewBatch): void {
  const dv = views.dv
  writeInt64BE(dv, position + BASE_OFFSET, batch.baseOffset)
  dv.setInt32(position + BATCH_LENGTH, batch.byteLength - BATCH_LENGTH_OVERHEAD)
  dv.setInt32(position + PARTITION_LEADER_EPOCH, 0)
  dv.setInt8(position + MAGIC, BATCH_MAGIC)
  dv.setInt16(position + ATTRIBUTES, batch.attributes)
  dv.setInt32(position + LAST_OFFSET_DELTA, batch.recordCount - 1)
  writeInt64BE(dv, position + BASE_TIMESTAMP, batch.baseTimestamp)
  writeInt64BE(dv, position + MAX_TIMESTAMP, batch.maxTimestamp)
  writeInt64BE(dv, position + PRODUCER_ID, batch.producerId ?? -1)
  dv.setInt16(position + PRODUCER_EPOCH, batch.producerEpoch ?? -1)
  dv.setInt32(position + BASE_SEQUENCE, batch.baseSequence ?? -1)
  dv.setInt32(position + RECORD_COUNT, batch.recordCount)
  dv.setUint32(position + CRC, crc32c(views.u8, position + ATTRIBUTES, position + batch.byteLength))
}

/** Gives a finished batch its place in the log; outside the checksum. */
export function setBaseOffset(dv: DataView, position: number, baseOffset: number): void {
  writeInt64BE(dv, position + BASE_OFFSET, baseOffset)
}

export function baseOffsetOf(dv: DataView, position: number): number {
  return readInt64BE(dv, position + BASE_OFFSET)
}

/** The offset after the last record's. */
export function nextOffsetOf(dv: DataView, position: number): number {
  return baseOffsetOf(dv, position) + dv.getInt32(position + LAST_OFFSET_DELTA) + 1
}

export function batchByteLength(dv: DataView, position: number): number {
  return dv.getInt32(position + BATCH_LENGTH) + BATCH_LENGTH_OVERHEAD
}

export function batchRecordCount(dv: DataView, position: number): number {
  return dv.getInt32(position + RECORD_COUNT)
}

export function batchAttributes(dv: DataView, position: number): number {
  return dv.getInt16(position + ATTRIBUTES)
}

export function batchMaxTimestamp(dv: DataView, position: number): number {
  return readInt64BE(dv, position + MAX_TIMESTAMP)
}

export function hasColumnsPayload(dv: DataView, position: number): boolean {
  return (dv.getInt16(position + ATTRIBUTES) & COLUMNS_PAYLOAD) !== 0
}

/**
 * What is wrong with the batch at `position` of which bytes up to `limit` are there, or undefined where header,
 * length and checksum are right. Nothing of the batch needs to be trusted for this.
 */
export function batchDamage(views: BufferViews, position: number, limit: number): string | undefined {
  const available = limit - position
  if (available < BATCH_HEADER_BYTES) return `found ${available} bytes, expected a header of ${BATCH_HEADER_BYTES}`
  const dv = views.dv
  const magic = dv.getInt8(position + MAGIC)
  if (magic !== BATCH_MAGIC) return `found magic ${magic}, expected ${BATCH_MAGIC}`
  const byteLength = batchByteLength(dv, position)
  if (byteLength < BATCH_HEADER_BYTES || byteLength > available) {
    return `found a length of ${byteLength} bytes, expected ${BATCH_HEADER_BYTES} to ${available}`
  }
  const stored = dv.getUint32(position + CRC)
  const computed = crc32c(views.u8, position + ATTRIBUTES, position + byteLength)
  if (stored !== computed) return `stored crc ${hex(stored)}, computed crc ${hex(computed)}`
  return undefined
}

const hex = (n: number): string => n.toString(16).padStart(8, '0')
