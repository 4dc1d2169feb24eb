import { describe, expect, test } from 'vitest'
import { MillraceError } from '../../src/common/errors.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import {
  compileRowEncoder,
  interpretedRowEncoder,
  type RowEncoder,
  type RowEncoderOptions,
} from '../../src/types/column-builder.js'
import type { StructType } from '../../src/types/data-type.js'
import { readRows } from '../../src/types/row-reader.js'
import { type FieldTypes, t } from '../../src/types/schema.js'

const options: RowEncoderOptions = { root: 'messages', unwrap: true, firstSlot: 0 }

function errorOf(run: () => void): MillraceError {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(MillraceError)
    return error as MillraceError
  }
  throw new Error('nothing was thrown')
}

function encode(encoder: RowEncoder, schema: StructType, objects: readonly unknown[]): unknown[] {
  const builder = new BlockBuilder(schema)
  builder.setParts(1)
  builder.ensureRows(objects.length)
  encoder.encode(
    builder,
    objects,
    0,
    objects.length,
    new Int32Array(objects.length).map((_, i) => i),
    new Int32Array(objects.length),
  )
  builder.rows = objects.length
  builder.selectPart(0)
  return readRows(schema, builder.toBlock())
}

/** The error of a value, the same from generated and interpreted writers, with and without writing. */
function refused(fields: FieldTypes, value: unknown): MillraceError {
  const schema = t.struct(fields).type
  const messages = [{ value: {} }, { value }]
  const good = Object.fromEntries(Object.keys(fields).map((name) => [name, undefined]))
  messages[0] = { value: good }
  const all = [compileRowEncoder(schema, options), interpretedRowEncoder(schema, options)].flatMap((encoder) => [
    errorOf(() => encode(encoder, schema, [messages[1]])),
    errorOf(() => encoder.validate([messages[1]], 0, 1, new Float64Array(1))),
  ])
  const first = all[0] as MillraceError
  for (const error of all) expect(error.message).toBe(first.message)
  expect(first.code).toBe('RECORD_INVALID')
  return first
}

