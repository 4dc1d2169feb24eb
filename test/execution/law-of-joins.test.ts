import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { type DataFrame, expr, type JoinHow, Millrace, type Trigger, t } from 'millrace'
import { expect, test } from 'vitest'
import { sharedEngine } from '../engines.js'

/**
 * The law of modes for joins: a join gives the same rows in batch, micro-batch and continuous mode, for any number of partitions and workers, however
 * the input is cut and wherever the query is stopped and goes on; and they are the pairs of the rows that are not late, found by trying all of them. One
 * side may end: it is whole before the query begins. A failing run is repeated by its seed; MILLRACE_RUNS=500 for a long search.
 */
const numRuns = Number(process.env['MILLRACE_RUNS'] ?? 4)

const Left = t.struct({ key: t.string.nullable(), ts: t.timestamp.nullable(), v: t.int })
const Right = t.struct({ id: t.string.nullable(), at: t.timestamp.nullable(), w: t.string.nullable() })
type Left = t.infer<typeof Left>
type Right = t.infer<typeof Right>

interface Send {
  readonly side: 'left' | 'right'
  readonly partition: number
  readonly events: readonly { readonly key: string | null; readonly ts: number | null; readonly n: number }[]
}

interface Run {
  readonly sends: readonly Send[]
  readonly partitions: number
  readonly workers: number
  readonly how: JoinHow
  /** The side that ends, where one does. */
  readonly ends: 'left' | 'right' | undefined
  /** Undefined: neither watermarks nor a bound in time. */
  readonly bounds: { readonly delayMs: number; readonly beforeMs: number; readonly afterMs: number } | undefined
  readonly condition: boolean
  readonly lives: readonly { readonly trigger: Trigger; readonly workers: number }[]
}

const triggers: fc.Arbitrary<Trigger> = fc.oneof(
  fc.constantFrom<Trigger>({ processingTime: 0 }, { processingTime: 2 }, { availableNow: true }),
  fc.integer({ min: 1, max: 20 }).map((ms): Trigger => ({ continuous: ms })),
)

const runs: fc.Arbitrary<Run> = fc.integer({ min: 1, max: 4 }).chain((partitions) => {
  const event = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'a longer key than a head holds', null),
    step: fc.integer({ min: -3, max: 6 }),
    none: fc.integer({ min: 0, max: 15 }),
    n: fc.integer({ min: 0, max: 9 }),
  })
  const send = fc.tuple(
    fc.constantFrom('left' as const, 'right' as const),
    fc.nat(partitions - 1),
    fc.array(event, { minLength: 1, maxLength: 8 }),
  )
  return fc
    .record({
      raw: fc.array(send, { maxLength: 16 }),
      workers: fc.integer({ min: 1, max: 3 }),
      how: fc.constantFrom<JoinHow>('inner', 'left', 'right', 'full', 'leftSemi', 'leftAnti'),
      ends: fc.constantFrom(undefined, undefined, 'left' as const, 'right' as const),
      bounds: fc.option(
        fc.record({
          delayMs: fc.constantFrom(0, 500, 2500),
          beforeMs: fc.constantFrom(0, 300, 2000),
          afterMs: fc.constantFrom(0, 900, 3000),
        }),
        { nil: undefined, freq: 4 },
      ),
      condition: fc.boolean(),
      lives: fc.array(fc.record({ trigger: triggers, workers: fc.integer({ min: 1, max: 3 }) }), {
        minLength: 1,
        maxLength: 3,
      }),
    })
    .map(({ raw, how, ends, bounds, ...rest }) => {
      const clock = new Map<string, number>()
      const sends = raw.map(([side, partition, list]): Send => {
        const events = list.map(({ key, step, none, n }) => {
          const ts = (clock.get(`${side}${partition}`) ?? 10_000) + step * 300
          clock.set(`${side}${partition}`, ts)
          return { key, n, ts: none === 0 ? null : ts }
        })
        return { side, partition, events }
      })
      if (ends !== undefined) {
        const among =
          ends === 'right' ? (['inner', 'left', 'leftSemi', 'leftAnti'] as const) : (['inner', 'right'] as const)
        return { ...rest, partitions, sends, ends, bounds: undefined, how: among[how.length % among.length] as JoinHow }
      }
      // Without a bound in time a row without a match never comes out of a stream.
      const asked = bounds === undefined && how !== 'leftSemi' ? 'inner' : how
      return { ...rest, partitions, sends, ends, bounds, how: asked }
    })
})

