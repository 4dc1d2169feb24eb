import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { count, type Millrace, sum, t, window } from 'millrace'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { sharedEngine } from '../engines.js'

let mill: Millrace
let dir: string
let input: string
const dirs: string[] = []
beforeAll(async () => {
  mill = await sharedEngine(2)
})
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-files-'))
  dirs.push(dir)
  input = join(dir, 'in')
  mkdirSync(input)
})
afterAll(() => {
  for (const one of dirs) rmSync(one, { recursive: true, force: true })
})

const Item = t.struct({ n: t.long, k: t.string })

/** As files are to be written: under a hidden name, renamed when it is whole. */
function put(name: string, rows: readonly object[]): void {
  const hidden = join(input, `.${name}`)
  writeFileSync(hidden, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  renameSync(hidden, join(input, name))
}

const numbers = (from: number, to: number): { n: number; k: string }[] =>
  Array.from({ length: to - from }, (_, i) => ({ n: from + i, k: `k${(from + i) % 3}` }))

test('a batch reads all files of a folder, each row once, on all workers', async () => {
  for (let i = 0; i < 5; i++) put(`${i}.json`, numbers(i * 5000, i * 5000 + 5000))
  const rows = await mill.read
    .schema(Item)
    .json(input)
    .agg({ n: count(), s: sum('n') })
    .collect()
  expect(rows).toEqual([{ n: 25_000, s: (25_000 * 24_999) / 2 }])
})

test('an empty folder has no rows, and a path that is not there is said', async () => {
  expect(await mill.read.schema(Item).json(input).collect()).toEqual([])
  await expect(mill.read.schema(Item).json(join(dir, 'none')).collect()).rejects.toMatchObject({
    code: 'PATH_NOT_FOUND',
  })
  const stream = mill.readStream.schema(Item).json(join(dir, 'none'))
  await expect(stream.writeStream.format('noop').start()).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' })
})

test('without a schema nothing is read, and options are checked where they are given', () => {
  expect(() => mill.readStream.json(input)).toThrow(expect.objectContaining({ code: 'MISSING_SCHEMA' }))
  const invalid = (name: string, value: string) =>
    expect(() => mill.readStream.schema(Item).format('csv').option(name, value).load(input), name).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    )
  invalid('sep', 'ab')
  invalid('mode', 'STRICT')
  invalid('maxFilesPerTrigger', '0')
  invalid('latestFirst', 'true')
  invalid('encoding', 'latin1')
  expect(() => mill.read.schema(Item).format('csv').option('heder', 'true').load(input)).toThrow(
    expect.objectContaining({ code: 'UNKNOWN_OPTION', hint: expect.stringContaining('header') }),
  )
})

test('new files are the stream, each read once, through a stop and a change of mode; so many at a time', async () => {
  const epochs: number[][] = []
  const start = (trigger: { continuous: string } | { processingTime: string }) =>
    mill.readStream
      .schema(Item)
      .option('maxFilesPerTrigger', 2)
      .json(input)
      .writeStream.foreachBatch(async (rows) => {
        epochs.push((await rows.collect()).map(({ n }) => n as number))
      })
      .option('checkpointLocation', join(dir, 'cp'))
      .trigger(trigger)
      .start()
  const seen = () => epochs.flat().sort((a, b) => a - b)
  for (let i = 0; i < 5; i++) put(`a${i}.json`, numbers(i * 10, i * 10 + 10))
  const first = await start({ processingTime: '1 ms' })
  await first.processAllAvailable()
  expect(seen()).toEqual(numbers(0, 50).map(({ n }) => n))
  expect(epochs.map((rows) => rows.length)).toEqual([20, 20, 10])
  expect(first.recentProgress.map(({ numInputRows }) => numInputRows)).toEqual([20, 20, 10])
  await first.stop()
  put('b.json', numbers(50, 60))
  const second = await start({ continuous: '5 ms' })
  await second.processAllAvailable()
  put('c.json', numbers(60, 9000))
  await second.processAllAvailable()
  await second.stop()
  put('d.json', numbers(9000, 9001))
  const third = await start({ processingTime: '0 ms' })
  await third.processAllAvailable()
  await third.stop()
  expect(seen()).toEqual(numbers(0, 9001).map(({ n }) => n))
})

