import { col, count, expr, Millrace, type MillraceError, type StreamingQuery, t } from 'millrace'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { sharedEngine } from '../engines.js'

/** `onError` of a writer: what it takes, and what becomes of records by it. */
let mill: Millrace
let topics = 0
beforeAll(async () => {
  mill = await Millrace.open({ workers: 2 })
})
afterAll(() => mill.close())

async function topicOf(values: readonly string[], partitions = 1): Promise<string> {
  topics += 1
  const topic = `policy-${topics}`
  await mill.topics.create(topic, { partitions })
  const messages = values.map((value, i) => ({ key: `k${i}`, value, partition: i % partitions }))
  await mill.producer().send({ topic, messages })
  return topic
}

const input = (topic: string) =>
  mill.readStream.format('log').option('subscribe', topic).option('startingOffsets', 'earliest').load()

const numbers = (topic: string) => input(topic).select(expr('cast(cast(value as string) as int)').alias('n'))

const failure = async (promise: Promise<unknown>): Promise<MillraceError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  )
  expect(error, 'it fails').toBeDefined()
  return error as MillraceError
}

const refusal = (make: () => unknown): MillraceError => {
  try {
    make()
  } catch (error) {
    return error as MillraceError
  }
  throw new Error('it was not refused')
}

const failuresOf = (query: StreamingQuery): Record<string, number> => {
  const sums: Record<string, number> = {}
  for (const { failures } of query.recentProgress) {
    for (const [name, value] of Object.entries(failures ?? {})) sums[name] = (sums[name] ?? 0) + value
  }
  return sums
}

const lettersOf = async (topic: string): Promise<string[]> => {
  const rows = await mill.read
    .format('log')
    .option('subscribe', `${topic}.dlq`)
    .load()
    .select(col('value').cast('string').alias('text'))
    .collect()
  return rows.map(({ text }) => text as string).sort()
}

describe('what it takes', () => {
  const writer = () => mill.readStream.format('rate').load().writeStream
  test.each([
    [{ then: 'dead-leter' }, 'INVALID_FAILURE_POLICY', /did you mean 'dead-letter'/],
    [{ retries: 3 }, 'INVALID_FAILURE_POLICY', /retry/],
    [{ retry: { attempts: 0 } }, 'INVALID_FAILURE_POLICY', /from 1 to 100/],
    [{ retry: { attempts: 1.5 } }, 'INVALID_FAILURE_POLICY', /whole number/],
    [{ retry: { delay: 3 } }, 'INVALID_FAILURE_POLICY', /attempts, backoff|backoff/],
    [{ retry: 3 }, 'INVALID_FAILURE_POLICY', /object/],
    [{ retry: { backoff: 'soon' } }, 'INVALID_DURATION', /soon/],
    [{ stopAbove: 5 }, 'INVALID_FAILURE_POLICY', /5%/],
    [{ stopAbove: '500%' }, 'INVALID_FAILURE_POLICY', /5%/],
    [{ window: 0 }, 'INVALID_FAILURE_POLICY', /more than 0/],
    ['skip', 'INVALID_FAILURE_POLICY', /object/],
  ])('%j is refused with words', (options, code, words) => {
    const error = refusal(() => writer().onError(options as never))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(words)
  })

  test('dead letters of rows that are of no topic have nowhere to go', async () => {
    const query = mill.readStream.format('rate').load().writeStream.format('noop').onError()
    expect((await failure(query.start())).code).toBe('DEAD_LETTER_WITHOUT_TOPIC')
  })

  test('a query does not read the dead letters that it writes', async () => {
    const topic = await topicOf(['1'])
    await mill.topics.create(`${topic}.dlq`)
    const both = input(`${topic},${topic}.dlq`).writeStream.format('noop').onError()
    expect((await failure(both.start())).code).toBe('DEAD_LETTER_LOOP')
  })

  test('a topic of the name that has a schema is no dead-letter queue', async () => {
    const topic = await topicOf(['1'])
    await mill.topics.create(`${topic}.dlq`, { schema: t.struct({ n: t.int }) })
    const error = await failure(numbers(topic).writeStream.format('noop').onError().start())
    expect(error.code).toBe('DEAD_LETTER_TOPIC_INVALID')
    expect(error.message).toContain('schema')
  })
})

