import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import {
  type AnyColumn,
  avg,
  col,
  count,
  type DataFrame,
  Millrace,
  max,
  min,
  sessionWindow,
  sum,
  type Trigger,
  t,
  window,
} from 'millrace'
import { expect, test } from 'vitest'
import { sharedEngine } from '../engines.js'

/**
 * The law of modes: the final rows of a query are the same in batch, micro-batch and continuous mode, for any number of
 * partitions and workers and however the input is cut, and they are what the per-record rule of lateness says. A failing run is
 * repeated by its seed; MILLRACE_RUNS=500 for a long search.
 */
const numRuns = Number(process.env['MILLRACE_RUNS'] ?? 9)

const Event = t.struct({
  key: t.string.nullable(),
  ts: t.timestamp.nullable(),
  value: t.double.nullable(),
  amount: t.decimal(10, 2),
})
type Event = t.infer<typeof Event>

const SIZE_MS = 1000

/** Windows of one length: tumbling, sliding by what divides it and by what does not; sessions; each moment for itself. */
const windows = {
  none: undefined,
  tumbling: { slide: SIZE_MS, gap: 0 },
  sliding: { slide: 250, gap: 0 },
  straying: { slide: 300, gap: 0 },
  session: { slide: 0, gap: 700 },
  moment: { slide: 0, gap: 0 },
} as const
type Windows = keyof typeof windows

interface Run {
  /** By send: the partition, and its records. */
  readonly sends: readonly { readonly partition: number; readonly events: readonly Event[] }[]
  readonly partitions: number
  readonly workers: number
  readonly delayMs: number
  readonly windows: Windows
  readonly outputMode: 'append' | 'update'
  /** One for each life of the query; the last one drains. */
  readonly lives: readonly { readonly trigger: Trigger; readonly workers: number }[]
  readonly maxOffsets: number | undefined
}

const triggers: fc.Arbitrary<Trigger> = fc.oneof(
  fc.constantFrom<Trigger>({ processingTime: 0 }, { processingTime: 2 }, { availableNow: true }),
  fc.integer({ min: 1, max: 20 }).map((ms): Trigger => ({ continuous: ms })),
)

const runs: fc.Arbitrary<Run> = fc.integer({ min: 1, max: 9 }).chain((partitions) => {
  // Event times walk forward and stray back, so that some records are late and some are just in time.
  const event = fc.record({
    key: fc.constantFrom('a', 'b', 'ü🙂', '', 'some longer key that is not inline', null),
    step: fc.integer({ min: -3, max: 6 }),
    none: fc.integer({ min: 0, max: 15 }),
    value: fc.constantFrom(0.1, 0.2, 1e16, -1e16, 3, null),
    cents: fc.integer({ min: -99_999, max: 99_999 }),
  })
  const send = fc.tuple(fc.nat(partitions - 1), fc.array(event, { minLength: 1, maxLength: 12 }))
  return fc
    .record({
      raw: fc.array(send, { maxLength: 20 }),
      workers: fc.integer({ min: 1, max: 3 }),
      delayMs: fc.constantFrom(0, 500, 2500),
      windows: fc.constantFrom<Windows>('none', 'tumbling', 'sliding', 'straying', 'session', 'moment'),
      append: fc.boolean(),
      lives: fc.array(fc.record({ trigger: triggers, workers: fc.integer({ min: 1, max: 3 }) }), {
        minLength: 1,
        maxLength: 3,
      }),
      maxOffsets: fc.option(fc.constantFrom(1, 3, 17), { nil: undefined }),
    })
    .map(({ raw, append, windows, ...rest }) => {
      const clock = new Map<number, number>()
      const sends = raw.map(([partition, list]) => ({
        partition,
        events: list.map(({ key, step, none, value, cents }): Event => {
          const ts = (clock.get(partition) ?? 10_000) + step * 300
          clock.set(partition, ts)
          return { key, ts: none === 0 ? null : ts, value, amount: (cents / 100).toFixed(2) }
        }),
      }))
      const mustAppend = windows === 'session'
      const outputMode = mustAppend || (windows !== 'none' && append) ? ('append' as const) : ('update' as const)
      return { ...rest, partitions, windows, outputMode, sends }
    })
})

type Row = Readonly<Record<string, unknown>>

interface Group {
  readonly key: string | null
  readonly window: { start: number; end: number } | undefined
  readonly events: Event[]
}

