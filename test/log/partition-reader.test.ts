import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Producer } from '../../src/client/producer.js'
import { COLUMNS_PAYLOAD_OFFSET } from '../../src/record/batch-header.js'
import { BLOCK_MAGIC, blockRowCount } from '../../src/types/block.js'
import { scalar, structType } from '../../src/types/data-type.js'
import {
  batchValues,
  type OpenLog,
  openLog,
  RowsAppender,
  readerOf,
  readValues,
  temporaryDirectory,
  until,
} from './log-fixture.js'

const MEBIBYTE = 1024 * 1024

describe('segments', () => {
  let directory: { readonly path: string; remove(): void }
  let log: OpenLog
  beforeEach(async () => {
    directory = temporaryDirectory()
    log = await openLog({ dir: directory.path, fsync: 'never' })
  })
  afterEach(async () => {
    await log.close()
    directory.remove()
  })
  const synced = (offset: number): Promise<void> => log.engine.syncUpTo([{ topic: 't', partition: 0, offset }])
  const files = (suffix: string): string[] =>
    readdirSync(`${directory.path}/log/t-0`).filter((name) => name.endsWith(suffix))

  it('are rolled before they grow beyond segment.bytes, and named by their first offset', async () => {
    const topic = log.engine.createTopic({ name: 't', config: { 'segment.bytes': 2000, 'index.interval.bytes': 100 } })
    const appender = new RowsAppender(topic, log.memory)
    for (let i = 0; i < 50; i++) appender.append([`${i} ${'x'.repeat(200)}`])
    await synced(50)
    const names = files('.log')
    expect(names.length).toBeGreaterThan(5)
    for (const name of names) expect(readFileSync(`${directory.path}/log/t-0/${name}`).length).toBeLessThanOrEqual(2000)
    expect(names.map((name) => Number(name.slice(0, 20))).slice(0, 3)).toEqual([0, 7, 14])
    await log.close()
    log = await openLog({ dir: directory.path })
    const reader = readerOf(log.engine.describe('t'), log.memory)
    for (let from = 0; from < 50; from++) {
      expect(readValues(reader, from).map((value) => Number.parseInt(value, 10))).toEqual(
        Array.from({ length: 50 - from }, (_, i) => from + i),
      )
    }
  })

  it('are rolled by the time of their records', async () => {
    const topic = log.engine.createTopic({ name: 't', config: { 'segment.ms': 1000 } })
    const appender = new RowsAppender(topic, log.memory)
    for (const time of [100, 1100, 1101, 2000, 2102]) appender.append(['v'], time)
    await synced(5)
    expect(files('.log').map((name) => Number(name.slice(0, 20)))).toEqual([0, 2, 4])
  })

  it('a batch that is larger than segment.bytes has one of its own', async () => {
    const topic = log.engine.createTopic({ name: 't', config: { 'segment.bytes': 1024 } })
    const appender = new RowsAppender(topic, log.memory)
    for (let i = 0; i < 3; i++) appender.append(['y'.repeat(5000)])
    await synced(3)
    expect(files('.log').length).toBe(3)
  })

  it('an offset is found through the index, at any place', async () => {
    const topic = log.engine.createTopic({ name: 't', config: { 'index.interval.bytes': 500 } })
    const appender = new RowsAppender(topic, log.memory)
    for (let i = 0; i < 2000; i++) appender.append([`${2 * i}`, `${2 * i + 1}`])
    await log.close()
    expect(readFileSync(`${directory.path}/log/t-0/${files('.index')[0]}`).length / 8).toBeGreaterThan(200)
    log = await openLog({ dir: directory.path })
    const reader = readerOf(log.engine.describe('t'), log.memory)
    for (const offset of [0, 1, 2, 999, 1000, 2345, 3998, 3999]) {
      reader.seek(offset)
      expect(reader.next()).toBe(true)
      expect([reader.baseOffset, batchValues(reader, offset)[0]]).toEqual([offset - (offset % 2), String(offset)])
      reader.release()
    }
    reader.close()
  })

  it('the offset for a time is the first batch that reaches it, in files and in memory', async () => {
    const topic = log.engine.createTopic({ name: 't', config: { 'segment.bytes': 3000, 'index.interval.bytes': 200 } })
    const appender = new RowsAppender(topic, log.memory)
    const times = Array.from({ length: 300 }, (_, i) => 1000 + 10 * (i % 7 === 3 ? i - 3 : i))
    for (const time of times) appender.append([String(time)], time)
    const check = (): void => {
      const reader = readerOf(log.engine.describe('t'), log.memory)
      for (const time of [0, 1000, 1001, 1500, 2222, 3000, 3989, 3990, 3991, 9999]) {
        const expected = times.findIndex((t) => t >= time)
        expect(reader.offsetForTimestamp(time)).toBe(expected === -1 ? 300 : expected)
      }
      reader.close()
    }
    check()
    await log.close()
    log = await openLog({ dir: directory.path })
    check()
  })
})