type Joined = readonly [v: number | null, key: string | null, ts: number | null, w: string | null, at: number | null]

/** Trying every pair of rows that are not late. */
function expectedRows({ sends, how, bounds, condition }: Run): string[] {
  const kept: Record<'left' | 'right', Send['events'][number][]> = { left: [], right: [] }
  const greatest = new Map<string, number>()
  for (const { side, partition, events } of sends) {
    for (const event of events) {
      const input = `${side}${partition}`
      const before = greatest.get(input) ?? Number.NEGATIVE_INFINITY
      if (event.ts !== null) greatest.set(input, Math.max(before, event.ts))
      if (bounds !== undefined && (event.ts === null || event.ts < before - bounds.delayMs)) continue
      kept[side].push(event)
    }
  }
  const matches = (l: Send['events'][number], r: Send['events'][number]): boolean => {
    if (l.key === null || l.key !== r.key) return false
    if (condition && !(r.n > 2 || l.n < r.n)) return false
    if (bounds === undefined) return true
    if (l.ts === null || r.ts === null) return false
    return r.ts >= l.ts - bounds.beforeMs && r.ts <= l.ts + bounds.afterMs
  }
  const rows: Joined[] = []
  const text = (n: number): string => `w${n}`
  const met = new Set<object>()
  for (const l of kept.left) {
    const partners = kept.right.filter((r) => matches(l, r))
    for (const r of partners) met.add(r)
    if (how === 'leftSemi' || how === 'leftAnti') {
      if (partners.length > 0 === (how === 'leftSemi')) rows.push([l.n, l.key, l.ts, null, null])
      continue
    }
    for (const r of partners) rows.push([l.n, l.key, l.ts, text(r.n), r.ts])
    if (partners.length === 0 && (how === 'left' || how === 'full')) rows.push([l.n, l.key, l.ts, null, null])
  }
  if (how === 'right' || how === 'full')
    for (const r of kept.right) if (!met.has(r)) rows.push([null, null, null, text(r.n), r.ts])
  return rows.map((row) => JSON.stringify(row)).sort()
}

function query(left: DataFrame<Left>, right: DataFrame<Right>, { how, bounds, condition }: Run): DataFrame {
  const parts = ['l.key = r.id']
  let l = left
  let r = right
  if (bounds !== undefined) {
    const { delayMs, beforeMs, afterMs } = bounds
    l = l.withWatermark('ts', `${delayMs} milliseconds`)
    r = r.withWatermark('at', `${delayMs} milliseconds`)
    parts.push(`r.at between l.ts - interval ${beforeMs} milliseconds and l.ts + interval ${afterMs} milliseconds`)
  }
  if (condition) parts.push("(r.w > 'w2' or concat('w', l.v) < r.w)")
  return l.as('l').join(r.as('r'), expr(parts.join(' and ')), how) as unknown as DataFrame
}

const shown = (rows: readonly Readonly<Record<string, unknown>>[]): string[] =>
  rows
    .map((row) =>
      JSON.stringify([row['v'] ?? null, row['key'] ?? null, row['ts'] ?? null, row['w'] ?? null, row['at'] ?? null]),
    )
    .sort()

async function sendAll(mill: Millrace, prefix: string, sends: readonly Send[]): Promise<void> {
  const producer = mill.producer()
  for (const { side, partition, events } of sends) {
    const messages = events.map(({ key, ts, n }) => ({
      value: side === 'left' ? { key, ts, v: n } : { id: key, at: ts, w: `w${n}` },
      partition,
    }))
    await producer.send({ topic: `${prefix}-${side}`, messages })
  }
}

async function createTopics(mill: Millrace, prefix: string, partitions: number): Promise<void> {
  await mill.topics.create(`${prefix}-left`, { partitions, schema: Left })
  await mill.topics.create(`${prefix}-right`, { partitions, schema: Right })
}

