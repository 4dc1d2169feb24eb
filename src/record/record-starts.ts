import { VarintReader } from '../common/bytes.js'
import { RecordCursor } from './rows-payload.js'

/**
 * Records of a batch as the places where they begin, with their length field (see rows-payload.ts), for whoever holds the
 * batch and looks at some fields of some records later. Finding the places checks every length and offset as RecordCursor does; the fields are then read
 * by position alone. The loop knows records as nearly all are, and hands a batch with anything else in it to the cursor, which
 * reads it or says what is wrong with it: one loop without calls took 13 ns a record where the cursor took 60.
 */
export interface RecordStarts {
  readonly starts: Int32Array
  readonly count: number
}

/** A batch's payload in memory of this thread's own, which nobody changes. */
export interface RowsPayload {
  readonly bytes: Uint8Array
  /** What the batch's header says of its records. */
  readonly recordCount: number
  readonly baseOffset: number
  readonly baseTimestamp: number
  readonly lastOffset: number
}

/** A record is no shorter. */
const RECORD_BYTES_MIN = 7

/** The records from `fromOffset` on. */
export function recordStarts(payload: RowsPayload, fromOffset: number): RecordStarts {
  const { bytes, recordCount } = payload
  // What a batch says of the number of its records is held against its bytes before anything is made.
  const starts = new Int32Array(Math.min(recordCount, Math.ceil(bytes.length / RECORD_BYTES_MIN)))
  const count = usualStarts(payload, fromOffset - payload.baseOffset, starts)
  return count === UNUSUAL ? anyStarts(payload, fromOffset, starts) : { starts, count }
}

const UNUSUAL = -1
const SAFE_VARLONG_BYTES = 7

/** How many were found, or UNUSUAL: lengths of four bytes and more, and everything that is wrong. */
function usualStarts(payload: RowsPayload, fromDelta: number, starts: Int32Array): number {
  const { bytes, recordCount } = payload
  const end = bytes.length
  const lastDelta = payload.lastOffset - payload.baseOffset
  let previous = -1
  let found = 0
  let at = 0
  for (let record = 0; record < recordCount; record++) {
    const start = at
    // A read behind the end gives undefined, which is 0 as a number: the comparison with the record's end tells.
    let byte = bytes[at++] as number
    let value = byte & 0x7f
    if (byte >= 0x80) {
      byte = bytes[at++] as number
      value |= (byte & 0x7f) << 7
      if (byte >= 0x80) {
        byte = bytes[at++] as number
        value |= (byte & 0x7f) << 14
        if (byte >= 0x80) return UNUSUAL
      }
    }
    const recordEnd = at + (value >>> 1)
    if ((value & 1) !== 0 || recordEnd > end) return UNUSUAL
    // Attributes, and a difference of times: a safe integer where it is not longer.
    at += 1
    for (let left = SAFE_VARLONG_BYTES; (bytes[at++] as number) >= 0x80; ) if (--left === 0) return UNUSUAL
    byte = bytes[at++] as number
    value = byte & 0x7f
    if (byte >= 0x80) {
      byte = bytes[at++] as number
      value |= (byte & 0x7f) << 7
      if (byte >= 0x80) {
        byte = bytes[at++] as number
        value |= (byte & 0x7f) << 14
        if (byte >= 0x80) return UNUSUAL
      }
    }
    const delta = value >>> 1
    if ((value & 1) !== 0 || delta <= previous || delta > lastDelta) return UNUSUAL
    previous = delta
    for (let part = 0; part < 2; part++) {
      byte = bytes[at++] as number
      value = byte & 0x7f
      if (byte >= 0x80) {
        byte = bytes[at++] as number
        value |= (byte & 0x7f) << 7
        if (byte >= 0x80) {
          byte = bytes[at++] as number
          value |= (byte & 0x7f) << 14
          if (byte >= 0x80) return UNUSUAL
        }
      }
      // -1, a null, is the zig-zag 1.
      if ((value & 1) === 0) at += value >>> 1
      else if (value !== 1) return UNUSUAL
    }
    if (at >= recordEnd) return UNUSUAL
    if (delta >= fromDelta) starts[found++] = start
    at = recordEnd
  }
  return at === end ? found : UNUSUAL
}

function anyStarts(payload: RowsPayload, fromOffset: number, starts: Int32Array): RecordStarts {
  const { bytes, recordCount, baseOffset, baseTimestamp, lastOffset } = payload
  const cursor = new RecordCursor(bytes, 0, bytes.length, recordCount, baseOffset, baseTimestamp, lastOffset)
  let count = 0
  while (cursor.next()) if (cursor.offset >= fromOffset) starts[count++] = cursor.start
  return { starts, count }
}

/** The fields of the record that begins at `start`. */
export function timestampAt(payload: RowsPayload, start: number): number {
  const { bytes, baseTimestamp } = payload
  return baseTimestamp + new VarintReader(bytes, behindVarint(bytes, start) + 1, bytes.length).varlong()
}

export function offsetAt(payload: RowsPayload, start: number): number {
  const { bytes, baseOffset } = payload
  return baseOffset + varintAt(bytes, behindVarint(bytes, behindVarint(bytes, start) + 1))
}

/** Where the length of the key stands; that of the value stands at `behindPart` of it, and the headers at `behindPart` of that. */
export function keyPlace(bytes: Uint8Array, start: number): number {
  return behindVarint(bytes, behindVarint(bytes, behindVarint(bytes, start) + 1))
}

/** The place behind a key or value whose length stands at `place`. */
export function behindPart(bytes: Uint8Array, place: number): number {
  const length = varintAt(bytes, place)
  return behindVarint(bytes, place) + (length > 0 ? length : 0)
}

export function recordEnd(bytes: Uint8Array, start: number): number {
  return behindVarint(bytes, start) + varintAt(bytes, start)
}

/** A varint that has been checked; as the length of a key or value, -1 is null. */
export function varintAt(bytes: Uint8Array, place: number): number {
  let at = place
  let byte = bytes[at++] as number
  let value = byte & 0x7f
  for (let shift = 7; byte >= 0x80; shift += 7) {
    byte = bytes[at++] as number
    value |= (byte & 0x7f) << shift
  }
  return (value >>> 1) ^ -(value & 1)
}

export function behindVarint(bytes: Uint8Array, place: number): number {
  let at = place
  while ((bytes[at] as number) >= 0x80) at++
  return at + 1
}