describe('what becomes of a record', () => {
  test('where nothing is said it is tried three times and then a dead letter, whose queue is made by it', async () => {
    const topic = await topicOf(['1', 'x', '3'])
    const letters = `${topic}.dlq`
    const seen: unknown[] = []
    const query = await numbers(topic)
      .map(
        (row) => {
          if (row.n === 3) throw new RangeError('three')
          return row
        },
        t.struct({ n: t.int.nullable() }),
      )
      .writeStream.foreach((row) => void seen.push(row.n))
      .trigger({ processingTime: 0 })
      .start()
    await query.processAllAvailable()
    expect(seen).toEqual([1])
    expect(failuresOf(query)).toMatchObject({ numDeadLetters: 2, numRetries: 2 })
    expect(await lettersOf(topic)).toEqual(['3', 'x'])
    expect(mill.topics.list().map(({ name }) => name)).toContain(letters)
    await query.stop()
  })

  test('where nothing is said and nothing fails, no topic is made', async () => {
    const topic = await topicOf(['1', '2'])
    const query = await numbers(topic).writeStream.format('noop').trigger({ availableNow: true }).start()
    await query.awaitTermination()
    expect(mill.topics.list().map(({ name }) => name)).not.toContain(`${topic}.dlq`)
  })

  test('where nothing is said and there is no dead-letter queue, the first failure ends the query, as in Spark', async () => {
    const made = mill.createDataFrame([{ text: '1' }, { text: 'x' }], t.struct({ text: t.string }))
    await expect(made.select(expr('cast(text as int)').alias('n')).collect()).rejects.toMatchObject({
      code: 'CAST_INVALID_INPUT',
    })
    const query = await mill.readStream
      .format('rate')
      .option('rowsPerSecond', 1000)
      .load()
      .select(expr('1 / (value - 2)').alias('x'))
      .writeStream.format('noop')
      .start()
    expect((await failure(query.awaitTermination())).code).toBe('DIVIDE_BY_ZERO')
  })

  test('a queue that cannot have letters ends the query by its first', async () => {
    const topic = await topicOf(['1', 'x'])
    await mill.topics.create(`${topic}.dlq`, { schema: t.struct({ n: t.int }) })
    const query = await numbers(topic).writeStream.format('noop').start()
    expect((await failure(query.awaitTermination())).code).toBe('DEAD_LETTER_TOPIC_INVALID')
  })

  test('skip leaves it out and counts it', async () => {
    const seen: unknown[] = []
    const query = await numbers(await topicOf(['1', 'x', '3', 'y']))
      .writeStream.foreach((row) => void seen.push(row.n))
      .trigger({ availableNow: true })
      .onError({ then: 'skip' })
      .start()
    await query.awaitTermination()
    expect(seen).toEqual([1, 3])
    expect(failuresOf(query)).toEqual({ numFailed: 2, numSkipped: 2, numDeadLetters: 0, numRetries: 0 })
  })

  test('fail ends the query with the place of the record', async () => {
    const topic = await topicOf(['1', '2', 'x'])
    const query = await numbers(topic).writeStream.format('noop').onError({ then: 'fail' }).start()
    const error = await failure(query.processAllAvailable())
    expect(error.code).toBe('CAST_INVALID_INPUT')
    expect(error.message).toContain(`at offset 2 of ${topic}-0`)
  })

  test('fail tries a function again first', async () => {
    const topic = await topicOf(['1'])
    const query = await input(topic)
      .map(
        () => {
          throw new Error('never')
        },
        t.struct({ n: t.int }),
      )
      .writeStream.format('noop')
      .onError({ then: 'fail', retry: { attempts: 3, backoff: 1 } })
      .start()
    const error = await failure(query.processAllAvailable())
    expect(error.message).toContain(`at offset 0 of ${topic}-0, 3 times`)
  })

  test('what fails at first and not again is a row like any other, in its place', async () => {
    const seen: unknown[] = []
    const query = await input(await topicOf(['a', 'b', 'c']))
      .map(
        (row) => {
          const text = new TextDecoder().decode(row.value as Uint8Array)
          const tried = Reflect.get(globalThis, 'tried') ?? new Set<string>()
          Reflect.set(globalThis, 'tried', tried)
          if (text === 'b' && !tried.has(text)) {
            tried.add(text)
            throw new Error('once')
          }
          return { text }
        },
        t.struct({ text: t.string }),
      )
      .writeStream.foreach((row) => void seen.push(row.text))
      .trigger({ availableNow: true })
      .onError({ retry: { attempts: 2, backoff: 1 } })
      .start()
    await query.awaitTermination()
    expect(seen).toEqual(['a', 'b', 'c'])
    expect(failuresOf(query)).toEqual({ numFailed: 0, numSkipped: 0, numDeadLetters: 0, numRetries: 1 })
  })

  test('while one partition waits for its next attempt the others go on, on the same worker', async () => {
    const one = await sharedEngine(1)
    await one.topics.create('waiting', { partitions: 2 })
    const send = (value: string, partition: number) =>
      one.producer().send({ topic: 'waiting', messages: [{ value, partition }] })
    await send('a', 0)
    const seen: string[] = []
    const query = await one.readStream
      .format('log')
      .option('subscribe', 'waiting')
      .option('startingOffsets', 'earliest')
      .load()
      .map(
        (row) => {
          const text = new TextDecoder().decode(row.value as Uint8Array)
          if (text === 'b') Reflect.set(globalThis, 'b has come', true)
          if (text === 'a' && Reflect.get(globalThis, 'b has come') !== true) throw new Error('not before b')
          return { text }
        },
        t.struct({ text: t.string }),
      )
      .writeStream.foreach((row) => void seen.push(row.text))
      .trigger({ continuous: '10 ms' })
      .onError({ retry: { attempts: 14, backoff: 1 } })
      .start()
    await send('b', 1)
    await query.processAllAvailable()
    await query.stop()
    expect(seen).toEqual(['b', 'a'])
  })

  test('an epoch of the continuous mode does not wait for the next attempt: it leaves the rows to a later one, and stop() leaves them too', async () => {
    const topic = await topicOf(['a', 'b'])
    const seen: string[] = []
    const query = await input(topic)
      .map(
        (row) => {
          const text = new TextDecoder().decode(row.value as Uint8Array)
          if (text === 'b') throw new Error('never')
          return { text }
        },
        t.struct({ text: t.string }),
      )
      .writeStream.foreach((row) => void seen.push(row.text))
      .trigger({ continuous: '1 ms' })
      .onError({ retry: { attempts: 2, backoff: '1 minute' } })
      .start()
    const epochs = query.lastProgress?.batchId ?? 0
    await vi.waitUntil(() => (query.lastProgress?.batchId ?? 0) > epochs + 3)
    await query.stop()
    expect(seen).toEqual([])
    expect(query.lastProgress?.sources[0]?.endOffset).toEqual({ [topic]: { 0: 0 } })
    expect(failuresOf(query).numFailed).toBe(0)
  })

  test('the records behind those that wait for their next attempt go on meanwhile, and come out behind them', async () => {
    const topic = await topicOf([])
    const producer = mill.producer()
    const values = Array.from({ length: 40 }, (_, i) => `${i}`)
    // Each is a batch of its own, and so a block.
    for (const value of values) await producer.send({ topic, messages: [{ value }] })
    const calls: string[] = []
    const rows = await input(topic)
      .map(
        (row) => {
          const n = Number(new TextDecoder().decode(row.value as Uint8Array))
          const seen = (Reflect.get(globalThis, 'in line') ?? []) as number[]
          Reflect.set(globalThis, 'in line', [...seen, n])
          if (n % 2 === 0 && !seen.includes(39)) throw new Error('not before the last')
          return { n, before: seen.length }
        },
        t.struct({ n: t.int, before: t.int }),
      )
      .writeStream.foreach((row) => void calls.push(`${row.n}`))
      .trigger({ availableNow: true })
      .onError({ retry: { attempts: 12, backoff: 1 } })
      .start()
    await rows.awaitTermination()
    expect(calls).toEqual(values)
  })

  test('of a typed topic a dead letter has the row as canonical JSON', async () => {
    topics += 1
    const topic = `policy-${topics}`
    await mill.topics.create(topic, { schema: t.struct({ n: t.int, by: t.int, name: t.string }) })
    const rows = [0, 1, 2].map((by) => ({ value: { name: `n${by}`, by, n: 6 } }))
    await mill.producer().send({ topic, messages: rows })
    const query = await mill.readStream
      .option('startingOffsets', 'earliest')
      .topic(topic)
      .select(expr('n / by').alias('each'))
      .writeStream.format('noop')
      .trigger({ availableNow: true })
      .onError()
      .start()
    await query.awaitTermination()
    expect(await lettersOf(topic)).toEqual(['{"by":0,"n":6,"name":"n0"}'])
  })

  test('a row that is of no one record is a dead letter of its columns', async () => {
    const topic = await topicOf(['0', '0', '1', '5'])
    const query = await numbers(topic)
      .groupBy('n')
      .agg({ c: count() })
      .select(expr('c / n').alias('each'), 'n', 'c')
      .writeStream.outputMode('update')
      .format('noop')
      .trigger({ availableNow: true })
      .onError()
      .start()
    await query.awaitTermination()
    expect(await lettersOf(topic)).toEqual(['{"c":2,"n":0}'])
    expect(failuresOf(query)).toMatchObject({ numFailed: 1, numDeadLetters: 1 })
  })

  test('an aggregate that overflows is nobody’s record, and ends the query', async () => {
    const most = '9223372036854775807'
    const query = await input(await topicOf([most, most]))
      .select(expr('cast(cast(value as string) as bigint)').alias('n'))
      .groupBy()
      .agg({ sum: expr('sum(n)') })
      .writeStream.outputMode('update')
      .format('noop')
      .onError({ then: 'skip' })
      .start()
    expect((await failure(query.processAllAvailable())).code).toBe('ARITHMETIC_OVERFLOW')
  })
})

