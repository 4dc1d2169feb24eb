import { col, count, type DataFrame, expr, Millrace, type Trigger, t } from 'millrace'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/**
 * The law of failures: whatever the share of poison records, the mode and the step at which they fail, every record is a row of the result or a dead letter, once,
 * and a dead letter is the record as it was sent. MILLRACE_RECORDS=100000 for more of them.
 */
const RECORDS = Number(process.env['MILLRACE_RECORDS'] ?? 1000)
const PARTITIONS = 3
const shares = [0, 0.001, 0.1, 1]
const modes: readonly (readonly [string, Trigger | undefined])[] = [
  ['batch', undefined],
  ['micro-batch', { processingTime: 0 }],
  ['continuous', { continuous: '20 ms' }],
]

let mill: Millrace
let topics = 0
beforeAll(async () => {
  mill = await Millrace.open({ workers: 2 })
})
afterAll(() => mill.close())

type Input = ReturnType<typeof input>
const input = (topic: string) =>
  mill.readStream.format('log').option('subscribe', topic).option('startingOffsets', 'earliest').load()

const rowsOf = (frame: object): DataFrame<{ n: number }> => frame as DataFrame<{ n: number }>

/** Where a record may fail; the rows that come out bear its number. */
const steps: Readonly<Record<string, (from: Input) => DataFrame<{ n: number }>>> = {
  'an expression': (from) => rowsOf(from.select(expr('cast(cast(value as string) as int)').alias('n'))),
  'a filter behind a filter': (from) =>
    rowsOf(
      from
        .select(col('value').cast('string').alias('text'), col('offset'))
        .filter('offset >= 0')
        .filter('cast(text as int) >= 0')
        .select(expr('cast(text as int)').alias('n')),
    ),
  'a function': (from) =>
    from.map(
      (row) => {
        const text = new TextDecoder().decode(row.value as Uint8Array)
        if (text.startsWith('poison')) throw new TypeError(`${text} is no number`)
        return { n: Number(text) }
      },
      t.struct({ n: t.int }),
    ),
  'a function that gives promises, behind one that filters': (from) =>
    from
      .filter((row) => row.offset !== -1)
      .map(
        async (row) => {
          const text = new TextDecoder().decode(row.value as Uint8Array)
          await Promise.resolve()
          if (text.startsWith('poison')) throw new TypeError(`${text} is no number`)
          return { n: Number(text) }
        },
        t.struct({ n: t.int }),
      ),
  'an expression behind functions': (from) =>
    rowsOf(
      from
        .flatMap((row) => [{ text: new TextDecoder().decode(row.value as Uint8Array) }], t.struct({ text: t.string }))
        .filter((row) => row.text !== '')
        .select(expr('cast(text as int)').alias('n')),
    ),
  'rows that are no rows': (from) =>
    from.map(
      (row) => {
        const text = new TextDecoder().decode(row.value as Uint8Array)
        return { n: (text.startsWith('poison') ? text : Number(text)) as number }
      },
      t.struct({ n: t.int }),
    ),
  'a function over batches': (from) =>
    from.mapBatches(
      (rows) =>
        rows.map((row) => {
          const text = new TextDecoder().decode(row.value as Uint8Array)
          if (text.startsWith('poison')) throw new TypeError(`${text} is no number`)
          return { n: Number(text) }
        }),
      t.struct({ n: t.int }),
      { batchSize: 16 },
    ),
}

const isPoison = (n: number, share: number): boolean => Math.floor((n + 1) * share) > Math.floor(n * share)

async function filled(share: number): Promise<string> {
  topics += 1
  const topic = `law-${topics}`
  await mill.topics.create(topic, { partitions: PARTITIONS })
  await send(topic, share, 0, RECORDS)
  return topic
}

async function send(topic: string, share: number, from: number, to: number): Promise<void> {
  const messages = Array.from({ length: to - from }, (_, i) => {
    const n = from + i
    const value = isPoison(n, share) ? `poison ${n}` : String(n)
    return { key: `k${n}`, value, headers: { n: String(n), twice: ['a', 'b'] }, timestamp: 1000 + n }
  })
  await mill.producer().send({ topic, messages })
}

const policy = { retry: { attempts: 2, backoff: 1 }, then: 'dead-letter' } as const

/** The numbers of the rows that come out. */
async function run(topic: string, step: (from: Input) => DataFrame<{ n: number }>, trigger: Trigger | undefined) {
  const out: number[] = []
  const take = (row: object): void => void out.push((row as { n: number }).n)
  if (trigger === undefined) {
    const whole = mill.read.format('log').option('subscribe', topic).load() as unknown as Input
    await step(whole).foreach(take, { onError: policy })
    return out
  }
  const query = await step(input(topic)).writeStream.foreach(take).trigger(trigger).onError(policy).start()
  await query.processAllAvailable()
  await query.stop()
  return out
}

