import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { col, count, lit, Millrace, sum, type Trigger, t } from 'millrace'
import { Piscina } from 'piscina'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

const Click = t.struct({ page: t.string, n: t.int })
type Click = t.infer<typeof Click>

const modes: [string, Trigger][] = [
  ['micro-batch', { processingTime: 0 }],
  ['continuous', { continuous: '5 ms' }],
]

let mill: Millrace
let topics = 0

beforeAll(async () => {
  mill = await Millrace.open({ workers: 2 })
})
afterAll(async () => {
  await mill.close()
})

async function newTopic(engine: Millrace, schema: typeof Click | undefined = Click, partitions = 3): Promise<string> {
  const name = `topic-${++topics}`
  await engine.topics.create(name, schema === undefined ? { partitions } : { partitions, schema })
  return name
}

const clicks = (from: number, to: number): Click[] =>
  Array.from({ length: to - from }, (_, i) => ({ page: `/${(from + i) % 7}`, n: from + i }))

async function send(engine: Millrace, topic: string, list: readonly Click[]): Promise<void> {
  await engine.producer().send({ topic, messages: list.map((value) => ({ key: value.page, value })) })
}

const stream = (engine: Millrace, topic: string) =>
  engine.readStream.option('startingOffsets', 'earliest').topic(topic, Click)

describe.each(modes)('the log sink in %s mode', (_, trigger) => {
  it('appends every row once to a typed topic, keyed by its column key', async () => {
    const [from, to] = [await newTopic(mill), await newTopic(mill)]
    await send(mill, from, clicks(0, 5000))
    const query = await stream(mill, from)
      .filter(col('n').lt(20_000))
      .withColumn('key', col('page'))
      .writeStream.format('log')
      .option('topic', to)
      .trigger(trigger)
      .start()
    await send(mill, from, clicks(5000, 25_000))
    await query.processAllAvailable()
    await query.stop()
    const rows = await mill.read.topic(to, Click).collect()
    expect(rows.length).toBe(20_000)
    expect(new Set(rows.map((r) => r.n)).size).toBe(20_000)
    // The same key lies where the producer would have put it.
    const perPage = await mill.read
      .format('log')
      .option('subscribe', `${from},${to}`)
      .load()
      .groupBy('key', 'partition')
      .agg({ n: count() })
      .count()
    expect(perPage).toBe(7)
  })

  it('writes value and key of an untyped topic', async () => {
    const [from, to] = [await newTopic(mill), `untyped-${++topics}`]
    await mill.topics.create(to, { partitions: 1 })
    await send(mill, from, clicks(0, 10))
    const query = await stream(mill, from)
      .select(col('page').as('key'), col('n').cast('string').as('value'))
      .writeStream.format('log')
      .option('topic', to)
      .trigger(trigger)
      .start()
    await query.processAllAvailable()
    await query.drain()
    const rows = await mill.read
      .format('log')
      .option('subscribe', to)
      .load()
      .select(col('key').cast('string').as('k'), col('value').cast('string').as('v'))
      .collect()
    expect(rows.map((r) => `${r['k']} ${r['v']}`).sort()).toEqual(
      clicks(0, 10)
        .map(({ page, n }) => `${page} ${n}`)
        .sort(),
    )
  })

  it('feeds a query that reads the topic', async () => {
    const [from, to] = [await newTopic(mill), await newTopic(mill)]
    const first = await stream(mill, from).writeStream.format('log').option('topic', to).trigger(trigger).start()
    const second = await stream(mill, to)
      .agg({ all: sum('n'), rows: count() })
      .writeStream.format('memory')
      .outputMode('update')
      .queryName(`sum-of-${to}`)
      .trigger(trigger)
      .start()
    for (let i = 0; i < 10; i++) await send(mill, from, clicks(i * 100, i * 100 + 100))
    await first.processAllAvailable()
    await second.processAllAvailable()
    await Promise.all([first.stop(), second.stop()])
    expect(await mill.table(`sum-of-${to}`).collect()).toEqual([{ all: 499_500, rows: 1000 }])
  })
})

it('the log sink refuses rows that do not fit the topic, by name', async () => {
  const [from, to] = [await newTopic(mill), await newTopic(mill)]
  const start = stream(mill, from).select('page').writeStream.format('log').option('topic', to).start()
  await expect(start).rejects.toMatchObject({ code: 'SINK_SCHEMA_MISMATCH', message: expect.stringContaining('n') })
})

describe('a stop and a start from one checkpoint', () => {
  it('bring each row once to the memory sinks of both runs, and recover with another number of workers', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'millrace-session-'))
    try {
      const seen: number[] = []
      const groups = new Map<string, number>()
      for (const [run, workers] of [1, 3, 2].entries()) {
        const engine = await Millrace.open({ dir, workers })
        if (run === 0) await engine.topics.create('clicks', { partitions: 4, schema: Click })
        const trigger: Trigger = run === 1 ? { continuous: 3 } : { processingTime: 0 }
        const writer = (name: string) => ({
          rows: stream(engine, 'clicks').writeStream.format('memory').queryName(name),
          counts: stream(engine, 'clicks')
            .groupBy('page')
            .agg({ total: sum('n') })
            .writeStream.outputMode('update')
            .queryName(`${name}-counts`)
            .foreach((row) => void groups.set(row['page'] as string, row['total'] as number)),
        })
        const { rows, counts } = writer('rows')
        const one = await rows.option('checkpointLocation', join(dir, 'cp')).trigger(trigger).start()
        const other = await counts.trigger(trigger).start()
        await send(engine, 'clicks', clicks(run * 500, run * 500 + 500))
        await one.processAllAvailable()
        await other.processAllAvailable()
        await one.stop()
        for (const row of await engine.table('rows').collect()) seen.push(row['n'] as number)
        await engine.close()
      }
      expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 1500 }, (_, i) => i))
      const expected = new Map<string, number>()
      for (const { page, n } of clicks(0, 1500)) expected.set(page, (expected.get(page) ?? 0) + n)
      expect(groups).toEqual(expected)
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })

  it('of a topic that was in memory are refused with words', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'millrace-session-'))
    try {
      for (const round of [0, 1]) {
        const engine = await Millrace.open({ workers: 1 })
        await engine.topics.create('clicks', { partitions: 1, schema: Click })
        const started = stream(engine, 'clicks').writeStream.format('noop').option('checkpointLocation', dir).start()
        if (round === 0) await (await started).stop()
        else await expect(started).rejects.toMatchObject({ code: 'CHECKPOINT_TOPIC_RECREATED' })
        await engine.close()
      }
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })
})

