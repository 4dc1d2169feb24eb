import * as arrow from 'apache-arrow'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatIsoDate } from '../../src/common/calendar.js'
import { formatDecimal } from '../../src/common/decimal.js'
import { type ArrowColumn, arrowColumns, blockFromArrow } from '../../src/types/arrow.js'
import { type BlockRef, blockRowCount } from '../../src/types/block.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { checkBlock } from '../../src/types/block-reader.js'
import { blocksFromRows } from '../../src/types/column-builder.js'
import { type DataType, entriesType, type StructType } from '../../src/types/data-type.js'
import { readRows } from '../../src/types/row-reader.js'
import { t } from '../../src/types/schema.js'
import { sample } from './arbitrary.js'

function arrowType(type: DataType): arrow.DataType {
  switch (type.kind) {
    case 'string':
      return new arrow.Utf8()
    case 'binary':
      return new arrow.Binary()
    case 'boolean':
      return new arrow.Bool()
    case 'byte':
      return new arrow.Int8()
    case 'short':
      return new arrow.Int16()
    case 'int':
      return new arrow.Int32()
    case 'long':
    case 'bigint':
      return new arrow.Int64()
    case 'float':
      return new arrow.Float32()
    case 'double':
      return new arrow.Float64()
    case 'date':
      return new arrow.DateDay()
    case 'timestamp':
      return new arrow.TimestampMillisecond()
    case 'decimal':
      return new arrow.Decimal(type.scale, type.precision, 128)
    case 'struct':
      return new arrow.Struct(type.fields.map((f) => new arrow.Field(f.name, arrowType(f.type), f.nullable)))
    case 'yearMonthInterval':
      return new arrow.Int32()
    case 'dayTimeInterval':
      return new arrow.Int64()
    case 'array':
      return new arrow.List(new arrow.Field('item', arrowType(type.element), type.containsNull))
    case 'map': {
      const entries = new arrow.Field('entries', arrowType(entriesType(type).element) as arrow.Struct, false)
      return new arrow.Map_(entries as arrow.Field<arrow.Struct<{ key: arrow.DataType; value: arrow.DataType }>>)
    }
    case 'void':
      return new arrow.Null()
  }
}

/** Our descriptor as Arrow's Data, sharing the buffers. */
function arrowData(column: ArrowColumn): arrow.Data {
  const type = arrowType(column.type)
  const { offset, length, nullCount } = column
  let values: unknown = column.values
  if (column.type.kind === 'decimal') values = new Uint32Array((column.values as Uint8Array).slice().buffer)
  const buffers = [column.offsets, values, column.validity ?? new Uint8Array(0)] as unknown as Partial<
    arrow.Data['buffers']
  >
  return new arrow.Data(type, offset, length, nullCount, buffers as never, column.children.map(arrowData))
}

function arrowTable(schema: StructType, block: BlockRef): arrow.Table {
  const fields = schema.fields.map((f) => new arrow.Field(f.name, arrowType(f.type), f.nullable))
  const children = arrowColumns(schema, block).map(arrowData)
  const rows = blockRowCount(block.views, block.position)
  const struct = new arrow.Data(new arrow.Struct(fields), 0, rows, 0, [] as never, children)
  return new arrow.Table(new arrow.Schema(fields), [new arrow.RecordBatch(new arrow.Schema(fields), struct as never)])
}

/** Arrow's value as our reader gives it. */
function fromArrow(type: DataType, value: unknown): unknown {
  if (value === null || value === undefined) return null
  switch (type.kind) {
    case 'long':
      return Number(value)
    case 'date':
      return formatIsoDate(Math.round(Number(value) / 86_400_000))
    case 'decimal': {
      const words = value as Uint32Array
      const bits = words.reduceRight((all, word) => (all << 32n) | BigInt(word), 0n)
      return formatDecimal(BigInt.asIntN(128, bits), type.scale)
    }
    case 'binary':
      return Uint8Array.from(value as Uint8Array)
    case 'struct':
      return Object.fromEntries(
        type.fields.map((f, i) => [f.name, fromArrow(f.type, (value as { toArray(): unknown[] }).toArray()[i])]),
      )
    case 'array':
      return Array.from(value as arrow.Vector, (item) => fromArrow(type.element, item))
    case 'map': {
      // An Arrow map is read by its own vectors: its proxy object would take keys for names.
      const entries = value as { [key: symbol]: unknown } & Iterable<[unknown, unknown]>
      return new Map(Array.from(entries, ([k, v]) => [fromArrow(type.key, k), fromArrow(type.value, v)]))
    }
    default:
      return value
  }
}

