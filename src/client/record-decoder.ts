import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { PartitionReader } from '../log/partition-reader.js'
import { COLUMNS_PAYLOAD_OFFSET } from '../record/batch-header.js'
import { decodeHeaders, type ReadHeaders } from '../record/headers.js'
import { RecordCursor } from '../record/rows-payload.js'
import { deltasAt, firstRowFrom, offsetDelta } from '../record/sparse-offsets.js'
import { topicRecordSchema, VALUE_SLOT } from '../record/topic-record.js'
import type { StructType } from '../types/data-type.js'
import { compileRowReader, type RowReader } from '../types/row-reader.js'

/** A record as a consumer gets it, in the shape of kafkajs. Everything in it is a copy. */
export interface ConsumerMessage<V = unknown> {
  readonly key: Buffer | null
  /** A typed topic's: the object; an untyped one's: the bytes. */
  readonly value: V
  /** Epoch milliseconds, as text, as in kafkajs. */
  readonly timestamp: string
  readonly attributes: number
  readonly offset: string
  readonly headers: Record<string, Buffer | (Buffer | null)[] | null>
}

/** Turns record batches where they lie into messages. */
export class RecordDecoder {
  readonly #typed: TypedDecoder | undefined

  constructor(topic: TopicDescriptor) {
    this.#typed = topic.schema === undefined ? undefined : new TypedDecoder(topicRecordSchema(topic.schema))
  }

  /** The records of the reader's batch from `fromOffset` on. */
  decode(reader: PartitionReader, fromOffset: number): ConsumerMessage[] {
    return this.#typed === undefined ? decodeRows(reader, fromOffset) : this.#typed.decode(reader, fromOffset)
  }
}

class TypedDecoder {
  readonly #row: RowReader
  readonly #names: readonly string[]

  constructor(schema: StructType) {
    this.#row = compileRowReader(schema)
    this.#names = schema.fields.slice(VALUE_SLOT).map((field) => field.name)
  }

  decode(reader: PartitionReader, fromOffset: number): ConsumerMessage[] {
    const { views, baseOffset, recordCount, attributes } = reader
    const position = reader.position + COLUMNS_PAYLOAD_OFFSET
    const messages: ConsumerMessage[] = []
    const deltas = deltasAt(views, reader.position)
    for (let row = firstRowFrom(views, deltas, recordCount, fromOffset - baseOffset); row < recordCount; row++) {
      const record = this.#row(views, position, row)
      const value: Record<string, unknown> = {}
      for (const name of this.#names) value[name] = record[name]
      const headers = record['__headers'] as Uint8Array | null
      messages.push({
        key: bufferOf(record['__key'] as Uint8Array | null),
        value,
        timestamp: String(record['__timestamp']),
        attributes,
        offset: String(baseOffset + offsetDelta(views, deltas, row)),
        headers: headers === null ? {} : headerBuffers(decodeHeaders(headers, 0, headers.length)),
      })
    }
    return messages
  }
}

function decodeRows(reader: PartitionReader, fromOffset: number): ConsumerMessage[] {
  const cursor = RecordCursor.ofBatch(reader.views, reader.position)
  const messages: ConsumerMessage[] = []
  while (cursor.next()) {
    if (cursor.offset < fromOffset) continue
    messages.push({
      key: bufferOf(cursor.key()),
      value: bufferOf(cursor.value()),
      timestamp: String(cursor.timestamp),
      attributes: reader.attributes,
      offset: String(cursor.offset),
      headers: cursor.hasHeaders ? headerBuffers(cursor.headers()) : {},
    })
  }
  return messages
}

function bufferOf(bytes: Uint8Array | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function headerBuffers(headers: ReadHeaders): ConsumerMessage['headers'] {
  const result: ConsumerMessage['headers'] = {}
  for (const [name, value] of Object.entries(headers)) {
    const converted = Array.isArray(value) ? value.map(bufferOf) : bufferOf(value)
    // `__proto__` is a name like any other in a header.
    Object.defineProperty(result, name, { value: converted, enumerable: true, configurable: true, writable: true })
  }
  return result
}