function expectedGroups({ sends, delayMs, windows: kind }: Run): readonly Group[] {
  const spacing = windows[kind]
  const greatest = new Map<number, number>()
  const groups = new Map<string, Group>()
  const stays: { event: Event; start: number; from: number; end: number }[] = []
  const count = (event: Event, window: Group['window']): void => {
    const id = JSON.stringify([window?.start ?? null, event.key])
    const group = groups.get(id) ?? { key: event.key, window, events: [] }
    groups.set(id, group)
    group.events.push(event)
  }
  for (const { partition, events } of sends) {
    for (const event of events) {
      const before = greatest.get(partition) ?? Number.NEGATIVE_INFINITY
      if (event.ts !== null) greatest.set(partition, Math.max(before, event.ts))
      const watermark = before - delayMs
      if (spacing === undefined) {
        count(event, undefined)
        continue
      }
      if (event.ts === null) continue
      const { slide, gap } = spacing
      if (gap > 0) {
        const from = Math.max(event.ts, watermark + 1)
        if (event.ts + gap > watermark) stays.push({ event, start: event.ts, from, end: event.ts + gap })
        continue
      }
      if (slide === 0) {
        if (event.ts >= watermark) count(event, { start: event.ts, end: event.ts })
        continue
      }
      // Each window that holds the record, by itself.
      for (let start = Math.floor(event.ts / slide) * slide; start + SIZE_MS > event.ts; start -= slide) {
        if (start + SIZE_MS > watermark) count(event, { start, end: start + SIZE_MS })
      }
    }
  }
  return [...groups.values(), ...sessionsOf(stays)]
}

/** What touches is one session. A record takes others from behind its watermark on, where that is later than itself. */
function sessionsOf(stays: { event: Event; start: number; from: number; end: number }[]): Group[] {
  const last = new Map<string | null, Group & { readonly window: { start: number; end: number } }>()
  const sessions: Group[] = []
  for (const { event, start, from, end } of stays.sort((a, b) => a.from - b.from)) {
    let session = last.get(event.key)
    if (session === undefined || session.window.end < from) {
      session = { key: event.key, window: { start, end }, events: [] }
      last.set(event.key, session)
      sessions.push(session)
    }
    session.window.start = Math.min(session.window.start, start)
    session.window.end = Math.max(session.window.end, end)
    session.events.push(event)
  }
  return sessions
}

function expectedRows(run: Run): Map<string, Row> {
  return new Map(
    expectedGroups(run).map(({ key, window: at, events }) => {
      const values = events.map((e) => e.value).filter((v) => v !== null)
      const cents = events.reduce((all, e) => all + BigInt(Math.round(Number(e.amount) * 100)), 0n)
      const keys = events.map((e) => e.ts).filter((ts) => ts !== null)
      return [
        JSON.stringify([at?.start ?? null, at?.end ?? null, key]),
        {
          ...(at === undefined ? {} : { window: run.windows === 'moment' ? at.start : at }),
          key,
          n: events.length,
          known: values.length,
          // These values add up exactly when the sum is compensated, in whatever order.
          total: values.length === 0 ? null : Number(exactTenths(values)) / 10,
          mean: values.length === 0 ? null : Number(exactTenths(values)) / 10 / values.length,
          cents: `${cents < 0n ? '-' : ''}${(cents < 0n ? -cents : cents) / 100n}.${String((cents < 0n ? -cents : cents) % 100n).padStart(2, '0')}`,
          first: keys.length === 0 ? null : Math.min(...keys),
          last: keys.length === 0 ? null : Math.max(...keys),
        },
      ]
    }),
  )
}

const exactTenths = (values: readonly number[]): bigint =>
  values.reduce((all, v) => all + (Math.abs(v) > 1e15 ? BigInt(v) * 10n : BigInt(Math.round(v * 10))), 0n)

function query(input: DataFrame<Event>, { windows: kind, delayMs }: Run): DataFrame {
  const aggregates = {
    n: count(),
    known: count('value'),
    total: sum('value'),
    mean: avg('value'),
    cents: sum('amount'),
    first: min('ts'),
    last: max('ts'),
  }
  const spacing = windows[kind]
  if (spacing === undefined) return input.groupBy(col('key')).agg(aggregates) as unknown as DataFrame
  const { slide, gap } = spacing
  const spaced = (): AnyColumn =>
    gap > 0 ? sessionWindow('ts', gap).as('window') : window('ts', `${SIZE_MS} milliseconds`, slide)
  const key = kind === 'moment' ? col('ts').as('window') : spaced()
  return input
    .withWatermark('ts', `${delayMs} milliseconds`)
    .groupBy(key, col('key'))
    .agg(aggregates) as unknown as DataFrame
}

function expectSame(found: ReadonlyMap<string, Row>, expected: ReadonlyMap<string, Row>, what: string): void {
  expect([...found.keys()].sort(), what).toEqual([...expected.keys()].sort())
  for (const [id, row] of expected) {
    const { total, mean, ...rest } = found.get(id) as Row
    const { total: expectedTotal, mean: expectedMean, ...expectedRest } = row
    expect(rest, what).toEqual(expectedRest)
    for (const [value, right] of [
      [total, expectedTotal],
      [mean, expectedMean],
    ] as [number | null, number | null][]) {
      if (value === null || right === null) expect(value, `${what} ${id}`).toBe(right)
      else
        expect(Math.abs(value - right), `${what} ${id}: ${value}, not ${right}`).toBeLessThanOrEqual(
          1e-12 * Math.abs(right) + 1e-14,
        )
    }
  }
}

