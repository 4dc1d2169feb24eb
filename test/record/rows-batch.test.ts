import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchByteLength,
  batchDamage,
  hasColumnsPayload,
  nextOffsetOf,
  RECORD_COUNT,
  readBatchHeader,
  setBaseOffset,
} from '../../src/record/batch-header.js'
import type { Message } from '../../src/record/key-scatter.js'
import { partitionOfKey } from '../../src/record/partitioner.js'
import { RowsBatchBuilder } from '../../src/record/rows-batch-builder.js'
import { RecordCursor } from '../../src/record/rows-payload.js'
import { viewsOf } from '../../src/types/block.js'

const bytesOf = (v: string | Uint8Array | null | undefined): Uint8Array | null =>
  v === null || v === undefined ? null : typeof v === 'string' ? new TextEncoder().encode(v) : v

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  fc.uint8Array({ maxLength: 80 }),
  fc.constant(null),
)
const message: fc.Arbitrary<Message> = fc.record(
  {
    key: text,
    value: text,
    timestamp: fc.oneof(fc.maxSafeNat(), fc.nat()),
    headers: fc.dictionary(fc.string({ maxLength: 3 }), fc.string({ maxLength: 5 }), { maxKeys: 2 }),
  },
  { requiredKeys: ['value'] },
)

const views = viewsOf(new SharedArrayBuffer(1 << 21))

