import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { col, expr, type Millrace, t } from 'millrace'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Env, nodeEnv } from '../../src/common/env.js'
import { FileSink } from '../../src/execution/file-sink.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { sharedEngine } from '../engines.js'

let mill: Millrace
let dir: string
const dirs: string[] = []
beforeAll(async () => {
  mill = await sharedEngine(2)
})
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-sink-'))
  dirs.push(dir)
})
afterAll(() => {
  for (const one of dirs) rmSync(one, { recursive: true, force: true })
})

const Item = t.struct({
  n: t.long,
  text: t.string.nullable(),
  x: t.double.nullable(),
  ts: t.timestamp,
  tags: t.array(t.string),
})
const rows = [
  { n: 1, text: 'a "quoted", \\ text\n\u0001é😀', x: 0.1, ts: 1_767_225_600_123, tags: ['a', 'b'] },
  { n: 2, text: null, x: null, ts: 0, tags: [] },
  { n: 3, text: '', x: Number.NaN, ts: -1, tags: ['"'] },
  { n: 4, text: ' b ', x: Number.NEGATIVE_INFINITY, ts: 253_402_300_799_999, tags: ['c'] },
]

/** What anybody who lists the folder sees: names without a dot or underscore in front. */
function seen(folder: string): string[] {
  return readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => !name.split('/').some((part) => /^[._]/.test(part)) && /\.(json|csv|parquet)$/.test(name))
    .sort()
}
const lines = (folder: string): string[] =>
  seen(folder).flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1))

test('what is written as JSON is JSON, and is read as it was', async () => {
  const out = join(dir, 'out')
  await mill.createDataFrame(rows, Item).write.json(out)
  const plain = lines(out).map((line) => JSON.parse(line) as { n: number; text?: string })
  expect(plain.map(({ n }) => n).sort()).toEqual([1, 2, 3, 4])
  expect(plain.find(({ n }) => n === 1)?.text).toBe(rows[0]?.text)
  expect(plain.find(({ n }) => n === 2)).not.toHaveProperty('text')
  expect(await mill.read.schema(Item).json(out).orderBy('n').collect()).toEqual(rows)
  expect(existsSync(join(out, '_SUCCESS'))).toBe(true)
})

test('what is written as CSV is read as it was, by whatever dialect', async () => {
  const flat = mill.createDataFrame(rows, Item).drop('tags')
  const schema = t.struct({ n: t.long, text: t.string.nullable(), x: t.double.nullable(), ts: t.timestamp })
  for (const [i, options] of [
    {},
    { header: true, sep: ';', escape: '"' },
    { sep: '\t', quote: "'", nullValue: 'NULL', quoteAll: true },
  ].entries()) {
    const out = join(dir, `out${i}`)
    await flat.write.options(options).csv(out)
    const { quoteAll: _, ...reading } = options as Record<string, string | boolean>
    const read = await mill.read
      .schema(schema)
      .options(reading)
      .option('multiLine', true)
      .csv(out)
      .orderBy('n')
      .collect()
    expect(read).toEqual(rows.map(({ tags: _tags, ...row }) => row))
  }
})

test('folders for values, and back', async () => {
  const out = join(dir, 'out')
  const schema = t.struct({ n: t.int, day: t.date.nullable(), name: t.string })
  const days = [
    { n: 1, day: '2026-01-01', name: 'a/b=c' },
    { n: 2, day: null, name: '.x' },
    { n: 3, day: '2026-01-01', name: 'a/b=c' },
  ]
  await mill.createDataFrame(days, schema).write.partitionBy('day', 'name').json(out)
  expect(seen(out).map((name) => name.slice(0, name.lastIndexOf('/')))).toEqual([
    'day=2026-01-01/name=a%2Fb%3Dc',
    'day=__HIVE_DEFAULT_PARTITION__/name=%2Ex',
  ])
  expect(await mill.read.schema(schema).json(out).orderBy('n').collect()).toEqual(days)
})

test('save modes', async () => {
  const out = join(dir, 'out')
  const one = mill.createDataFrame([{ n: 1 }], t.struct({ n: t.int }))
  const numbers = () => lines(out).map((line) => (JSON.parse(line) as { n: number }).n)
  await one.write.json(out)
  await expect(one.write.json(out)).rejects.toMatchObject({ code: 'PATH_ALREADY_EXISTS' })
  await one.write.mode('ignore').json(out)
  expect(numbers()).toEqual([1])
  await one.write.mode('append').json(out)
  expect(numbers()).toEqual([1, 1])
  await one.write.mode('overwrite').json(out)
  expect(numbers()).toEqual([1])
  expect(() => one.write.mode('replace' as 'append')).toThrow(expect.objectContaining({ code: 'UNKNOWN_SAVE_MODE' }))
})

test('a batch that fails leaves nothing that is seen', async () => {
  const out = join(dir, 'out')
  const many = mill.createDataFrame(
    Array.from({ length: 2000 }, (_, n) => ({ n })),
    t.struct({ n: t.int }),
  )
  const failing = many.select(col('n'), col('n').cast('string').alias('s'), expr('100 / (n - 1999)').alias('q'))
  await expect(failing.write.json(out)).rejects.toMatchObject({ code: expect.any(String) })
  expect(existsSync(out) ? readdirSync(out) : []).toEqual([])
})

