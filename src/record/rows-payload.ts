import { copiedBytes, VarintReader, varintLength, varlongLength, writeVarint, writeVarlong } from '../common/bytes.js'
import { MillraceError } from '../common/errors.js'
import {
  BASE_TIMESTAMP,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchByteLength,
  batchRecordCount,
  nextOffsetOf,
  readInt64BE,
} from './batch-header.js'
import { decodeHeaders, type ReadHeaders } from './headers.js'

/**
 * Kafka's records, the payload of an untyped topic's batch, byte for byte:
 *
 *   // length varint          bytes after this field
 *   // attributes int8        0
 *   // timestampDelta varlong to the batch's baseTimestamp
 *   // offsetDelta varint     to the batch's baseOffset
 *   // keyLength varint       -1 = null; key
 *   // valueLength varint     -1 = null; value
 *   // headers                see headers.ts
 *
 * Varints are zig-zag, so null's -1 is one byte.
 */

/** The header list of a record without headers: a count of zero. */
const NO_HEADERS_BYTES = 1

/** Bytes of a record's body, which is what its length field says. Lengths are -1 for null; `headersLength` 0 = none. */
export function recordBodyLength(
  timestampDelta: number,
  offsetDelta: number,
  keyLength: number,
  valueLength: number,
  headersLength: number,
): number {
  return (
    1 +
    varlongLength(timestampDelta) +
    varintLength(offsetDelta) +
    varintLength(keyLength) +
    (keyLength > 0 ? keyLength : 0) +
    varintLength(valueLength) +
    (valueLength > 0 ? valueLength : 0) +
    (headersLength === 0 ? NO_HEADERS_BYTES : headersLength)
  )
}

/** Writes everything of a record up to its key's bytes, and returns where they begin. */
export function writeRecordHead(
  target: Uint8Array,
  at: number,
  bodyLength: number,
  timestampDelta: number,
  offsetDelta: number,
  keyLength: number,
): number {
  let e = writeVarint(target, at, bodyLength)
  target[e++] = 0
  e = writeVarlong(target, e, timestampDelta)
  e = writeVarint(target, e, offsetDelta)
  return writeVarint(target, e, keyLength)
}

/**
 * Walks the records of one batch in place. After `next()` the fields describe the record, as positions in `u8`;
 * nothing is copied until `key()`, `value()` or `headers()` is called. Every length is held against
 * what is left before it is used.
 */
export class RecordCursor {
  offset = -1
  timestamp = 0
  /** Of the length field. */
  start = 0
  /** Start and end of the key's bytes; start -1 = null. */
  keyStart = -1
  keyEnd = -1
  valueStart = -1
  valueEnd = -1
  headersStart = 0
  headersEnd = 0
  readonly #reader: VarintReader
  readonly #end: number
  readonly #lastOffset: number
  #previous: number
  #left: number

  /** Records in bytes [from, to) of a batch. */
  constructor(
    readonly u8: Uint8Array,
    from: number,
    to: number,
    recordCount: number,
    readonly baseOffset: number,
    readonly baseTimestamp: number,
    lastOffset: number,
  ) {
    this.#previous = baseOffset - 1
    this.#lastOffset = lastOffset
    this.#reader = new VarintReader(u8, from, to)
    this.#end = to
    this.#left = recordCount
  }

  /** The records of the batch at `position`; or a copy of them, in `copy` from `at` on. */
  static ofBatch(
    views: { readonly u8: Uint8Array; readonly dv: DataView },
    position: number,
    copy?: Uint8Array,
    at = 0,
  ): RecordCursor {
    const bytes = batchByteLength(views.dv, position) - BATCH_HEADER_BYTES
    const from = copy === undefined ? position + BATCH_HEADER_BYTES : at
    return new RecordCursor(
      copy ?? views.u8,
      from,
      from + bytes,
      batchRecordCount(views.dv, position),
      baseOffsetOf(views.dv, position),
      readInt64BE(views.dv, position + BASE_TIMESTAMP),
      nextOffsetOf(views.dv, position) - 1,
    )
  }

  /** Moves to the next record; false after the last. */
  next(): boolean {
    const reader = this.#reader
    if (this.#left <= 0) {
      if (reader.at !== this.#end) this.#corrupt(`found ${this.#end - reader.at} bytes after the last record`)
      return false
    }
    this.#left -= 1
    reader.end = this.#end
    this.start = reader.at
    const length = reader.varint()
    if (!reader.ok || length < 0 || length > this.#end - reader.at) {
      this.#corrupt(`found a record of ${length} bytes, ${this.#end - reader.at} are left`)
    }
    const recordEnd = reader.at + length
    reader.end = recordEnd
    if (length === 0) this.#corrupt('found a record of 0 bytes')
    reader.at += 1
    this.timestamp = this.baseTimestamp + reader.varlong()
    const offset = this.baseOffset + reader.varint()
    if (offset <= this.#previous || offset > this.#lastOffset) {
      this.#corrupt(`found offset ${offset}, expected more than ${this.#previous} and at most ${this.#lastOffset}`)
    }
    this.#previous = offset
    this.offset = offset
    this.keyEnd = this.#skip('key')
    this.keyStart = this.keyEnd === -1 ? -1 : reader.at
    if (this.keyEnd !== -1) reader.at = this.keyEnd
    this.valueEnd = this.#skip('value')
    this.valueStart = this.valueEnd === -1 ? -1 : reader.at
    if (this.valueEnd !== -1) reader.at = this.valueEnd
    this.headersStart = reader.at
    this.headersEnd = recordEnd
    if (reader.at >= recordEnd) this.#corrupt('found no header count')
    reader.at = recordEnd
    return true
  }

  /** A copy of the key's bytes. */
  key(): Uint8Array | null {
    return this.keyStart === -1 ? null : copiedBytes(this.u8, this.keyStart, this.keyEnd)
  }

  value(): Uint8Array | null {
    return this.valueStart === -1 ? null : copiedBytes(this.u8, this.valueStart, this.valueEnd)
  }

  /** True without looking further than the count. */
  get hasHeaders(): boolean {
    return this.u8[this.headersStart] !== 0
  }

  headers(): ReadHeaders {
    return decodeHeaders(this.u8, this.headersStart, this.headersEnd)
  }

  /** The end of what the next length measures, -1 for null. */
  #skip(what: string): number {
    const reader = this.#reader
    const length = reader.varint()
    if (!reader.ok || length < -1 || length > reader.end - reader.at) {
      this.#corrupt(`found a ${what} of ${length} bytes, ${reader.end - reader.at} are left of the record`)
    }
    return length === -1 ? -1 : reader.at + length
  }

  #corrupt(detail: string): never {
    throw new MillraceError('RECORD_CORRUPT', `a record of the batch at offset ${this.baseOffset} is corrupt`, {
      detail,
      hint: 'verify the log: mill.verify() names the damaged range',
    })
  }
}
