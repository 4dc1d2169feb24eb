import { count, Millrace, t } from 'millrace'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { refusal } from './refusal.js'

let mill: Millrace
const Click = t.struct({ page: t.string, ts: t.timestamp })

beforeAll(async () => {
  mill = await Millrace.open({ workers: 1 })
  await mill.topics.create('clicks', { partitions: 2, schema: Click })
  await mill.topics.create('raw')
})
afterAll(() => mill.close())

const stream = () => mill.readStream.topic('clicks')

describe('readers', () => {
  test.each(['kafkaa', 'avro', '', 3])('there is no source %j', async (format) => {
    const error = await refusal(() => mill.readStream.format(format as string))
    expect(error.code).toBe('UNKNOWN_SOURCE')
    expect(error.detail).toContain('log, memory, rate, json, csv, parquet')
  })

  test('a reader without a source, or without what its source needs', async () => {
    expect((await refusal(() => mill.readStream.load())).code).toBe('MISSING_SOURCE')
    expect((await refusal(() => mill.read.format('log').load())).code).toBe('MISSING_OPTION')
    expect((await refusal(() => mill.read.format('log').option('subscribe', ' , ').load())).code).toBe('INVALID_OPTION')
    expect((await refusal(() => mill.read.format('rate').load())).code).toBe('SOURCE_STREAMING_ONLY')
    expect((await refusal(() => mill.read.topic('raw'))).code).toBe('TOPIC_UNTYPED')
    expect((await refusal(() => mill.read.topic('clicks', t.struct({ page: t.int })))).code).toBe('SCHEMA_DIFFERS')
    expect((await refusal(() => mill.table('seen').collect())).hint).toContain("format('memory')")
    const cluster = mill.readStream
      .format('kafka')
      .option('kafka.bootstrap.servers', 'host:9092')
      .option('subscribe', 'x')
    expect((await refusal(() => cluster.load())).hint).toContain('connector')
  })

  test.each([
    '{',
    'begin',
    '[]',
    '{"clicks":3}',
    '{"clicks":{"0":-3}}',
    '{"clicks":{"0":1.5}}',
    '{"clicks":{"zero":1}}',
    '{"clicks":{"2":0}}',
    '{"other":{"0":0}}',
  ])('startingOffsets %s', async (startingOffsets) => {
    const error = await refusal(() => mill.readStream.option('startingOffsets', startingOffsets).topic('clicks'))
    expect(error.code).toBe('INVALID_OPTION')
    expect(error.detail).toContain(startingOffsets.slice(0, 1))
  })

  test('an offset beyond the end of its partition', async () => {
    const frame = mill.readStream.option('startingOffsets', { clicks: { 0: 1000 } }).topic('clicks')
    const error = await refusal(() => frame.writeStream.format('noop').start())
    expect(error.code).toBe('OFFSET_OUT_OF_RANGE')
    expect(error.detail).toContain('from 0 to 0')
  })

  test('a partition that the offsets do not name starts where it would without them', async () => {
    await mill.topics.create('half', { partitions: 2, schema: Click })
    const value = { page: '/a', ts: 1 }
    const messages = [0, 1].flatMap((partition) => [
      { value, partition },
      { value, partition },
    ])
    await mill.producer().send({ topic: 'half', messages })
    const bounded = mill.read.option('endingOffsets', { half: { 0: 1 } }).topic('half')
    expect(await bounded.count()).toBe(3)
    expect(
      await mill.read
        .option('startingOffsets', { half: { 0: 1 } })
        .topic('half')
        .count(),
    ).toBe(3)
  })

  test('options are checked by name and by value', async () => {
    const reader = () => mill.readStream
    expect((await refusal(() => reader().option('startingOffset', 'latest').topic('clicks'))).hint).toContain(
      "'startingOffsets'",
    )
    expect((await refusal(() => reader().option('endingOffsets', 'latest').topic('clicks'))).code).toBe(
      'INVALID_OPTION',
    )
    expect((await refusal(() => reader().option('maxOffsetsPerTrigger', 0).topic('clicks'))).code).toBe(
      'INVALID_OPTION',
    )
    expect((await refusal(() => mill.read.option('startingOffsets', 'latest').topic('clicks'))).code).toBe(
      'INVALID_OPTION',
    )
  })
})

