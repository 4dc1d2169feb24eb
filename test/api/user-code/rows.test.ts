import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { col, count, type DataFrame, Millrace, sum, type Trigger, t, window } from 'millrace'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** What becomes of the rows that are given to functions of the user's, in every mode. */
const Reading = t.struct({ n: t.int, key: t.string, ts: t.timestamp })
const readings = Array.from({ length: 6000 }, (_, n) => {
  // Mostly in order, now and then far behind: late for a watermark of ten seconds.
  return { n, key: `k${n % 7}`, ts: n * 1000 - (n % 50 === 49 ? 60_000 : 0) }
})

let mill: Millrace
let directory: string
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-user-code-'))
  mill = await Millrace.open({ dir: directory, fsync: 'never', workers: 2 })
  await mill.topics.create('readings', { partitions: 3, schema: Reading })
  const producer = mill.producer()
  await producer.send({ topic: 'readings', messages: readings.map((value) => ({ key: value.key, value })) })
})
afterAll(async () => {
  await mill.close()
  rmSync(directory, { recursive: true, force: true })
})

const held = () => mill.createDataFrame(readings, Reading)

describe('rows', () => {
  test('map: one for each, in order, with the columns of the schema', async () => {
    const made = held().map((row) => ({ twice: row.n * 2 }), t.struct({ twice: t.int }))
    expect(made.columns).toEqual(['twice'])
    expect(await made.collect()).toEqual(readings.map(({ n }) => ({ twice: n * 2 })))
  })

  test('flatMap: any number for each; mapBatches: for some that follow one another; filter: those that stay', async () => {
    const several = await held()
      .flatMap((row) => (row.n % 3 === 0 ? [] : new Set([row, { ...row, n: -row.n }])))
      .collect()
    expect(several.map(({ n }) => n)).toEqual(readings.flatMap(({ n }) => (n % 3 === 0 ? [] : [n, -n])))
    const batches = await held()
      .mapBatches((rows) => [{ rows: rows.length }], t.struct({ rows: t.int }), { batchSize: 100 })
      .collect()
    expect(Math.max(...batches.map(({ rows }) => rows))).toBe(100)
    expect(batches.reduce((all, { rows }) => all + rows, 0)).toBe(readings.length)
    const kept = await held()
      .filter((row) => row.n % 1000 === 0)
      .filter((row) => row.n > 0)
      .collect()
    expect(kept).toEqual(readings.filter(({ n }) => n > 0 && n % 1000 === 0))
  })

  test('every type comes as the user knows it, and goes back', async () => {
    const All = t.struct({
      a: t.string.nullable(),
      b: t.bigint,
      c: t.decimal(10, 2),
      d: t.date,
      e: t.binary,
      f: t.array(t.int),
      g: t.map(t.string, t.double),
      h: t.struct({ x: t.boolean, y: t.float.nullable() }).nullable(),
      i: t.timestamp,
      j: t.long,
      k: t.short,
    })
    const row = {
      a: 'grüß 🐟',
      b: 2n ** 62n,
      c: '12345678.90',
      d: '2026-02-28',
      e: new Uint8Array([0, 255]),
      f: [1, 2],
      g: new Map([['x', 0.5]]),
      h: { x: true, y: null },
      i: 1_700_000_000_000,
      j: 2 ** 52,
      k: -3,
    }
    const rows = [row, { ...row, a: null, h: null }]
    const frame = mill.createDataFrame(rows, All)
    expect(await frame.map((one) => one).collect()).toEqual(rows)
    expect(await frame.filter((one) => one.b > 5n && one.g.get('x') === 0.5 && one.d > '2026').collect()).toEqual(rows)
    expect((await frame.map((one) => ({ ...one, i: new Date(one.i) }) as never).collect())[0]?.i).toBe(row.i)
  })

  test('texts too large for one block travel in several', async () => {
    const Text = t.struct({ text: t.string })
    const frame = mill.createDataFrame(
      Array.from({ length: 40 }, () => ({ text: 'x' })),
      Text,
    )
    const long = frame.map((row) => ({ text: row.text.repeat(200_000) }))
    const lengths = (await long.collect()).map(({ text }) => text.length)
    expect(lengths).toEqual(new Array(40).fill(200_000))
  })

  test('asynchronous calls keep the order of the rows, and no more are under way than are allowed', async () => {
    const made = held()
      .limit(400)
      .map(
        async (row) => {
          const here = globalThis as { under?: number; most?: number }
          here.under = (here.under ?? 0) + 1
          here.most = Math.max(here.most ?? 0, here.under)
          await new Promise((resolve) => setTimeout(resolve, (row.n * 7) % 5))
          here.under -= 1
          return { n: row.n, most: here.most }
        },
        t.struct({ n: t.int, most: t.int }),
        { concurrency: 9 },
      )
    const rows = await made.collect()
    expect(rows.map(({ n }) => n)).toEqual(readings.slice(0, 400).map(({ n }) => n))
    expect(rows.at(-1)?.most).toBe(9)
  })

  test('behind an aggregate and a sort, too', async () => {
    const totals = held()
      .groupBy('key')
      .agg({ total: sum('n') })
      .map(
        async (row) => ({ key: row.key.toUpperCase(), total: Number(row.total) }),
        t.struct({ key: t.string, total: t.long }),
      )
      .orderBy('key')
      .flatMap((row) => [row])
    const rows = await totals.collect()
    expect(rows.map(({ key }) => key)).toEqual(['K0', 'K1', 'K2', 'K3', 'K4', 'K5', 'K6'])
    expect(rows.reduce((all, { total }) => all + total, 0)).toBe(readings.reduce((all, { n }) => all + n, 0))
  })
})

