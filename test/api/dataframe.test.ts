import { describe, expect, it } from 'vitest'
import { col, count, lit, sum, window } from '../../src/api/functions.js'
import { DataFrameReader } from '../../src/api/reader.js'
import { t } from '../../src/types/schema.js'
import { Click, fakeContext } from './fake-context.js'

const context = fakeContext()
const stream = () => new DataFrameReader(context, true).topic('clicks', Click)
const bounded = () => new DataFrameReader(context, false).topic('clicks', Click)
/** The untyped form, for names that would not compile. */
const loose = () => new DataFrameReader(context, true).topic('clicks')

const errorOf = async (
  call: () => unknown,
): Promise<{ code?: string; detail?: string; hint?: string; message?: string }> => {
  try {
    await call()
  } catch (error) {
    return error as { code?: string }
  }
  return {}
}

describe('a DataFrame', () => {
  it('reports a column that does not exist where it is written, with those that do', async () => {
    const error = await errorOf(() => loose().select('pages'))
    expect(error.code).toBe('UNRESOLVED_COLUMN')
    expect(`${error.message} ${error.detail ?? ''} ${error.hint ?? ''}`).toMatch(/userId.*page/s)
  })

  it('knows its columns after every operator', () => {
    const frame = stream()
    expect(frame.columns).toEqual(['userId', 'page', 'ts', 'price'])
    expect(frame.select('page', col('price').multiply(2).as('twice')).columns).toEqual(['page', 'twice'])
    expect(frame.drop('ts', 'price').columns).toEqual(['userId', 'page'])
    expect(frame.withColumn('one', lit(1)).columns).toEqual(['userId', 'page', 'ts', 'price', 'one'])
    const perPage = frame.groupBy(window('ts', '1 minute'), 'page').agg({ views: count(), revenue: sum('price') })
    expect(perPage.columns).toEqual(['window', 'page', 'views', 'revenue'])
    expect(frame.groupBy('page').count().columns).toEqual(['page', 'count'])
    expect(frame.groupBy('page').sum('price').columns).toEqual(['page', 'sum(price)'])
    expect(perPage.select('window.start').columns).toEqual(['start'])
  })

  it('withColumns sees the columns as they were', () => {
    const frame = stream().withColumns({ page: col('userId'), user: col('page') })
    expect(frame.columns).toEqual(['userId', 'page', 'ts', 'price', 'user'])
  })

  it('prints its schema as a tree', () => {
    stream().select('page', 'price').printSchema()
    expect(context.printed.at(-1)).toBe(
      'root\n |-- page: string (nullable = false)\n |-- price: double (nullable = true)\n',
    )
  })

  it.each(['collect', 'count', 'first', 'show', 'toArrow'] as const)(
    '%s() of a stream says what to do instead',
    async (action) => {
      const error = await errorOf(() => stream()[action]())
      expect(error.code).toBe('STREAMING_ACTION')
      expect(error.hint).toContain('writeStream')
      expect(error.message).toContain(`${action}()`)
    },
  )

  it('writeStream of a bounded input says what to do instead', async () => {
    expect(await errorOf(() => bounded().writeStream)).toMatchObject({ code: 'NOT_STREAMING' })
  })

  it('takes another input of the same columns, bounded or not, and no other', async () => {
    const query = stream().withWatermark('ts', '10 seconds').groupBy('page').count()
    expect(query.isStreaming).toBe(true)
    const batch = query.withInput(bounded())
    expect(batch.isStreaming).toBe(false)
    expect(batch.columns).toEqual(query.columns)
    const error = await errorOf(() => query.withInput(bounded().select('page')))
    expect(error).toMatchObject({
      code: 'SCHEMA_DIFFERS',
      detail: expect.stringContaining('found struct<page:string>'),
    })
  })

  it('a value that is no column is refused', async () => {
    const frame = loose()
    expect(await errorOf(() => Reflect.apply(frame.select, frame, [7]))).toMatchObject({ code: 'COLUMN_EXPECTED' })
  })
})

describe('a reader', () => {
  const reader = (streaming = true) => new DataFrameReader(context, streaming)

  it.each([
    ['a source that does not exist', () => reader().format('kafca'), 'UNKNOWN_SOURCE', "did you mean 'kafka'?"],
    ['no source', () => reader().load(), 'MISSING_SOURCE', 'format('],
    ['no topic', () => reader().format('log').load(), 'MISSING_OPTION', 'subscribe'],
    ['a topic that does not exist', () => reader().topic('click'), 'UNKNOWN_TOPIC', "did you mean 'clicks'?"],
    ['an untyped topic', () => reader().topic('raw'), 'TOPIC_UNTYPED', "format('log')"],
    ['a rate that ends', () => reader(false).format('rate').load(), 'SOURCE_STREAMING_ONLY', 'readStream'],
    ['a table that does not exist', () => reader(false).table('seen'), 'UNKNOWN_TABLE', undefined],
    [
      'an option that does not exist',
      () => reader().option('startingOffset', 'latest').topic('clicks'),
      'UNKNOWN_OPTION',
      'startingOffsets',
    ],
  ])('%s', async (_, call, code, hint) => {
    const error = await errorOf(call)
    expect(error.code).toBe(code)
    if (hint !== undefined) expect(error.hint).toContain(hint)
  })

  it('checks the schema that it was given against the topic', async () => {
    const Other = t.struct({ userId: t.string, page: t.int })
    const error = await errorOf(() => reader().topic('clicks', Other))
    expect(error).toMatchObject({ code: 'SCHEMA_DIFFERS', detail: expect.stringContaining('page:int') })
    expect(reader().schema(Click).topic('clicks').columns).toEqual(stream().columns)
  })

  it("gives Kafka's columns for any topic, embedded under either name", () => {
    const columns = ['key', 'value', 'topic', 'partition', 'offset', 'timestamp', 'timestampType']
    for (const format of ['log', 'kafka', 'LOG']) {
      expect(reader().format(format).option('subscribe', 'clicks, raw').load().columns.slice(0, 7)).toEqual(columns)
    }
  })
})

describe('a writer', () => {
  it.each([
    ['no sink', () => stream().writeStream.start(), 'MISSING_SINK', 'console'],
    [
      'a sink that does not exist',
      () => stream().writeStream.format('consol'),
      'UNKNOWN_SINK',
      "did you mean 'console'?",
    ],
    ['a name that is a path', () => stream().writeStream.queryName('../x'), 'INVALID_QUERY_NAME', 'letters'],
    [
      'a writer without process',
      () => Reflect.apply(stream().writeStream.foreach, stream().writeStream, [{}]),
      'INVALID_FOREACH',
      'process',
    ],
    [
      'an option that does not exist',
      () => stream().writeStream.format('console').option('rows', 5).start(),
      'UNKNOWN_OPTION',
      undefined,
    ],
  ])('%s', async (_, call, code, hint) => {
    const error = await errorOf(call)
    expect(error.code).toBe(code)
    if (hint !== undefined) expect(error.hint).toContain(hint)
  })

  it('an error of the start is thrown by the first step of the loop', async () => {
    const rows = stream().writeStream.option('rows', 5).iterate()
    expect(await errorOf(() => rows.next())).toMatchObject({ code: 'UNKNOWN_OPTION' })
  })
})
