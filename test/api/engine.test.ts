import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { avg, col, count, lit, max, sum, window } from '../../src/api/functions.js'
import { Millrace } from '../../src/api/millrace.js'
import type { Trigger } from '../../src/api/trigger.js'
import { t } from '../../src/types/schema.js'

const Click = t.struct({ page: t.string, ts: t.timestamp, price: t.double.nullable() })
type Click = t.infer<typeof Click>

let mill: Millrace
let topics = 0

beforeAll(async () => {
  mill = await Millrace.open({ workers: 2 })
})

afterAll(async () => {
  await mill.close()
})

async function newTopic(engine: Millrace = mill, partitions = 3): Promise<string> {
  topics += 1
  const name = `clicks-${topics}`
  await engine.topics.create(name, { partitions, schema: Click })
  return name
}

const click = (page: string, second: number, price: number | null = 1): Click => ({ page, ts: second * 1000, price })

async function send(engine: Millrace, topic: string, ...clicks: readonly Click[]): Promise<void> {
  await engine.producer().send({ topic, messages: clicks.map((value) => ({ key: value.page, value })) })
}

describe('bounded queries', () => {
  const rows = () => mill.createDataFrame([click('/a', 1), click('/b', 61, null), click('/a', 2, 4)], Click)

  it('collect, count, first, take and foreach agree on the rows', async () => {
    expect(await rows().collect()).toEqual([click('/a', 1), click('/b', 61, null), click('/a', 2, 4)])
    expect(await rows().count()).toBe(3)
    expect(await rows().filter(col('page').eq('/b')).first()).toEqual(click('/b', 61, null))
    expect(await rows().filter(lit(false)).first()).toBeNull()
    expect(await rows().filter(lit(false)).count()).toBe(0)
    expect(await rows().orderBy(col('ts').desc()).take(1)).toEqual([click('/b', 61, null)])
    const pages: string[] = []
    await rows().foreach((row) => void pages.push(row.page))
    expect(pages).toEqual(['/a', '/b', '/a'])
  })

  it('groups and windows', async () => {
    const perMinute = rows()
      .groupBy(window('ts', '1 minute'), 'page')
      .agg({ views: count(), revenue: sum('price'), mean: avg('price'), last: max('ts') })
      .orderBy('page')
    expect(await perMinute.collect()).toEqual([
      { window: { start: 0, end: 60_000 }, page: '/a', views: 2, revenue: 5, mean: 2.5, last: 2000 },
      { window: { start: 60_000, end: 120_000 }, page: '/b', views: 1, revenue: null, mean: null, last: 61_000 },
    ])
    expect(
      await rows()
        .agg({ n: count(), total: sum('price') })
        .collect(),
    ).toEqual([{ n: 3, total: 5 }])
  })

  it('toArrow has the rows of the result', async () => {
    const table = await rows().filter(col('page').eq('/a')).toArrow()
    expect(table.numRows).toBe(2)
    expect(Array.from({ length: 2 }, (_, i) => table.getChild('price')?.get(i))).toEqual([1, 4])
  })

  it('a value that does not fit the schema is refused with its path', () => {
    expect(() => mill.createDataFrame([{ page: 7 }], 'page string')).toThrow(/rows\[0\]\.page/)
  })

  it('an error of the query is the error of the action', async () => {
    await expect(
      rows()
        .select(col('price').cast('int').divide(lit(0)).as('x'))
        .collect(),
    ).rejects.toMatchObject({
      code: expect.stringMatching(/DIV/),
    })
  })

  it('explain names the plans, and the code where it is asked for', () => {
    const print = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
    const frame = rows().filter(col('price').gt(1)).groupBy('page').count()
    expect(frame.explain()).toMatch(/== Logical Plan ==[\s\S]*== Physical Plan ==/)
    expect(frame.explain('codegen')).toMatch(/function rows\(/)
    expect(print.mock.calls.at(-1)?.[0]).toContain('== Generated Code ==')
    print.mockRestore()
  })
})

describe('streaming queries', () => {
  const modes: [string, Trigger][] = [
    ['micro-batch', { processingTime: 0 }],
    ['continuous', { continuous: '20 ms' }],
  ]

  it.each(modes)('iterate gives rows as they come, and leaving the loop stops the query (%s)', async (_, trigger) => {
    const topic = await newTopic()
    await send(mill, topic, click('/a', 1), click('/b', 2), click('/c', 3))
    const seen: string[] = []
    const stream = mill.readStream.option('startingOffsets', 'earliest').topic(topic, Click)
    for await (const row of stream.writeStream.queryName(`loop-${topic}`).trigger(trigger).iterate()) {
      seen.push(row.page)
      if (seen.length === 2) await send(mill, topic, click('/d', 4))
      if (row.page === '/d') break
    }
    expect(seen.sort()).toEqual(['/a', '/b', '/c', '/d'])
    expect(mill.queries.get(`loop-${topic}`)).toBeUndefined()
  })

  it.each(modes)('foreachBatch gets each epoch as a DataFrame (%s)', async (_, trigger) => {
    const topic = await newTopic()
    const epochs: number[] = []
    const pages: string[] = []
    const query = await mill.readStream
      .topic(topic, Click)
      .writeStream.trigger(trigger)
      .foreachBatch(async (rows, epochId) => {
        epochs.push(epochId)
        for (const row of await rows.filter(col('price').isNotNull()).collect()) pages.push(row.page)
      })
      .start()
    await send(mill, topic, click('/a', 1), click('/b', 2, null))
    await query.processAllAvailable()
    await send(mill, topic, click('/c', 3))
    await query.processAllAvailable()
    await query.stop()
    expect(pages.sort()).toEqual(['/a', '/c'])
    expect(epochs).toEqual([...new Set(epochs)].sort((a, b) => a - b))
  })

  it.each(modes)(
    'foreachBatch is called for an epoch that read records and kept none, and not for one that read nothing (%s)',
    async (_, trigger) => {
      const topic = await newTopic()
      const sizes: number[] = []
      const query = await mill.readStream
        .topic(topic, Click)
        .filter(col('page').eq('/kept'))
        .writeStream.trigger(trigger)
        .foreachBatch(async (rows) => void sizes.push(await rows.count()))
        .start()
      await send(mill, topic, click('/a', 1))
      await query.processAllAvailable()
      await send(mill, topic, click('/kept', 2))
      await query.processAllAvailable()
      await query.stop()
      expect(sizes).toEqual([0, 1])
    },
  )

  it.each(modes)(
    'an error in foreach ends a query that is to fail with SINK_FAILED and its cause (%s)',
    async (_, trigger) => {
      const topic = await newTopic()
      const query = await mill.readStream
        .topic(topic, Click)
        .writeStream.trigger(trigger)
        .foreach(() => {
          throw new RangeError('no room')
        })
        .onError({ retry: { attempts: 1 }, then: 'fail' })
        .start()
      await send(mill, topic, click('/a', 1))
      await expect(query.awaitTermination()).rejects.toMatchObject({ code: 'SINK_FAILED' })
      expect(query.isActive).toBe(false)
      expect(query.exception()?.message).toContain('no room')
    },
  )

  it('availableNow reads what is there and stops', async () => {
    const topic = await newTopic()
    await send(mill, topic, click('/a', 1), click('/b', 2))
    const query = await mill.readStream
      .option('startingOffsets', 'earliest')
      .topic(topic, Click)
      .writeStream.format('memory')
      .queryName(`now-${topic}`)
      .trigger({ availableNow: true })
      .start()
    await query.awaitTermination()
    expect(query.isActive).toBe(false)
    expect(await mill.table(`now-${topic}`).count()).toBe(2)
  })

  it('stop keeps windows open, drain closes them', async () => {
    const topic = await newTopic()
    await send(mill, topic, click('/a', 1), click('/a', 2))
    const perMinute = mill.readStream
      .option('startingOffsets', 'earliest')
      .topic(topic, Click)
      .withWatermark('ts', '10 seconds')
      .groupBy(window('ts', '1 minute'), 'page')
      .count()
    for (const [end, rows] of [
      ['stop', 0],
      ['drain', 1],
    ] as const) {
      const query = await perMinute.writeStream.format('memory').queryName(`${end}-${topic}`).start()
      await query.processAllAvailable()
      await query[end]()
      expect(await mill.table(`${end}-${topic}`).count()).toBe(rows)
    }
  })

  it('tells its progress and is found among the active queries', async () => {
    const topic = await newTopic()
    const query = await mill.readStream.topic(topic, Click).writeStream.queryName(`p-${topic}`).format('noop').start()
    await send(mill, topic, click('/a', 1), click('/b', 2))
    await query.processAllAvailable()
    expect(query.lastProgress).toMatchObject({ name: `p-${topic}`, id: query.id, numInputRows: 2 })
    expect(query.recentProgress.at(-1)).toBe(query.lastProgress)
    expect(mill.queries.get(`p-${topic}`)).toBe(query)
    expect(mill.queries.active).toContain(query)
    await expect(
      mill.readStream.topic(topic, Click).writeStream.queryName(`p-${topic}`).format('noop').start(),
    ).rejects.toMatchObject({ code: 'QUERY_NAME_IN_USE' })
    await query.stop()
    expect(mill.queries.active).not.toContain(query)
  })

  it('its progress says what the sink is', async () => {
    const [topic, out] = [await newTopic(), await newTopic()]
    const print = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
    const writer = () => mill.readStream.option('startingOffsets', 'earliest').topic(topic, Click).writeStream
    const named = {
      ConsoleSink: writer().format('console'),
      MemorySink: writer().format('memory').queryName(`sink-${topic}`),
      NoopSink: writer().format('noop'),
      [`LogSink[${out}]`]: writer().format('log').option('topic', out),
      ForeachSink: writer().foreach(() => {}),
      ForeachBatchSink: writer().foreachBatch(() => {}),
    }
    await send(mill, topic, click('/a', 1))
    for (const [description, sink] of Object.entries(named)) {
      const query = await sink.start()
      await query.processAllAvailable()
      await query.stop()
      expect(query.lastProgress?.sink).toEqual({ description, numOutputRows: 1 })
    }
    print.mockRestore()
  })

  it.each([
    ['orderBy', 'UNSUPPORTED_OPERATION', () => stream().orderBy('ts')],
    ['limit', 'UNSUPPORTED_OPERATION', () => stream().limit(1)],
    [
      'an aggregation without a watermark in append mode',
      'UNSUPPORTED_OPERATION',
      () => stream().groupBy('page').count(),
    ],
  ])('%s on a stream is refused at the start, with what to do instead', async (_, code, frame) => {
    await expect(frame().writeStream.format('noop').start()).rejects.toMatchObject({ code, hint: expect.any(String) })
  })

  const stream = () =>
    mill.readStream.format('rate').load().withColumn('page', lit('x')).withColumn('ts', col('timestamp'))
})

describe('a named query in a folder', () => {
  it('goes on from its checkpoint after a restart, in another mode', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'millrace-test-'))
    try {
      const views = new Map<string, number>()
      const run = async (trigger: Trigger, ...clicks: readonly Click[]): Promise<void> => {
        const engine = await Millrace.open({ dir, workers: 1 })
        if (engine.topics.list().length === 0) await engine.topics.create('clicks', { partitions: 2, schema: Click })
        const query = await engine.readStream
          .option('startingOffsets', 'earliest')
          .topic('clicks', Click)
          .groupBy('page')
          .count()
          .writeStream.queryName('per-page')
          .outputMode('update')
          .trigger(trigger)
          .foreach((row) => void views.set(row.page, row.count))
          .start()
        await send(engine, 'clicks', ...clicks)
        await query.processAllAvailable()
        await query.stop()
        await engine.close()
      }
      await run({ processingTime: 0 }, click('/a', 1), click('/b', 2))
      await run({ continuous: '20 ms' }, click('/a', 3))
      await run({ processingTime: 0 }, click('/b', 4), click('/b', 5))
      expect([...views].sort()).toEqual([
        ['/a', 2],
        ['/b', 3],
      ])
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })
})

describe('an engine', () => {
  it('says what a crash could cost, and is of no use after close', async () => {
    const engine = await Millrace.open({ workers: 1 })
    await newTopic(engine)
    expect(await engine.describe()).toMatchObject({
      dir: null,
      workers: 1,
      fsync: { mode: 'group', lossWindow: expect.stringContaining('in memory') },
      topics: [{ partitions: 3, typed: true }],
    })
    await Promise.all([engine.close(), engine.close()])
    expect(() => engine.read).toThrow(/closed/)
    await engine[Symbol.asyncDispose]()
  })
})
