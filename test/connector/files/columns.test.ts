import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromJson } from '../../../src/codegen/json-functions.js'
import { CsvColumns } from '../../../src/connector/files/csv-columns.js'
import { type CsvDialect, csvDialectOf, type ParseMode } from '../../../src/connector/files/file-format.js'
import { JsonColumns } from '../../../src/connector/files/json-columns.js'
import type { LaneFile } from '../../../src/connector/files/lane.js'
import { type LineColumns, LineRecords } from '../../../src/connector/files/line-records.js'
import { recordSchema } from '../../../src/connector/files/record-schema.js'
import { BlockBuilder } from '../../../src/types/block-builder.js'
import { readValues } from '../../../src/types/block-reader.js'
import type { StructType } from '../../../src/types/data-type.js'
import { t } from '../../../src/types/schema.js'

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000)
const runs = Number(process.env.MILLRACE_RUNS ?? 80)

const schemaOf = (ddl: string): StructType => {
  const { fields } = t.ddl(ddl).type as StructType
  return { kind: 'struct', fields: fields.map((field) => ({ ...field, nullable: true })) }
}

function fileOf(length: number): LaneFile {
  return { path: '/a/b.txt', start: 0, length, bytes: length, modifiedAt: 0, values: [['day', '2026-02-28']] }
}

/** All rows of a text, read in blocks from `position` on, and where each began. */
function rowsOf(
  text: string,
  schema: StructType,
  columnsOf: (builder: BlockBuilder, file: LaneFile) => LineColumns,
  position = 0,
): { rows: unknown[][]; offsets: number[] } {
  const bytes = Buffer.from(text)
  const file = fileOf(bytes.length)
  const handle = {
    path: file.path,
    size: () => bytes.length,
    // As if the disk gave seven bytes less than was asked for, now and then.
    read: (target: Uint8Array, at: number) => bytes.copy(target, 0, at, at + target.length),
    write: () => undefined,
    truncate: () => undefined,
    sync: () => Promise.resolve(),
    syncNow: () => undefined,
    close: () => undefined,
  }
  const builder = new BlockBuilder(schema)
  const records = new LineRecords(file, handle, position, columnsOf(builder, file))
  const rows: unknown[][] = []
  const offsets: number[] = []
  const places = new Float64Array(8192)
  for (;;) {
    builder.reset()
    const count = records.read(builder, Number.POSITIVE_INFINITY, places)
    if (count === 0 && records.position >= bytes.length) break
    rows.push(...readValues(schema, builder.toBlock()))
    offsets.push(...places.subarray(0, count))
  }
  return { rows, offsets }
}

const json = (text: string, ddl: string, mode: ParseMode = 'PERMISSIVE', position = 0) => {
  const schema = schemaOf(ddl)
  return rowsOf(
    text,
    schema,
    (builder, file) => new JsonColumns(builder, recordSchema(schema, file, '_corrupt_record'), mode, file),
    position,
  )
}

const csv = (text: string, ddl: string, options: Record<string, string> = {}, mode: ParseMode = 'PERMISSIVE') => {
  const schema = schemaOf(ddl)
  const dialect: CsvDialect = csvDialectOf(options)
  const inFile = { ...schema, fields: schema.fields.filter(({ name }) => !['_corrupt_record', 'day'].includes(name)) }
  return rowsOf(text, schema, (builder, file) => {
    return new CsvColumns(builder, inFile, recordSchema(schema, file, '_corrupt_record'), dialect, mode, file)
  }).rows
}

const ddl =
  'a int, b bigint, c double, d string, e boolean, f timestamp, g date, h array<int>, i struct<x: int, y: string>, j decimal(6,2)'

test(`what is read the quick way is what fromJson reads (seed ${seed})`, () => {
  const value = fc.oneof(
    fc.integer(),
    fc.double(),
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary' }),
    fc.boolean(),
    fc.constant(null),
    fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
    fc.constantFrom(
      '2026-02-28',
      '2026-02-30',
      '2026-02-28 12:00:00',
      '2026-02-28T12:00:00.123456+02:00',
      '1e400',
      'NaN',
    ),
    fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 3 }),
    fc.record({ x: fc.integer({ min: 0, max: 9 }), y: fc.string() }),
    fc.constantFrom(1e21, 1234567890123, 0.1, 1234.56, -0, 2 ** 31, 1e-7),
  )
  const record = fc.dictionary(fc.constantFrom(...'abcdefghij', 'k', 'd"'), value, { maxKeys: 12 })
  const line = fc
    .tuple(record, fc.nat({ max: 9 }), fc.nat({ max: 400 }), fc.constantFrom('', ' ', '\t'))
    .map(([r, kind, at, space]) => {
      const text = JSON.stringify(r).replaceAll(',"', `,${space}"`).replaceAll('":', `"${space}:${space}`)
      // Some are cut, or have something in the middle that is not to be there.
      if (kind === 0) return text.slice(0, at)
      if (kind === 1) return `${text.slice(0, at)}${'"{}[],:\\u1'[at % 10]}${text.slice(at)}`
      return kind === 2 ? text.replaceAll('a', '\\u0061') : text
    })
  const schema = schemaOf(ddl)
  const read = fromJson(schema)
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.constantFrom('\n', '\r\n'), (lines, ending) => {
      const kept = lines.filter((text) => text.trim() !== '' && !text.trimStart().startsWith('['))
      const { rows, offsets } = json(kept.join(ending), ddl)
      const permissive = kept.map((text) => {
        // A record of which nothing can be read has nothing in it, whatever came before the fault.
        return read(text, null, null) as unknown[]
      })
      expect(rows).toEqual(permissive)
      const places = kept.map(
        (_, i) => Buffer.byteLength(kept.slice(0, i).join(ending)) + (i === 0 ? 0 : ending.length),
      )
      expect(offsets).toEqual(places)
      // From any of its records on it is the same.
      const middle = Math.floor(kept.length / 2)
      if (kept.length > 0)
        expect(json(kept.join(ending), ddl, 'PERMISSIVE', places[middle]).rows).toEqual(rows.slice(middle))
    }),
    { seed, numRuns: runs },
  )
})

