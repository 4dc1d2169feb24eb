import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BlockRef, blockByteLength, viewsOf } from '../../src/types/block.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { checkBlock, readColumn, readValues } from '../../src/types/block-reader.js'
import { blocksFromRows, interpretedRowEncoder } from '../../src/types/column-builder.js'
import { columnSlots, type StructType } from '../../src/types/data-type.js'
import { compileRowReader, interpretedRowReader, readRows, toUserValue } from '../../src/types/row-reader.js'
import { t } from '../../src/types/schema.js'
import { sample } from './arbitrary.js'

const bytesOf = (block: BlockRef): Uint8Array =>
  block.views.u8.slice(block.position, block.position + blockByteLength(block.views, block.position))

function interpretedBlock(schema: StructType, rows: readonly unknown[]): BlockRef {
  const builder = new BlockBuilder(schema)
  builder.setParts(1)
  builder.ensureRows(rows.length)
  const all = new Int32Array(rows.length).map((_, i) => i)
  interpretedRowEncoder(schema).encode(builder, rows, 0, rows.length, all, new Int32Array(rows.length))
  builder.rows = rows.length
  builder.selectPart(0)
  return builder.toBlock()
}

describe('rows as a block and back', () => {
  test('what goes in comes out, whatever the schema', () => {
    fc.assert(
      fc.property(sample, ({ schema, rows, expected }) => {
        const blocks = blocksFromRows(schema, rows)
        const back = blocks.flatMap((block) => {
          checkBlock(block.views, block.position, block.views.u8.length, schema)
          return readRows(schema, block)
        })
        expect(back).toStrictEqual(expected)
        for (const block of blocks) {
          const interpreted = interpretedRowReader(schema)
          const compiled = compileRowReader(schema)
          expected.forEach((row, i) => {
            expect(interpreted(block.views, block.position, i)).toStrictEqual(row)
            expect(compiled(block.views, block.position, i)).toStrictEqual(row)
          })
        }
      }),
      { numRuns: 60 },
    )
  })

  test('generated and interpreted writers make the same bytes, and so does append() of evaluated values', () => {
    fc.assert(
      fc.property(sample, ({ schema, rows }) => {
        const block = blocksFromRows(schema, rows)[0]
        if (block === undefined) return
        expect(bytesOf(interpretedBlock(schema, rows))).toStrictEqual(bytesOf(block))
        const builder = new BlockBuilder(schema)
        for (const values of readValues(schema, block)) builder.append(values)
        expect(bytesOf(builder.toBlock())).toStrictEqual(bytesOf(block))
      }),
      { numRuns: 40 },
    )
  })

  test('a range of rows is a block of its own, wherever it is written and whatever lay there', () => {
    fc.assert(
      fc.property(sample, fc.nat(), fc.nat(), fc.nat(8), ({ schema, rows, expected }, a, b, place) => {
        const block = blocksFromRows(schema, rows)[0]
        if (block === undefined) return
        const builder = new BlockBuilder(schema)
        for (const values of readValues(schema, block)) builder.append(values)
        const from = a % (rows.length + 1)
        const to = from + (b % (rows.length - from + 1))
        const byteLength = builder.byteLength(from, to)
        const views = viewsOf(new SharedArrayBuffer(place * 8 + byteLength + 16))
        views.u8.fill(0xab)
        expect(builder.writeTo(views, place * 8, from, to)).toBe(byteLength)
        checkBlock(views, place * 8, place * 8 + byteLength, schema)
        expect(readRows(schema, { views, position: place * 8 })).toStrictEqual(expected.slice(from, to))
        expect([...views.u8.subarray(place * 8 + byteLength)]).toStrictEqual(new Array(16).fill(0xab))
        // The same rows are the same bytes: nothing of what lay there shows through.
        const clean = builder.toBlock(from, to)
        expect(views.u8.slice(place * 8, place * 8 + byteLength)).toStrictEqual(bytesOf(clean))
      }),
      { numRuns: 40 },
    )
  })

  test('a builder that is reset forgets nulls and strings', () => {
    const schema = t.struct({ a: t.string.nullable(), b: t.int.nullable() }).type
    const builder = new BlockBuilder(schema)
    builder.append([null, null])
    builder.append(['x', 1])
    builder.reset()
    builder.append(['y', 2])
    builder.append([null, 3])
    expect(readValues(schema, builder.toBlock())).toStrictEqual([
      ['y', 2],
      [null, 3],
    ])
  })

  test('many rows become several blocks', () => {
    const schema = t.struct({ n: t.long }).type
    const rows = Array.from({ length: 2500 }, (_, n) => ({ n }))
    const blocks = blocksFromRows(schema, rows, 1000)
    expect(blocks.map((block) => readRows(schema, block).length)).toStrictEqual([1000, 1000, 500])
    expect(blocks.flatMap((block) => readColumn(block, columnSlots(schema), 0))).toStrictEqual(rows.map((r) => r.n))
  })

  test('a schema of 200 columns is written in several groups', () => {
    const schema = t.struct(
      Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`c${i}`, i % 2 === 0 ? t.string : t.int.nullable()])),
    ).type
    const rows = Array.from({ length: 600 }, (_, r) =>
      Object.fromEntries(schema.fields.map((f, i) => [f.name, i % 2 === 0 ? `${r}/${i}` : r % 3 === 0 ? null : r * i])),
    )
    expect(blocksFromRows(schema, rows).flatMap((block) => readRows(schema, block))).toStrictEqual(rows)
  })

  test('rows are plain objects', () => {
    const schema = t.struct({ a: t.int, s: t.struct({ b: t.int }) }).type
    const block = blocksFromRows(schema, [{ a: 1, s: { b: 2 } }])[0] as BlockRef
    const row = readRows(schema, block)[0] as { s: object }
    expect(Object.getPrototypeOf(row)).toBe(Object.prototype)
    expect(Object.getPrototypeOf(row.s)).toBe(Object.prototype)
    expect(toUserValue(schema, [1, [2]])).toStrictEqual(row)
  })
})
