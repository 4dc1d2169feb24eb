import { lazyModule } from '../common/lazy-module.js'
import type { PartitionDescriptor } from '../log/partition-descriptor.js'
import type { PartitionReader } from '../log/partition-reader.js'
import { COLUMNS_PAYLOAD_OFFSET, LOG_APPEND_TIME } from '../record/batch-header.js'
import { RecordCursor } from '../record/rows-payload.js'
import { deltasAt, firstRowFrom, offsetDelta } from '../record/sparse-offsets.js'
import type { BufferViews } from '../types/block.js'
import { BlockBuilder } from '../types/block-builder.js'
import { BlockScratch } from '../types/block-scratch.js'
import type { StructType } from '../types/data-type.js'
import type { InputPartition } from './input-partition.js'
import { RecordColumns } from './record-columns.js'
import type { TypedRecords } from './typed-records.js'

const typed = lazyModule(import.meta.url, './typed-records.js', () => import('./typed-records.js'))

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
  /** Of the first row of the block; of each, where there are gaps between them. */
  #firstOffset = 0
  #offsets: readonly number[] | undefined

  constructor(
    private readonly reader: PartitionReader,
    private readonly partition: PartitionDescriptor,
    valueSchema: StructType | undefined,
    schema: StructType,
    offset: number,
    /** Whether anybody will ask at which offset a row was. */
    private readonly keepsOffsets = false,
  ) {
    reader.seek(offset)
    this.offset = reader.nextOffset
    reader.watch()
    this.#builder = new BlockBuilder(schema)
    this.#records = new RecordColumns(this.#builder, partition)
    this.#wanted = schema.fields.map((field) => field.name)
    this.#typed = valueSchema === undefined ? undefined : new (typed().TypedRecords)(valueSchema)
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
      if (this.keepsOffsets) this.#keepOffsets(limit)
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

  offsetAt(row: number): number {
    return this.#offsets === undefined ? this.#firstOffset + row : (this.#offsets[row] as number)
  }

  /** All rows of a block are of one batch, which has a record for each of its offsets unless compaction has been there. */
  #keepOffsets(limit: number): void {
    const { reader } = this
    const { views, position, baseOffset, lastOffset, recordCount } = reader
    this.#firstOffset = Math.max(this.offset, baseOffset)
    this.#offsets = undefined
    if (lastOffset - baseOffset + 1 === recordCount) return
    const offsets: number[] = []
    if (this.#typed === undefined) {
      const cursor = RecordCursor.ofBatch(views, position)
      while (cursor.next()) offsets.push(cursor.offset)
    } else {
      const deltas = deltasAt(views, position)
      for (let row = 0; row < recordCount; row++) offsets.push(baseOffset + offsetDelta(views, deltas, row))
    }
    this.#offsets = offsets.filter((offset) => offset >= this.offset && offset < limit)
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
