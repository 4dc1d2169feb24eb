import { avg, col, count, type DataFrame, expr, Millrace, sessionWindow, sum, t, window } from 'millrace'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { assertHelpful, refusal } from './refusal.js'

let mill: Millrace
const Click = t.struct({ userId: t.string, page: t.string, ts: t.timestamp, price: t.double })

beforeAll(async () => {
  mill = await Millrace.open({ workers: 2 })
  await mill.topics.create('clicks', { partitions: 4, schema: Click })
  await mill.producer().send({
    topic: 'clicks',
    messages: Array.from({ length: 100 }, (_, i) => ({
      key: `u${i}`,
      value: { userId: `u${i}`, page: `/${i % 3}`, ts: i * 1000, price: i },
    })),
  })
})
afterAll(() => mill.close())

const stored = (): DataFrame => mill.read.topic('clicks')
const stream = (): DataFrame => mill.readStream.option('startingOffsets', 'earliest').topic('clicks')
const started = <R extends object>(frame: DataFrame<R>, mode: 'append' | 'update' | 'complete' = 'append') =>
  frame.writeStream.outputMode(mode).format('noop').start()

test.each<[string, () => unknown]>([
  ['select', () => stored().select('pages')],
  ['filter', () => stored().filter(col('pages').eq('/a'))],
  ['withColumn', () => stored().withColumn('x', col('pages'))],
  ['groupBy', () => stored().groupBy('pages').count()],
  [
    'agg',
    () =>
      stored()
        .groupBy('userId')
        .agg({ n: avg('pages') }),
  ],
  ['orderBy', () => stored().orderBy('pages')],
  ['withWatermark', () => stored().withWatermark('pages', '1 second')],
  ['dropDuplicates', () => stored().dropDuplicates('userId', 'pages')],
  ['dropDuplicatesWithinWatermark', () => stored().dropDuplicatesWithinWatermark(['pages'])],
])('%s of a column that does not exist lists those that do, and the nearest', async (_, call) => {
  const error = await refusal(call)
  expect(error.code).toBe('UNRESOLVED_COLUMN')
  expect(error.detail).toContain('userId, page, ts, price')
  expect(error.hint).toContain('page')
})

test('what is no column is refused where it was written', async () => {
  expect((await refusal(() => stored().select(undefined as never))).code).toBe('COLUMN_EXPECTED')
  expect((await refusal(() => stored().filter(5 as never))).hint).toContain("col('price').gt(0)")
  expect((await refusal(() => stored().filter('price >'))).code).toBe('PARSE_SYNTAX_ERROR')
  expect((await refusal(() => stored().filter('prize > 5'))).code).toBe('UNRESOLVED_COLUMN')
  expect((await refusal(() => stored().withColumn('x', 3 as never))).hint).toContain('lit(')
  expect(
    (
      await refusal(() =>
        stored()
          .groupBy('page')
          .agg({ n: 'price' } as never),
      )
    ).code,
  ).toBe('COLUMN_EXPECTED')
  expect((await refusal(() => stored().groupBy('page').agg({}))).code).toBe('MISSING_AGGREGATION')
  expect((await refusal(() => stored().filter(col('page') as never))).code).toBe('DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN')
  expect((await refusal(() => stored().select())).code).toBe('EMPTY_SELECT')
  expect((await refusal(() => stored().orderBy())).code).toBe('EMPTY_ORDER')
  expect((await refusal(() => stored().limit(-1))).code).toBe('INVALID_LIMIT')
  expect((await refusal(() => stored().limit(1.5))).code).toBe('INVALID_LIMIT')
})

describe('an operator that a mode does not have is refused: which, why, what to do instead', () => {
  test.each<[string, string, () => unknown]>([
    ['orderBy on a stream', 'foreachBatch', () => started(stream().orderBy('ts'))],
    ['limit on a stream', 'foreachBatch', () => started(stream().limit(3))],
    ['aggregation without a window', 'update', () => started(stream().groupBy('page').count())],
    [
      'aggregation without a watermark',
      'withWatermark',
      () => started(stream().groupBy(window('ts', '1 minute')).count()),
    ],
    [
      'session window without another grouping key',
      'something else',
      () => started(stream().withWatermark('ts', 0).groupBy(sessionWindow('ts', '1 minute')).count()),
    ],
    [
      "'update' of session windows",
      'append',
      () => started(stream().withWatermark('ts', 0).groupBy(sessionWindow('ts', '1 minute'), 'page').count(), 'update'),
    ],
    [
      'two aggregations',
      'topic',
      () => started(stream().groupBy('page').agg({ n: count() }).groupBy('n').count(), 'update'),
    ],
    ["'complete' without an aggregation", 'append', () => started(stream(), 'complete')],
  ])('%s', async (summary, hint, call) => {
    const error = await refusal(call)
    expect(error.code).toBe('UNSUPPORTED_OPERATION')
    expect(error.summary).toContain(summary)
    expect(error.hint).toContain(hint)
  })

  test('iterate gives the refusal to the loop', async () => {
    const loop = async () => {
      for await (const row of stream().orderBy('ts').writeStream.iterate()) expect(row).toBeUndefined()
    }
    expect((await refusal(loop)).code).toBe('UNSUPPORTED_OPERATION')
  })

  test.each(['collect', 'show', 'count', 'toArrow', 'first'] as const)('%s() on a stream', async (action) => {
    const error = await refusal(() => stream()[action]())
    expect(error.code).toBe('STREAMING_ACTION')
    expect(error.summary).toContain(`${action}()`)
    expect(error.hint).toContain('mill.read')
  })

  test('writeStream of what ends', async () => {
    expect((await refusal(() => stored().writeStream)).code).toBe('NOT_STREAMING')
  })

  test('a stream that is appended needs the watermark on the column of its window', async () => {
    const frame = stream().withColumn('other', col('ts')).withColumn('ts2', col('ts').cast('string').cast('timestamp'))
    const error = await refusal(() =>
      started(frame.withWatermark('ts', '1 s').groupBy(window('ts2', '1 minute')).count()),
    )
    expect(error.code).toBe('UNSUPPORTED_OPERATION')
  })
})