function streamOf(mill: Millrace, prefix: string, run: Run): DataFrame {
  const reader = (side: 'left' | 'right') =>
    run.ends === side ? mill.read : mill.readStream.option('startingOffsets', 'earliest')
  return query(reader('left').topic(`${prefix}-left`, Left), reader('right').topic(`${prefix}-right`, Right), run)
}

let runNumber = 0

/** What is there before a query begins, and what comes while it runs. */
function inOrder({ sends, ends }: Run): readonly [readonly Send[], readonly Send[]] {
  return [sends.filter(({ side }) => side === ends), sends.filter(({ side }) => side !== ends)]
}

async function inMemory(run: Run): Promise<void> {
  const mill = await sharedEngine(run.workers)
  const prefix = `join-${++runNumber}`
  await createTopics(mill, prefix, run.partitions)
  const expected = expectedRows(run)
  const [first, streamed] = inOrder(run)
  await sendAll(mill, prefix, first)
  const start = (trigger: Trigger) =>
    streamOf(mill, prefix, run)
      .writeStream.format('memory')
      .option('idleTimeout', 'off')
      .queryName(`${prefix}-${JSON.stringify(trigger).replace(/\W/g, '_')}`)
      .trigger(trigger)
      .start()
  const early = [await start({ processingTime: 0 }), await start({ continuous: 3 })]
  await sendAll(mill, prefix, streamed)
  const late = await start({ continuous: 1 })
  for (const one of [...early, late]) {
    await one.processAllAvailable()
    await one.drain()
    expect(shown(await mill.table(one.name as string).collect()), one.name as string).toEqual(expected)
  }
  const left = mill.read.topic(`${prefix}-left`, Left)
  const right = mill.read.topic(`${prefix}-right`, Right)
  expect(shown(await query(left, right, run).collect()), 'batch').toEqual(expected)
  await mill.topics.delete(`${prefix}-left`)
  await mill.topics.delete(`${prefix}-right`)
}

test('a join has the same rows in the three modes, which are the pairs of the rows that are not late', async () => {
  await fc.assert(fc.asyncProperty(runs, inMemory), { numRuns, interruptAfterTimeLimit: 110_000 })
}, 120_000)

async function inLives(run: Run): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-joins-'))
  const found = new Map<number, string[]>()
  // The lives send in another order than `sends` has: what is expected follows the order of the log.
  const [first, streamed] = inOrder(run)
  const shares = run.lives.map((_, i) =>
    streamed.filter((_send, n) => Math.min(run.lives.length - 1, n % (run.lives.length + 1)) === i),
  )
  try {
    for (const [i, life] of run.lives.entries()) {
      const mill = await Millrace.open({ dir, workers: life.workers, fsync: 'never' })
      try {
        if (i === 0) {
          await createTopics(mill, 'law', run.partitions)
          await sendAll(mill, 'law', first)
        }
        const last = i === run.lives.length - 1
        const now = 'availableNow' in life.trigger
        if (now) await sendAll(mill, 'law', shares[i] ?? [])
        const running = await streamOf(mill, 'law', run)
          .writeStream.queryName('law')
          .option('idleTimeout', 'off')
          .trigger(last && now ? { processingTime: 0 } : life.trigger)
          .foreachBatch(async (rows, epoch) => {
            const list = shown(await rows.collect())
            // An epoch that comes again has the same rows.
            expect(found.get(epoch) ?? list).toEqual(list)
            found.set(epoch, list)
          })
          .start()
        if (!now) await sendAll(mill, 'law', shares[i] ?? [])
        if (last) await running.drain()
        else if (now) await running.awaitTermination()
        else await running.stop()
      } finally {
        await mill.close()
      }
    }
    expect([...found.values()].flat().sort()).toEqual(expectedRows({ ...run, sends: [...first, ...shares.flat()] }))
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

test('a join that stops and goes on in other modes and with other numbers of workers loses and repeats nothing', async () => {
  await fc.assert(fc.asyncProperty(runs, inLives), {
    numRuns: Math.ceil(numRuns / 4),
    interruptAfterTimeLimit: 110_000,
  })
}, 120_000)