/** By the number of its record: where it is, and the letter's headers. */
async function headersOf(topic: string, letters: number): Promise<Map<number, Record<string, string>>> {
  const found = new Map<number, Record<string, string>>()
  const consumer = mill.consumer({ groupId: `letters of ${topic}`, readUncommitted: false })
  await consumer.subscribe({ topics: [`${topic}.dlq`], fromBeginning: true })
  await new Promise<void>((resolve) => {
    void consumer.run({
      eachMessage: ({ message }) => {
        const headers = Object.fromEntries(Object.entries(message.headers).map(([name, of]) => [name, String(of)]))
        found.set(Number(headers.n), headers)
        if (found.size === letters) resolve()
        return Promise.resolve()
      },
    })
  })
  await consumer.disconnect()
  return found
}

interface Found {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
}

const recordsOf = (topic: string): Promise<Found[]> =>
  mill.read.format('log').option('subscribe', topic).load().collect() as unknown as Promise<Found[]>

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

const numbers = (share: number, poison: boolean): number[] =>
  Array.from({ length: RECORDS }, (_, n) => n).filter((n) => isPoison(n, share) === poison)

const sorted = (list: readonly number[]): number[] => [...list].sort((a, b) => a - b)

describe.each(modes)('in %s mode', (mode, trigger) => {
  test.each(shares)('records in are records out and dead letters: %d of them poison', async (share) => {
    // Each step with each share in each mode would take longer than all other tests together.
    const all = Object.entries(steps)
    const some = share !== 0.1 ? all.slice(0, 1) : mode === 'micro-batch' ? all : all.slice(0, 3)
    for (const [name, step] of some) {
      const topic = await filled(share)
      expect(sorted(await run(topic, step, trigger)), name).toEqual(numbers(share, false))
      const poison = numbers(share, true)
      const letters = await recordsOf(`${topic}.dlq`)
      expect(sorted(letters.map((letter) => letter.timestamp - 1000)), name).toEqual(poison)
      for (const { key, value, timestamp } of letters) {
        expect([textOf(key), textOf(value)], name).toEqual([`k${timestamp - 1000}`, `poison ${timestamp - 1000}`])
      }
    }
  })
})

test('a dead letter has the headers of its record, and says where that was and what has happened to it', async () => {
  const topic = await filled(0.1)
  await run(topic, steps['a function'] as (from: Input) => DataFrame<{ n: number }>, { availableNow: true })
  const records = new Map((await recordsOf(topic)).map((record) => [record.timestamp - 1000, record]))
  const letters = await recordsOf(`${topic}.dlq`)
  const headers = await headersOf(topic, letters.length)
  for (const letter of letters) {
    const n = letter.timestamp - 1000
    const {
      'first.failure': first,
      'last.failure': last,
      ...said
    } = Object.fromEntries(
      Object.entries(headers.get(n) ?? {}).map(([name, value]) => [name.replace('__dlq.errors.', ''), value]),
    )
    const record = records.get(n)
    expect(letter.partition).toBe(record?.partition)
    expect(said).toEqual({
      n: String(n),
      twice: 'a,b',
      topic,
      partition: String(record?.partition),
      offset: String(record?.offset),
      timestamp: String(letter.timestamp),
      step: 'transform',
      operator: 'map(inline)',
      code: 'USER_CODE_FAILED',
      message: `map(inline) has thrown: poison ${n} is no number`,
      attempt: '2',
    })
    expect(Number(last)).toBeGreaterThanOrEqual(Number(first))
  }
})

test('what fails before an aggregate is in none of its groups, and the others are in them', async () => {
  const topic = await filled(0.1)
  const counts = new Map<number, number>()
  const query = await input(topic)
    .select(expr('cast(cast(value as string) as int)').alias('n'))
    .groupBy(expr('n % 5').alias('five'))
    .agg({ n: count(), inverse: expr('sum(1 / (n + 1))') })
    .writeStream.outputMode('update')
    .foreach((row) => void counts.set(row.five as number, Number(row.n)))
    .trigger({ availableNow: true })
    .onError(policy)
    .start()
  await query.awaitTermination()
  const expected = new Map<number, number>()
  for (const n of numbers(0.1, false)) expected.set(n % 5, (expected.get(n % 5) ?? 0) + 1)
  expect(counts).toEqual(expected)
  expect((await recordsOf(`${topic}.dlq`)).length).toBe(numbers(0.1, true).length)
})
