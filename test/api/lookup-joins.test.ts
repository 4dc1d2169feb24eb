import { type Millrace, t } from 'millrace'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { withBroadcasts } from '../../src/api/batch-run.js'
import type { EngineContext } from '../../src/api/engine-context.js'
import { resolveOptions } from '../../src/api/open-options.js'
import { physicalPlan } from '../../src/api/planning.js'
import { EngineSession } from '../../src/execution/session.js'
import { blocksFromRows } from '../../src/types/column-builder.js'
import { t as own } from '../../src/types/schema.js'
import { sharedEngine } from '../engines.js'
import { fakeContext } from './fake-context.js'

/** A stream and rows that end, as their user sees them. */
const Click = t.struct({ userId: t.string, n: t.int })
const User = t.struct({ userId: t.string, name: t.string })

let mill: Millrace
beforeEach(async () => {
  mill = await sharedEngine(2)
  await mill.topics.create('clicks', { partitions: 2, schema: Click })
  await mill.topics.create('users', { partitions: 2, schema: User })
})
afterEach(async () => {
  await mill.topics.delete('clicks')
  await mill.topics.delete('users')
})

const clicks = () => mill.readStream.option('startingOffsets', 'earliest').topic('clicks', Click)
const send = (topic: string, ...values: object[]) =>
  mill.producer().send({ topic, messages: values.map((value) => ({ value })) })

test('the side that ends is read when the query starts, and is the same for the whole run; the next run reads it again', async () => {
  await send('users', { userId: 'a', name: 'Ann' })
  const run = async (name: string): Promise<string[]> => {
    const query = await clicks()
      .join(mill.read.topic('users', User), 'userId', 'left')
      .writeStream.format('memory')
      .queryName(name)
      .start()
    await query.processAllAvailable()
    await send('users', { userId: 'b', name: 'Bob' })
    await send('clicks', { userId: 'b', n: 2 })
    await query.processAllAvailable()
    await query.stop()
    return (await mill.table(name).collect()).map((row) => `${row['userId']} ${row['n']} ${row['name']}`).sort()
  }
  await send('clicks', { userId: 'a', n: 1 })
  expect(await run('first')).toEqual(['a 1 Ann', 'b 2 null'])
  expect(await run('second')).toEqual(['a 1 Ann', 'b 2 Bob', 'b 2 Bob'])
})

test('a cross join goes on behind a transaction that was taken back, however long, though it reads a few records at a time', async () => {
  const table = mill.createDataFrame(
    Array.from({ length: 3000 }, (_, i) => ({ userId: `u${i}`, name: 'n' })),
    User,
  )
  const producer = mill.producer({ transactionalId: 'tx' })
  const messages = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ partition: 0, value: { userId: 'a', n } }))
  const aborted = await producer.transaction()
  await aborted.send({ topic: 'clicks', messages: messages(50_000) })
  await aborted.abort()
  const kept = await producer.transaction()
  await kept.send({ topic: 'clicks', messages: messages(2) })
  await kept.commit()
  const query = await clicks()
    .crossJoin(table.select('name'))
    .groupBy('n')
    .count()
    .writeStream.format('memory')
    .outputMode('complete')
    .queryName('crossed')
    .start()
  await query.processAllAvailable()
  const rows = await mill.table('crossed').collect()
  expect(rows.map((row) => [row['n'], row['count']]).sort()).toEqual([
    [0, 3000],
    [1, 3000],
  ])
  await query.stop()
})

test('an error in the side that ends is one of start(), and the name of the query is free again', async () => {
  const users = mill
    .createDataFrame([{ userId: 'a', name: 'x' }], User)
    .selectExpr('userId', 'cast(name as int) as name')
  const start = () => clicks().join(users, 'userId').writeStream.format('memory').queryName('q').start()
  await expect(start()).rejects.toMatchObject({ code: 'CAST_INVALID_INPUT' })
  await expect(start()).rejects.toMatchObject({ code: 'CAST_INVALID_INPUT' })
})

test('a table with more bytes than it may have is refused, with what to do', async () => {
  const session = await EngineSession.open({ ...resolveOptions({ workers: 1 }) })
  const context = Object.create(fakeContext(), { session: { value: session } }) as EngineContext
  try {
    const schema = own.struct({ userId: own.string, n: own.int }).type
    const rows = Array.from({ length: 2000 }, (_, n) => ({ userId: `user ${n}`, n }))
    const tables = new Map([
      ['stream', blocksFromRows(schema, [])],
      ['table', blocksFromRows(schema, rows)],
    ])
    const scan = (tableId: string, streaming: boolean) =>
      ({ op: 'scan', source: { format: 'memory', streaming, schema, tableId, options: {} } }) as const
    const physical = physicalPlan(
      { op: 'join', left: scan('stream', true), right: scan('table', false), how: 'leftSemi', using: ['userId'] },
      { ansi: true, outputMode: 'append', mode: 'microBatch' },
    )
    const all = await withBroadcasts(context, physical, tables)
    expect([...all.keys()]).toEqual(['stream', 'table', 'broadcast-0'])
    await expect(withBroadcasts(context, physical, tables, 10_000)).rejects.toMatchObject({
      code: 'BROADCAST_TOO_LARGE',
    })
  } finally {
    await session.close()
  }
})
