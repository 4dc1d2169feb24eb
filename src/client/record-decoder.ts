import { bufferOf } from '../common/bytes.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { PartitionReader } from '../log/partition-reader.js'
import { BASE_TIMESTAMP, BATCH_HEADER_BYTES, COLUMNS_PAYLOAD_OFFSET, readInt64BE } from '../record/batch-header.js'
import { decodeHeaders, type ReadHeaders } from '../record/headers.js'
import {
  behindPart,
  behindVarint,
  keyPlace,
  offsetAt,
  type RowsPayload,
  recordEnd,
  recordStarts,
  timestampAt,
  varintAt,
} from '../record/record-starts.js'
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

  /** The records of the reader's batch from `fromOffset` on; no more than `max`. */
  decode(reader: PartitionReader, fromOffset: number, max = Number.MAX_SAFE_INTEGER): ConsumerMessage[] {
    return this.#columns === undefined
      ? decodeRows(reader, fromOffset, max)
      : decodeColumns(this.#columns, reader, fromOffset, max)
  }
}

/** Not asked for yet; undefined and null are values. */
const UNREAD = Symbol('unread')
type Unread = typeof UNREAD

/** A copy of the records of one batch of rows. */
class RowsBatch implements RowsPayload {
  constructor(
    readonly memory: ArrayBuffer,
    /** Of the payload in `memory`. */
    readonly from: number,
    readonly bytes: Uint8Array,
    readonly recordCount: number,
    readonly baseOffset: number,
    readonly baseTimestamp: number,
    readonly lastOffset: number,
  ) {}
}

class RowsMessage implements ConsumerMessage<Buffer | null> {
  readonly #batch: RowsBatch
  readonly #start: number
  #key: Buffer | null | undefined
  #value: Buffer | null | undefined
  #headers: ConsumerMessage['headers'] | undefined

  constructor(batch: RowsBatch, start: number) {
    this.#batch = batch
    this.#start = start
  }

  get key(): Buffer | null {
    if (this.#key === undefined) {
      const batch = this.#batch
      this.#key = partAt(batch, keyPlace(batch.bytes, this.#start))
    }
    return this.#key
  }

  get value(): Buffer | null {
    if (this.#value === undefined) {
      const batch = this.#batch
      const { bytes } = batch
      this.#value = partAt(batch, behindPart(bytes, keyPlace(bytes, this.#start)))
    }
    return this.#value
  }

  get timestamp(): string {
    return String(timestampAt(this.#batch, this.#start))
  }

  get attributes(): number {
    return 0
  }

  get offset(): string {
    return String(offsetAt(this.#batch, this.#start))
  }

  get headers(): ConsumerMessage['headers'] {
    if (this.#headers === undefined) {
      const { bytes } = this.#batch
      const at = behindPart(bytes, behindPart(bytes, keyPlace(bytes, this.#start)))
      this.#headers = headersOf(bytes, at, recordEnd(bytes, this.#start))
    }
    return this.#headers
  }

  toJSON(): ConsumerMessage {
    return plain(this)
  }
}

function partAt({ memory, from, bytes }: RowsBatch, place: number): Buffer | null {
  const length = varintAt(bytes, place)
  return length === -1 ? null : bufferOf(memory, from + behindVarint(bytes, place), length)
}

function decodeRows(reader: PartitionReader, fromOffset: number, max: number): ConsumerMessage[] {
  const { views, position, byteLength, recordCount, baseOffset, lastOffset } = reader
  const payload = views.u8.subarray(position + BATCH_HEADER_BYTES, position + byteLength)
  // Out of shared memory words are copied where both begin as far from a word's border, and else single bytes.
  const from = payload.byteOffset & 7
  const memory = new ArrayBuffer(from + payload.length)
  const bytes = new Uint8Array(memory, from, payload.length)
  bytes.set(payload)
  const baseTimestamp = readInt64BE(views.dv, position + BASE_TIMESTAMP)
  const batch = new RowsBatch(memory, from, bytes, recordCount, baseOffset, baseTimestamp, lastOffset)
  const { starts, count } = recordStarts(batch, fromOffset)
  const messages: ConsumerMessage[] = []
  for (let record = 0; record < Math.min(count, max); record++)
    messages.push(new RowsMessage(batch, starts[record] as number))
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
      this.#key = asBuffer(readers.key(views, 0, this.#row) as Uint8Array | null)
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

function decodeColumns(
  readers: ColumnReaders,
  reader: PartitionReader,
  fromOffset: number,
  max: number,
): ConsumerMessage[] {
  const { views, position, baseOffset, recordCount, byteLength } = reader
  const block = views.u8.subarray(position + COLUMNS_PAYLOAD_OFFSET, position + byteLength)
  const copy = new Uint8Array((block.length + 7) & ~7)
  copy.set(block)
  const theirs = deltasAt(views, position)
  const deltas = theirs === -1 ? -1 : theirs - ((position + COLUMNS_PAYLOAD_OFFSET) >> 2)
  const batch = new ColumnsBatch(readers, viewsOf(copy.buffer), baseOffset, deltas)
  const messages: ConsumerMessage[] = []
  const first = firstRowFrom(views, theirs, recordCount, fromOffset - baseOffset)
  const end = Math.min(recordCount, first + max)
  for (let row = first; row < end; row++) messages.push(new ColumnsMessage(batch, row))
  return messages
}

/** The fields as a plain object has them. */
function plain(message: ConsumerMessage): ConsumerMessage {
  const { key, value, timestamp, attributes, offset, headers } = message
  return { key, value, timestamp, attributes, offset, headers }
}

function asBuffer(bytes: Uint8Array | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function headersOf(bytes: Uint8Array, from: number, to: number): ConsumerMessage['headers'] {
  // A count of zero, as nearly all records have it.
  if (to - from === 1 && bytes[from] === 0) return {}
  const headers: ReadHeaders = decodeHeaders(bytes, from, to)
  const result: ConsumerMessage['headers'] = {}
  for (const [name, value] of Object.entries(headers)) {
    const converted = Array.isArray(value) ? value.map(asBuffer) : asBuffer(value)
    // `__proto__` is a name like any other in a header.
    Object.defineProperty(result, name, { value: converted, enumerable: true, configurable: true, writable: true })
  }
  return result
}