describe('a value that does not fit', () => {
  test.each([
    [t.string, 1, 'found number 1, expected string: a string'],
    [t.string, new String('x'), 'found object String, expected string: a string'],
    [t.byte, 128, 'found number 128, expected byte: an integer from -128 to 127'],
    [t.short, 1.5, 'found number 1.5, expected short: an integer from -32768 to 32767'],
    [t.int, 2 ** 31, 'found number 2147483648, expected int: an integer from -2147483648 to 2147483647'],
    [t.int, Number.NaN, 'found number NaN, expected int: an integer from -2147483648 to 2147483647'],
    [t.int, '7', 'found string "7", expected int: an integer from -2147483648 to 2147483647'],
    [t.int, 7n, 'found bigint 7, expected int: an integer from -2147483648 to 2147483647'],
    [t.long, 2 ** 53, 'found number 9007199254740992, expected long: a safe integer'],
    [t.long, Number.POSITIVE_INFINITY, 'found number Infinity, expected long: a safe integer'],
    [t.bigint, 2n ** 63n, 'found bigint 9223372036854775808, expected bigint: a bigint of 64 bits, or a safe integer'],
    [t.bigint, 0.5, 'found number 0.5, expected bigint: a bigint of 64 bits, or a safe integer'],
    [t.double, '1.5', 'found string "1.5", expected double: a number'],
    [t.float, 1n, 'found bigint 1, expected float: a number'],
    [t.boolean, 1, 'found number 1, expected boolean: true or false'],
    [t.timestamp, 1.5, 'found number 1.5, expected timestamp: epoch milliseconds as an integer, or a valid Date'],
    [
      t.timestamp,
      new Date(Number.NaN),
      'found an invalid Date, expected timestamp: epoch milliseconds as an integer, or a valid Date',
    ],
    [
      t.timestamp,
      '2026-01-01',
      'found string "2026-01-01", expected timestamp: epoch milliseconds as an integer, or a valid Date',
    ],
    [t.date, '2026-02-29', `found string "2026-02-29", expected date: an ISO day that exists, like '2026-02-28'`],
    [t.date, '2026-2-1', `found string "2026-2-1", expected date: an ISO day that exists, like '2026-02-28'`],
    [t.date, 5, `found number 5, expected date: an ISO day that exists, like '2026-02-28'`],
    [
      t.decimal(5, 2),
      '1000',
      'found string "1000", expected decimal(5,2): a string or number with at most 3 digits before and 2 after the point',
    ],
    [
      t.decimal(5, 2),
      0.125,
      'found number 0.125, expected decimal(5,2): a string or number with at most 3 digits before and 2 after the point',
    ],
    [
      t.decimal(5, 2),
      Number.NaN,
      'found number NaN, expected decimal(5,2): a string or number with at most 3 digits before and 2 after the point',
    ],
    [t.binary, 'abc', 'found string "abc", expected binary: a Uint8Array'],
    [t.binary, new Uint16Array(2), 'found Uint16Array of 4 bytes, expected binary: a Uint8Array'],
    [t.struct({ a: t.int }), [1], 'found array of 1, expected struct: an object with a'],
    [t.struct({ a: t.int }).nullable(), 'x', 'found string "x", expected struct: an object with a, or null'],
    [t.int.nullable(), 'x', 'found string "x", expected int: an integer from -2147483648 to 2147483647, or null'],
    [t.string, Symbol('x'), 'found symbol, expected string: a string'],
  ])('%#: says what was found and what was expected', (type, value, detail) => {
    const error = refused({ field: type }, { field: value })
    expect(error.summary).toBe('messages[0].value.field has a value that does not fit')
    expect(error.detail).toBe(detail)
  })

  test('is named by its path', () => {
    const error = refused(
      { address: t.struct({ zip: t.struct({ code: t.int }) }) },
      { address: { zip: { code: 'x' } } },
    )
    expect(error.summary).toBe('messages[0].value.address.zip.code has a value that does not fit')
  })

  test('that is missing is said to be missing', () => {
    expect(refused({ a: t.int, b: t.string }, { a: 1 }).summary).toBe('messages[0].value.b is missing')
    expect(refused({ a: t.int }, { a: null }).detail).toBe(
      'found null, expected int: an integer from -2147483648 to 2147483647',
    )
    expect(refused({ s: t.struct({ a: t.int }) }, {}).summary).toBe('messages[0].value.s is missing')
    expect(refused({ a: t.int }, undefined).summary).toBe('messages[0].value is missing')
    expect(refused({ a: t.int.nullable() }, 5).detail).toBe('found number 5, expected struct: an object with a')
  })

  test('is not shown whole', () => {
    expect(refused({ a: t.int }, { a: 'x'.repeat(1000) }).detail?.length).toBeLessThan(150)
  })

  test('what every object inherits is no value of a field', () => {
    expect(refused({ toString: t.string }, {}).summary).toBe('messages[0].value.toString is missing')
    const schema = t.struct({ valueOf: t.string.nullable(), hasOwnProperty: t.int }).type
    expect(encode(compileRowEncoder(schema, options), schema, [{ value: { hasOwnProperty: 1 } }])).toStrictEqual([
      { valueOf: null, hasOwnProperty: 1 },
    ])
  })

  test('in the middle of many is named by its place in the array', () => {
    const schema = t.struct({ a: t.int }).type
    const objects = Array.from({ length: 1000 }, (_, i) => ({ value: { a: i === 777 ? 'x' : i } }))
    expect(errorOf(() => encode(compileRowEncoder(schema, options), schema, objects)).summary).toMatch(
      /^messages\[777\]\.value\.a /,
    )
  })
})

describe('a value that fits', () => {
  test('may be undefined or left out where the field is nullable, and fields not declared are not looked at', () => {
    const schema = t.struct({ a: t.int.nullable(), s: t.struct({ b: t.string }).nullable() }).type
    const objects = [
      { value: { a: undefined, other: 1 } },
      { value: { s: null } },
      { value: { a: 1, s: { b: 'x', c: 1 } } },
    ]
    expect(encode(compileRowEncoder(schema, options), schema, objects)).toStrictEqual([
      { a: null, s: null },
      { a: null, s: null },
      { a: 1, s: { b: 'x' } },
    ])
  })

  test('keeps lone surrogates out, as TextEncoder does', () => {
    const schema = t.struct({ a: t.string }).type
    expect(
      encode(compileRowEncoder(schema, options), schema, [
        { value: { a: 'a\ud800b' } },
        { value: { a: `${'x'.repeat(100)}\udfff` } },
      ]),
    ).toStrictEqual([{ a: 'a\ufffdb' }, { a: `${'x'.repeat(100)}\ufffd` }])
  })

  test('a decimal may be a number or text in any form', () => {
    const schema = t.struct({ a: t.decimal(10, 2) }).type
    const given = [9.5, '9.5', '-0.10', '1e3', 12345678.25, '+7', '0000000000000000001.500']
    expect(
      encode(
        compileRowEncoder(schema, options),
        schema,
        given.map((a) => ({ value: { a } })),
      ),
    ).toStrictEqual(['9.50', '9.50', '-0.10', '1000.00', '12345678.25', '7.00', '1.50'].map((a) => ({ a })))
  })

  test('binary is copied', () => {
    const schema = t.struct({ a: t.binary }).type
    const a = Uint8Array.of(1, 2)
    const rows = encode(compileRowEncoder(schema, options), schema, [{ value: { a } }])
    a[0] = 9
    expect(rows).toStrictEqual([{ a: Uint8Array.of(1, 2) }])
  })
})
