import type { HeaderPair } from '../record/headers.js'
import type { Message } from '../record/key-scatter.js'
import type { Failure } from './failure-policy.js'
import { withLetterHeaders } from './letter-headers.js'

/** A record as it came, byte for byte; of a typed topic, and of a row that is of no one record, the value is the canonical JSON of its columns. */
export interface OriginalRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly HeaderPair[]
  readonly timestamp: number
}

/** What a step of a query could not do anything with, on its way to the dead-letter queue. Plain data. */
export interface DeadLetter {
  /** To whose dead-letter queue it goes: the topic that it was read from, or the query's first one where it is of no one record. */
  readonly topic: string
  /** Left out where the row that failed is of no one record: behind a join, an aggregate. */
  readonly place?: { readonly partition: number; readonly offset: number }
  readonly record: OriginalRecord
  readonly failure: Failure
}

/** The letter as a record: the original, with headers behind its own that say what happened. It keeps its partition where the queue has as many. */
export function letterMessage(
  { topic, place, record, failure }: DeadLetter,
  query: string,
  partitions: number,
): Message {
  const { key, value, timestamp } = record
  const headers = withLetterHeaders(record.headers, {
    topic,
    partition: place?.partition,
    offset: place?.offset,
    timestamp: place === undefined ? undefined : timestamp,
    query: query === '' ? undefined : query,
    step: failure.step,
    operator: failure.operator,
    code: failure.code,
    message: failure.message,
    attempt: failure.attempt,
    'first.failure': failure.firstAt,
    'last.failure': failure.lastAt,
  })
  return {
    key,
    value,
    headers,
    timestamp,
    ...(place === undefined ? {} : { partition: place.partition % partitions }),
  }
}

/** About what it weighs on its way. */
export function letterBytes({ record: { key, value, headers }, failure }: DeadLetter): number {
  let bytes = 256 + failure.message.length + (key?.length ?? 0) + (value?.length ?? 0)
  for (const [name, of] of headers) bytes += name.length + (of?.length ?? 0)
  return bytes
}
