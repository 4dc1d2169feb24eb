import { col, count, type Millrace, struct, t } from 'millrace'
import { beforeAll, expect, test } from 'vitest'
import { sharedEngine } from '../engines.js'

/** What is seen of dropped duplicates from outside: keys of every type, any number of columns, what progress says of the state. */
let mill: Millrace
beforeAll(async () => {
  mill = await sharedEngine(2)
})

test('arrays are compared as they are, structs field by field', async () => {
  const Row = t.struct({ id: t.int, tags: t.array(t.string.nullable()).nullable() })
  const rows = [null, [], ['a'], ['a', null], ['a'], [], null, ['a', 'null'], ['a,b'], ['a', 'b']]
  const frame = mill.createDataFrame(
    rows.map((tags) => ({ id: 1, tags })),
    Row,
  )
  expect(await frame.distinct().count()).toBe(7)
  expect(await frame.dropDuplicates('tags').count()).toBe(7)
  expect(await frame.select(struct('id', 'tags').as('both')).distinct().count()).toBe(7)
})

test('of many columns each one counts, beyond those that a table has bits for', async () => {
  const names = Array.from({ length: 40 }, (_, i) => `c${i}`)
  const Row = t.struct(Object.fromEntries(names.map((name) => [name, t.double.nullable()])))
  const zeros = Object.fromEntries(names.map((name) => [name, 0]))
  const nulls = Object.fromEntries(names.map((name) => [name, null]))
  const ones = names.flatMap((name) => [
    { ...zeros, [name]: null },
    { ...zeros, [name]: Number.NaN },
    { ...nulls, [name]: 1 },
  ])
  const minus = names.map((name) => ({ ...zeros, [name]: -0 }))
  const frame = mill.createDataFrame([zeros, nulls, ...ones, ...ones, ...minus], Row)
  expect(await frame.distinct().count()).toBe(2 + 3 * names.length)
})

test('names come one by one or as a list, one that is there twice counts once', async () => {
  const Row = t.struct({ a: t.int, b: t.int, c: t.int })
  const rows = Array.from({ length: 60 }, (_, i) => ({ a: i % 2, b: i % 3, c: i }))
  const frame = mill.createDataFrame(rows, Row)
  expect(await frame.dropDuplicates('a', 'b').count()).toBe(6)
  expect(await frame.dropDuplicates(['b', 'a', 'b']).count()).toBe(6)
  expect(await frame.dropDuplicates(['a']).orderBy('c').collect()).toEqual([
    { a: 0, b: 0, c: 0 },
    { a: 1, b: 1, c: 1 },
  ])
  expect(await frame.select('a').distinct().groupBy().agg({ n: count() }).collect()).toEqual([{ n: 2 }])
})

test('progress tells the keys that are kept, those that were forgotten, and the rows that were late', async () => {
  const Event = t.struct({ user: t.string, ts: t.timestamp })
  await mill.topics.create('events', { partitions: 1, schema: Event })
  const query = await mill.readStream
    .option('startingOffsets', 'earliest')
    .topic('events')
    .withWatermark('ts', '10 seconds')
    .dropDuplicatesWithinWatermark('user')
    .filter(col('user').neq('nobody'))
    .writeStream.queryName('seen')
    .format('noop')
    .trigger({ processingTime: 0 })
    .start()
  const told = async (users: readonly (readonly [string, number])[]) => {
    const messages = users.map(([user, seconds]) => ({ value: { user, ts: seconds * 1000 } }))
    await mill.producer().send({ topic: 'events', messages })
    await query.processAllAvailable()
    const last = query.recentProgress.findLast(({ numInputRows }) => numInputRows > 0)
    return last?.stateOperators[0]
  }
  const first = await told([
    ['a', 0],
    ['b', 1],
    ['a', 2],
  ])
  expect(first).toMatchObject({
    operatorName: 'dedupeWithinWatermark',
    numRowsTotal: 2,
    numRowsUpdated: 2,
    numRowsRemoved: 0,
    numRowsDroppedByWatermark: 0,
  })
  expect(first?.memoryUsedBytes).toBeGreaterThan(0)
  expect(
    await told([
      ['c', 30],
      ['b', 5],
      ['b', 20],
    ]),
  ).toMatchObject({ numRowsTotal: 2, numRowsUpdated: 2, numRowsRemoved: 1, numRowsDroppedByWatermark: 1 })
  await query.stop()
})
