import { newBytes, varlongLength, writeVarint, writeVarlong } from '../common/bytes.js'
import { crc32c } from '../common/checksum.js'
import {
  ATTRIBUTES,
  BASE_TIMESTAMP,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH,
  BATCH_LENGTH_OVERHEAD,
  batchAttributes,
  batchByteLength,
  batchMaxTimestamp,
  batchRecordCount,
  CRC,
  DELETE_HORIZON,
  LOG_APPEND_TIME,
  MAX_TIMESTAMP,
  RECORD_COUNT,
  readInt64BE,
  writeInt64BE,
} from '../record/batch-header.js'
import { RecordCursor } from '../record/rows-payload.js'
import { type BufferViews, viewsOf } from '../types/block.js'
import { BATCH_BYTES_MAX } from './limits.js'
import { type Breathe, RECORDS_PER_LOOK } from './work-slices.js'

/** Which records of a batch stay. */
export interface RecordRule {
  /** `keyStart` -1 = no key. */
  stays(u8: Uint8Array, keyStart: number, keyEnd: number, offset: number, isTombstone: boolean): boolean
  /** When tombstones seen for the first time may go: what a batch that holds some is marked with. */
  readonly newHorizon: number
}

/** A batch after compaction: where it lies, or `undefined` where no record of it stays. */
export interface CompactedBatch {
  readonly views: BufferViews
  readonly position: number
  readonly byteLength: number
}

/**
 * What stays of a batch of Kafka's records. Offsets, sequence and producer are those of the original, as Kafka keeps them. A batch that stays whole is not
 * touched. The first time that tombstones are seen the batch is written anew with the time at which they may go as its base timestamp
 * (attribute bit 6), and its records' deltas count from there.
 */
export class RowsCompactor {
  #scratch: BufferViews = viewsOf(newBytes(64 * 1024).buffer)
  /** Of each record that stays: start and end of its bytes, and where its timestamp delta begins and ends. */
  #kept = new Float64Array(3 * 64)

  async compact(
    views: BufferViews,
    position: number,
    rule: RecordRule,
    breathe: Breathe,
  ): Promise<CompactedBatch | undefined> {
    const { dv } = views
    const byteLength = batchByteLength(dv, position)
    const attributes = batchAttributes(dv, position)
    const records = batchRecordCount(dv, position)
    const isAppendTime = (attributes & LOG_APPEND_TIME) !== 0
    const cursor = RecordCursor.ofBatch(views, position)
    let kept = 0
    let tombstones = 0
    let maxTimestamp = -1
    let start = position + BATCH_HEADER_BYTES
    for (let seen = 1; cursor.next(); seen++) {
      if (seen % RECORDS_PER_LOOK === 0) {
        const pause = breathe()
        if (pause !== undefined) await pause
      }
      const end = cursor.headersEnd
      const isTombstone = cursor.valueStart === -1
      if (rule.stays(views.u8, cursor.keyStart, cursor.keyEnd, cursor.offset, isTombstone)) {
        if (kept * 3 + 3 > this.#kept.length) this.#growKept()
        this.#kept[kept * 3] = start
        this.#kept[kept * 3 + 1] = end
        this.#kept[kept * 3 + 2] = cursor.timestamp
        kept += 1
        if (isTombstone) tombstones += 1
        if (cursor.timestamp > maxTimestamp) maxTimestamp = cursor.timestamp
      }
      start = end
    }
    if (kept === 0) return undefined
    const needsHorizon = tombstones > 0 && (attributes & DELETE_HORIZON) === 0
    if (kept === records && !needsHorizon) return { views, position, byteLength }
    if (isAppendTime) maxTimestamp = batchMaxTimestamp(dv, position)
    const baseTimestamp = readInt64BE(dv, position + BASE_TIMESTAMP)
    if (needsHorizon) {
      const marked = this.#rebuild(views, position, kept, rule.newHorizon, attributes | DELETE_HORIZON, maxTimestamp)
      // Deltas from a far horizon are longer: a batch that would pass the limit keeps its tombstones, unmarked, for another round.
      if (marked.byteLength <= BATCH_BYTES_MAX) return marked
    }
    return this.#rebuild(views, position, kept, baseTimestamp, attributes, maxTimestamp)
  }

  #rebuild(
    views: BufferViews,
    position: number,
    kept: number,
    baseTimestamp: number,
    attributes: number,
    maxTimestamp: number,
  ): CompactedBatch {
    const { u8, dv } = views
    const shift = readInt64BE(dv, position + BASE_TIMESTAMP) !== baseTimestamp
    // A delta grows by 9 bytes at most, and with it the record's length by 2.
    this.#ensure(batchByteLength(dv, position) + (shift ? kept * 11 : 0))
    const out = this.#scratch
    let at = BATCH_HEADER_BYTES
    for (let i = 0; i < kept; i++) {
      const from = this.#kept[i * 3] as number
      const to = this.#kept[i * 3 + 1] as number
      if (shift) at = copyShifted(u8, from, to, (this.#kept[i * 3 + 2] as number) - baseTimestamp, out.u8, at)
      else {
        out.u8.set(u8.subarray(from, to), at)
        at += to - from
      }
    }
    out.u8.set(u8.subarray(position, position + BATCH_HEADER_BYTES), 0)
    writeInt64BE(out.dv, BASE_TIMESTAMP, baseTimestamp)
    sealCompacted(out, 0, at, kept, attributes, maxTimestamp)
    return { views: out, position: 0, byteLength: at }
  }

  #ensure(bytes: number): void {
    if (bytes <= this.#scratch.u8.length) return
    let capacity = this.#scratch.u8.length
    while (capacity < bytes) capacity *= 2
    this.#scratch = viewsOf(new ArrayBuffer(capacity))
  }

  #growKept(): void {
    const larger = new Float64Array(this.#kept.length * 2)
    larger.set(this.#kept)
    this.#kept = larger
  }
}

/** The header of `position`, copied from the original, with what compaction has changed; the checksum last. */
export function sealCompacted(
  views: BufferViews,
  position: number,
  byteLength: number,
  records: number,
  attributes: number,
  maxTimestamp: number,
): void {
  const { dv } = views
  dv.setInt32(position + BATCH_LENGTH, byteLength - BATCH_LENGTH_OVERHEAD)
  dv.setInt16(position + ATTRIBUTES, attributes)
  writeInt64BE(dv, position + MAX_TIMESTAMP, maxTimestamp)
  dv.setInt32(position + RECORD_COUNT, records)
  dv.setUint32(position + CRC, crc32c(views.u8, position + ATTRIBUTES, position + byteLength))
}

/** One record with another timestamp delta. */
function copyShifted(
  u8: Uint8Array,
  from: number,
  to: number,
  timestampDelta: number,
  target: Uint8Array,
  at: number,
): number {
  // length varint, attributes, timestampDelta varlong, and the rest as it is
  const attributes = pastVarint(u8, from)
  const rest = pastVarint(u8, attributes + 1)
  let e = writeVarint(target, at, 1 + varlongLength(timestampDelta) + to - rest)
  target[e++] = u8[attributes] as number
  e = writeVarlong(target, e, timestampDelta)
  target.set(u8.subarray(rest, to), e)
  return e + to - rest
}

function pastVarint(u8: Uint8Array, from: number): number {
  let at = from
  while ((u8[at] as number) >= 0x80) at += 1
  return at + 1
}
