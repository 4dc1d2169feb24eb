import { col, expr, fromJson, type Millrace, struct, t, toJson, transform } from 'millrace'
import { beforeAll, expect, test } from 'vitest'
import { sharedEngine } from '../engines.js'

/** Arrays, maps, computed structs and SQL through the whole engine, from rows to rows. */
let mill: Millrace
beforeAll(async () => {
  mill = await sharedEngine(1)
})

const Order = t.struct({
  id: t.int,
  tags: t.array(t.string.nullable()),
  prices: t.map(t.string, t.double).nullable(),
  lines: t.array(t.struct({ sku: t.string, n: t.int })),
})
const orders = [
  {
    id: 1,
    tags: ['a', null],
    prices: { net: 1.5 },
    lines: [
      { sku: 'x', n: 2 },
      { sku: 'y', n: 3 },
    ],
  },
  { id: 2, tags: [], prices: null, lines: [] },
]

test('arrays and maps come back as they went in', async () => {
  const rows = await mill.createDataFrame(orders, Order).collect()
  expect(rows).toStrictEqual([{ ...orders[0], prices: new Map([['net', 1.5]]) }, { ...orders[1] }])
})

test('what does not fit inside an array is named by its place', () => {
  expect(() => mill.createDataFrame([{ ...orders[0], lines: [{ sku: 'x', n: 'two' }] }] as never, Order)).toThrow(
    /rows\[0\]\.lines\[0\]\.n has a value that does not fit/,
  )
})

test('expressions over them, in SQL and in functions, give the same', async () => {
  const df = mill.createDataFrame(orders, Order)
  const bySql = await df
    .filter("size(tags) > 0 and prices['net'] is not null")
    .selectExpr(
      'id',
      'aggregate(lines, 0, (s, l) -> s + l.n) as pieces',
      'lines.sku as skus',
      "struct(id, 'k' as kind) as made",
    )
    .collect()
  expect(bySql).toStrictEqual([{ id: 1, pieces: 5, skus: ['x', 'y'], made: { id: 1, kind: 'k' } }])
  const byFunctions = await df
    .filter(expr('id = 1'))
    .select(
      transform('lines', (l) => l.getField('n').mul(2)).as('doubled'),
      struct('id', 'tags').as('s'),
      toJson('lines').as('json'),
    )
    .withColumn('back', fromJson('json', 'array<struct<sku: string, n: int>>'))
    .withColumn('first', col('back').getItem(0).getField('sku'))
    .collect()
  expect(byFunctions).toStrictEqual([
    {
      doubled: [4, 6],
      s: { id: 1, tags: ['a', null] },
      json: '[{"sku":"x","n":2},{"sku":"y","n":3}]',
      back: orders[0]?.lines,
      first: 'x',
    },
  ])
})

test('an array column is a topic column, and order goes by its elements', async () => {
  await mill.topics.create('orders', { partitions: 2, schema: Order })
  const producer = mill.producer()
  await producer.send({ topic: 'orders', messages: orders.map((value) => ({ key: String(value.id), value })) })
  const rows = await mill.read.topic('orders').orderBy('tags').select('id', 'tags').collect()
  expect(rows).toStrictEqual([
    { id: 2, tags: [] },
    { id: 1, tags: ['a', null] },
  ])
})

test('JSON that does not fit is an error, or null where that is asked for', async () => {
  const df = mill.createDataFrame([{ json: '{"n": "x"}' }], t.struct({ json: t.string }))
  await expect(df.select(fromJson('json', 'n int').as('v')).collect()).rejects.toMatchObject({
    code: 'MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION',
  })
  const rows = await df.select(fromJson('json', 'n int', { mode: 'PERMISSIVE' }).as('v')).collect()
  expect(rows).toStrictEqual([{ v: { n: null } }])
})

test.each([
  ['round(d, -2000000)', '0'],
  ['bround(d, -20000000)', '0'],
  ['floor(d, -20000000)', '0'],
  ['ceil(d, -20000000)', 'NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION'],
  ["cast('1e999999999' as decimal(38, 10))", 'CAST_INVALID_INPUT'],
  ["try_cast('1e99999999999999999999' as decimal(38, 10))", null],
  ["format_string('%.99999999f', 1.5)", 'INVALID_PARAMETER_VALUE'],
  ["format_string('%999999999d', 1)", 'INVALID_PARAMETER_VALUE'],
  ["length(format_string('%.400e', cast(1.5 as double)))", 106],
  ['format_number(1.5, 20000000)', null],
  ['space(2000000000)', 'STRING_TOO_LONG'],
  ["repeat('ab', 2000000000)", 'STRING_TOO_LONG'],
  ['sequence(1, 2000000000)', 'COLLECTION_SIZE_LIMIT_EXCEEDED'],
])('%s asks for absurdly much, and is answered at once', async (sql, expected) => {
  const one = mill.createDataFrame([{ n: 1 }], t.struct({ n: t.int })).selectExpr('cast(12.5 as decimal(10, 2)) as d')
  const answer = one.select(expr(sql).as('x')).collect()
  if (typeof expected === 'string' && /^[A-Z]/.test(expected))
    await expect(answer).rejects.toMatchObject({ code: expected })
  else expect(await answer).toEqual([{ x: expected }])
})

test('an aggregate does not begin with what another one of its shape has begun with', async () => {
  const rows = mill.createDataFrame([{ n: 1 }, { n: 2 }], t.struct({ n: t.int }))
  const found: Record<string, unknown> = {}
  for (const text of ['min(n)', 'max(n)', 'bool_and(n > 0)', 'bool_or(n > 5)', 'sum(n)', 'max(-n)', 'min(-n)']) {
    const [row] = await rows
      .groupBy()
      .agg({ v: expr(text) })
      .collect()
    found[text] = row?.v
  }
  expect(found).toEqual({
    'min(n)': 1,
    'max(n)': 2,
    'bool_and(n > 0)': true,
    'bool_or(n > 5)': false,
    'sum(n)': 3,
    'max(-n)': -1,
    'min(-n)': -2,
  })
})