describe('errors of a batch query', () => {
  const one = () => mill.createDataFrame([{ n: 13 }], t.struct({ n: t.int }))
  const failing = <R extends object>(frame: DataFrame<R>) => expect(frame.collect()).rejects

  test('what the function throws, with the step', async () => {
    await failing(
      one().map((row) => {
        if (row.n === 13) throw new RangeError('unlucky')
        return row
      }),
    ).toMatchObject({ code: 'USER_CODE_FAILED', summary: 'map(inline) has thrown: unlucky' })
    await failing(
      one().filter(async () => Promise.reject(Object.assign(new Error('down'), { code: 'ECONNREFUSED' }))),
    ).toMatchObject({
      code: 'ECONNREFUSED',
    })
  })

  test('a promise that is never kept', async () => {
    await failing(one().map(() => new Promise<{ n: number }>(() => undefined), { timeout: '50 ms' })).toMatchObject({
      code: 'USER_CODE_TIMED_OUT',
    })
  })

  test('a row that does not fit the schema, and what is no rows', async () => {
    await failing(one().map(() => ({ n: 'x' }) as never)).toMatchObject({ code: 'RECORD_INVALID' })
    await failing(one().map(() => null as never)).toMatchObject({ code: 'RECORD_INVALID' })
    await failing(one().flatMap(() => 5 as never)).toMatchObject({ code: 'USER_CODE_RESULT' })
  })
})

describe('plans', () => {
  test('nothing is moved across a function, and it is given all columns', () => {
    const text = mill.read
      .topic('readings')
      .map((row) => row)
      .filter(col('n').gt(1))
      .select('key')
      .explain()
    const physical = text.slice(text.indexOf('== Physical Plan =='))
    expect(physical.split('\n').map((line) => line.replace(/^[\s+\-*()\d]*/, ''))).toEqual([
      '== Physical Plan ==',
      'Sink [key]',
      'Project [key#1]',
      'Filter (n#0 > 1)',
      'UserCode map(inline)',
      'Scan topic readings [n, key, ts]',
    ])
  })

  test('a window in append mode needs its watermark behind a map, and may have it before a filter', async () => {
    const grouped = (frame: DataFrame<t.infer<typeof Reading>>) =>
      frame
        .groupBy(window('ts', '1 minute'))
        .agg({ n: count() })
        .writeStream.outputMode('append')
        .foreach(() => undefined)
    const stream = mill.readStream.topic('readings') as unknown as DataFrame<t.infer<typeof Reading>>
    await expect(grouped(stream.withWatermark('ts', '1 second').map((row) => row)).start()).rejects.toMatchObject({
      code: 'UNSUPPORTED_OPERATION',
    })
    const query = await grouped(stream.withWatermark('ts', '1 second').filter((row) => row.n > 1)).start()
    await query.stop()
  })
})

