import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { type DataFrame, Millrace, type StatefulProcessor, type Trigger, t } from 'millrace'
import { expect, test } from 'vitest'
import { sharedEngine } from '../engines.js'

/**
 * The law of modes for transformWithState by event time: a processor with a value, a list, a map and timers gives the same rows in batch, micro-batch and
 * continuous mode, for any number of partitions and workers, however the input is cut and wherever the query is stopped and goes on; and they are those of a loop
 * over the rows of each key in the order of their time. A failing run is repeated by its seed; MILLRACE_RUNS=500 for a long search.
 */
const numRuns = Number(process.env['MILLRACE_RUNS'] ?? 4)
const GAP = 900
const REMINDER = 700

const Event = t.struct({ key: t.string.nullable(), ts: t.timestamp.nullable(), n: t.int })
type Event = t.infer<typeof Event>
const Told = t.struct({
  key: t.string.nullable(),
  kind: t.string,
  at: t.long,
  n: t.long,
  times: t.array(t.long),
  tags: t.string,
})

interface Send {
  readonly partition: number
  readonly events: readonly Event[]
}

interface Run {
  readonly sends: readonly Send[]
  readonly partitions: number
  readonly workers: number
  readonly delayMs: number
  readonly lives: readonly { readonly trigger: Trigger; readonly workers: number }[]
}

const triggers: fc.Arbitrary<Trigger> = fc.oneof(
  fc.constantFrom<Trigger>({ processingTime: 0 }, { processingTime: 2 }, { availableNow: true }),
  fc.integer({ min: 1, max: 20 }).map((ms): Trigger => ({ continuous: ms })),
)

const runs: fc.Arbitrary<Run> = fc.integer({ min: 1, max: 4 }).chain((partitions) => {
  const event = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'a longer key', null),
    step: fc.integer({ min: -3, max: 6 }),
    none: fc.integer({ min: 0, max: 15 }),
    n: fc.integer({ min: 0, max: 3 }),
  })
  return fc
    .record({
      raw: fc.array(fc.tuple(fc.nat(partitions - 1), fc.array(event, { minLength: 1, maxLength: 12 })), {
        maxLength: 16,
      }),
      workers: fc.integer({ min: 1, max: 3 }),
      delayMs: fc.constantFrom(0, 500, 2500),
      lives: fc.array(fc.record({ trigger: triggers, workers: fc.integer({ min: 1, max: 3 }) }), {
        minLength: 1,
        maxLength: 3,
      }),
    })
    .map(({ raw, ...rest }) => {
      const clock = new Map<number, number>()
      const sends = raw.map(([partition, list]): Send => {
        const events = list.map(({ key, step, none, n }): Event => {
          const ts = (clock.get(partition) ?? 10_000) + step * 300
          clock.set(partition, ts)
          return { key, n, ts: none === 0 ? null : ts }
        })
        return { partition, events }
      })
      return { ...rest, partitions, sends }
    })
})

interface Result {
  readonly key: string | null
  readonly kind: string
  readonly at: number
  readonly n: number
  readonly times: readonly number[]
  readonly tags: string
}

/** Rows that are not late, by key and time; timers before rows of their time; and by the watermark, which is the least of the partitions. */
function expectedRows({ sends, delayMs, partitions }: Run): string[] {
  const greatest = new Map<number, number>()
  const byKey = new Map<string | null, Map<number, Event[]>>()
  for (const { partition, events } of sends) {
    for (const event of events) {
      const before = greatest.get(partition) ?? Number.NEGATIVE_INFINITY
      if (event.ts === null) continue
      greatest.set(partition, Math.max(before, event.ts))
      if (event.ts < before - delayMs) continue
      const times = byKey.get(event.key) ?? new Map<number, Event[]>()
      byKey.set(event.key, times)
      times.set(event.ts, [...(times.get(event.ts) ?? []), event])
    }
  }
  const least = Math.min(...Array.from({ length: partitions }, (_, p) => greatest.get(p) ?? Number.NEGATIVE_INFINITY))
  const results: Result[] = []
  for (const [key, rows] of byKey) follow(key, rows, least - delayMs, results)
  return shown(results)
}

function follow(key: string | null, rows: Map<number, Event[]>, watermark: number, results: Result[]): void {
  const timers = new Set<number>()
  const stays = new Set<number>()
  let open: { end: number; n: number; times: number[]; tags: Record<string, number> } | undefined
  let reminders = 0
  const give = (kind: string, at: number): void => {
    const tags = Object.entries(open?.tags ?? {}).sort()
    results.push({ key, kind, at, n: open?.n ?? 0, times: [...(open?.times ?? [])].sort(), tags: JSON.stringify(tags) })
  }
  const times = [...rows.keys()].sort((a, b) => a - b)
  for (;;) {
    const timer = Math.min(...[...timers].filter((time) => !stays.has(time)))
    const row = times[0] ?? Number.POSITIVE_INFINITY
    const now = Math.min(timer, row)
    if (now === Number.POSITIVE_INFINITY) return
    if (timer <= row) {
      timers.delete(timer)
      // Behind the end of the input a timer of a timer comes no more, unless there is a row to come.
      const register = (time: number): void => {
        timers.add(time)
        if (now > watermark && !times.some((one) => one >= time)) stays.add(time)
      }
      if (open !== undefined && open.end === timer) {
        give('closed', timer)
        open = undefined
        reminders = 3
        register(timer + REMINDER)
      } else {
        give('reminder', timer)
        reminders -= 1
        if (reminders > 0) register(timer + REMINDER)
      }
      continue
    }
    times.shift()
    if (open !== undefined) timers.delete(open.end)
    else {
      for (const time of timers) if (time !== row + GAP) timers.delete(time)
      open = { end: 0, n: 0, times: [], tags: {} }
    }
    for (const { n } of rows.get(row) ?? []) {
      open.n += n
      open.times.push(row)
      open.tags[`n${n}`] = (open.tags[`n${n}`] ?? 0) + 1
    }
    open.end = row + GAP
    timers.add(open.end)
    stays.delete(open.end)
  }
}

