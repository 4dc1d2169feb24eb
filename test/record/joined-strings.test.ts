import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Message } from '../../src/record/key-scatter.js'
import { murmur2, partitionOfKey } from '../../src/record/partitioner.js'
import { RowsBatchBuilder } from '../../src/record/rows-batch-builder.js'
import { RecordCursor } from '../../src/record/rows-payload.js'
import { TypedBatchBuilder } from '../../src/record/typed-batch-builder.js'
import { viewsOf } from '../../src/types/block.js'
import { readRows } from '../../src/types/row-reader.js'
import { t } from '../../src/types/schema.js'

const views = viewsOf(new SharedArrayBuffer(1 << 23))
const PARTITIONS = 3
const schema = t.struct({ text: t.string.nullable(), other: t.string }).type

/** Code units of any kind, halves of characters too, beside plain ASCII, and some too long to be joined. */
const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 20 }) },
  { weight: 3, arbitrary: fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀', '\ud83d', '\ude00'), maxLength: 6 }) },
  { weight: 1, arbitrary: fc.constantFrom('', 'x'.repeat(64), 'y'.repeat(65), 'z'.repeat(256), 'ö'.repeat(257)) },
)
const nullable = fc.oneof({ weight: 9, arbitrary: text }, { weight: 1, arbitrary: fc.constant(null) })
const records = fc.array(fc.tuple(nullable, nullable, text), { minLength: 60, maxLength: 60 })
/** As TextEncoder has it: half a character becomes U+FFFD. */
const clean = (value: string): string => value.replace(/\p{Surrogate}/gu, '\ufffd')
const utf8 = (value: string): Buffer => Buffer.from(clean(value), 'utf8')
const hex = (bytes: unknown): string => (bytes === null ? 'null' : Buffer.from(bytes as Uint8Array).toString('hex'))

describe('strings of many records, which are written together', () => {
  // 600 records: several tiles; 3: no joining at all.
  test.each([600, 60, 3])('are what each is by itself, %i at once', (count) => {
    fc.assert(
      fc.property(records, (some) => {
        const messages: Message[] = Array.from({ length: count }, (_, i) => {
          const [key, value, other] = some[(i * 7) % some.length] as (typeof some)[number]
          return { key, value: { text: value, other }, timestamp: 5 }
        })
        const builder = new TypedBatchBuilder(schema, { partitions: PARTITIONS, random: () => 0.5 })
        expect(builder.prepare(messages, 0, count, 0)).toBe(count)
        let seen = 0
        for (const batch of builder.batches) {
          builder.writeTo(batch, views, 0, 0)
          const rows = readRows(builder.schema, { views, position: 64 }) as Record<string, unknown>[]
          const expected = rows.map((_, r) => {
            const { key, value } = messages[builder.order[batch.from + r] as number] as Message
            const { text, other } = value as { text: string | null; other: string }
            const bytes = key === null ? null : utf8(key as string)
            const partition = bytes === null ? batch.partition : partitionOfKey(bytes, PARTITIONS)
            return [
              hex(bytes),
              bytes === null ? 0 : murmur2(bytes),
              partition,
              text && clean(text),
              clean(other),
            ].join()
          })
          const found = rows.map((row) =>
            [hex(row['__key']), row['__keyHash'], batch.partition, row['text'], row['other']].join(),
          )
          expect(found.join('\n') === expected.join('\n')).toBe(true)
          seen += rows.length
        }
        expect(seen).toBe(count)
      }),
      { numRuns: count === 600 ? 12 : 40 },
    )
  })

  test('are so in the batches of an untyped topic too', () => {
    fc.assert(
      fc.property(records, (some) => {
        const messages: Message[] = some.map(([key, value]) => ({ key, value, timestamp: 5 }))
        const builder = new RowsBatchBuilder({ partitions: PARTITIONS, random: () => 0.5 })
        builder.prepare(messages, 0, messages.length, 0)
        for (const batch of builder.batches) {
          builder.writeTo(batch, views, 0, 0)
          const cursor = RecordCursor.ofBatch(views, 0)
          for (let row = batch.from; cursor.next(); row++) {
            const { key, value } = messages[builder.order[row] as number] as Message
            const expected = [key, value].map((text) => hex(text === null ? null : utf8(text as string))).join()
            if ([cursor.key(), cursor.value()].map(hex).join() !== expected)
              expect.fail(`row ${row} is not ${expected}`)
          }
        }
      }),
      { numRuns: 30 },
    )
  })
})