describe('an aggregation of what was aggregated, ordered or cut off has an answer', () => {
  const perPage = () => stored().groupBy('page').agg({ n: count() })
  const plain = (rows: readonly object[]) => rows.map((row) => ({ ...row }))

  test('of groups', async () => {
    const counts = perPage().groupBy('n').agg({ pages: count() }).orderBy('n')
    expect(plain(await counts.collect())).toEqual([
      { n: 33, pages: 2 },
      { n: 34, pages: 1 },
    ])
    const [totals] = await perPage()
      .agg({ pages: count(), records: sum('n') })
      .collect()
    expect({ ...totals }).toEqual({ pages: 3, records: 100 })
  })

  test('of ordered rows, and of the first of them', async () => {
    expect(await stored().orderBy('ts').groupBy('page').count().count()).toBe(3)
    const first = stored().orderBy('ts').limit(4).groupBy('page').agg({ n: count() }).orderBy('page')
    expect(plain(await first.collect())).toEqual([
      { page: '/0', n: 2 },
      { page: '/1', n: 1 },
      { page: '/2', n: 1 },
    ])
  })

  test('count() counts the rows of any of them', async () => {
    expect(await perPage().count()).toBe(3)
    expect(await stored().limit(10).count()).toBe(10)
    expect(await stored().orderBy('ts').count()).toBe(100)
    expect(await stored().orderBy('ts').limit(7).select('ts').count()).toBe(7)
    expect(await stored().limit(0).count()).toBe(0)
  })

  test('rows may be collected in between as well', async () => {
    const first = perPage()
    const second = mill.createDataFrame(await first.collect(), first.schema).filter(col('n').gt(33))
    expect(await second.count()).toBe(1)
  })
})

/** Nothing is tried again, and nothing is a dead letter. */
const atOnce = { retry: { attempts: 1 }, then: 'fail' } as const

describe("a user's function that throws ends a query that is to fail with the error", () => {
  const boom = (): never => {
    throw new RangeError('beyond the shelf')
  }
  const writers = {
    'foreach, a function': () => stream().writeStream.foreach(boom),
    'foreach, asynchronous': () => stream().writeStream.foreach(async () => boom()),
    'foreach, open': () => stream().writeStream.foreach({ open: boom, process: () => {} }),
    'foreach, process': () => stream().writeStream.foreach({ process: boom }),
    'foreach, close': () => stream().writeStream.foreach({ process: () => {}, close: boom }),
    foreachBatch: () => stream().writeStream.foreachBatch(boom),
    'foreachBatch, asynchronous': () => stream().writeStream.foreachBatch(async () => boom()),
  }
  const triggers = [{ processingTime: 0 }, { availableNow: true }, { continuous: '20 ms' }] as const

  for (const [name, writer] of Object.entries(writers)) {
    test.each(triggers)(`${name}, %j`, async (trigger) => {
      const query = await writer().onError(atOnce).trigger(trigger).start()
      const error = await refusal(() => query.awaitTermination())
      expect(error.code).toBe('SINK_FAILED')
      expect(error.summary).toContain('beyond the shelf')
      expect(error.detail).toContain('RangeError')
      expect(error.cause).toMatchObject({ summary: 'beyond the shelf' })
      expect(query.isActive).toBe(false)
      expect(query.exception()?.code).toBe('SINK_FAILED')
      expect(query.status.message).toContain('beyond the shelf')
      expect((await refusal(() => query.processAllAvailable())).code).toBe('SINK_FAILED')
      await query.stop()
    })
  }

  test('what is no Error may be thrown as well', async () => {
    const query = await stream()
      .writeStream.foreach(() => {
        throw 'a text' // eslint-disable-line @typescript-eslint/only-throw-error
      })
      .onError(atOnce)
      .start()
    const error = await refusal(() => query.awaitTermination())
    expect(error.code).toBe('SINK_FAILED')
    expect(error.summary).toContain('a text')
  })

  test('a loop that throws stops the query and keeps its own error', async () => {
    const before = mill.queries.active.length
    const loop = async () => {
      for await (const row of stream().writeStream.iterate()) throw new RangeError(String(row['page']))
    }
    await expect(loop()).rejects.toThrow(RangeError)
    expect(mill.queries.active.length).toBe(before)
  })

  test('a console that is gone ends the query', async () => {
    const write = process.stdout.write
    const query = await stream().writeStream.format('console').start()
    process.stdout.write = boom
    try {
      expect((await refusal(() => query.awaitTermination())).code).toBe('SINK_FAILED')
    } finally {
      process.stdout.write = write
    }
  })

  test('the others go on', async () => {
    const healthy = await stream().writeStream.queryName('healthy').format('memory').start()
    const sick = await stream().writeStream.foreach(boom).onError(atOnce).start()
    await refusal(() => sick.awaitTermination())
    await healthy.processAllAvailable()
    expect(await mill.table('healthy').count()).toBe(100)
    await healthy.stop()
  })
})