/** Sessions by a timer, and behind each three reminders, each of which is a timer that registers the next. */
const sessions = ({
  t,
}: {
  t: typeof import('millrace').t
}): StatefulProcessor<Event, { key: string | null }, t.input<typeof Told>> => {
  const gap = 900
  const reminder = 700
  let open: import('millrace').ValueState<{ end: number; n: number }>
  let times: import('millrace').ListState<number>
  let tags: import('millrace').MapState<string, number>
  let reminders: import('millrace').ValueState<number>
  const give = (key: { key: string | null }, kind: string, at: number) => ({
    key: key.key,
    kind,
    at,
    n: open.get()?.n ?? 0,
    times: times.get().sort(),
    tags: JSON.stringify([...tags.iterator()].sort()),
  })
  return {
    init(handle) {
      open = handle.getValueState('open', t.struct({ end: t.long, n: t.long }))
      times = handle.getListState('times', t.long)
      tags = handle.getMapState('tags', 'string', t.long)
      reminders = handle.getValueState('reminders', t.int)
    },
    handleInputRows(_key, rows, timers) {
      for (const row of rows) {
        const before = open.get()
        if (before !== null) timers.deleteTimer(before.end)
        else for (const one of timers.listTimers()) timers.deleteTimer(one)
        const end = (row.ts as number) + gap
        open.update({ end, n: (before?.n ?? 0) + row.n })
        times.appendValue(row.ts as number)
        tags.updateValue(`n${row.n}`, (tags.getValue(`n${row.n}`) ?? 0) + 1)
        timers.registerTimer(end)
      }
    },
    handleExpiredTimer(key, timers, info) {
      const at = info.getExpiryTimeInMs()
      if (open.get()?.end === at) {
        const closed = give(key, 'closed', at)
        open.clear()
        times.clear()
        for (const tag of tags.keys()) tags.removeKey(tag)
        reminders.update(3)
        timers.registerTimer(at + reminder)
        return [closed]
      }
      const left = (reminders.get() ?? 0) - 1
      reminders.update(left)
      if (left > 0) timers.registerTimer(at + reminder)
      else reminders.clear()
      return [give(key, 'reminder', at)]
    },
  }
}

const query = (input: DataFrame, { delayMs }: Run): DataFrame =>
  (input as unknown as DataFrame<Event>)
    .withWatermark('ts', `${delayMs} milliseconds`)
    .groupBy('key')
    .transformWithState(sessions, { outputSchema: Told, timeMode: 'event' }) as unknown as DataFrame

const shown = (rows: readonly object[]): string[] =>
  (rows as readonly Result[])
    .map(({ key, kind, at, n, times, tags }) => JSON.stringify([key, kind, at, n, times, tags]))
    .sort()

async function sendAll(mill: Millrace, topic: string, sends: readonly Send[]): Promise<void> {
  const producer = mill.producer()
  for (const { partition, events } of sends)
    await producer.send({ topic, messages: events.map((value) => ({ value, partition })) })
}

const streamOf = (mill: Millrace, topic: string, run: Run): DataFrame =>
  query(mill.readStream.option('startingOffsets', 'earliest').topic(topic), run)

let runNumber = 0

async function inMemory(run: Run): Promise<void> {
  const mill = await sharedEngine(run.workers)
  const topic = `states-${++runNumber}`
  await mill.topics.create(topic, { partitions: run.partitions, schema: Event })
  const expected = expectedRows(run)
  const start = (trigger: Trigger) =>
    streamOf(mill, topic, run)
      .writeStream.format('memory')
      .option('idleTimeout', 'off')
      .queryName(`${topic}-${JSON.stringify(trigger).replace(/\W/g, '_')}`)
      .trigger(trigger)
      .start()
  const early = [await start({ processingTime: 0 }), await start({ continuous: 3 })]
  await sendAll(mill, topic, run.sends)
  const late = await start({ continuous: 1 })
  for (const one of [...early, late]) {
    await one.processAllAvailable()
    await one.drain()
    expect(shown(await mill.table(one.name as string).collect()), one.name as string).toEqual(expected)
  }
  expect(shown(await query(mill.read.topic(topic), run).collect()), 'batch').toEqual(expected)
  await mill.topics.delete(topic)
}

test('states and timers give the same rows in the three modes, those of a loop over the rows of each key', async () => {
  await fc.assert(fc.asyncProperty(runs, inMemory), { numRuns, interruptAfterTimeLimit: 110_000 })
}, 120_000)

async function inLives(run: Run): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-states-'))
  const found = new Map<number, string[]>()
  const shares = run.lives.map((_, i) =>
    run.sends.filter((_send, n) => Math.min(run.lives.length - 1, n % (run.lives.length + 1)) === i),
  )
  try {
    for (const [i, life] of run.lives.entries()) {
      const mill = await Millrace.open({ dir, workers: life.workers, fsync: 'never' })
      try {
        if (i === 0) await mill.topics.create('law', { partitions: run.partitions, schema: Event })
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
    expect([...found.values()].flat().sort()).toEqual(expectedRows({ ...run, sends: shares.flat() }))
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

test('a query that stops and goes on in other modes and with other numbers of workers keeps states, timers and rows that wait', async () => {
  await fc.assert(fc.asyncProperty(runs, inLives), {
    numRuns: Math.ceil(numRuns / 2),
    interruptAfterTimeLimit: 110_000,
  })
}, 120_000)
