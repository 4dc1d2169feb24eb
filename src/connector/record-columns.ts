import { encodeUtf8 } from '../common/utf8.js'
import type { PartitionDescriptor } from '../log/partition-descriptor.js'
import type { PartitionReader } from '../log/partition-reader.js'
import { BATCH_HEADER_BYTES, batchByteLength, LOG_APPEND_TIME } from '../record/batch-header.js'
import { RecordCursor } from '../record/rows-payload.js'
import { align8 } from '../types/block.js'
import type { BlockBuilder, ColumnBuffer } from '../types/block-builder.js'

/** A record of Kafka's has no fewer bytes, so a batch no more records than fit. */
const RECORD_BYTES_MIN = 7

/**
 * The records of an untyped batch as Kafka's columns, those alone that the builder's schema names, straight from the bytes of the batch. One pass
 * over the records copies keys and values behind one another; what is the same for the whole batch is filled in at the end.
 */
export class RecordColumns {
  readonly #builder: BlockBuilder
  readonly #topic: Uint8Array
  readonly #partition: number
  readonly #slots = new Map<string, number>()
  /** Of this thread's own, where a batch lies that is in shared memory. */
  #private = new Uint8Array(0)

  constructor(builder: BlockBuilder, partition: PartitionDescriptor) {
    this.#builder = builder
    this.#topic = encodeUtf8(partition.topic)
    this.#partition = partition.partition
    builder.schema.fields.forEach((field, slot) => {
      this.#slots.set(field.name, slot)
    })
  }

  /** Records at offsets [from, limit) of the batch that the reader is at become the builder's rows. */
  read(reader: PartitionReader, from: number, limit: number): void {
    const builder = this.#builder
    const cursor = this.#cursor(reader)
    builder.ensureRows(Math.min(reader.recordCount, Math.ceil(cursor.bytes / RECORD_BYTES_MIN)))
    const rows = this.#walk(cursor.records, cursor.bytes, from, limit)
    builder.rows = rows
    this.#fill(rows, (reader.attributes & LOG_APPEND_TIME) === 0 ? 0 : 1)
  }

  #walk(cursor: RecordCursor, bytes: number, from: number, limit: number): number {
    const key = this.#bytesColumn('key', bytes)
    const value = this.#bytesColumn('value', bytes)
    const offsets = this.#words('offset')
    const timestamps = this.#words('timestamp')
    const { u8 } = cursor
    let row = 0
    while (cursor.next()) {
      const { offset } = cursor
      if (offset < from || offset >= limit) continue
      if (key !== undefined) append(key, row, u8, cursor.keyStart, cursor.keyEnd)
      if (value !== undefined) append(value, row, u8, cursor.valueStart, cursor.valueEnd)
      if (offsets !== undefined) {
        offsets[2 * row] = offset | 0
        offsets[2 * row + 1] = Math.floor(offset / 4294967296)
      }
      if (timestamps !== undefined) {
        const { timestamp } = cursor
        timestamps[2 * row] = timestamp | 0
        timestamps[2 * row + 1] = Math.floor(timestamp / 4294967296)
      }
      row += 1
    }
    return row
  }

  #fill(rows: number, timestampType: number): void {
    this.#column('partition')?.values.fill(this.#partition, 0, rows)
    this.#column('timestampType')?.values.fill(timestampType, 0, rows)
    const topic = this.#column('topic')
    if (topic === undefined || rows === 0) return
    const name = this.#topic
    const length = name.length
    this.#builder.ensureBytes(topic.slot.index, length * rows)
    const { bytes, values } = topic
    bytes.set(name)
    for (let filled = length; filled < length * rows; filled *= 2) {
      bytes.copyWithin(filled, 0, Math.min(filled, length * rows - filled))
    }
    for (let row = 1; row <= rows; row++) values[row] = length * row
    topic.bytesLength = length * rows
  }

  /**
   * The records, in memory of this thread's own: bytes are copied out of shared memory one by one where source and target are not aligned alike, which
   * takes longer than to copy the whole batch first, as far from a word's border as it is.
   */
  #cursor({ views, position }: PartitionReader): { readonly records: RecordCursor; readonly bytes: number } {
    const bytes = batchByteLength(views.dv, position) - BATCH_HEADER_BYTES
    const wantsBytes = this.#slots.has('key') || this.#slots.has('value')
    if (!wantsBytes || views.u8.buffer instanceof ArrayBuffer) {
      return { records: RecordCursor.ofBatch(views, position), bytes }
    }
    const start = position + BATCH_HEADER_BYTES
    const at = start & 7
    if (this.#private.length < at + bytes) {
      this.#private = new Uint8Array(align8(Math.max(at + bytes, this.#private.length * 2)))
    }
    this.#private.set(views.u8.subarray(start, start + bytes), at)
    return { records: RecordCursor.ofBatch(views, position, this.#private, at), bytes }
  }

  #column(name: string): ColumnBuffer | undefined {
    const slot = this.#slots.get(name)
    return slot === undefined ? undefined : (this.#builder.columns[slot] as ColumnBuffer)
  }

  /** Room for all bytes of the batch: nothing is asked for record by record. */
  #bytesColumn(name: string, bytes: number): ColumnBuffer | undefined {
    const column = this.#column(name)
    if (column !== undefined) this.#builder.ensureBytes(column.slot.index, bytes)
    return column
  }

  #words(name: string): ColumnBuffer['values'] | undefined {
    return this.#column(name)?.values
  }
}

/** Up to here a loop is quicker than making the view that `set` needs. */
const LOOP_LENGTH_MAX = 24

/** Bytes [from, to) of `source` as the value of a row; `from` -1 is null. */
function append(column: ColumnBuffer, row: number, source: Uint8Array, from: number, to: number): void {
  let end = column.bytesLength
  if (from === -1) {
    column.valid[row] = 0
    column.nullCount++
  } else {
    const target = column.bytes
    if (to - from <= LOOP_LENGTH_MAX) for (let i = from; i < to; i++) target[end++] = source[i] as number
    else {
      target.set(source.subarray(from, to), end)
      end += to - from
    }
    column.bytesLength = end
  }
  column.values[row + 1] = end
}