describe('a batch of rows', () => {
  test("K-1, K-2: is Kafka's, byte for byte", () => {
    const builder = new RowsBatchBuilder({ partitions: 1, random: () => 0 })
    builder.prepare(
      [
        { key: 'k', value: 'v', timestamp: 1000, headers: { h: 'x' } },
        { value: null, timestamp: '1001' },
      ],
      0,
      2,
      5,
    )
    const batch = builder.batches[0]
    expect(batch).toBeDefined()
    if (batch === undefined) return
    const length = builder.writeTo(batch, views, 0, 7)
    // Header but for the checksum, which batchDamage() looks at.
    const hex = Buffer.from(views.u8.slice(0, length)).toString('hex')
    expect(hex.slice(0, 34)).toBe('0000000000000007' + '00000045' + '00000000' + '02')
    expect(hex.slice(42)).toBe(
      '0000' +
        '00000001' +
        '00000000000003e8' +
        '00000000000003e9' +
        'ffffffffffffffff' +
        'ffff' +
        'ffffffff' +
        '00000002' +
        // length 12, attributes, timestamp delta, offset delta, key, value, one header
        '18' +
        '00' +
        '00' +
        '00' +
        '026b' +
        '0276' +
        '02' +
        '0268' +
        '0278' +
        '0c' +
        '00' +
        '02' +
        '02' +
        '01' +
        '01' +
        '00',
    )
    expect(batchDamage(views, 0, length)).toBeUndefined()
    expect(readBatchHeader(views.dv, 0)).toMatchObject({
      baseOffset: 7,
      byteLength: length,
      magic: 2,
      recordCount: 2,
      producerId: -1,
      lastOffsetDelta: 1,
    })
    expect(hasColumnsPayload(views.dv, 0)).toBe(false)
  })

  test('gives back every record in its partition, in the order of the send', () => {
    const builder = new RowsBatchBuilder({ partitions: 3, random: () => 0.4 })
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 40 }), (messages) => {
        builder.validate(messages, 0, messages.length)
        const sticky = builder.stickyPartition
        expect(builder.prepare(messages, 0, messages.length, 99)).toBe(messages.length)
        let position = 0
        const order = builder.order
        for (const batch of builder.batches) {
          const length = builder.writeTo(batch, views, position, 1000)
          expect(length).toBe(batch.byteLength)
          expect(batchDamage(views, position, position + length)).toBeUndefined()
          const expected = messages.filter(
            (m) => (m.key === null || m.key === undefined ? sticky : partitionOfKey(m.key, 3)) === batch.partition,
          )
          const cursor = RecordCursor.ofBatch(views, position)
          for (let i = 0; i < batch.records; i++) {
            const m = expected[i] as Message
            expect(cursor.next()).toBe(true)
            expect(messages[order[batch.from + i] as number]).toBe(m)
            expect([cursor.offset, cursor.timestamp + 0, cursor.key(), cursor.value()]).toStrictEqual([
              1000 + i,
              ((m.timestamp as number | undefined) ?? 99) + 0,
              bytesOf(m.key),
              bytesOf(m.value as string | null),
            ])
            const headers = Object.entries((m.headers ?? {}) as Record<string, string>)
            expect(cursor.hasHeaders).toBe(headers.length > 0)
            expect(Object.entries(cursor.headers())).toStrictEqual(
              headers.map(([name, value]) => [name, bytesOf(value)]),
            )
          }
          expect(cursor.next()).toBe(false)
          expect(batch.maxTimestamp + 0).toBe(
            Math.max(...expected.map((m) => (m.timestamp as number | undefined) ?? 99)) + 0,
          )
          position += (length + 7) & ~7
        }
      }),
      { numRuns: 150 },
    )
  })

  test('is not larger than allowed: records are cut into several batches in order', () => {
    const builder = new RowsBatchBuilder({ partitions: 2, random: () => 0, batchBytesMax: 1000 })
    const messages = Array.from({ length: 200 }, (_, i) => ({ key: `k${i % 7}`, value: 'x'.repeat(i) }))
    builder.prepare(messages, 0, 200, 1)
    const seen: number[] = []
    for (const batch of builder.batches) {
      expect(batch.byteLength).toBeLessThanOrEqual(1000)
      builder.writeTo(batch, views, 0, 0)
      expect(batchDamage(views, 0, batch.byteLength)).toBeUndefined()
      const cursor = RecordCursor.ofBatch(views, 0)
      while (cursor.next()) seen.push((cursor.value() as Uint8Array).length)
    }
    const expected = [0, 1].flatMap((p) =>
      messages.filter((m) => partitionOfKey(m.key, 2) === p).map((m) => m.value.length),
    )
    expect(seen).toStrictEqual(expected)
  })

  test('of one record that is too large is refused, by prepare and by validate', () => {
    const builder = new RowsBatchBuilder({ partitions: 2, random: () => 0, batchBytesMax: 1000 })
    const messages = [{ value: 'a' }, { value: 'x'.repeat(950) }, { value: 'b' }]
    for (const run of [() => builder.prepare(messages, 0, 3, 1), () => builder.validate(messages, 0, 3)]) {
      expect(run).toThrow(expect.objectContaining({ code: 'RECORD_TOO_LARGE', summary: 'messages[1] is too large' }))
      expect(builder.batches).toHaveLength(0)
    }
    // 900 characters of one byte fit, though three bytes each would not.
    builder.validate([{ value: 'x'.repeat(900) }], 0, 1)
  })

  test('takes its place in the log without a new checksum', () => {
    const builder = new RowsBatchBuilder({ partitions: 1, random: () => 0 })
    builder.prepare([{ value: 'a' }, { value: 'b' }], 0, 2, 1)
    const length = builder.writeTo(builder.batches[0] as never, views, 0, 0)
    setBaseOffset(views.dv, 0, 2 ** 40 + 5)
    expect(batchDamage(views, 0, length)).toBeUndefined()
    expect([baseOffsetOf(views.dv, 0), nextOffsetOf(views.dv, 0), batchByteLength(views.dv, 0)]).toStrictEqual([
      2 ** 40 + 5,
      2 ** 40 + 7,
      length,
    ])
  })

  test.each([
    [{ key: 1, value: '' }, /messages\[0\]\.key .*\n.*found number 1, expected a string, a Uint8Array, or null/],
    [{ key: {}, value: '' }, /messages\[0\]\.key .*\n.*found object/],
    [{ value: {} }, /messages\[0\]\.value .*\n.*found object, expected a string, a Uint8Array, or null/],
    [{}, /messages\[0\]\.value is missing/],
    [null, /messages\[0\] is missing/],
    [{ value: '', partition: 2 }, /messages\[0\]\.partition .*\n.*found number 2, expected an integer from 0 to 1/],
    [
      { value: '', timestamp: -1 },
      /messages\[0\]\.timestamp .*\n.*found number -1, expected epoch milliseconds from 0 on/,
    ],
    [{ value: '', timestamp: 'now' }, /messages\[0\]\.timestamp .*\n.*found string "now"/],
    [{ value: '', headers: { a: 1 } }, /messages\[0\]\.headers\.a /],
  ])('refuses %j', (bad, error) => {
    const builder = new RowsBatchBuilder({ partitions: 2, random: () => 0 })
    expect(() => builder.prepare([bad as Message], 0, 1, 1)).toThrow(error)
    expect(() => builder.validate([bad as Message], 0, 1)).toThrow(error)
    expect(() => builder.prepare([bad as Message], 0, 1, 1)).toThrow(
      expect.objectContaining({ code: 'RECORD_INVALID' }),
    )
  })

  test('that was damaged is found out by its checksum, its length or its magic', () => {
    const builder = new RowsBatchBuilder({ partitions: 1, random: () => 0 })
    builder.prepare([{ value: 'a' }], 0, 1, 1)
    const length = builder.writeTo(builder.batches[0] as never, views, 0, 0)
    for (let at = 8; at < length; at++) {
      // The leader epoch is outside the checksum.
      if (at >= 12 && at < 16) continue
      views.u8[at] = (views.u8[at] as number) ^ 0x40
      expect(batchDamage(views, 0, length), `byte ${at}`).toBeDefined()
      views.u8[at] = (views.u8[at] as number) ^ 0x40
    }
    expect(batchDamage(views, 0, 60)).toMatch(/expected a header of 61/)
  })

  test('of hostile bytes never leads the cursor outside', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(5), (noise, count) => {
        const own = viewsOf(new ArrayBuffer(256))
        own.u8.set(noise, BATCH_HEADER_BYTES)
        own.dv.setInt32(8, BATCH_HEADER_BYTES + noise.length - 12)
        own.dv.setInt32(RECORD_COUNT, count)
        const cursor = RecordCursor.ofBatch(own, 0)
        const end = BATCH_HEADER_BYTES + noise.length
        try {
          while (cursor.next()) {
            expect(Math.max(cursor.keyEnd, cursor.valueEnd, cursor.headersEnd)).toBeLessThanOrEqual(end)
            cursor.headers()
          }
        } catch (error) {
          expect(error).toMatchObject({ code: 'RECORD_CORRUPT' })
        }
      }),
      { numRuns: 500 },
    )
  })
})
