import {
  ATTRIBUTES,
  BASE_TIMESTAMP,
  BATCH_HEADER_BYTES,
  batchAttributes,
  batchByteLength,
  batchMaxTimestamp,
  COLUMNS_PAYLOAD,
  COLUMNS_PAYLOAD_OFFSET,
  COLUMNS_VERSION,
  COMPRESSION_MASK,
  CONTROL,
  DELETE_HORIZON,
  nextOffsetOf,
  PRODUCER_ID,
  readInt64BE,
  TRANSACTIONAL,
  writeInt64BE,
} from '../record/batch-header.js'
import { ControlType, readControlRecord } from '../record/control-record.js'
import { SPARSE_OFFSETS } from '../record/sparse-offsets.js'
import { type BufferViews, viewsOf } from '../types/block.js'
import type { OffsetMap } from './offset-map.js'
import { type CompactedBatch, type RecordRule, sealCompacted } from './rows-compactor.js'

/**
 * Which records compaction keeps, by Kafka's rules: of each key the last one below the end of the round; a tombstone that is its key's last until
 * its horizon has passed; nothing of an aborted transaction; nothing without a key. What lies above the round is none of its business.
 */
export class CompactionRule implements RecordRule {
  /** Of the batch being looked at. */
  #tombstonesGo = false

  constructor(
    readonly map: OffsetMap,
    /** The first offset that the map does not cover. */
    readonly mappedTo: number,
    readonly nowMs: number,
    readonly newHorizon: number,
  ) {}

  begin(views: BufferViews, position: number): void {
    this.#tombstonesGo = this.horizonHasPassed(views, position)
  }

  horizonHasPassed(views: BufferViews, position: number): boolean {
    return this.isMarked(views, position) && readInt64BE(views.dv, position + BASE_TIMESTAMP) <= this.nowMs
  }

  isMarked(views: BufferViews, position: number): boolean {
    return (batchAttributes(views.dv, position) & DELETE_HORIZON) !== 0
  }

  stays(u8: Uint8Array, keyStart: number, keyEnd: number, offset: number, isTombstone: boolean): boolean {
    if (offset >= this.mappedTo) return true
    if (keyStart === -1) return false
    if (offset < this.map.get(u8, keyStart, keyEnd)) return false
    return !(isTombstone && this.#tombstonesGo)
  }
}

/**
 * What must be known of producers before anything is thrown away, gathered in one walk over the headers: the last batch of each, which stays even
 * when it is emptied, since idempotence goes on from its sequence; and which transactions were aborted.
 */
export class ProducerTrail {
  readonly #lastOffset = new Map<number, number>()
  readonly #open = new Map<number, number>()
  readonly #aborted = new Map<number, { readonly from: number; readonly to: number }[]>()

  /** Batches in order; `views` holds a control batch whole, of others the header alone. */
  note(views: BufferViews, position: number, baseOffset: number): void {
    const { dv } = views
    const producerId = producerIdOf(views, position)
    if (producerId === -1) return
    const attributes = batchAttributes(dv, position)
    const end = nextOffsetOf(dv, position)
    if ((attributes & CONTROL) === 0) {
      this.#lastOffset.set(producerId, end)
      if ((attributes & TRANSACTIONAL) !== 0 && !this.#open.has(producerId)) this.#open.set(producerId, baseOffset)
      return
    }
    const from = this.#open.get(producerId)
    this.#open.delete(producerId)
    if (from === undefined || readControlRecord(views, position).type !== ControlType.abort) return
    const ranges = this.#aborted.get(producerId)
    if (ranges === undefined) this.#aborted.set(producerId, [{ from, to: end }])
    else ranges.push({ from, to: end })
  }

  isAborted(views: BufferViews, position: number, baseOffset: number): boolean {
    if ((batchAttributes(views.dv, position) & (TRANSACTIONAL | CONTROL)) !== TRANSACTIONAL) return false
    const ranges = this.#aborted.get(producerIdOf(views, position))
    return ranges?.some((range) => baseOffset >= range.from && baseOffset < range.to) === true
  }

  isLastOfProducer(views: BufferViews, position: number): boolean {
    const producerId = producerIdOf(views, position)
    return producerId !== -1 && this.#lastOffset.get(producerId) === nextOffsetOf(views.dv, position)
  }
}

export function producerIdOf(views: BufferViews, position: number): number {
  return readInt64BE(views.dv, position + PRODUCER_ID)
}

/** The header alone: offsets, sequence and times of a batch of which no record stays. A typed one keeps its alignment. */
export function emptiedBatch(views: BufferViews, position: number, isTyped: boolean): CompactedBatch {
  const byteLength = isTyped ? COLUMNS_PAYLOAD_OFFSET : BATCH_HEADER_BYTES
  const out = viewsOf(new ArrayBuffer(COLUMNS_PAYLOAD_OFFSET))
  out.u8.set(views.u8.subarray(position, position + BATCH_HEADER_BYTES))
  const hasColumns = (batchAttributes(views.dv, position) & COLUMNS_PAYLOAD) !== 0
  if (hasColumns) out.u8[COLUMNS_VERSION] = views.u8[position + COLUMNS_VERSION] as number
  const attributes = batchAttributes(views.dv, position) & ~(SPARSE_OFFSETS | COMPRESSION_MASK)
  sealCompacted(out, 0, byteLength, 0, attributes, batchMaxTimestamp(views.dv, position))
  return { views: out, position: 0, byteLength }
}

/** A transaction marker with the time at which it may go. Its length stays, and so does the alignment of what follows. */
export function markedMarker(views: BufferViews, position: number, horizon: number): CompactedBatch {
  const byteLength = batchByteLength(views.dv, position)
  const out = viewsOf(new ArrayBuffer((byteLength + 7) & ~7))
  out.u8.set(views.u8.subarray(position, position + byteLength))
  writeInt64BE(out.dv, BASE_TIMESTAMP, horizon)
  const attributes = out.dv.getInt16(ATTRIBUTES) | DELETE_HORIZON
  sealCompacted(out, 0, byteLength, 1, attributes, batchMaxTimestamp(views.dv, position))
  return { views: out, position: 0, byteLength }
}
