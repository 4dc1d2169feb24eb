import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { col, count, Millrace, sum, type Trigger, t, window } from 'millrace'
import { Piscina } from 'piscina'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

/**
 * Workers that are killed at any moment: they are replaced, and the query goes on as if nothing had been. MILLRACE_KILLS: how many workers die in each mode (500 nightly),
 * MILLRACE_CASES=all: in memory and with a checkpoint in each mode;
 * MILLRACE_SEED replays a run.
 */
const KILLS = Number(process.env['MILLRACE_KILLS'] ?? 1)
const SEED = Number(process.env['MILLRACE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

const Reading = t.struct({ n: t.int, key: t.string, ts: t.timestamp })
type Reading = t.infer<typeof Reading>

/** mulberry32 */
function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
}

const readings = (from: number, to: number): Reading[] =>
  Array.from({ length: to - from }, (_, i) => {
    const n = from + i
    return { n, key: `k${n % 11}`, ts: n * 100 - (n % 97 === 0 ? 30_000 : 0) }
  })

const { run } = Piscina.prototype
/** How many threads each pool has started, and how many have loaded: Node aborts the process where a thread is ended that is still loading. */
const pools: { readonly pool: Piscina; started: number; loaded: number }[] = []
beforeAll(() => {
  Piscina.prototype.run = function (this: Piscina, ...args) {
    let known = pools.find(({ pool }) => pool === this)
    if (known === undefined) {
      const added = { pool: this, started: 0, loaded: 0 }
      this.on('message', () => {
        added.loaded += 1
      })
      pools.push(added)
      known = added
    }
    known.started += 1
    return run.apply(this, args)
  }
})
afterAll(() => {
  Piscina.prototype.run = run
})

/** An engine whose worker threads can be had. */
async function withPool(
  options: Parameters<typeof Millrace.open>[0],
): Promise<{ mill: Millrace; kill: (i: number) => Promise<unknown> }> {
  const at = pools.length
  const mill = await Millrace.open(options)
  const kill = async (i: number): Promise<unknown> => {
    await vi.waitFor(() => {
      expect(pools[at]?.pool.threads.length).toBeGreaterThan(i)
      expect(pools[at]?.loaded).toBe(pools[at]?.started)
    }, 5000)
    return await pools[at]?.pool.threads[i]?.terminate()
  }
  return { mill, kill }
}

const triggers: readonly (readonly [string, Trigger])[] = [
  ['micro-batch', { processingTime: 5 }],
  ['continuous', { continuous: 10 }],
]

describe.each([
  ['in memory', false],
  ['with a checkpoint', true],
])('%s', (_, durable) => {
  let mill: Millrace
  let kill: (i: number) => Promise<unknown>
  let directory: string
  let topics = 0
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-death-'))
    const where = durable ? { dir: directory, fsync: 'never' as const } : {}
    ;({ mill, kill } = await withPool({ workers: 2, ...where }))
  })
  afterAll(async () => {
    await mill.close()
    rmSync(directory, { recursive: true, force: true })
  })

  const both = process.env['MILLRACE_CASES'] === 'all'
  test.each(triggers.filter(([mode]) => both || (mode === 'continuous') !== durable))(
    'state, windows and what was written are those of a run without deaths (%s)',
    async (mode, trigger) => {
      const random = chance(SEED)
      const topic = `readings-${topics++}`
      const out = `out-${topic}`
      await mill.topics.create(topic, { partitions: 3, schema: Reading })
      await mill.topics.create(out, { partitions: 2 })
      const producer = mill.producer()
      const stream = mill.readStream.option('startingOffsets', 'earliest').topic(topic)
      const name = `${mode}-${topic}`
      const totals = await stream
        .filter((row: { n?: unknown }) => Number(row.n) % 2 === 0)
        .groupBy('key')
        .agg({ n: count(), total: sum('n') })
        .writeStream.queryName(`totals-${name}`)
        .outputMode('update')
        .format('memory')
        .trigger(trigger)
        .start()
      const windows = await stream
        .withWatermark('ts', '20 seconds')
        .groupBy(window('ts', '10 seconds'), 'key')
        .agg({ n: count() })
        .writeStream.queryName(`windows-${name}`)
        .outputMode('append')
        .format('memory')
        .trigger(trigger)
        .start()
      const copied = await stream
        .select(col('n').cast('string').as('value'))
        .writeStream.queryName(`copied-${name}`)
        .format('log')
        .option('topic', out)
        .trigger(trigger)
        .start()
      let sent = 0
      for (let i = 0; i < KILLS; i++) {
        // All that a query needs is loaded: Node aborts the process where a thread is ended that loads, which no engine could help.
        await Promise.all([totals, windows, copied].map((query) => query.processAllAvailable()))
        const until = sent + 200 + Math.floor(random() * 2000)
        await producer.send({ topic, messages: readings(sent, until).map((value) => ({ key: value.key, value })) })
        sent = until
        // At any moment of what they do with it.
        for (let turns = Math.floor(random() * 40); turns > 0; turns--)
          await new Promise((resolve) => setImmediate(resolve))
        await kill(Math.floor(random() * 2))
      }
      await Promise.all([totals, windows, copied].map((query) => query.processAllAvailable()))
      const all = readings(0, sent)
      const even = all.filter(({ n }) => n % 2 === 0)
      const found = new Map((await mill.table(`totals-${name}`).collect()).map((row) => [row['key'], row]))
      for (const key of new Set(all.map((row) => row.key))) {
        const own = even.filter((row) => row.key === key)
        const total = own.reduce((one, { n }) => one + n, 0)
        expect(found.get(key), `seed ${SEED}`).toEqual({ key, n: own.length, total })
      }
      await windows.drain()
      // The same question without deaths: late rows are late by their own partition.
      const expected = await mill.read
        .topic(topic)
        .withWatermark('ts', '20 seconds')
        .groupBy(window('ts', '10 seconds'), 'key')
        .agg({ n: count() })
        .collect()
      const text = (rows: readonly object[]): string[] => rows.map((row) => JSON.stringify(row)).sort()
      expect(text(await mill.table(`windows-${name}`).collect()), `seed ${SEED}`).toEqual(text(expected))
      const written = (await mill.read.format('log').option('subscribe', out).load().collect()) as {
        value: Uint8Array
      }[]
      expect(
        written.map(({ value }) => Number(Buffer.from(value))).sort((a, b) => a - b),
        `seed ${SEED}`,
      ).toEqual(all.map(({ n }) => n))
      await Promise.all([totals.stop(), copied.stop()])
    },
    60_000 + KILLS * 2000,
  )

  test.skipIf(durable)('a batch query gives its rows once', async () => {
    const topic = `bounded-${topics++}`
    await mill.topics.create(topic, { partitions: 4, schema: Reading })
    await mill.producer().send({ topic, messages: readings(0, 60_000).map((value) => ({ key: value.key, value })) })
    const slow = mill.read.topic(topic).map(async (row) => {
      if (Number(row['n']) % 1000 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
      return row
    })
    // Both workers have loaded what they need.
    await slow.count()
    const asked = slow.collect().then((all) => all.map((row) => Number(row['n'])).sort((a, b) => a - b))
    // One after the other: the first that there is has been there longest.
    await kill(0)
    await kill(0)
    expect(await asked).toEqual(Array.from({ length: 60_000 }, (_, n) => n))
  })

  test.skipIf(durable)('a worker is back within two seconds', async () => {
    const topic = `back-${topics++}`
    await mill.topics.create(topic, { partitions: 2, schema: Reading })
    const seen: number[] = []
    const query = await mill.readStream
      .topic(topic)
      .writeStream.trigger({ continuous: 10 })
      .foreach((row) => {
        seen.push(Number(row['n']))
      })
      .start()
    const send = (n: number) =>
      mill.producer().send({ topic, messages: [{ key: 'a', partition: n % 2, value: { n, key: 'a', ts: n } }] })
    await send(1)
    await query.processAllAvailable()
    await kill(0)
    await kill(0)
    const since = performance.now()
    await Promise.all([send(2), send(3)])
    await query.processAllAvailable()
    expect(performance.now() - since).toBeLessThan(2000)
    expect(new Set(seen)).toEqual(new Set([1, 2, 3]))
    await query.stop()
  })
})

test('a query whose worker dies again and again before anything is committed fails, and the engine goes on', async () => {
  const { mill } = await withPool({ workers: 1 })
  const rows = mill.createDataFrame([{ n: 1 }], t.struct({ n: t.int }))
  await mill.topics.create('deadly', { partitions: 1, schema: t.struct({ n: t.int }) })
  const query = await mill.readStream
    .option('startingOffsets', 'earliest')
    .topic('deadly')
    .map(async (row) => {
      const { Worker, threadId } = await import('node:worker_threads')
      if (threadId > 0)
        setTimeout(() => {
          throw new Error(`${Worker.name} of ${threadId} ends`)
        }, 0)
      return await new Promise<typeof row>(() => undefined)
    })
    .writeStream.format('noop')
    .start()
  await mill.producer().send({ topic: 'deadly', messages: [{ key: 'a', value: { n: 1 } }] })
  await expect(query.awaitTermination()).rejects.toMatchObject({
    code: 'WORKER_DIED',
    detail: expect.stringContaining('3 times'),
  })
  // The worker is there for others.
  expect(await rows.map((row) => ({ n: row.n + 1 })).collect()).toEqual([{ n: 2 }])
  await mill.close()
}, 30_000)