describe('in every mode, with late rows and through a restart', () => {
  type Frame = DataFrame<t.infer<typeof Reading>>
  const pipelines: Readonly<Record<string, readonly [withCode: (f: Frame) => Frame, plain: (f: Frame) => Frame]>> = {
    'a filter behind the watermark': [
      (f) => f.withWatermark('ts', '10 seconds').filter((row) => row.n % 3 === 0),
      (f) => f.withWatermark('ts', '10 seconds').filter(col('n').mod(3).eq(0)),
    ],
    'an asynchronous filter before the watermark': [
      (f) => f.filter(async (row) => row.n % 3 === 0).withWatermark('ts', '10 seconds'),
      (f) => f.withWatermark('ts', '10 seconds').filter(col('n').mod(3).eq(0)),
    ],
    'a map, and the watermark behind it': [
      (f) =>
        f
          .filter(col('n').mod(2).eq(0))
          .map((row) => ({ ...row, n: row.n * 2 }))
          .withColumn('n', col('n').plus(1))
          .mapBatches(async (rows) => rows)
          .withWatermark('ts', '10 seconds') as unknown as Frame,
      (f) =>
        f
          .filter(col('n').mod(2).eq(0))
          .withColumn('n', col('n').mul(2).plus(1))
          .withWatermark('ts', '10 seconds') as unknown as Frame,
    ],
  }
  const sliding = (frame: Frame) =>
    frame.groupBy(window('ts', '10 minutes', '5 minutes'), 'key').agg({ n: count(), total: sum('n') })

  const inOrder = (rows: readonly object[]): string[] => rows.map((row) => JSON.stringify(row)).sort()

  async function streamed(frame: Frame, triggers: readonly Trigger[], name: string): Promise<string[]> {
    const rows: object[] = []
    for (const [i, trigger] of triggers.entries()) {
      const query = await sliding(frame)
        .writeStream.outputMode('append')
        .option('checkpointLocation', join(directory, `checkpoint-${name}`))
        .trigger(trigger)
        .foreach((row) => {
          rows.push(row)
        })
        .start()
      if (i < triggers.length - 1 && !('availableNow' in trigger)) {
        await query.processAllAvailable()
        await query.stop()
      } else if (i < triggers.length - 1) await query.awaitTermination()
      else await query.drain()
    }
    return inOrder(rows)
  }

  test.each(Object.keys(pipelines))('%s', async (name) => {
    const [withCode, plain] = pipelines[name] as (typeof pipelines)[string]
    const source = () => mill.readStream.option('startingOffsets', 'earliest').topic('readings') as unknown as Frame
    const expected = await streamed(plain(source()), [{ processingTime: 0 }], `${name}-plain`)
    expect(expected.length).toBeGreaterThan(50)
    const asBatch = await sliding(withCode(mill.read.topic('readings') as unknown as Frame)).collect()
    expect(inOrder(asBatch)).toEqual(expected)
    expect(await streamed(withCode(source()), [{ processingTime: 0 }], `${name}-micro`)).toEqual(expected)
    expect(await streamed(withCode(source()), [{ continuous: 20 }], `${name}-continuous`)).toEqual(expected)
    expect(await streamed(withCode(source()), [{ continuous: 20 }, { processingTime: 0 }], `${name}-both`)).toEqual(
      expected,
    )
  })
})
