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
  readonly #reader: PartitionReader
  readonly #typed: TypedRecords | undefined
  readonly #headers: ValueReader | undefined
  /** Of the batch at hand, where its records are rows. */
  #cursor: RecordCursor | undefined

  constructor(
    partition: PartitionDescriptor,
    schema: StructType | undefined,
    around: { readonly memory: LogMemory; readonly env: Env },
  ) {
    this.#reader = new PartitionReader({ partition, schema, memory: around.memory, env: around.env })
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
    if (!this.#find(offset)) return undefined
    // A copy, which outlives the batch in its place.
    const { position, byteLength, views } = this.#reader
    const bytes = views.u8.slice(position, position + byteLength)
    this.#reader.release()
    this.#cursor = RecordCursor.ofBatch({ u8: bytes, dv: new DataView(bytes.buffer) }, 0)
    return this.#walkTo(this.#cursor, offset)
  }

  close(): void {
    this.#reader.close()
  }

  #find(offset: number): boolean {
    const reader = this.#reader
    reader.seek(offset)
    return reader.next() && reader.baseOffset <= offset
  }

  #walkTo(cursor: RecordCursor, offset: number): OriginalRecord | undefined {
    while (cursor.offset < offset) if (!cursor.next()) return undefined
    if (cursor.offset !== offset) return undefined
    const headers = decodeHeaderPairs(cursor.u8, cursor.headersStart, cursor.headersEnd)
    return { key: cursor.key(), value: cursor.value(), headers, timestamp: cursor.timestamp }
  }

  #typedAt(typed: TypedRecords, offset: number): OriginalRecord | undefined {
    if (!this.#find(offset)) return undefined
    const { views, baseOffset, recordCount, position } = this.#reader
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
    this.#reader.release()
    return record
  }
}
