import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  BASE_TIMESTAMP,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  nextOffsetOf,
  readInt64BE,
} from '../../src/record/batch-header.js'
import type { Message } from '../../src/record/key-scatter.js'
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
} from '../../src/record/record-starts.js'
import { RowsBatchBuilder } from '../../src/record/rows-batch-builder.js'
import { RecordCursor } from '../../src/record/rows-payload.js'
import { viewsOf } from '../../src/types/block.js'

const part = fc.oneof(
  fc.constant(null),
  fc.uint8Array({ maxLength: 10 }),
  fc.uint8Array({ minLength: 60, maxLength: 70 }),
  fc.nat(40_000).map((length) => new Uint8Array(length)),
)
const message: fc.Arbitrary<Message> = fc.record({
  key: part,
  value: part,
  timestamp: fc.oneof(fc.nat(200), fc.nat(3_000_000_000), fc.maxSafeNat()),
  headers: fc.oneof(fc.constant(undefined), fc.constant({ a: 'b' })),
})
const views = viewsOf(new SharedArrayBuffer(1 << 21))

function payloadOf(messages: readonly Message[], baseOffset: number): RowsPayload {
  const builder = new RowsBatchBuilder({ partitions: 1, random: () => 0 })
  builder.prepare(messages, 0, messages.length, 0)
  const batch = builder.batches[0]
  if (batch === undefined) throw new Error('no batch')
  const length = builder.writeTo(batch, views, 0, baseOffset)
  return {
    bytes: Uint8Array.from(views.u8.subarray(BATCH_HEADER_BYTES, length)),
    recordCount: batch.records,
    baseOffset,
    baseTimestamp: readInt64BE(views.dv, BASE_TIMESTAMP),
    lastOffset: nextOffsetOf(views.dv, 0) - 1,
  }
}

const cursorOf = (p: RowsPayload): RecordCursor =>
  new RecordCursor(p.bytes, 0, p.bytes.length, p.recordCount, p.baseOffset, p.baseTimestamp, p.lastOffset)

/** Everything that the cursor says of each record from the offset on, or its error's code. */
function byCursor(payload: RowsPayload, fromOffset: number): unknown {
  const cursor = cursorOf(payload)
  const found: unknown[] = []
  try {
    while (cursor.next()) {
      if (cursor.offset < fromOffset) continue
      const { start, offset, timestamp, keyStart, keyEnd, valueStart, valueEnd, headersStart, headersEnd } = cursor
      const key = keyStart === -1 ? null : [keyStart, keyEnd]
      const value = valueStart === -1 ? null : [valueStart, valueEnd]
      found.push({ start, offset, timestamp, key, value, headers: [headersStart, headersEnd] })
    }
    return found
  } catch (error) {
    return (error as { code: unknown }).code
  }
}

function byPlaces(payload: RowsPayload, fromOffset: number): unknown {
  const { bytes } = payload
  const partAt = (place: number): unknown => {
    const length = varintAt(bytes, place)
    return length === -1 ? null : [behindVarint(bytes, place), behindVarint(bytes, place) + length]
  }
  try {
    const { starts, count } = recordStarts(payload, fromOffset)
    return Array.from(starts.subarray(0, count), (start) => {
      const key = keyPlace(bytes, start)
      const value = behindPart(bytes, key)
      return {
        start,
        offset: offsetAt(payload, start),
        timestamp: timestampAt(payload, start),
        key: partAt(key),
        value: partAt(value),
        headers: [behindPart(bytes, value), recordEnd(bytes, start)],
      }
    })
  } catch (error) {
    return (error as { code: unknown }).code
  }
}

describe('the places of records', () => {
  test('are those that the cursor finds, and so are the fields', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 12 }), fc.nat(14), (messages, from) => {
        const payload = payloadOf(messages, 2 ** 33)
        expect(baseOffsetOf(views.dv, 0)).toBe(2 ** 33)
        expect(byPlaces(payload, 2 ** 33 + from)).toStrictEqual(byCursor(payload, 2 ** 33 + from))
      }),
      { numRuns: 150 },
    )
  })

  test('in damaged bytes are what the cursor makes of them: the same records, or the same error', () => {
    const damage = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 3 })
    const small = message.filter((m) => (m.value as Uint8Array | null)?.length !== 0)
    fc.assert(
      fc.property(
        fc.array(small, { minLength: 1, maxLength: 6 }),
        damage,
        fc.integer({ min: -1, max: 1 }),
        (messages, places, more) => {
          const made = payloadOf(messages, 5)
          for (const [at, byte] of places) made.bytes[at % made.bytes.length] = byte
          const payload = { ...made, recordCount: made.recordCount + more }
          expect(byPlaces(payload, 5)).toStrictEqual(byCursor(payload, 5))
        },
      ),
      { numRuns: 600 },
    )
  })

  test('of a count that the bytes cannot hold take no more memory than the bytes', () => {
    const payload = { ...payloadOf([{ value: 'a' }], 0), recordCount: 2 ** 31 - 1 }
    expect(() => recordStarts(payload, 0)).toThrow(expect.objectContaining({ code: 'RECORD_CORRUPT' }))
  })
})
