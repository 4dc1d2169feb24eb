import { tableFromIPC, tableToIPC } from 'apache-arrow'
import { describe, expect, it } from 'vitest'
import { arrowTable } from '../../src/api/arrow-columns.js'
import { blocksFromRows } from '../../src/types/column-builder.js'
import { t } from '../../src/types/schema.js'

const Row = t.struct({
  s: t.string.nullable(),
  b: t.boolean.nullable(),
  i: t.int.nullable(),
  h: t.short.nullable(),
  y: t.byte.nullable(),
  l: t.long.nullable(),
  x: t.bigint.nullable(),
  f: t.float.nullable(),
  d: t.double.nullable(),
  ts: t.timestamp.nullable(),
  day: t.date.nullable(),
  raw: t.binary.nullable(),
  m: t.decimal(20, 2).nullable(),
  place: t.struct({ city: t.string.nullable(), zip: t.int }).nullable(),
})

const full: t.input<typeof Row> = {
  s: 'grün',
  b: true,
  i: -1,
  h: 2,
  y: -3,
  l: 9007199254740991,
  x: -5n,
  f: 0.5,
  d: 1.25,
  ts: 1709210096789,
  day: '2024-02-29',
  raw: Uint8Array.of(1, 2),
  m: '-12.50',
  place: { city: 'Bern', zip: 3000 },
}

describe('toArrow', () => {
  it('a table has the values of the rows, over several blocks and through Arrow IPC', () => {
    const rows = [full, {}, { ...full, s: '', place: { city: null, zip: 1 } }, {}, full]
    const blocks = blocksFromRows(Row.type, rows, 2)
    expect(blocks).toHaveLength(3)
    for (const table of [arrowTable(Row.type, blocks), tableFromIPC(tableToIPC(arrowTable(Row.type, blocks)))]) {
      expect(table.numRows).toBe(5)
      const column = (name: string): unknown[] =>
        Array.from({ length: 5 }, (_, i): unknown => table.getChild(name)?.get(i))
      expect(column('s')).toEqual(['grün', null, '', null, 'grün'])
      expect(column('b')).toEqual([true, null, true, null, true])
      expect(column('y')).toEqual([-3, null, -3, null, -3])
      expect(column('l')).toEqual([9007199254740991n, null, 9007199254740991n, null, 9007199254740991n])
      expect(column('m').map(String)).toEqual(['-1250', 'null', '-1250', 'null', '-1250'])
      expect(column('f')).toEqual([0.5, null, 0.5, null, 0.5])
      expect(column('ts')).toEqual([1709210096789, null, 1709210096789, null, 1709210096789])
      expect(
        column('day').map((day) => (day === null ? null : new Date(Number(day)).toISOString().slice(0, 10))),
      ).toEqual(['2024-02-29', null, '2024-02-29', null, '2024-02-29'])
      expect(column('place').map((place) => (place === null ? null : JSON.parse(JSON.stringify(place))))).toEqual([
        { city: 'Bern', zip: 3000 },
        null,
        { city: null, zip: 1 },
        null,
        { city: 'Bern', zip: 3000 },
      ])
    }
  })

  it('no rows are a table with its columns, and a column of nulls alone has its length', () => {
    expect(arrowTable(Row.type, []).schema.fields.map((field) => field.name)).toEqual(
      Row.type.fields.map((f) => f.name),
    )
    const nulls = arrowTable(Row.type, blocksFromRows(Row.type, [{}, {}]))
    expect(Row.type.fields.map((field) => nulls.getChild(field.name)?.nullCount)).toEqual(Row.type.fields.map(() => 2))
  })
})
