import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { batchDamage, hasColumnsPayload, readBatchHeader } from '../../src/record/batch-header.js'
import { decodeHeaders } from '../../src/record/headers.js'
import type { Message } from '../../src/record/key-scatter.js'
import { murmur2OfKey, murmur3OfKey, partitionOfKey } from '../../src/record/partitioner.js'
import { topicRecordSchema } from '../../src/record/topic-record.js'
import { TypedBatchBuilder } from '../../src/record/typed-batch-builder.js'
import { viewsOf } from '../../src/types/block.js'
import { checkBlock } from '../../src/types/block-reader.js'
import { readRows } from '../../src/types/row-reader.js'
import { t } from '../../src/types/schema.js'
import { sample } from '../types/arbitrary.js'

const views = viewsOf(new SharedArrayBuffer(1 << 22))
const bytesOf = (key: string | Uint8Array | null | undefined): Uint8Array | null =>
  key === null || key === undefined ? null : typeof key === 'string' ? new TextEncoder().encode(key) : key

const key = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 70 }),
  fc.uint8Array({ maxLength: 20 }),
  fc.constantFrom(null, undefined, ''),
)
const options = { partitions: 3, random: () => 0.5 }

describe('a batch of columns', () => {
  test('has the columns of the record beside those of the value', () => {
    const schema = topicRecordSchema(t.struct({ a: t.int }).type)
    expect(schema.fields.map((f) => `${f.name} ${f.type.kind} ${f.nullable}`)).toStrictEqual([
      '__key binary true',
      '__keyHash int false',
      '__timestamp timestamp false',
      '__headers binary true',
      'a int false',
    ])
  })

  test('gives back every record in its partition, in the order of the send', () => {
    fc.assert(
      fc.property(
        sample,
        fc.array(key, { minLength: 40, maxLength: 40 }),
        fc.boolean(),
        fc.boolean(),
        ({ schema, rows, expected }, keys, withHeaders, murmur3) => {
          const builder = new TypedBatchBuilder(schema, { ...options, partitioner: murmur3 ? 'murmur3' : 'murmur2' })
          const messages: Message[] = rows.map((value, i) => ({
            value,
            ...(keys[i] === undefined ? {} : { key: keys[i] as string }),
            ...(withHeaders && i % 3 === 0 ? { headers: { n: String(i) } } : {}),
            ...(i % 4 === 0 ? { timestamp: 1000 - i } : {}),
          }))
          // Twice with one builder: nothing of the first send may be seen in the second.
          for (const from of [0, Math.min(2, messages.length)]) {
            builder.validate(messages, from, messages.length)
            expect(builder.prepare(messages, from, messages.length, 77)).toBe(messages.length)
            let position = 0
            let records = 0
            for (const batch of builder.batches) {
              views.u8.fill(0xee, position, position + batch.byteLength)
              expect(batch.byteLength % 8).toBe(0)
              expect(builder.writeTo(batch, views, position, 5)).toBe(batch.byteLength)
              expect(batchDamage(views, position, position + batch.byteLength)).toBeUndefined()
              expect(hasColumnsPayload(views.dv, position)).toBe(true)
              checkBlock(views, position + 64, position + batch.byteLength, builder.schema)
              const indexes = [...builder.order.subarray(batch.from, batch.to)]
              expect(indexes).toStrictEqual([...indexes].sort((a, b) => a - b))
              const got = readRows(builder.schema, { views, position: position + 64 })
              expect(got.length).toBe(batch.records)
              let maxTimestamp = Number.NEGATIVE_INFINITY
              got.forEach((row, r) => {
                const i = indexes[r] as number
                const m = messages[i] as Message
                const { __key, __keyHash, __timestamp, __headers, ...value } = row
                expect(value).toStrictEqual(expected[i])
                expect(__key).toStrictEqual(bytesOf(m.key))
                expect(__keyHash).toBe(bytesOf(m.key) === null ? 0 : murmur2OfKey(m.key as string))
                expect(__timestamp).toBe(((m.timestamp as number | undefined) ?? 77) + 0)
                maxTimestamp = Math.max(maxTimestamp, __timestamp as number)
                if (__headers === null) expect(m.headers).toBeUndefined()
                else
                  expect(decodeHeaders(__headers as Uint8Array, 0, (__headers as Uint8Array).length)).toStrictEqual({
                    n: bytesOf(String(i)),
                  })
                if (bytesOf(m.key) !== null)
                  expect(batch.partition).toBe(partitionOfKey(m.key as string, 3, murmur3 ? 'murmur3' : 'murmur2'))
              })
              expect(readBatchHeader(views.dv, position)).toMatchObject({
                baseOffset: 5,
                recordCount: batch.records,
                maxTimestamp,
              })
              position += batch.byteLength
              records += batch.records
            }
            expect(records).toBe(messages.length - from)
          }
        },
      ),
      { numRuns: 100 },
    )
  })

  test('a bad message refuses all, and the next send is as if it had not been', () => {
    const builder = new TypedBatchBuilder(t.struct({ a: t.string, b: t.int.nullable() }).type, options)
    const good = Array.from({ length: 50 }, (_, i) => ({
      key: `k${i}`,
      value: { a: `v${i}`, b: i % 2 === 0 ? null : i },
    }))
    const write = (): string => {
      builder.prepare(good, 0, 50, 1)
      let position = 0
      for (const batch of builder.batches) position += builder.writeTo(batch, views, position, 0)
      return Buffer.from(views.u8.slice(0, position)).toString('hex')
    }
    const before = write()
    const bad = [...good.slice(0, 30), { key: 'x', value: { a: 'x', b: 1.5 } }, ...good.slice(30)]
    expect(() => builder.prepare(bad, 0, 51, 1)).toThrow(/messages\[30\]\.value\.b /)
    expect(builder.batches).toHaveLength(0)
    expect(() => builder.validate(bad, 0, 51)).toThrow(/messages\[30\]\.value\.b /)
    expect(write()).toBe(before)
  })

  test('is not larger than allowed, and one record that is too large refuses the send', () => {
    const builder = new TypedBatchBuilder(t.struct({ a: t.string }).type, { ...options, batchBytesMax: 2000 })
    const messages = Array.from({ length: 300 }, (_, i) => ({ key: `k${i % 11}`, value: { a: 'x'.repeat(i) } }))
    builder.prepare(messages, 0, 300, 1)
    const seen: unknown[] = []
    for (const batch of builder.batches) {
      expect(batch.byteLength).toBeLessThanOrEqual(2000)
      builder.writeTo(batch, views, 0, 0)
      checkBlock(views, 64, batch.byteLength, builder.schema)
      seen.push(...readRows(builder.schema, { views, position: 64 }).map((row) => row['a']))
    }
    const expected = [0, 1, 2].flatMap((p) =>
      messages.filter((m) => partitionOfKey(m.key, 3) === p).map((m) => m.value.a),
    )
    expect(seen).toStrictEqual(expected)
    const large = [...messages.slice(0, 5), { key: 'k', value: { a: 'y'.repeat(1900) } }]
    for (const run of [() => builder.prepare(large, 0, 6, 1), () => builder.validate(large, 0, 6)]) {
      expect(run).toThrow(expect.objectContaining({ code: 'RECORD_TOO_LARGE', summary: 'messages[5] is too large' }))
    }
    builder.validate([{ value: { a: 'y'.repeat(1500) } }], 0, 1)
  })

  test('takes a part of the range where the strings are more than the scratch holds', () => {
    const builder = new TypedBatchBuilder(t.struct({ a: t.string }).type, { ...options, batchBytesMax: 1 << 25 })
    const a = 'z'.repeat(12 << 20)
    const messages = Array.from({ length: 6 }, () => ({ key: 'same', value: { a } }))
    const ends: number[] = []
    for (let at = 0; at < 6; ) {
      at = builder.prepare(messages, at, 6, 1)
      ends.push(at)
    }
    expect(ends[ends.length - 1]).toBe(6)
    expect(ends.length).toBeGreaterThan(1)
  })

  test('records without a key stick to one partition a send, chosen partitions are kept', () => {
    const builder = new TypedBatchBuilder(t.struct({ a: t.int }).type, options)
    builder.prepare(
      Array.from({ length: 20 }, (_, a) => ({ value: { a } })),
      0,
      20,
      1,
    )
    expect(builder.batches.map((b) => b.records)).toStrictEqual([20])
    builder.prepare(
      Array.from({ length: 20 }, (_, a) => ({ key: 'x', partition: a % 3, value: { a } })),
      0,
      20,
      1,
    )
    expect(builder.batches.map((b) => [b.partition, b.records])).toStrictEqual([
      [0, 7],
      [1, 7],
      [2, 6],
    ])
  })

  test("a topic's murmur3 chooses the partition, the hash column is murmur2 all the same", () => {
    const builder = new TypedBatchBuilder(t.struct({ a: t.int }).type, {
      ...options,
      partitions: 64,
      partitioner: 'murmur3',
    })
    builder.prepare([{ key: 'schlüssel', value: { a: 1 } }], 0, 1, 1)
    expect(builder.batches[0]?.partition).toBe((murmur3OfKey('schlüssel') & 0x7fffffff) % 64)
    builder.writeTo(builder.batches[0] as never, views, 0, 0)
    expect(readRows(builder.schema, { views, position: 64 })[0]).toMatchObject({ __keyHash: murmur2OfKey('schlüssel') })
  })
})