describe('a reader', () => {
  it('goes from files to chunks and on while the log grows, and misses nothing', async () => {
    const directory = temporaryDirectory()
    const log = await openLog({ dir: directory.path, fsync: 'never', memoryBudget: 8 * MEBIBYTE })
    const topic = log.engine.createTopic({ name: 't', config: { 'segment.bytes': 3_000_000 } })
    const appender = new RowsAppender(topic, log.memory)
    const slow = readerOf(topic, log.memory)
    const fast = readerOf(topic, log.memory)
    const filler = 'z'.repeat(100_000)
    let appended = 0
    let slowNext = 0
    let fastNext = 0
    const readOne = (reader: typeof slow, expected: number): void => {
      expect(reader.next()).toBe(true)
      expect(reader.baseOffset).toBe(expected)
      expect(Number.parseInt(batchValues(reader)[0] as string, 10)).toBe(expected)
    }
    for (let round = 0; round < 200; round++) {
      await until(() => appender.append([`${appended} ${filler}`]) >= 0, 'there is memory')
      appended += 1
      if (round % 3 !== 0) readOne(slow, slowNext++)
      readOne(fast, fastNext++)
      fast.release()
      slow.release()
    }
    expect(log.memory.chunks.allocatedChunks()).toBe(2)
    while (slowNext < appended) readOne(slow, slowNext++)
    expect([slow.next(), fast.next(), slow.hasNew()]).toEqual([false, false, false])
    slow.close()
    fast.close()
    await log.close()
    directory.remove()
  })

  it('two of one thread share its pin: the lower of their chunks stays', async () => {
    const log = await openLog({ memoryBudget: 64 * MEBIBYTE })
    const topic = log.engine.createTopic({ name: 't' })
    const appender = new RowsAppender(topic, log.memory)
    for (let i = 0; i < 9; i++) appender.append([`${i}${'q'.repeat(MEBIBYTE)}`])
    const { control } = appender.appender
    const early = readerOf(topic, log.memory)
    const late = readerOf(topic, log.memory)
    early.seek(0)
    early.next()
    late.seek(8)
    late.next()
    expect(control.pinned(log.memory.slot)).toBe(1)
    early.release()
    expect(control.pinned(log.memory.slot)).toBe(3)
    late.close()
    expect(control.pinned(log.memory.slot)).toBe(0)
    await log.close()
  })

  it('stops at the limit, and is told cheaply that there is nothing new', async () => {
    const log = await openLog()
    const topic = log.engine.createTopic({ name: 't' })
    const appender = new RowsAppender(topic, log.memory)
    const reader = readerOf(topic, log.memory)
    expect([reader.hasNew(), reader.next()]).toEqual([false, false])
    appender.append(['a', 'b'])
    appender.append(['c'])
    reader.seek(0)
    expect([reader.next(2), reader.next(2), reader.next(3), reader.next(), reader.nextOffset]).toEqual([
      true,
      false,
      true,
      false,
      3,
    ])
    expect(() => reader.seek(4)).toThrow(expect.objectContaining({ code: 'OFFSET_OUT_OF_RANGE' }))
    await log.close()
  })

  it('finds typed blocks at multiples of 8, in chunks and in files', async () => {
    const directory = temporaryDirectory()
    const schema = structType([{ name: 's', type: scalar('string'), nullable: false }])
    let log = await openLog({ dir: directory.path })
    log.engine.createTopic({ name: 't', schema })
    const producer = new Producer(log.host)
    for (let i = 0; i < 30; i++)
      await producer.send({
        topic: 't',
        messages: Array.from({ length: i + 1 }, () => ({ value: { s: 'v'.repeat(i * 997) } })),
      })
    const check = (): void => {
      const reader = readerOf(log.engine.describe('t'), log.memory)
      reader.seek(0)
      let rows = 0
      while (reader.next()) {
        const block = reader.position + COLUMNS_PAYLOAD_OFFSET
        expect(block % 8).toBe(0)
        expect(reader.views.u32[block >> 2]).toBe(BLOCK_MAGIC)
        rows += blockRowCount(reader.views, block)
      }
      expect(rows).toBe(465)
      reader.close()
    }
    check()
    await log.close()
    log = await openLog({ dir: directory.path })
    check()
    await log.close()
    directory.remove()
  })
})
