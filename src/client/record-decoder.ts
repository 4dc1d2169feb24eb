import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { PartitionReader } from '../log/partition-reader.js'
import { BATCH_HEADER_BYTES, COLUMNS_PAYLOAD_OFFSET } from '../record/batch-header.js'
import { decodeHeaders, type ReadHeaders } from '../record/headers.js'
import { RecordCursor } from '../record/rows-payload.js'
import { deltasAt, firstRowFrom, offsetDelta } from '../record/sparse-offsets.js'
import { HEADERS_SLOT, KEY_SLOT, TIMESTAMP_SLOT, topicRecordSchema, VALUE_SLOT } from '../record/topic-record.js'
import { type BufferViews, viewsOf } from '../types/block.js'
import { type ValueReader, valueReader } from '../types/block-reader.js'
import { columnSlots, type StructType } from '../types/data-type.js'
import { compileRowReader, type RowReader } from '../types/row-reader.js'

/**
 * A record as a consumer gets it, in the shape of kafkajs. It is a view of a private copy of its record batch: a field becomes a Buffer,
 * a string or an object when it is first asked for, and stays what it is then. Whoever keeps a message keeps its batch in memory;
 * `Buffer.from(message.value)` lets go of it. The fields are accessors: a spread does not copy them.
 */
export interface ConsumerMessage<V = unknown> {
  readonly key: Buffer | null
  /** A typed topic's: the object; an untyped one's: the bytes. */
  readonly value: V
  /** Epoch milliseconds, as text, as in kafkajs. */
  readonly timestamp: string
  /** Of the record, which Kafka has no use for: 0. */
  readonly attributes: number
  readonly offset: string
  readonly headers: Record<string, Buffer | (Buffer | null)[] | null>
}

/** Turns record batches into messages. What they are made of is copied at once, so the batch may be released. */
export class RecordDecoder {
  readonly #columns: ColumnReaders | undefined

  constructor(topic: TopicDescriptor) {
    this.#columns = topic.schema === undefined ? undefined : new ColumnReaders(topicRecordSchema(topic.schema))
  }

  /** The records of the reader's batch from `fromOffset` on. */
  decode(reader: PartitionReader, fromOffset: number): ConsumerMessage[] {
    return this.#columns === undefined
      ? decodeRows(reader, fromOffset)
      : decodeColumns(this.#columns, reader, fromOffset)
  }
}

/** Not asked for yet; undefined and null are values. */
const UNREAD = Symbol('unread')
type Unread = typeof UNREAD

/** Where the parts of each record of a batch lie: six numbers a record, start -1 = null. */
const KEY_START = 0
const KEY_END = 1
const VALUE_START = 2
const VALUE_END = 3
const HEADERS_START = 4
const HEADERS_END = 5
const PLACES = 6

/** A copy of the records of one batch of rows. */
class RowsBatch {
  constructor(
    readonly bytes: Buffer,
    readonly places: Int32Array,
    readonly offsets: Float64Array,
    readonly timestamps: Float64Array,
  ) {}

  part(record: number, start: number): Buffer | null {
    const from = this.places[record * PLACES + start] as number
    return from === -1 ? null : this.bytes.subarray(from, this.places[record * PLACES + start + 1])
  }
}

class RowsMessage implements ConsumerMessage<Buffer | null> {
  readonly #batch: RowsBatch
  readonly #record: number
  #key: Buffer | null | Unread = UNREAD
  #value: Buffer | null | Unread = UNREAD
  #headers: ConsumerMessage['headers'] | undefined

  constructor(batch: RowsBatch, record: number) {
    this.#batch = batch
    this.#record = record
  }