test.each(['microBatch', 'continuous'] as const)(
  'a stream: many epochs are few files, seen when they are asked for and at the end, whole: %s',
  async (mode) => {
    const topic = `to-files-${mode}`
    await mill.topics.create(topic, { partitions: 2, schema: t.struct({ n: t.long }) })
    const producer = mill.producer()
    const out = join(dir, 'out')
    const start = (trigger: { continuous: string } | { processingTime: string }) =>
      mill.readStream
        .option('startingOffsets', 'earliest')
        .topic(topic)
        .writeStream.format('json')
        .option('path', out)
        .option('checkpointLocation', join(dir, 'cp'))
        .trigger(trigger)
        .start()
    const query = await start(mode === 'continuous' ? { continuous: '1 ms' } : { processingTime: '0 ms' })
    let n = 0
    for (let i = 0; i < 20; i++) {
      await producer.send({ topic, messages: Array.from({ length: 10 }, () => ({ value: { n: n++ } })) })
    }
    await query.processAllAvailable()
    const numbers = () =>
      lines(out)
        .map((line) => (JSON.parse(line) as { n: number }).n)
        .sort((a, b) => a - b)
    const all = () => Array.from({ length: n }, (_, i) => i)
    expect(numbers()).toEqual(all())
    expect(seen(out).length).toBe(1)
    await producer.send({ topic, messages: [{ value: { n: n++ } }] })
    await query.stop()
    // In the other mode it goes on.
    const other = await start(mode === 'continuous' ? { processingTime: '0 ms' } : { continuous: '1 ms' })
    await producer.send({ topic, messages: [{ value: { n: n++ } }] })
    await other.processAllAvailable()
    await other.stop()
    expect(numbers()).toEqual(all())
    // Another query has no business there, nor has a batch.
    const one = mill.createDataFrame([{ n: 1 }], t.struct({ n: t.int }))
    await expect(one.write.mode('append').json(out)).rejects.toMatchObject({ code: 'SINK_FOLDER_TAKEN' })
    const stranger = mill.readStream.topic(topic).writeStream.format('json').option('path', out)
    await expect(stranger.start()).rejects.toMatchObject({ code: 'SINK_FOLDER_TAKEN' })
    await mill.topics.delete(topic)
  },
)

test('files are rolled by size and by age', async () => {
  await mill.topics.create('rolled', { partitions: 1, schema: t.struct({ n: t.long }) })
  const producer = mill.producer()
  const out = join(dir, 'out')
  const query = await mill.readStream
    .option('startingOffsets', 'earliest')
    .topic('rolled')
    .writeStream.format('csv')
    .options({ path: out, rollBytes: 100, rollAge: '20 ms' })
    .option('checkpointLocation', join(dir, 'cp'))
    .start()
  await producer.send({ topic: 'rolled', messages: Array.from({ length: 100 }, (_, n) => ({ value: { n } })) })
  // Nobody asks, nothing comes: the last file is seen for its age.
  await expect.poll(() => (existsSync(out) ? lines(out).length : 0), { interval: 5, timeout: 10_000 }).toBe(100)
  expect(seen(out).length).toBeGreaterThan(2)
  await query.stop()
  await mill.topics.delete('rolled')
})

test('a timer that is early by a part of a millisecond is set again: the file is seen for its age all the same', async () => {
  let now = 0
  const timers: (() => void)[] = []
  const env: Env = {
    ...nodeEnv,
    monotonic: () => now,
    timer: (_, then) => {
      const at = timers.push(then) - 1
      return () => void timers.splice(at, 1)
    },
  }
  const out = join(dir, 'out')
  const start = { format: 'csv', path: out, options: {}, partitionBy: [], rollBytes: 1000, rollAgeMs: 20 } as const
  const schema = t.struct({ n: t.int }).type
  const sink = new FileSink({ ...start, saveMode: 'append' }, schema, env, 'owner', 0, {
    fail: (error) => expect.fail(String(error)),
    onRing: () => undefined,
  })
  const builder = new BlockBuilder(schema)
  builder.append([1])
  const { views, position } = builder.toBlock()
  expect(sink.write(0, views, position)).toBe(true)
  await sink.prepare(0)
  sink.commit(0)
  now = 19.9
  timers.shift()?.()
  expect(seen(out)).toEqual([])
  now = 20.9
  timers.shift()?.()
  expect(seen(out)).toHaveLength(1)
  expect(timers).toEqual([])
  sink.close(true)
})

test('what cannot be written is said before anything is', async () => {
  const one = mill.createDataFrame(rows, Item)
  await expect(one.write.csv(join(dir, 'out'))).rejects.toMatchObject({ code: 'UNSUPPORTED_TYPE' })
  await expect(one.write.partitionBy('tags').json(join(dir, 'out'))).rejects.toMatchObject({
    code: 'INVALID_PARTITION_BY',
  })
  await expect(one.write.partitionBy('none').json(join(dir, 'out'))).rejects.toMatchObject({
    code: 'INVALID_PARTITION_BY',
  })
  await expect(one.write.format('json').save()).rejects.toMatchObject({ code: 'MISSING_OPTION' })
  await expect(one.write.option('compresion', 'gzip').json(join(dir, 'out'))).rejects.toMatchObject({
    code: 'UNKNOWN_OPTION',
  })
  const stream = mill.readStream.format('rate').load().groupBy('value').count().writeStream.format('json')
  await expect(stream.option('path', join(dir, 'out')).outputMode('complete').start()).rejects.toMatchObject({
    code: 'UNSUPPORTED_OUTPUT_MODE',
  })
  writeFileSync(join(dir, 'file'), '')
  await expect(one.write.mode('append').json(join(dir, 'file'))).rejects.toMatchObject({ code: 'SINK_NOT_WRITABLE' })
})

test('a folder that cannot be made is said', async () => {
  writeFileSync(join(dir, 'file'), '')
  const one = mill.createDataFrame(rows, Item)
  await expect(one.write.json(join(dir, 'file/out'))).rejects.toMatchObject({ code: 'SINK_NOT_WRITABLE' })
})
