import { loadCommonJs } from '../common/commonjs.js'
import type { PartitionDescriptor } from '../log/partition-descriptor.js'
import type { PartitionReader } from '../log/partition-reader.js'
import { COLUMNS_PAYLOAD_OFFSET, LOG_APPEND_TIME } from '../record/batch-header.js'
import { deltasAt, firstRowFrom, offsetDelta } from '../record/sparse-offsets.js'
import { KEY_SLOT, TIMESTAMP_SLOT, topicRecordSchema, VALUE_SLOT } from '../record/topic-record.js'
import type { BufferViews } from '../types/block.js'
import { BlockBuilder } from '../types/block-builder.js'
import { type ValueReader, valueReader } from '../types/block-reader.js'
import { BlockScratch } from '../types/block-scratch.js'
import { columnSlots, type StructType } from '../types/data-type.js'
import { compileRowReader, type RowReader } from '../types/row-reader.js'
import type { InputPartition } from './input-partition.js'
import { RecordColumns } from './record-columns.js'

interface RecordFields {
  key: Uint8Array | null
  value: Uint8Array | null
  offset: number
  timestamp: number
  timestampType: number
}

/**
 * A partition of any topic with Kafka's columns. Record batches are turned into blocks of the columns that
 * the scan asks for. The value of a typed record is its canonical JSON, since a typed topic has no bytes
 * of its own to show.
 */
export class LogInput implements InputPartition {
  offset: number
  views!: BufferViews
  position = 0
  readonly from = 0
  to = 0
  readonly #builder: BlockBuilder
  readonly #scratch = new BlockScratch()
  readonly #wanted: readonly string[]
  readonly #typed: TypedRecords | undefined
  readonly #records: RecordColumns
  readonly #record: RecordFields = { key: null, value: null, offset: 0, timestamp: 0, timestampType: 0 }
  #nextOffset = 0

  constructor(
    private readonly reader: PartitionReader,
    private readonly partition: PartitionDescriptor,
    valueSchema: StructType | undefined,
    schema: StructType,
    offset: number,
  ) {
    reader.seek(offset)
    this.offset = reader.nextOffset
    reader.watch()
    this.#builder = new BlockBuilder(schema)
    this.#records = new RecordColumns(this.#builder, partition)
    this.#wanted = schema.fields.map((field) => field.name)
    this.#typed = valueSchema === undefined ? undefined : new TypedRecords(valueSchema)
  }

  next(limit: number): boolean {
    const reader = this.reader
    for (;;) {
      if (!reader.next(limit)) {
        // Where compaction has taken everything up to the limit there is nothing to hand out, and the place is behind it all the same.
        this.offset = Math.max(this.offset, Math.min(limit, reader.nextOffset))
        return false
      }
      this.#builder.reset()
      this.#record.timestampType = (reader.attributes & LOG_APPEND_TIME) === 0 ? 0 : 1
      if (this.#typed === undefined) this.#records.read(reader, this.offset, limit)
      else this.#readColumns(this.#typed, limit)
      this.#nextOffset = Math.min(limit, reader.lastOffset + 1)
      // What is wanted has been copied: the chunk need not be held.
      reader.release()
      if (this.#nextOffset <= reader.lastOffset) reader.seek(this.#nextOffset)
      if (this.#builder.rows > 0) break
      this.release()
    }
    const block = this.#scratch.encode(this.#builder)
    this.views = block.views
    this.position = block.position
    this.to = this.#builder.rows
    return true
  }

  release(): void {
    this.offset = this.#nextOffset
  }

  hasNew(): boolean {
    return this.reader.hasNew()
  }

  close(): void {
    this.reader.close()
  }

  #readColumns(typed: TypedRecords, limit: number): void {
    const { views, baseOffset, recordCount } = this.reader
    const position = this.reader.position + COLUMNS_PAYLOAD_OFFSET
    const record = this.#record
    const wantsValue = this.#wanted.includes('value')
    const deltas = deltasAt(views, this.reader.position)
    const to = firstRowFrom(views, deltas, recordCount, limit - baseOffset)
    for (let row = firstRowFrom(views, deltas, recordCount, this.offset - baseOffset); row < to; row++) {
      record.key = typed.key(views, position, row) as Uint8Array | null
      record.value = wantsValue ? typed.json(views, position, row) : null
      record.offset = baseOffset + offsetDelta(views, deltas, row)
      record.timestamp = typed.timestamp(views, position, row) as number
      this.#append()
    }
  }

  #append(): void {
    this.#builder.append(this.#wanted.map((name) => this.#column(name)))
  }

  #column(name: string): unknown {
    if (name === 'topic') return this.partition.topic
    if (name === 'partition') return this.partition.partition
    return this.#record[name as keyof RecordFields]
  }
}

class TypedRecords {
  readonly key: ValueReader
  readonly timestamp: ValueReader
  readonly #row: RowReader
  readonly #names: readonly string[]

  constructor(valueSchema: StructType) {
    const schema = topicRecordSchema(valueSchema)
    const slots = columnSlots(schema)
    this.key = valueReader(slots, KEY_SLOT)
    this.timestamp = valueReader(slots, TIMESTAMP_SLOT)
    this.#row = compileRowReader(schema)
    this.#names = schema.fields.slice(VALUE_SLOT).map((field) => field.name)
  }

  /** Keys sorted at every level, so that equal records are equal bytes. */
  json(views: BufferViews, position: number, row: number): Uint8Array {
    const record = this.#row(views, position, row)
    const value: Record<string, unknown> = {}
    for (const name of this.#names) value[name] = jsonValue(record[name])
    stringify ??= loadCommonJs('fast-json-stable-stringify') as typeof import('fast-json-stable-stringify')
    return Buffer.from(stringify(value))
  }
}

let stringify: typeof import('fast-json-stable-stringify') | undefined

/** JSON has neither bigint nor bytes: a bigint is written as its digits, bytes as base64. */
function jsonValue(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, jsonValue(inner)]))
  }
  return value
}