  get key(): Buffer | null {
    if (this.#key === UNREAD) this.#key = this.#batch.part(this.#record, KEY_START)
    return this.#key
  }

  get value(): Buffer | null {
    if (this.#value === UNREAD) this.#value = this.#batch.part(this.#record, VALUE_START)
    return this.#value
  }

  get timestamp(): string {
    return String(this.#batch.timestamps[this.#record])
  }

  get attributes(): number {
    return 0
  }

  get offset(): string {
    return String(this.#batch.offsets[this.#record])
  }

  get headers(): ConsumerMessage['headers'] {
    const { bytes, places } = this.#batch
    const at = this.#record * PLACES
    this.#headers ??= headersOf(bytes, places[at + HEADERS_START] as number, places[at + HEADERS_END] as number)
    return this.#headers
  }

  toJSON(): ConsumerMessage {
    return plain(this)
  }
}

function decodeRows(reader: PartitionReader, fromOffset: number): ConsumerMessage[] {
  const { views, position, recordCount } = reader
  const start = position + BATCH_HEADER_BYTES
  // Records take seven bytes at least: what a batch says of their number is held against that before anything is made.
  const most = Math.min(recordCount, Math.ceil((reader.byteLength - BATCH_HEADER_BYTES) / 7))
  const places = new Int32Array(most * PLACES)
  const offsets = new Float64Array(most)
  const timestamps = new Float64Array(most)
  const bytes = Buffer.from(new Uint8Array(views.u8.subarray(start, position + reader.byteLength)).buffer)
  const batch = new RowsBatch(bytes, places, offsets, timestamps)
  const cursor = RecordCursor.ofBatch(views, position)
  const messages: ConsumerMessage[] = []
  for (let record = 0; cursor.next(); ) {
    if (cursor.offset < fromOffset) continue
    const at = record * PLACES
    places[at + KEY_START] = cursor.keyStart === -1 ? -1 : cursor.keyStart - start
    places[at + KEY_END] = cursor.keyEnd - start
    places[at + VALUE_START] = cursor.valueStart === -1 ? -1 : cursor.valueStart - start
    places[at + VALUE_END] = cursor.valueEnd - start
    places[at + HEADERS_START] = cursor.headersStart - start
    places[at + HEADERS_END] = cursor.headersEnd - start
    offsets[record] = cursor.offset
    timestamps[record] = cursor.timestamp
    messages.push(new RowsMessage(batch, record))
    record += 1
  }
  return messages
}

/** Readers of a typed topic's columns, made once. */
class ColumnReaders {
  readonly key: ValueReader
  readonly timestamp: ValueReader
  readonly headers: ValueReader
  readonly names: readonly string[]
  readonly row: RowReader

  constructor(schema: StructType) {
    const slots = columnSlots(schema)
    this.key = valueReader(slots, KEY_SLOT)
    this.timestamp = valueReader(slots, TIMESTAMP_SLOT)
    this.headers = valueReader(slots, HEADERS_SLOT)
    this.names = schema.fields.slice(VALUE_SLOT).map((field) => field.name)
    this.row = compileRowReader(schema)
  }
}

/** A copy of the block of one typed batch. */
class ColumnsBatch {
  constructor(
    readonly readers: ColumnReaders,
    readonly views: BufferViews,
    readonly baseOffset: number,
    /** Of rows that compaction has left, see sparse-offsets.ts; -1 = row r has the offset base + r. */
    readonly deltas: number,
  ) {}
}

class ColumnsMessage implements ConsumerMessage {
  readonly #batch: ColumnsBatch
  readonly #row: number
  #key: Buffer | null | Unread = UNREAD
  #value: unknown = UNREAD
  #headers: ConsumerMessage['headers'] | undefined

  constructor(batch: ColumnsBatch, row: number) {
    this.#batch = batch
    this.#row = row
  }

  get key(): Buffer | null {
    if (this.#key === UNREAD) {
      const { readers, views } = this.#batch
      this.#key = bufferOf(readers.key(views, 0, this.#row) as Uint8Array | null)
    }
    return this.#key
  }

  get value(): unknown {
    if (this.#value === UNREAD) {
      const { readers, views } = this.#batch
      const row = readers.row(views, 0, this.#row)
      const value: Record<string, unknown> = {}
      for (const name of readers.names) value[name] = row[name]
      this.#value = value
    }
    return this.#value
  }

  get timestamp(): string {
    return String(this.#batch.readers.timestamp(this.#batch.views, 0, this.#row))
  }

  get attributes(): number {
    return 0
  }

  get offset(): string {
    const { views, baseOffset, deltas } = this.#batch
    return String(baseOffset + offsetDelta(views, deltas, this.#row))
  }

  get headers(): ConsumerMessage['headers'] {
    if (this.#headers === undefined) {
      const { readers, views } = this.#batch
      const encoded = readers.headers(views, 0, this.#row) as Uint8Array | null
      this.#headers = encoded === null ? {} : headersOf(encoded, 0, encoded.length)
    }
    return this.#headers
  }

  toJSON(): ConsumerMessage {
    return plain(this)
  }
}

function decodeColumns(readers: ColumnReaders, reader: PartitionReader, fromOffset: number): ConsumerMessage[] {
  const { views, position, baseOffset, recordCount, byteLength } = reader
  const block = views.u8.subarray(position + COLUMNS_PAYLOAD_OFFSET, position + byteLength)
  const copy = new Uint8Array((block.length + 7) & ~7)
  copy.set(block)
  const theirs = deltasAt(views, position)
  const deltas = theirs === -1 ? -1 : theirs - ((position + COLUMNS_PAYLOAD_OFFSET) >> 2)
  const batch = new ColumnsBatch(readers, viewsOf(copy.buffer), baseOffset, deltas)
  const messages: ConsumerMessage[] = []
  const first = firstRowFrom(views, theirs, recordCount, fromOffset - baseOffset)
  for (let row = first; row < recordCount; row++) messages.push(new ColumnsMessage(batch, row))
  return messages
}

/** The fields as a plain object has them. */
function plain(message: ConsumerMessage): ConsumerMessage {
  const { key, value, timestamp, attributes, offset, headers } = message
  return { key, value, timestamp, attributes, offset, headers }
}

function bufferOf(bytes: Uint8Array | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function headersOf(bytes: Uint8Array, from: number, to: number): ConsumerMessage['headers'] {
  // A count of zero, as nearly all records have it.
  if (to - from === 1 && bytes[from] === 0) return {}
  const headers: ReadHeaders = decodeHeaders(bytes, from, to)
  const result: ConsumerMessage['headers'] = {}
  for (const [name, value] of Object.entries(headers)) {
    const converted = Array.isArray(value) ? value.map(bufferOf) : bufferOf(value)
    // `__proto__` is a name like any other in a header.
    Object.defineProperty(result, name, { value: converted, enumerable: true, configurable: true, writable: true })
  }
  return result
}
