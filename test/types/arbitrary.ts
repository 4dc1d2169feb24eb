import fc from 'fast-check'
import { formatDecimal } from '../../src/common/decimal.js'
import type { StructType } from '../../src/types/data-type.js'
import { type FieldTypes, type SchemaType, t } from '../../src/types/schema.js'

/**
 * Random schemas with rows that fit them: what a user hands in, and what a reader must give back. Values come from the
 * edges: NaN, −0, 53 bits, lone surrogates, null and left out, empty strings, structs that are null.
 */
export interface Sample {
  readonly schema: StructType
  readonly rows: readonly Record<string, unknown>[]
  readonly expected: readonly Record<string, unknown>[]
}

interface Kind {
  readonly type: SchemaType<unknown, unknown>
  /** [what is handed in, what comes out] */
  readonly value: fc.Arbitrary<readonly [unknown, unknown]>
}

const same = (a: fc.Arbitrary<unknown>): fc.Arbitrary<readonly [unknown, unknown]> => a.map((v) => [v, v] as const)
const toWellFormed = (s: string): string =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(s))

const safeInteger = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer(),
  fc.constantFrom(
    0,
    -1,
    2 ** 31,
    -(2 ** 31) - 1,
    2 ** 32,
    -(2 ** 32),
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
  ),
)
/** Any character of Unicode. fast-check's own unit for that, 'binary', first spends two seconds on a table of all of them. */
export const codePoint: fc.Arbitrary<string> = fc
  .integer({ min: 0, max: 0x10f7ff })
  .map((n) => String.fromCodePoint(n < 0xd800 ? n : n + 0x800))

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 30 }),
  fc.string({ unit: 'binary-ascii', maxLength: 60 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 60 }).map((codes) => String.fromCharCode(...codes)),
  fc.constantFrom('', '\ud800', 'a\udc00b', '𝄞', `${'x'.repeat(200)}é`),
)
const double = fc.oneof(fc.double(), fc.constantFrom(Number.NaN, -0, 0, Number.POSITIVE_INFINITY, Number.MIN_VALUE))
const day = fc.integer({ min: -719528, max: 2932896 })

const scalars: readonly Kind[] = [
  { type: t.string, value: text.map((s) => [s, toWellFormed(s)] as const) },
  { type: t.binary, value: same(fc.uint8Array({ maxLength: 20 })) },
  { type: t.boolean, value: same(fc.boolean()) },
  { type: t.byte, value: same(fc.integer({ min: -128, max: 127 })) },
  { type: t.short, value: same(fc.integer({ min: -32768, max: 32767 })) },
  { type: t.int, value: same(fc.integer()) },
  { type: t.long, value: same(safeInteger) },
  {
    type: t.bigint,
    value: fc.oneof(
      same(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
      safeInteger.map((n) => [n, BigInt(n)] as const),
    ),
  },
  { type: t.float, value: double.map((n) => [n, Math.fround(n)] as const) },
  { type: t.double, value: same(double) },
  {
    type: t.timestamp,
    value: fc.oneof(
      same(safeInteger),
      fc.date({ noInvalidDate: true }).map((d) => [d, d.getTime()] as const),
    ),
  },
  {
    type: t.date,
    value: day.map((n) => new Date(n * 86_400_000).toISOString().slice(0, 10)).map((s) => [s, s] as const),
  },
  {
    type: t.decimal(38, 10),
    value: fc
      .bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n })
      .map((n) => [formatDecimal(n, 10), formatDecimal(n, 10)] as const),
  },
  {
    type: t.decimal(9, 2),
    value: fc
      .integer({ min: -999_999_999, max: 999_999_999 })
      .map((n) => [n / 100, formatDecimal(BigInt(n), 2)] as const),
  },
]