describe('writers', () => {
  test.each(['consol', 'parquet', null])('there is no sink %j', async (format) => {
    const error = await refusal(() => stream().writeStream.format(format as string))
    expect(error.code).toBe('UNKNOWN_SINK')
    expect(error.detail).toContain('console, memory, noop, log')
  })

  test.each([
    {},
    { every: '1 second' },
    '1 second',
    null,
    { processingTime: 1, continuous: 1 },
    { once: false },
    { processingTime: '-1 s' },
  ])('there is no trigger %j', async (trigger) => {
    expect((await refusal(() => stream().writeStream.trigger(trigger as never))).code).toBe('INVALID_TRIGGER')
  })

  test.each(['soon', '1 fortnight', '1 month', '1.5', ''])('%j is no duration', async (processingTime) => {
    expect((await refusal(() => stream().writeStream.trigger({ processingTime }))).code).toBe('INVALID_DURATION')
  })

  test('there is no output mode of that name', async () => {
    const error = await refusal(() => stream().writeStream.outputMode('updates' as 'update'))
    expect(error).toMatchObject({ code: 'UNKNOWN_OUTPUT_MODE', hint: "did you mean 'update'?" })
  })

  test('a writer without a sink, or without what its sink needs', async () => {
    const writer = () => stream().writeStream
    expect((await refusal(() => writer().start())).code).toBe('MISSING_SINK')
    expect((await refusal(() => writer().format('memory').start())).code).toBe('MISSING_QUERY_NAME')
    expect((await refusal(() => writer().format('log').start())).code).toBe('MISSING_OPTION')
    expect((await refusal(() => writer().format('log').option('topic', 'click').start())).code).toBe('UNKNOWN_TOPIC')
    expect((await refusal(() => writer().format('log').option('topic', 'raw').start())).code).toBe(
      'SINK_SCHEMA_MISMATCH',
    )
    const narrow = stream().select('ts').writeStream.format('log').option('topic', 'clicks')
    expect((await refusal(() => narrow.start())).detail).toContain('page')
    expect((await refusal(() => writer().format('console').option('truncat', 3).start())).hint).toContain("'truncate'")
    expect((await refusal(() => writer().format('console').option('numRows', 'all').start())).code).toBe(
      'INVALID_OPTION',
    )
    expect((await refusal(() => writer().foreach({} as never))).code).toBe('INVALID_FOREACH')
    expect((await refusal(() => writer().foreachBatch('fn' as never))).code).toBe('INVALID_FOREACH')
    expect((await refusal(() => writer().queryName('../up'))).code).toBe('INVALID_QUERY_NAME')
  })

  test('two queries of one name', async () => {
    const start = () => stream().writeStream.queryName('twice').format('noop').start()
    const query = await start()
    const error = await refusal(start)
    expect(error.code).toBe('QUERY_NAME_IN_USE')
    expect(error.detail).toContain('twice')
    await query.stop()
    await query.stop()
    await (await start()).stop()
  })
})

test('after close everything is refused, and close may be called again', async () => {
  const own = await Millrace.open({ workers: 1 })
  await own.topics.create('clicks', { schema: Click })
  const producer = own.producer()
  const frame = own.readStream.topic('clicks')
  const consumer = own.consumer()
  await consumer.subscribe({ topics: ['clicks'] })
  const query = await frame.groupBy('page').agg({ n: count() }).writeStream.outputMode('update').format('noop').start()
  await Promise.all([own.close(), own.close()])
  await own.close()
  await own[Symbol.asyncDispose]()
  expect(query.isActive).toBe(false)
  await query.stop()
  await query.awaitTermination()
  const calls: (() => unknown)[] = [
    () => own.topics,
    () => own.read,
    () => own.readStream,
    () => own.producer(),
    () => own.consumer(),
    () => own.createDataFrame([], Click),
    () => own.table('x'),
    () => own.describe(),
    () => producer.send({ topic: 'clicks', messages: [{ value: { page: '/', ts: 1 } }] }),
    () => producer.write('clicks', { value: { page: '/', ts: 1 } }),
    () => frame.writeStream.format('noop').start(),
    () => consumer.subscribe({ topics: ['clicks'] }),
  ]
  for (const call of calls) expect((await refusal(call)).code, String(call)).toMatch(/^(ENGINE_)?CLOSED$/)
})