const idOf = (row: Row): string => {
  const of = row['window'] as { start: number; end: number } | number | undefined
  const at = typeof of === 'number' ? { start: of, end: of } : of
  return JSON.stringify([at?.start ?? null, at?.end ?? null, row['key']])
}

let runNumber = 0

async function inMemory(run: Run): Promise<void> {
  const mill = await sharedEngine(run.workers)
  const topic = `law-${++runNumber}`
  await mill.topics.create(topic, { partitions: run.partitions, schema: Event })
  const expected = expectedRows(run)
  const stream = (trigger: Trigger) => {
    const reader = mill.readStream.option('startingOffsets', 'earliest')
    if (run.maxOffsets !== undefined) reader.option('maxOffsetsPerTrigger', run.maxOffsets)
    return query(reader.topic(topic, Event), run)
      .writeStream.format('memory')
      .outputMode(run.outputMode)
      .option('idleTimeout', 'off')
      .queryName(`${topic}-${JSON.stringify(trigger).replace(/\W/g, '_')}`)
      .trigger(trigger)
      .start()
  }
  // These two see the input come; a third starts when all is there.
  const early = [await stream({ processingTime: 0 }), await stream({ continuous: 3 })]
  await sendAll(mill, topic, run.sends)
  const late = await stream({ continuous: 1 })
  for (const one of [...early, late]) {
    await one.processAllAvailable()
    await one.drain()
    const rows = await mill.table(one.name as string).collect()
    expect(rows.length).toBe(expected.size)
    expectSame(new Map(rows.map((row) => [idOf(row), row])), expected, one.name as string)
  }
  const rows = await query(mill.read.topic(topic, Event), run).collect()
  expect(rows.length).toBe(expected.size)
  expectSame(new Map(rows.map((row) => [idOf(row), row])), expected, 'batch')
  await mill.topics.delete(topic)
}

async function sendAll(mill: Millrace, topic: string, sends: Run['sends']): Promise<void> {
  const producer = mill.producer()
  for (const { partition, events } of sends) {
    await producer.send({ topic, messages: events.map((value) => ({ value, partition })) })
  }
}

test('the three modes give the rows that the rule of lateness gives', async () => {
  await fc.assert(fc.asyncProperty(runs, inMemory), { numRuns, interruptAfterTimeLimit: 110_000 })
}, 120_000)

async function inLives(run: Run): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-law-'))
  const expected = expectedRows(run)
  const found = new Map<string, Row>()
  const epochs = new Map<number, string>()
  try {
    for (const [i, life] of run.lives.entries()) {
      const mill = await Millrace.open({ dir, workers: life.workers, fsync: 'never' })
      try {
        if (i === 0) await mill.topics.create('events', { partitions: run.partitions, schema: Event })
        const reader = mill.readStream.option('startingOffsets', 'earliest')
        if (run.maxOffsets !== undefined) reader.option('maxOffsetsPerTrigger', run.maxOffsets)
        const last = i === run.lives.length - 1
        const share = run.sends.filter((_, n) => Math.min(run.lives.length - 1, n % (run.lives.length + 1)) === i)
        // A query that reads what there is now must find it there.
        const now = 'availableNow' in life.trigger
        if (now) await sendAll(mill, 'events', share)
        const running = await query(reader.topic('events', Event), run)
          .writeStream.queryName('law')
          .outputMode(run.outputMode)
          .option('idleTimeout', 'off')
          .trigger(last && now ? { processingTime: 0 } : life.trigger)
          .foreachBatch(async (rows, epoch) => {
            const list = await rows.collect()
            // An epoch that comes again has the same rows.
            const text = JSON.stringify(list.map((row) => JSON.stringify(row)).sort())
            expect(epochs.get(epoch) ?? text).toBe(text)
            epochs.set(epoch, text)
            for (const row of list) {
              if (run.outputMode === 'append') expect(found.has(idOf(row))).toBe(false)
              found.set(idOf(row), row)
            }
          })
          .start()
        if (!now) await sendAll(mill, 'events', share)
        if (last) await running.drain()
        else if (now) await running.awaitTermination()
        else await running.stop()
      } finally {
        await mill.close()
      }
    }
    expectSame(found, inOrderOfLives(run, expected), 'lives')
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** The lives send in another order than `sends` has: what is expected follows the order of the log. */
function inOrderOfLives(run: Run, expected: Map<string, Row>): Map<string, Row> {
  const lives = run.lives.length
  if (lives === 1) return expected
  const order = run.lives.flatMap((_, i) => run.sends.filter((_send, n) => Math.min(lives - 1, n % (lives + 1)) === i))
  return expectedRows({ ...run, sends: order })
}

test('a query that stops and goes on in other modes and with other numbers of workers loses and repeats nothing', async () => {
  await fc.assert(fc.asyncProperty(runs, inLives), {
    numRuns: Math.ceil(numRuns / 9),
    interruptAfterTimeLimit: 110_000,
  })
}, 120_000)