describe('availableNow and processAllAvailable', () => {
  it('availableNow reads in steps of maxOffsetsPerTrigger what was there at the start, and no more', async () => {
    const topic = await newTopic(mill)
    await send(mill, topic, clicks(0, 100))
    const query = await mill.readStream
      .option('startingOffsets', 'earliest')
      .option('maxOffsetsPerTrigger', 30)
      .topic(topic, Click)
      .writeStream.format('memory')
      .queryName(`now-${topic}`)
      .trigger({ availableNow: true })
      .start()
    await query.awaitTermination()
    expect(await mill.table(`now-${topic}`).count()).toBe(100)
    expect(query.recentProgress.length).toBeGreaterThanOrEqual(4)
  })

  it.each(modes)('processAllAvailable waits for what was sent before it, again and again (%s)', async (_, trigger) => {
    const topic = await newTopic(mill)
    const query = await stream(mill, topic)
      .agg({ n: count() })
      .writeStream.format('memory')
      .outputMode('update')
      .queryName(`all-${topic}`)
      .trigger(trigger)
      .start()
    for (let i = 1; i <= 20; i++) {
      await send(mill, topic, clicks(0, 10))
      await query.processAllAvailable()
      expect(await mill.table(`all-${topic}`).collect()).toEqual([{ n: i * 10 }])
    }
    await query.stop()
  })

  it('a continuous query commits what came, however it meets its interval', async () => {
    const topic = await newTopic(mill, Click, 1)
    const query = await stream(mill, topic).writeStream.format('noop').trigger({ continuous: 1 }).start()
    for (let i = 0; i < 200; i++) {
      await send(mill, topic, clicks(i, i + 1))
      if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    // Nobody waits for it and nothing more is sent: the last epoch is committed all the same.
    await vi.waitFor(() => {
      expect(query.lastProgress?.sources[0]?.endOffset[topic]).toEqual({ '0': 200 })
    }, 5000)
    await query.stop()
  })
})

describe('a worker that dies', () => {
  afterEach(() => vi.restoreAllMocks())

  it.each(modes)('is replaced: its queries go on, and so does the session (%s)', async (_, trigger) => {
    const pools = new Set<Piscina>()
    const run = Piscina.prototype.run
    vi.spyOn(Piscina.prototype, 'run').mockImplementation(function (this: Piscina, ...args) {
      pools.add(this)
      return run.apply(this, args)
    })
    const engine = await Millrace.open({ workers: 2 })
    try {
      const topic = await newTopic(engine)
      await send(engine, topic, clicks(0, 1000))
      const start = async (name: string) =>
        stream(engine, topic)
          .groupBy('page')
          .agg({ n: count() })
          .writeStream.format('memory')
          .outputMode('update')
          .queryName(name)
          .trigger(trigger)
          .start()
      const doomed = await start('doomed')
      await doomed.processAllAvailable()
      const [pool] = pools
      expect(pool?.threads.length).toBe(2)
      await pool?.threads[0]?.terminate()
      const next = await start('next')
      await send(engine, topic, clicks(1000, 1400))
      await Promise.all([doomed.processAllAvailable(), next.processAllAvailable()])
      expect(doomed.exception()).toBeNull()
      await doomed.stop()
      const ofPages = (name: string) => engine.table(name).orderBy('page').collect()
      expect(await ofPages('doomed')).toEqual(await ofPages('next'))
      await next.stop()
      expect(await engine.table('next').count()).toBe(7)
      expect(await engine.read.topic(topic, Click).agg({ n: count() }).collect()).toEqual([{ n: 1400 }])
    } finally {
      await engine.close()
    }
  })
})

it('where code generation is forbidden, all three modes give the same rows', () => {
  const script = fileURLToPath(new URL('./no-code-generation.js', import.meta.url))
  const child = spawnSync(process.execPath, ['--disallow-code-generation-from-strings', script], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  expect(child.stderr).toBe('')
  const { code, batch, joined, microBatch, continuous } = JSON.parse(child.stdout)
  expect(joined.map((row: string) => JSON.parse(row))).toEqual([
    { factor: 2, n: 100 },
    { factor: 3, n: 100 },
    { factor: null, n: 200 },
  ])
  expect(code).toBe('forbidden')
  expect(batch.length).toBe(8)
  expect(microBatch).toEqual(batch)
  expect(continuous).toEqual(batch)
})

it('an error in the rows ends a query that is to fail with its own code', async () => {
  const topic = await newTopic(mill)
  const query = await stream(mill, topic)
    .select(lit(1).div(col('n')).as('x'))
    .writeStream.format('noop')
    .onError({ then: 'fail' })
    .start()
  await send(mill, topic, clicks(0, 3))
  await expect(query.awaitTermination()).rejects.toMatchObject({ code: 'DIVIDE_BY_ZERO' })
})
