import { TopicSender } from '../client/topic-sender.js'
import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { LogMemory } from '../log/shared-memory.js'
import type { Message } from '../record/key-scatter.js'
import type { BufferViews } from '../types/block.js'
import { type StructType, typeName } from '../types/data-type.js'
import { type Row, readRows } from '../types/row-reader.js'
import type { EpochTransactions } from './epoch-transactions.js'

/** Rows that may wait for room in the log before the query's channel is left full. */
const PENDING_ROWS_MAX = 100_000

/**
 * Appends a query's rows to a topic, on the engine thread. A typed topic takes the columns that bear its fields' names, an
 * untyped one the columns `value` and `key`, as Spark's Kafka sink does; a column `key` beside a typed value is the record's key.
 * Exactly once for readers of committed records: the rows of an epoch are one transaction, and the epoch's commit in the checkpoint is
 * what commits it. Rows of an epoch that was not committed are appended again after a crash, and the first ones are aborted.
 */
export class LogSink {
  readonly #sender: TopicSender
  readonly #toMessage: (row: Row) => Message
  #pending = 0

  constructor(
    topic: TopicDescriptor,
    private readonly schema: StructType,
    memory: LogMemory,
    env: Env,
    private readonly transactions: EpochTransactions,
    private readonly onFailure: (error: unknown) => void,
  ) {
    this.#toMessage =
      topic.schema === undefined ? untypedMessage(topic.name, schema) : typedMessage(topic.name, topic.schema, schema)
    this.#sender = new TopicSender(topic, { memory, env, onActive: () => undefined })
  }

  /** False: no room now, the block is to be offered again. */
  write(epoch: number, views: BufferViews, position: number): boolean {
    if (this.transactions.isClosed || this.#pending >= PENDING_ROWS_MAX) return false
    const producer = this.transactions.sessionOf(epoch)
    if (producer === undefined) return false
    const messages = readRows(this.schema, { views, position }).map(this.#toMessage)
    this.transactions.expect(epoch, messages.length)
    this.#pending += messages.length
    const settle = (): void => {
      this.#pending -= messages.length
      this.transactions.settle(epoch, messages.length)
    }
    this.#sender.enqueue({
      messages,
      waitForAck: true,
      producer,
      written: settle,
      refused: (error) => {
        settle()
        this.onFailure(error)
      },
    })
    return true
  }

  /** The engine's bell, or an acknowledgement that its own writer has made true. */
  rung(): void {
    if (this.#pending > 0) this.#sender.rung()
  }
}

function typedMessage(topic: string, value: StructType, schema: StructType): (row: Row) => Message {
  const missing = value.fields.filter((f) => !f.nullable && !schema.fields.some((g) => g.name === f.name))
  if (missing.length > 0) {
    throw new MillraceError(
      'SINK_SCHEMA_MISMATCH',
      `the query has no column ${missing.map((f) => f.name).join(', ')} for topic ${topic}`,
      {
        detail: `its columns: ${schema.fields.map((f) => f.name).join(', ')}; the topic's value: ${typeName(value)}`,
        hint: 'select() the columns of the topic by their names; a column key becomes the key of the record',
      },
    )
  }
  const names = value.fields.map((f) => f.name)
  const keyed = !names.includes('key') && schema.fields.some((f) => f.name === 'key')
  return (row) => {
    const fields: Row = {}
    for (const name of names) fields[name] = row[name]
    return { key: keyed ? keyOf(row.key) : null, value: fields }
  }
}

function untypedMessage(topic: string, schema: StructType): (row: Row) => Message {
  const value = schema.fields.find((f) => f.name === 'value')
  if (value === undefined || (value.type.kind !== 'string' && value.type.kind !== 'binary')) {
    throw new MillraceError(
      'SINK_SCHEMA_MISMATCH',
      `topic ${topic} is untyped: the query needs a column value of type string or binary`,
      {
        detail: `its columns: ${schema.fields.map((f) => `${f.name} ${typeName(f.type)}`).join(', ')}`,
        hint: "select(col('…').cast('string').alias('value')), with a column key where records are to have one",
      },
    )
  }
  return (row) => ({ key: keyOf(row.key), value: row.value as string | Uint8Array | null })
}

function keyOf(key: unknown): string | Uint8Array | null {
  if (key === undefined || key === null) return null
  return typeof key === 'string' || key instanceof Uint8Array ? key : String(key)
}
