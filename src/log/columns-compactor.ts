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
import { type Breathe, RECORDS_PER_LOOK } from './work-slices.js'

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
  eachKey(views: BufferViews, position: number, visit: KeyVisit): void {
    const keys = this.#keysOf(views, position)
    for (let row = 0; row < keys.rows; row++) if (!keys.show(row, visit)) return
  }

  /** The same with pauses. */
  async eachKeyInSlices(views: BufferViews, position: number, visit: KeyVisit, breathe: Breathe): Promise<void> {
    const keys = this.#keysOf(views, position)
    for (let row = 0; row < keys.rows; row++) {
      if (row % RECORDS_PER_LOOK === RECORDS_PER_LOOK - 1) {
        const pause = breathe()
        if (pause !== undefined) await pause
      }
      if (!keys.show(row, visit)) return
    }
  }

  async compact(
    views: BufferViews,
    position: number,
    rule: RecordRule,
    breathe: Breathe,
  ): Promise<CompactedBatch | undefined> {
    const rows = batchRecordCount(views.dv, position)
    if (rows > this.#kept.length) this.#kept = new Int32Array(rows * 2)
    const deltas = deltasAt(views, position)
    let kept = 0
    let row = 0
    const visit = (u8: Uint8Array, start: number, end: number, offset: number): boolean => {
      if (rule.stays(u8, start, end, offset, false)) this.#kept[kept++] = row
      row += 1
      return true
    }
    await this.eachKeyInSlices(views, position, visit, breathe)
    if (kept === 0) return undefined
    const byteLength = batchByteLength(views.dv, position)
    if (kept === rows) return { views, position, byteLength }
    const compacted = await this.#rebuild(views, position, kept, deltas, breathe)
    // A few long rows with their offsets behind them could be longer than they were only where the batch was as long as one may be.
    return compacted.byteLength <= BATCH_BYTES_MAX ? compacted : { views, position, byteLength }
  }

  async #rebuild(
    views: BufferViews,
    position: number,
    kept: number,
    deltas: number,
    breathe: Breathe,
  ): Promise<CompactedBatch> {
    const block = position + COLUMNS_PAYLOAD_OFFSET
    const builder = this.#builder
    builder.reset()
    let maxTimestamp = -1
    for (let i = 0; i < kept; i++) {
      if (i % RECORDS_PER_LOOK === RECORDS_PER_LOOK - 1) {
        const pause = breathe()
        if (pause !== undefined) await pause
      }
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

  #keysOf(views: BufferViews, position: number): BatchKeys {
    const block = position + COLUMNS_PAYLOAD_OFFSET
    checkSlots(views, block, position + batchByteLength(views.dv, position), this.#slots)
    return new BatchKeys(views, position)
  }
}

type KeyVisit = (u8: Uint8Array, start: number, end: number, offset: number) => boolean

/** Where the keys of a batch lie. */
class BatchKeys {
  readonly rows: number
  readonly #block: number
  readonly #base: number
  readonly #deltas: number
  readonly #offsets: number
  readonly #bytes: number

  constructor(
    readonly views: BufferViews,
    position: number,
  ) {
    const block = position + COLUMNS_PAYLOAD_OFFSET
    this.#block = block
    this.rows = batchRecordCount(views.dv, position)
    this.#base = baseOffsetOf(views.dv, position)
    this.#deltas = deltasAt(views, position)
    const entry = directoryEntry(block, KEY_SLOT)
    const values = views.i32[(entry + DIRECTORY_VALUES) >> 2] as number
    this.#offsets = values === 0 ? -1 : (block + values) >> 2
    this.#bytes = block + (views.i32[(entry + DIRECTORY_BYTES) >> 2] as number)
  }

  show(row: number, visit: KeyVisit): boolean {
    const { views } = this
    const offset = this.#base + offsetDelta(views, this.#deltas, row)
    if (this.#offsets === -1) return visit(views.u8, -1, -1, offset)
    const start = isNullAt(views, this.#block, KEY_SLOT, row)
      ? -1
      : this.#bytes + (views.i32[this.#offsets + row] as number)
    return visit(views.u8, start, this.#bytes + (views.i32[this.#offsets + row + 1] as number), offset)
  }
}