/** Arrow's Data as our descriptor. */
function descriptor(name: string, type: DataType, nullable: boolean, data: arrow.Data): ArrowColumn {
  const list = type.kind === 'map' ? entriesType(type) : type
  const element = list.kind === 'array' ? [{ name: 'item', type: list.element, nullable: list.containsNull }] : []
  const fields = type.kind === 'struct' ? type.fields : element
  const raw = data.values as ArrowColumn['values'] | Uint32Array | undefined
  const values = raw instanceof Uint32Array ? new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength) : raw
  return {
    name,
    type,
    nullable,
    length: data.length,
    // Arrow's own Data has its fixed-width values cut to the offset already; bitmaps it has not.
    offset: 0,
    nullCount: data.nullCount,
    validity: data.nullCount === 0 ? undefined : data.nullBitmap,
    offsets: ['string', 'binary', 'array', 'map'].includes(type.kind) ? data.valueOffsets : undefined,
    values: ['struct', 'array', 'map'].includes(type.kind) ? undefined : values,
    children: fields.map((f, i) => descriptor(f.name, f.type, f.nullable, data.children[i] as arrow.Data)),
  }
}

describe("blocks in Arrow's layout", () => {
  test('apache-arrow reads our columns as we do', () => {
    fc.assert(
      fc.property(sample, ({ schema, rows, expected }) => {
        for (const block of blocksFromRows(schema, rows)) {
          const table = arrowTable(schema, block)
          expect(table.numRows).toBe(rows.length)
          const back = rows.map((_, r) =>
            Object.fromEntries(schema.fields.map((f, i) => [f.name, fromArrow(f.type, table.getChildAt(i)?.get(r))])),
          )
          expect(back).toStrictEqual(expected)
        }
      }),
      { numRuns: 80 },
    )
  })

  test("a table that went through Arrow's IPC format comes back as the same rows", () => {
    fc.assert(
      fc.property(sample, ({ schema, rows, expected }) => {
        for (const block of blocksFromRows(schema, rows)) {
          const table = arrow.tableFromIPC(arrow.tableToIPC(arrowTable(schema, block)))
          const columns = schema.fields.map((f, i) =>
            descriptor(f.name, f.type, f.nullable, table.getChildAt(i)?.data[0] as arrow.Data),
          )
          const back = blockFromArrow(schema, rows.length, columns)
          checkBlock(back.views, back.position, back.views.u8.length, schema)
          expect(readRows(schema, back)).toStrictEqual(expected)
        }
      }),
      { numRuns: 80 },
    )
  })

  test('an empty batch has columns without rows', () => {
    const schema = t.struct({ a: t.string, b: t.int.nullable(), s: t.struct({ d: t.double }) }).type
    const block = new BlockBuilder(schema).toBlock()
    checkBlock(block.views, 0, block.views.u8.length, schema)
    expect(arrowTable(schema, block).numRows).toBe(0)
    expect(readRows(schema, blockFromArrow(schema, 0, arrowColumns(schema, block)))).toStrictEqual([])
  })

  test('a builder of apache-arrow fills our block', () => {
    const schema = t.struct({ name: t.string.nullable(), n: t.int }).type
    const name = arrow.vectorFromArray(['é', null, 'abc'], new arrow.Utf8())
    const n = arrow.vectorFromArray([1, 2, 3], new arrow.Int32())
    const columns = [
      descriptor('name', t.string.type, true, name.data[0] as arrow.Data),
      descriptor('n', t.int.type, false, n.data[0] as arrow.Data),
    ]
    expect(readRows(schema, blockFromArrow(schema, 3, columns))).toStrictEqual([
      { name: 'é', n: 1 },
      { name: null, n: 2 },
      { name: 'abc', n: 3 },
    ])
  })

  test('columns that do not fit are refused with what is wrong', () => {
    const schema = t.struct({ n: t.long }).type
    const column = (values: ArrowColumn['values']): ArrowColumn => ({
      name: 'n',
      type: t.long.type,
      nullable: false,
      length: 1,
      offset: 0,
      nullCount: 0,
      validity: undefined,
      offsets: undefined,
      values,
      children: [],
    })
    expect(() => blockFromArrow(schema, 1, [])).toThrow(/found 0 columns, expected 1/)
    expect(() => blockFromArrow(schema, 1, [column(new BigInt64Array(0))])).toThrow(/0 elements, expected 1/)
    expect(() => blockFromArrow(schema, 1, [column(BigInt64Array.of(2n ** 60n))])).toThrow(/no safe integer/)
    expect(() =>
      blockFromArrow(schema, 1, [{ ...column(BigInt64Array.of(1n)), nullCount: 1, validity: Uint8Array.of(0) }]),
    ).toThrow(/not nullable/)
  })
})