test('a malformed record is null with its text beside it, left out, or the end, by the mode', () => {
  const text = '{"a":1}\nnonsense\n{"a":"x","d":"kept"}\n[{"a":2},{"a":3}]\n'
  const withText = json(text, 'a int, d string, _corrupt_record string').rows
  expect(withText).toEqual([
    [1, null, null],
    [null, null, 'nonsense'],
    [null, 'kept', '{"a":"x","d":"kept"}'],
    [2, null, null],
    [3, null, null],
  ])
  expect(json(text, 'a int, d string', 'DROPMALFORMED').rows).toEqual([
    [1, null],
    [2, null],
    [3, null],
  ])
  expect(() => json(text, 'a int, d string', 'FAILFAST')).toThrow(
    /MALFORMED|not of the schema: it is no JSON[\s\S]*at byte 8/,
  )
})

test('values of folders are values of every row, by the types of their columns', () => {
  expect(json('{"a":1}\n{"a":2,"day":"not this"}', 'day date, a int').rows).toEqual([
    [20512, 1],
    [20512, 2],
  ])
  expect(csv('1\n2', 'a int, day string')).toEqual([
    [1, '2026-02-28'],
    [2, '2026-02-28'],
  ])
})

test('a line may be longer than what is read at a time', () => {
  const long = 'x'.repeat(3_000_000)
  expect(json(`{"d":"1"}\n{"d":"${long}"}\n{"d":"2"}`, 'd string').rows.map(([d]) => (d as string).length)).toEqual([
    1, 3_000_000, 1,
  ])
})

test(`what was written as CSV is read as it was, quick or careful (seed ${seed})`, () => {
  const cell = fc.string({ unit: fc.constantFrom('a', 'é', ',', '"', '\\', ' ', ';', '1') })
  fc.assert(
    fc.property(
      fc.array(fc.tuple(cell, fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })), { maxLength: 9 }),
      fc.boolean(),
      (records, doubled) => {
        const escaped = (text: string): string =>
          doubled ? text.replaceAll('"', '""') : text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')
        const lines = records.map(([text, n, x]) => `"${escaped(text)}",${n},${x}`)
        const rows = csv(['a,b,c', ...lines].join('\r\n'), 'd string, a int, c double', {
          header: 'true',
          ...(doubled ? { escape: '"' } : {}),
        })
        expect(rows).toEqual(records.map(([text, n, x]) => [text, n, x === 0 ? 0 : x]))
      },
    ),
    { seed, numRuns: runs },
  )
})

test('CSV: nothing is null, an empty text in quotes is one, and the options say what else is nothing', () => {
  expect(csv(',1\n"",2\n-,3', 'd string, a int')).toEqual([
    [null, 1],
    ['', 2],
    ['-', 3],
  ])
  expect(csv(',1\n"",2\n-,3', 'd string, a int', { nullValue: '-' })).toEqual([
    [null, 1],
    ['', 2],
    [null, 3],
  ])
  expect(
    csv(' x ;NaN\n"y";-Inf', 'd string, c double', {
      sep: ';',
      ignoreLeadingWhiteSpace: 'true',
      ignoreTrailingWhiteSpace: 'true',
    }),
  ).toEqual([
    ['x', Number.NaN],
    ['y', Number.NEGATIVE_INFINITY],
  ])
  expect(csv('# no\nx|1', 'd string, a int', { comment: '#', delimiter: '|' })).toEqual([['x', 1]])
})

test('CSV: too few and too many columns are malformed, and what is there is kept', () => {
  const text = 'x,1\ny\nz,2,3\nw,no'
  expect(csv(text, 'd string, a int, _corrupt_record string')).toEqual([
    ['x', 1, null],
    ['y', null, 'y'],
    ['z', 2, 'z,2,3'],
    ['w', null, 'w,no'],
  ])
  expect(csv(text, 'd string, a int', {}, 'DROPMALFORMED')).toEqual([['x', 1]])
  expect(() => csv(text, 'd string, a int', {}, 'FAILFAST')).toThrow(/1 columns and not 2/)
})

test('CSV: with multiLine a record goes on inside quotes', () => {
  expect(csv('"a\nb",1\n"c ""d""\n\n",2', 'd string, a int', { multiLine: 'true', escape: '"' })).toEqual([
    ['a\nb', 1],
    ['c "d"\n\n', 2],
  ])
})

test('CSV: a header that is to be held against the schema must be its columns', () => {
  expect(() => csv('d,b\nx,1', 'd string, a int', { header: 'true', enforceSchema: 'false' })).toThrow(
    /names other columns/,
  )
  expect(csv('d,a\nx,1', 'd string, a int', { header: 'true', enforceSchema: 'false' })).toEqual([['x', 1]])
})
