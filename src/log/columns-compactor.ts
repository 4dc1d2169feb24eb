import {
  baseOffsetOf,
  batchAttributes,
  batchByteLength,
  batchMaxTimestamp,
  batchRecordCount,
  COLUMNS_PAYLOAD_OFFSET,
  LOG_APPEND_TIME,
} from '../record/batch-header.js'
import { deltasAt, offsetDelta, SPARSE_OFFSETS, sparseBytes } from '../record/sparse-offsets.js'
import { KEY_SLOT, TIMESTAMP_SLOT, topicRecordSchema } from '../record/topic-record.js'
import { type BufferViews, DIRECTORY_BYTES, DIRECTORY_VALUES, directoryEntry, viewsOf } from '../types/block.js'
import { BlockBuilder } from '../types/block-builder.js'
import { checkSlots } from '../types/block-check.js'
import { isNullAt, type ValueReader, valueReader } from '../types/block-reader.js'
import { columnSlots, type StructType, topLevelSlots } from '../types/data-type.js'
import { BATCH_BYTES_MAX } from './limits.js'
import { type CompactedBatch, type RecordRule, sealCompacted } from './rows-compactor.js'

/**
 * What stays of a typed topic's batch: the rows that stay as a new block, and behind it their offsets, since a block has no column for them
 * (record/sparse-offsets.ts). A typed value is never null, so there are no tombstones here.
 */
export class ColumnsCompactor {
  readonly #slots: ReturnType<typeof columnSlots>
  readonly #builder: BlockBuilder
  readonly #readers: readonly ValueReader[]
  readonly #timestamp: ValueReader
  #scratch: BufferViews = viewsOf(new ArrayBuffer(64 * 1024))
  #kept = new Int32Array(64)

  constructor(valueSchema: StructType) {
    const schema = topicRecordSchema(valueSchema)
    this.#slots = columnSlots(schema)
    this.#builder = new BlockBuilder(schema)
    this.#readers = topLevelSlots(schema).map((slot) => valueReader(this.#slots, slot))
    this.#timestamp = valueReader(this.#slots, TIMESTAMP_SLOT)
  }

  /** Calls `visit` with key and offset of each row; `start` -1 = no key. False from it ends the walk. */
  eachKey(
    views: BufferViews,
    position: number,
    visit: (u8: Uint8Array, start: number, end: number, offset: number) => boolean,
  ): void {
    const block = this.#blockOf(views, position)
    const keys = new KeyColumn(views, block)
    const base = baseOffsetOf(views.dv, position)
    const deltas = deltasAt(views, position)
    const rows = batchRecordCount(views.dv, position)
    for (let row = 0; row < rows; row++) {
      if (!visit(views.u8, keys.start(row), keys.end(row), base + offsetDelta(views, deltas, row))) return
    }
  }

  compact(views: BufferViews, position: number, rule: RecordRule): CompactedBatch | undefined {
    const rows = batchRecordCount(views.dv, position)
    if (rows > this.#kept.length) this.#kept = new Int32Array(rows * 2)
    const deltas = deltasAt(views, position)
    let kept = 0
    let row = 0
    this.eachKey(views, position, (u8, start, end, offset) => {
      if (rule.stays(u8, start, end, offset, false)) this.#kept[kept++] = row
      row += 1
      return true
    })
    if (kept === 0) return undefined
    const byteLength = batchByteLength(views.dv, position)
    if (kept === rows) return { views, position, byteLength }
    const compacted = this.#rebuild(views, position, kept, deltas)
    // A few long rows with their offsets behind them could be longer than they were only where the batch was as long as one may be.
    return compacted.byteLength <= BATCH_BYTES_MAX ? compacted : { views, position, byteLength }
  }

  #rebuild(views: BufferViews, position: number, kept: number, deltas: number): CompactedBatch {
    const block = position + COLUMNS_PAYLOAD_OFFSET
    const builder = this.#builder
    builder.reset()
    let maxTimestamp = -1
    for (let i = 0; i < kept; i++) {
      const row = this.#kept[i] as number
      builder.append(this.#readers.map((read) => read(views, block, row)))
      maxTimestamp = Math.max(maxTimestamp, this.#timestamp(views, block, row) as number)
    }
    const attributes = batchAttributes(views.dv, position)
    if ((attributes & LOG_APPEND_TIME) !== 0) maxTimestamp = batchMaxTimestamp(views.dv, position)
    const blockBytes = builder.byteLength()
    const byteLength = COLUMNS_PAYLOAD_OFFSET + blockBytes + sparseBytes(kept)
    if (byteLength > this.#scratch.u8.length) this.#scratch = viewsOf(new ArrayBuffer(byteLength * 2))
    const out = this.#scratch
    // Header and version of the payload.
    out.u8.set(views.u8.subarray(position, position + COLUMNS_PAYLOAD_OFFSET), 0)
    builder.writeTo(out, COLUMNS_PAYLOAD_OFFSET)
    const words = (COLUMNS_PAYLOAD_OFFSET + blockBytes) >> 2
    // The word of padding, where there is one.
    out.i32[(byteLength >> 2) - 1] = 0
    for (let i = 0; i < kept; i++) out.i32[words + i] = offsetDelta(views, deltas, this.#kept[i] as number)
    sealCompacted(out, 0, byteLength, kept, attributes | SPARSE_OFFSETS, maxTimestamp)
    return { views: out, position: 0, byteLength }
  }

  #blockOf(views: BufferViews, position: number): number {
    const block = position + COLUMNS_PAYLOAD_OFFSET
    checkSlots(views, block, position + batchByteLength(views.dv, position), this.#slots)
    return block
  }
}

/** Where the keys of a block lie. */
class KeyColumn {
  readonly #offsets: number
  readonly #bytes: number

  constructor(
    readonly views: BufferViews,
    readonly block: number,
  ) {
    const entry = directoryEntry(block, KEY_SLOT)
    const values = views.i32[(entry + DIRECTORY_VALUES) >> 2] as number
    this.#offsets = values === 0 ? -1 : (block + values) >> 2
    this.#bytes = block + (views.i32[(entry + DIRECTORY_BYTES) >> 2] as number)
  }

  start(row: number): number {
    if (this.#offsets === -1 || isNullAt(this.views, this.block, KEY_SLOT, row)) return -1
    return this.#bytes + (this.views.i32[this.#offsets + row] as number)
  }

  end(row: number): number {
    return this.#offsets === -1 ? -1 : this.#bytes + (this.views.i32[this.#offsets + row + 1] as number)
  }
}