const names = fc.uniqueArray(
  fc.oneof(
    fc.constantFrom('a', 'b', 'toString', 'hasOwnProperty', '0', 'ünï', 'with space', 'quote\'"`'),
    fc.string({ minLength: 1, maxLength: 6 }),
  ),
  { minLength: 1, maxLength: 7 },
)
const goodName = (name: string): boolean => !name.startsWith('__') && name !== 'constructor' && name !== 'prototype'

function kind(depth: number): fc.Arbitrary<Kind> {
  const leaf = fc.constantFrom(...scalars)
  if (depth === 0) return fc.tuple(leaf, fc.boolean()).map(([k, nullable]) => (nullable ? optional(k) : k))
  const any = fc.oneof(
    { weight: 6, arbitrary: leaf },
    { weight: 1, arbitrary: struct(depth - 1) },
    { weight: 1, arbitrary: kind(depth - 1).map(arrayOf) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...keys), kind(depth - 1)).map(([k, v]) => mapOf(k, v)) },
  )
  return fc.tuple(any, fc.boolean()).map(([k, nullable]) => (nullable ? optional(k) : k))
}

/** In an array nothing is left out: undefined is null there. */
function arrayOf(k: Kind): Kind {
  const value = fc
    .array(k.value, { maxLength: 10 })
    .map((pairs) => [pairs.map(([given]) => given ?? null), pairs.map(([, back]) => back)] as const)
  return { type: t.array(k.type), value }
}

const keys: readonly Kind[] = [
  { type: t.string, value: fc.string({ unit: 'grapheme', maxLength: 5 }).map((s) => [s, toWellFormed(s)] as const) },
  { type: t.int, value: same(fc.integer()) },
  { type: t.bigint, value: same(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })) },
]

function mapOf(key: Kind, item: Kind): Kind {
  const value = fc
    .uniqueArray(fc.tuple(key.value, item.value), { maxLength: 6, selector: ([[, back]]) => back })
    .map(
      (entries) =>
        [new Map(entries.map(([[k], [v]]) => [k, v])), new Map(entries.map(([[, k], [, v]]) => [k, v]))] as const,
    )
  return { type: t.map(key.type, item.type), value }
}

function optional(k: Kind): Kind {
  return {
    type: k.type.nullable(),
    value: fc.oneof(
      { weight: 3, arbitrary: k.value },
      { weight: 1, arbitrary: fc.constantFrom([null, null] as const, [undefined, null] as const) },
    ),
  }
}

function struct(depth: number): fc.Arbitrary<Kind> {
  return names.chain((list) => {
    const good = list.filter(goodName)
    const own = good.length === 0 ? ['a'] : good
    return fc.tuple(...own.map(() => kind(depth))).map((kinds) => structOf(own, kinds))
  })
}

function structOf(own: readonly string[], kinds: readonly Kind[]): Kind {
  const fields: FieldTypes = Object.fromEntries(own.map((name, i) => [name, (kinds[i] as Kind).type]))
  const value = fc.tuple(...kinds.map((k) => k.value)).map((pairs) => {
    const given: Record<string, unknown> = {}
    const back: Record<string, unknown> = {}
    own.forEach((name, i) => {
      const [a, b] = pairs[i] as readonly [unknown, unknown]
      if (a !== undefined) given[name] = a
      back[name] = b
    })
    return [{ ...given, notDeclared: 1 }, back] as const
  })
  // A field of that name would be declared after all.
  return own.includes('notDeclared')
    ? structOf(own.filter((n) => n !== 'notDeclared').concat('n'), kinds)
    : { type: t.struct(fields), value }
}

/** A schema and up to 40 rows. */
export const sample: fc.Arbitrary<Sample> = struct(2).chain((k) =>
  fc.array(k.value, { maxLength: 40 }).map((pairs) => ({
    schema: k.type.type as StructType,
    rows: pairs.map(([given]) => given as Record<string, unknown>),
    expected: pairs.map(([, back]) => back as Record<string, unknown>),
  })),
)