describe('the functions of sinks', () => {
  const texts = (topic: string) => input(topic).select(col('value').cast('string').alias('text'))
  const retry = { attempts: 3, backoff: 1 }

  test.each([
    ['foreach', (call: (text: string) => void) => (row: { text?: unknown }) => call(row.text as string)],
    [
      'foreach with promises',
      (call: (text: string) => void) => (row: { text?: unknown }) =>
        Promise.resolve().then(() => call(row.text as string)),
    ],
    [
      'a writer',
      (call: (text: string) => void) => ({ process: (row: { text?: unknown }) => call(row.text as string) }),
    ],
  ])('%s is called again for a row that it throws at, which is then a dead letter of its columns', async (_, make) => {
    const topic = await topicOf(['a', 'poison', 'c', 'late', 'poison'])
    const calls: string[] = []
    const query = await texts(topic)
      .writeStream.foreach(
        make((text) => {
          calls.push(text)
          if (text === 'poison' || (text === 'late' && calls.filter((one) => one === 'late').length < 3))
            throw new Error(`not ${text}`)
        }) as never,
      )
      .trigger({ availableNow: true })
      .onError({ retry })
      .start()
    await query.awaitTermination()
    const thrice = (text: string): string[] => [text, text, text]
    expect(calls).toEqual(['a', ...thrice('poison'), 'c', ...thrice('late'), ...thrice('poison')])
    expect(await lettersOf(topic)).toEqual(['{"text":"poison"}', '{"text":"poison"}'])
    expect(failuresOf(query)).toEqual({ numFailed: 2, numSkipped: 0, numDeadLetters: 2, numRetries: 6 })
  })

  test('foreachBatch gets the same rows again, and then each of them is a dead letter, with the epoch that is done with', async () => {
    const topic = await topicOf(['a', 'b'])
    const given: unknown[] = []
    const query = await texts(topic)
      .writeStream.foreachBatch(async (rows) => {
        const all = await rows.collect()
        given.push(all.map(({ text }) => text))
        if (all.some(({ text }) => text === 'b')) throw new Error('not b')
      })
      .onError({ retry })
      .start()
    await query.processAllAvailable()
    await mill.producer().send({ topic, messages: [{ value: 'c' }] })
    await query.processAllAvailable()
    await query.stop()
    expect(given).toEqual([['a', 'b'], ['a', 'b'], ['a', 'b'], ['c']])
    expect(await lettersOf(topic)).toEqual(['{"text":"a"}', '{"text":"b"}'])
  })

  test('fail ends the query when all attempts have failed', async () => {
    const topic = await topicOf(['a'])
    let calls = 0
    const query = await texts(topic)
      .writeStream.foreachBatch(() => {
        calls += 1
        throw new Error('never')
      })
      .onError({ retry, then: 'fail' })
      .start()
    const error = await failure(query.processAllAvailable())
    expect([error.code, calls]).toEqual(['SINK_FAILED', 3])
    expect(error.message).toContain('3 times')
  })

  test('skip leaves the row out', async () => {
    const query = await texts(await topicOf(['a', 'b']))
      .writeStream.foreach((row) => {
        if (row.text === 'a') throw new Error('not a')
      })
      .trigger({ availableNow: true })
      .onError({ retry: { attempts: 1 }, then: 'skip' })
      .start()
    await query.awaitTermination()
    expect(failuresOf(query)).toEqual({ numFailed: 1, numSkipped: 1, numDeadLetters: 0, numRetries: 0 })
  })
})

describe('stopAbove', () => {
  const mixed = (poison: number): string[] =>
    Array.from({ length: 400 }, (_, i) => (i % 100 < poison ? 'poison' : String(i)))

  test('more than that share of the records ends the query with words, and none of its epoch is committed', async () => {
    const topic = await topicOf(mixed(10))
    const query = await numbers(topic).writeStream.format('noop').onError({ stopAbove: '5%' }).start()
    const error = await failure(query.processAllAvailable())
    expect(error.code).toBe('TOO_MANY_FAILURES')
    expect(error.message).toContain('40 of 400 records')
    expect(await lettersOf(topic)).toEqual([])
  })

  test('as much as that share goes on', async () => {
    const topic = await topicOf(mixed(5))
    const query = await numbers(topic)
      .writeStream.format('noop')
      .trigger({ availableNow: true })
      .onError({ stopAbove: '5%' })
      .start()
    await query.awaitTermination()
    expect((await lettersOf(topic)).length).toBe(20)
  })
})