test.each([{ processingTime: 0 }, { continuous: '20 ms' }])(
  'an expression that throws on a row ends a query that is to fail, %j',
  async (trigger) => {
    const query = await stream()
      .select(col('page').cast('int').alias('n'))
      .writeStream.format('noop')
      .trigger(trigger)
      .onError(atOnce)
      .start()
    const error = await refusal(() => query.awaitTermination())
    expect(error.code).toBe('CAST_INVALID_INPUT')
    assertHelpful(query.exception() as typeof error)
  },
)

describe('dropping duplicates', () => {
  const watermarked = (): DataFrame => stream().withWatermark('ts', '10 seconds')

  test('a key is of names', async () => {
    for (const wrong of [[5], [[]], [col('page')], [null], [['page', 3]]]) {
      const error = await refusal(() => stored().dropDuplicates(...(wrong as unknown as string[])))
      assertHelpful(error)
      expect(error.code).toBe('INVALID_ARGUMENT')
      expect(error.hint).toContain("dropDuplicates('user', 'page')")
    }
  })

  test('within the watermark there must be one, in batch too', async () => {
    for (const frame of [stored(), stream()]) {
      const error = await refusal(() => frame.dropDuplicatesWithinWatermark('userId'))
      expect(error.code).toBe('UNSUPPORTED_OPERATION')
      expect(error.detail).toBe('found no withWatermark below it')
      expect(error.hint).toContain('.withWatermark(')
    }
  })

  test('and the event time must still be there, and be one', async () => {
    const gone = await refusal(() => watermarked().select('userId').dropDuplicatesWithinWatermark('userId'))
    expect(gone.detail).toContain('the watermark is of ts, which is not among the columns: userId')
    const joined = watermarked().as('a').join(watermarked().as('b'), expr('a.userId = b.userId and a.ts = b.ts'))
    const two = await refusal(() => joined.dropDuplicatesWithinWatermark('a.userId' as never))
    expect(two.detail).toContain('a.ts and b.ts')
  })

  test('the whole result of a stream is not given again without an aggregation', async () => {
    for (const frame of [stream().distinct(), watermarked().dropDuplicatesWithinWatermark('userId')]) {
      const error = await refusal(() => started(frame, 'complete'))
      expect(error.code).toBe('UNSUPPORTED_OPERATION')
      expect(error.hint).toContain("'append' or 'update'")
    }
  })

  test('a group that changes has no first row', async () => {
    const error = await refusal(() => started(stream().groupBy('page').count().distinct(), 'update'))
    expect(error.code).toBe('UNSUPPORTED_OPERATION')
    expect(error.message).toContain('dropDuplicates behind an aggregation')
  })

  test('a watermark stands before it', async () => {
    const error = await refusal(() => stream().distinct().withWatermark('ts', '10 seconds'))
    expect(error.code).toBe('UNSUPPORTED_OPERATION')
    expect(error.hint).toContain('before distinct')
  })

  test('maps are not compared', async () => {
    const frame = stored().selectExpr("map('a', price) as prices", 'userId')
    expect((await refusal(() => frame.distinct())).hint).toContain("dropDuplicates('id')")
    expect(await frame.dropDuplicates('userId').count()).toBe(100)
  })

  test('of two columns of one name the key says which', async () => {
    const both = stored().as('a').join(stored().as('b'), expr('a.userId = b.userId'))
    const error = await refusal(() => both.dropDuplicates('page' as never))
    expect(error.code).toBe('AMBIGUOUS_REFERENCE')
    expect(error.detail).toContain('a.page, b.page')
  })
})
