import type { Env } from '../common/env.js'
import type { OriginalRecord } from '../dead-letter/dead-letter.js'
import type { PartitionDescriptor } from '../log/partition-descriptor.js'
import { PartitionReader } from '../log/partition-reader.js'
import type { LogMemory } from '../log/shared-memory.js'
import { COLUMNS_PAYLOAD_OFFSET } from '../record/batch-header.js'
import { decodeHeaderPairs, type HeaderPair } from '../record/headers.js'
import { RecordCursor } from '../record/rows-payload.js'
import { deltasAt, firstRowFrom } from '../record/sparse-offsets.js'
import { HEADERS_SLOT, topicRecordSchema } from '../record/topic-record.js'
import { type ValueReader, valueReader } from '../types/block-reader.js'
import { columnSlots, type StructType } from '../types/data-type.js'
import { TypedRecords } from './typed-records.js'

/**
 * Records of one partition as they came, by their offset: what was read as columns has lost some of it. The record that is asked for was read a moment ago. They
 * are asked for in the order of their offsets, mostly, so those of a batch are walked once.
 */
export class OriginalRecords {
  /** Of a query without a failure nobody reads. */
  #reader: PartitionReader | undefined
  readonly #typed: TypedRecords | undefined
  readonly #headers: ValueReader | undefined
  /** Of the batch at hand, where its records are rows. */
  #cursor: RecordCursor | undefined

  constructor(
    private readonly partition: PartitionDescriptor,
    private readonly schema: StructType | undefined,
    private readonly around: { readonly memory: LogMemory; readonly env: Env },
  ) {
    if (schema !== undefined) {
      this.#typed = new TypedRecords(schema)
      this.#headers = valueReader(columnSlots(topicRecordSchema(schema)), HEADERS_SLOT)
    }
  }

  /** Undefined where it is gone. */
  at(offset: number): OriginalRecord | undefined {
    if (this.#typed !== undefined) return this.#typedAt(this.#typed, offset)
    const walked = this.#cursor
    if (walked !== undefined && walked.offset < offset) {
      const found = this.#walkTo(walked, offset)
      if (found !== undefined) return found
    }
    this.#cursor = undefined
    const reader = this.#find(offset)
    if (reader === undefined) return undefined
    // A copy, which outlives the batch in its place.
    const { position, byteLength, views } = reader
    const bytes = views.u8.slice(position, position + byteLength)
    reader.release()
    this.#cursor = RecordCursor.ofBatch({ u8: bytes, dv: new DataView(bytes.buffer) }, 0)
    return this.#walkTo(this.#cursor, offset)
  }

  close(): void {
    this.#reader?.close()
  }

  /** At the batch that has the offset. */
  #find(offset: number): PartitionReader | undefined {
    const { partition, schema, around } = this
    this.#reader ??= new PartitionReader({ partition, schema, memory: around.memory, env: around.env })
    this.#reader.seek(offset)
    return this.#reader.next() && this.#reader.baseOffset <= offset ? this.#reader : undefined
  }

  #walkTo(cursor: RecordCursor, offset: number): OriginalRecord | undefined {
    while (cursor.offset < offset) if (!cursor.next()) return undefined
    if (cursor.offset !== offset) return undefined
    const headers = decodeHeaderPairs(cursor.u8, cursor.headersStart, cursor.headersEnd)
    return { key: cursor.key(), value: cursor.value(), headers, timestamp: cursor.timestamp }
  }

  #typedAt(typed: TypedRecords, offset: number): OriginalRecord | undefined {
    const reader = this.#find(offset)
    if (reader === undefined) return undefined
    const { views, baseOffset, recordCount, position } = reader
    const block = position + COLUMNS_PAYLOAD_OFFSET
    const row = firstRowFrom(views, deltasAt(views, position), recordCount, offset - baseOffset)
    const encoded = this.#headers?.(views, block, row) as Uint8Array | null
    const headers: readonly HeaderPair[] = encoded === null ? [] : decodeHeaderPairs(encoded, 0, encoded.length)
    const key = typed.key(views, block, row) as Uint8Array | null
    const record = {
      key: key === null ? null : key.slice(),
      value: typed.json(views, block, row),
      headers,
      timestamp: typed.timestamp(views, block, row) as number,
    }
    reader.release()
    return record
  }
}
