import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { count, type DataFrame, Millrace, type Trigger, t, window } from 'millrace'
import { expect, test } from 'vitest'
import { sharedEngine } from '../engines.js'

/**
 * The law of modes for dropped duplicates: the same rows leave in batch, micro-batch and continuous mode, for any number of partitions and workers,
 * however the input is cut and wherever the query is stopped and goes on; and they are those that a loop over each partition finds. Where the rows of a key
 * come from one partition it is the very same row, else a row of the same key. A failing run is repeated by its seed; MILLRACE_RUNS=500 for a long search.
 */
const numRuns = Number(process.env['MILLRACE_RUNS'] ?? 4)

const Event = t.struct({ key: t.string.nullable(), ts: t.timestamp.nullable(), n: t.int })
type Event = t.infer<typeof Event>

interface Send {
  readonly partition: number
  readonly events: readonly Event[]
}

/** How duplicates are told. `anywhere`: keys are in all partitions, and nothing but the key leaves. */
type Kind = 'distinct' | 'key' | 'anywhere' | 'key and time' | 'key and window' | 'within' | 'counted'
const kinds: readonly Kind[] = ['distinct', 'key', 'anywhere', 'key and time', 'key and window', 'within', 'counted']

interface Run {
  readonly kind: Kind
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

const runs: fc.Arbitrary<Run> = fc.integer({ min: 1, max: 5 }).chain((partitions) => {
  const event = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'd', 'a longer key than a head holds', null),
    step: fc.integer({ min: -3, max: 6 }),
    none: fc.integer({ min: 0, max: 15 }),
    n: fc.integer({ min: 0, max: 3 }),
  })
  return fc
    .record({
      kind: fc.constantFrom(...kinds),
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
    .map(({ kind, raw, ...rest }) => {
      const clock = new Map<number, number>()
      const sends = raw.map(([partition, list]): Send => {
        const events = list.map(({ key, step, none, n }): Event => {
          const ts = (clock.get(partition) ?? 10_000) + step * 300
          clock.set(partition, ts)
          const isShared = kind === 'anywhere' || kind === 'distinct' || kind === 'key and window'
          const own = key === null || isShared ? key : `${key}, ${partition}`
          return {
            key: key === null && !isShared && partition > 0 ? `null${partition}` : own,
            n,
            ts: none === 0 ? null : ts,
          }
        })
        return { partition, events }
      })
      return { ...rest, kind, partitions, sends }
    })
})

/** A loop over each partition: which of its rows are not late, and of these the first of each key. */
function expectedRows({ kind, sends, delayMs }: Run): string[] {
  const greatest = new Map<number, number>()
  const seen = new Map<string, number>()
  const left: Event[] = []
  for (const { partition, events } of sends) {
    for (const event of events) {
      const stamp = (greatest.get(partition) ?? Number.NEGATIVE_INFINITY) - delayMs
      if (event.ts !== null) greatest.set(partition, Math.max(stamp + delayMs, event.ts))
      const hasTime = kind === 'key and time' || kind === 'within' || kind === 'counted'
      if (hasTime && (event.ts === null || event.ts < stamp)) continue
      const { key, ts, n } = event
      const second = ts === null ? null : Math.floor(ts / 1000) * 1000
      if (kind === 'key and window' && second !== null && second + 1000 <= stamp) continue
      const parts = {
        distinct: [key, ts, n],
        key: [key],
        anywhere: [key],
        within: [key],
        counted: [key, n],
        'key and window': [key, second],
      }
      const told = JSON.stringify(kind === 'key and time' ? [key, ts] : parts[kind])
      const until = seen.get(told)
      const isWithin = kind === 'within' || kind === 'counted'
      if (until !== undefined && (!isWithin || stamp < until)) continue
      seen.set(told, (ts ?? 0) + delayMs)
      left.push(event)
    }
  }
  if (kind !== 'counted') return shown(left, kind)
  const counts = new Map<number, number>()
  for (const { ts } of left) {
    const start = Math.floor((ts as number) / 1000) * 1000
    counts.set(start, (counts.get(start) ?? 0) + 1)
  }
  return [...counts].map(([start, n]) => JSON.stringify([start, n])).sort()
}

function query(input: DataFrame, { kind, delayMs }: Run): DataFrame {
  const watermarked = input.withWatermark('ts', `${delayMs} milliseconds`)
  switch (kind) {
    case 'distinct':
      return input.distinct()
    case 'key':
      return input.dropDuplicates('key')
    case 'anywhere':
      return input.dropDuplicates('key').select('key') as unknown as DataFrame
    case 'key and time':
      return watermarked.dropDuplicates('ts', 'key')
    case 'key and window':
      return watermarked
        .select('key', window('ts', '1 second').as('second'))
        .distinct()
        .select('key', 'second.start') as unknown as DataFrame
    case 'within':
      return watermarked.dropDuplicatesWithinWatermark('key')
    case 'counted':
      return watermarked
        .dropDuplicatesWithinWatermark('key', 'n')
        .groupBy(window('ts', '1 second'))
        .agg({ n: count() }) as unknown as DataFrame
  }
}

const shown = (rows: readonly Readonly<Record<string, unknown>>[], kind: Kind): string[] =>
  rows
    .map((row) => {
      if (kind === 'anywhere') return JSON.stringify(row['key'])
      if (kind === 'key and window') {
        const start = row['start'] ?? (typeof row['ts'] === 'number' ? Math.floor(row['ts'] / 1000) * 1000 : null)
        return JSON.stringify([row['key'], start])
      }
      if (kind === 'counted') return JSON.stringify([(row['window'] as { start: number }).start, row['n']])
      return JSON.stringify([row['key'], row['ts'], row['n']])
    })
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
  const topic = `duplicates-${++runNumber}`
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
    const rows = await mill.table(one.name as string).collect()
    expect(shown(rows, run.kind), one.name as string).toEqual(expected)
  }
  const rows = await query(mill.read.topic(topic), run).collect()
  expect(shown(rows, run.kind), 'batch').toEqual(expected)
  await mill.topics.delete(topic)
}

test('the same rows leave in the three modes, which are the first of each key', async () => {
  await fc.assert(fc.asyncProperty(runs, inMemory), { numRuns, interruptAfterTimeLimit: 110_000 })
}, 120_000)

async function inLives(run: Run): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-duplicates-'))
  const found = new Map<number, string[]>()
  // The lives send in another order than `sends` has: what is expected follows the order of the log.
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
            const list = shown(await rows.collect(), run.kind)
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

test('a query that stops and goes on in other modes and with other numbers of workers repeats no key and loses none', async () => {
  await fc.assert(fc.asyncProperty(runs, inLives), {
    numRuns: Math.ceil(numRuns / 4),
    interruptAfterTimeLimit: 110_000,
  })
}, 120_000)
