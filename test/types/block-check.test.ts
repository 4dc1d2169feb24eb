import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MillraceError } from '../../src/common/errors.js'
import { type BlockRef, blockByteLength, directoryEntry, viewsOf } from '../../src/types/block.js'
import { checkBlock } from '../../src/types/block-reader.js'
import { blocksFromRows } from '../../src/types/column-builder.js'
import { readRows } from '../../src/types/row-reader.js'
import { t } from '../../src/types/schema.js'
import { sample } from './arbitrary.js'

const schema = t.struct({ s: t.string.nullable(), n: t.int, x: t.struct({ b: t.boolean.nullable() }).nullable() }).type
const rows = [
  { s: 'one', n: 1, x: { b: true } },
  { s: null, n: 2, x: null },
  { s: 'three', n: 3, x: { b: null } },
]

/** A block between two pages of something else. */
function placed(): { block: BlockRef; limit: number } {
  const source = blocksFromRows(schema, rows)[0] as BlockRef
  const byteLength = blockByteLength(source.views, 0)
  const views = viewsOf(new ArrayBuffer(byteLength + 128))
  views.u8.fill(0x55)
  views.u8.set(source.views.u8.subarray(0, byteLength), 64)
  return { block: { views, position: 64 }, limit: 64 + byteLength }
}

function damaged(damage: (i32: Int32Array, entry: (slot: number) => number, block: BlockRef) => void): () => void {
  const { block, limit } = placed()
  damage(block.views.i32, (slot) => directoryEntry(64, slot) >> 2, block)
  return () => checkBlock(block.views, 64, limit, schema)
}

describe('a block from a file', () => {
  test('is taken as it was written', () => {
    const { block, limit } = placed()
    checkBlock(block.views, 64, limit, schema)
    expect(readRows(schema, block)).toStrictEqual(rows)
  })

  test('is refused when a part of it is missing', () => {
    const { block, limit } = placed()
    for (const end of [64, 72, 79, 100, limit - 8, limit - 1]) {
      expect(() => checkBlock(block.views, 64, end, schema)).toThrow(/BLOCK_CORRUPT|corrupt/)
    }
    expect(() => checkBlock(block.views, 60, limit, schema)).toThrow(/multiple of 8/)
  })

  test.each([
    ['another magic', (i: Int32Array) => (i[16] = 1), /magic 00000001/],
    ['a length beyond its end', (i: Int32Array) => (i[17] = 1 << 30), /byteLength 1073741824/],
    ['a negative length', (i: Int32Array) => (i[17] = -8), /byteLength -8/],
    ['more rows than it has', (i: Int32Array) => (i[18] = 1 << 28), /column s/],
    ['negative rows', (i: Int32Array) => (i[18] = -1), /rowCount -1/],
    ['other slots than the schema', (i: Int32Array) => (i[19] = 3), /slotCount 3/],
  ])('is refused with %s', (_, damage, message) => {
    expect(damaged((i32) => damage(i32))).toThrow(message)
  })

  test('is refused when a directory entry leads out of it or into its header', () => {
    for (const offset of [-8, 8, 12, 64, 1 << 20, 0x7ffffff8]) {
      for (const field of [0, 1, 2]) {
        expect(damaged((i, entry) => (i[entry(0) + field] = offset))).toThrow(/column s/)
      }
      expect(damaged((i, entry) => (i[entry(1) + 1] = offset))).toThrow(/column n/)
    }
  })

  test('is refused when its null counts do not tell the truth', () => {
    expect(damaged((i, entry) => (i[entry(0) + 3] = 2))).toThrow(/nullCount 2; expected 1/)
    expect(damaged((i, entry) => (i[entry(0)] = 0))).toThrow(/nullCount 1 without a bitmap/)
    expect(damaged((i, entry) => (i[entry(1) + 3] = 1))).toThrow(/not nullable/)
    expect(damaged((i, entry) => (i[entry(1) + 1] = 0))).toThrow(/values that are nowhere/)
    expect(damaged((i, entry) => (i[entry(2) + 1] = 128))).toThrow(/struct with values/)
  })

  test('is refused when string offsets fall, start late or lead beyond the block', () => {
    const offsets = (i: Int32Array, entry: (s: number) => number): number => (64 + (i[entry(0) + 1] as number)) >> 2
    expect(damaged((i, entry) => (i[offsets(i, entry)] = 1))).toThrow(/first offset 1/)
    expect(damaged((i, entry) => (i[offsets(i, entry) + 1] = 9))).toThrow(/offset 3 of row 2 after 9/)
    expect(damaged((i, entry) => (i[offsets(i, entry) + 3] = 1 << 24))).toThrow(/bytes of 16777216 bytes/)
  })

  test('with any bytes changed is refused, or still reads inside of itself', () => {
    fc.assert(
      fc.property(
        sample,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 }),
        (s, changes) => {
          const block = blocksFromRows(s.schema, s.rows)[0]
          if (block === undefined) return
          const length = blockByteLength(block.views, 0)
          // Half of the changes go into header and directory, where the dangerous ones are.
          changes.forEach(([at, value], i) => {
            block.views.u8[i % 2 === 0 ? at % Math.min(length, 96) : at % length] = value
          })
          try {
            checkBlock(block.views, 0, length, s.schema)
          } catch (error) {
            expect(error).toBeInstanceOf(MillraceError)
            expect((error as MillraceError).code).toBe('BLOCK_CORRUPT')
            return
          }
          readRows(s.schema, block)
        },
      ),
      { numRuns: 400 },
    )
  })
})