test('a checkpoint is of one folder', async () => {
  mkdirSync(join(dir, 'other'))
  const start = (path: string) =>
    mill.readStream
      .schema(Item)
      .json(path)
      .writeStream.format('noop')
      .option('checkpointLocation', join(dir, 'cp'))
      .start()
  await (await start(input)).stop()
  await expect(start(join(dir, 'other'))).rejects.toMatchObject({ code: 'CHECKPOINT_SOURCE_MISMATCH' })
})

test('a file that is changed while a query reads it ends the query, with its name', async () => {
  put('a.json', numbers(0, 10))
  const query = await mill.readStream
    .schema(Item)
    .option('maxFilesPerTrigger', 1)
    .json(input)
    .writeStream.foreachBatch(() => {
      writeFileSync(join(input, 'b.json'), '{"n":1}\n{"n":2}\n')
    })
    .option('checkpointLocation', join(dir, 'cp'))
    .start()
  put('b.json', numbers(10, 20))
  const ended = query.awaitTermination()
  await expect(Promise.race([ended, query.processAllAvailable().then(() => ended)])).rejects.toMatchObject({
    code: 'FILE_CHANGED',
    message: expect.stringContaining('b.json'),
  })
})

test('the rows of a malformed file end a query where they are to, with the place', async () => {
  writeFileSync(join(input, 'a.csv'), 'n,k\n1,x\ntwo,y\n')
  const reader = mill.read.schema(Item).option('header', true)
  expect(await reader.csv(input).collect()).toEqual([
    { n: 1, k: 'x' },
    { n: null, k: 'y' },
  ])
  await expect(reader.option('mode', 'FAILFAST').csv(input).collect()).rejects.toMatchObject({
    code: 'MALFORMED_RECORD',
    detail: expect.stringContaining('at byte 8'),
  })
})

test('each file is an input partition of time: no record is late for what another file had, in any mode', async () => {
  const Click = t.struct({ ts: t.timestamp })
  // The later half comes first, in files of one lane and of two.
  const at = (minute: number): string => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString()
  for (let i = 0; i < 6; i++)
    put(
      `${i}.json`,
      Array.from({ length: 10 }, (_, m) => ({ ts: at(60 - i * 10 + m) })),
    )
  const windows = (reader: typeof mill.read) =>
    reader
      .schema(Click)
      .json(input)
      .withWatermark('ts', '1 minute')
      .groupBy(window('ts', '10 minutes'))
      .agg({ n: count() })
  const batch = await windows(mill.read).collect()
  expect(batch.map(({ n }) => n)).toEqual([10, 10, 10, 10, 10, 10])
  for (const trigger of [{ processingTime: '0 ms' }, { continuous: '5 ms' }] as const) {
    const got: object[] = []
    const query = await windows(mill.readStream)
      .writeStream.foreach((row) => {
        got.push(row)
      })
      .trigger(trigger)
      .start()
    await query.drain()
    const byStart = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).sort()
    expect(byStart(got)).toEqual(byStart(batch))
  }
})

test('JSON over many lines, and JSON that is no object', async () => {
  writeFileSync(join(input, 'a.json'), '[\n {"n": 1, "k": "a"},\n {"n": 2}\n]\n')
  writeFileSync(join(input, 'b.json'), '{\n"n": 3,\n"k": "c"\n}')
  const rows = await mill.read.schema(Item).option('multiLine', true).json(`${input}/{a,b}.json`).orderBy('n').collect()
  expect(rows).toEqual([
    { n: 1, k: 'a' },
    { n: 2, k: null },
    { n: 3, k: 'c' },
  ])
})
