import { describe, expect, test } from 'vitest'
import type { Env } from '../../src/common/env.js'
import { listSegments } from '../../src/log/segment-files.js'
import type { Message } from '../../src/record/key-scatter.js'
import { batchValues, type OpenLog, openLog, RowsAppender, readerOf, readValues } from './log-fixture.js'
import { envOf, MemoryFileSystem } from './memory-file-system.js'

const HOUR = 3_600_000

/** A disk in memory, and a clock that stands still until it is moved; its timers go off when it is. */
function world(fs = new MemoryFileSystem(), now = 1_000 * HOUR) {
  const clock = { now }
  let timers: { at: number; callback: () => void }[] = []
  const env: Env = {
    ...envOf(fs),
    now: () => clock.now,
    monotonic: () => clock.now,
    timer(ms, callback) {
      const timer = { at: clock.now + ms, callback }
      timers.push(timer)
      return () => {
        timers = timers.filter((other) => other !== timer)
      }
    },
  }
  const pass = (ms: number): void => {
    clock.now += ms
    const due = timers.filter((timer) => timer.at <= clock.now)
    timers = timers.filter((timer) => timer.at > clock.now)
    for (const timer of due) timer.callback()
  }
  return { fs, env, clock, pass }
}

async function diskTopic(config: Record<string, string | number>, partitions = 1) {
  const place = world()
  const log = await openLog({ dir: '/d', env: place.env, fsync: 'group' })
  log.engine.createTopic({ name: 't', partitions, config: { 'segment.bytes': 1024, ...config } })
  const send = async (count: number, bytes = 400): Promise<void> => {
    const appender = new RowsAppender(log.engine.describe('t'), log.memory)
    for (let i = 0; i < count; i++) appender.append([`${i}`.padEnd(bytes, '.')], place.clock.now)
    await synced(log)
  }
  const state = () => log.engine.state('t').partitions[0]
  const reader = () => readerOf(log.engine.describe('t'), log.memory, 0, { env: place.env })
  return { ...place, log, send, state, reader }
}

const synced = (log: OpenLog, topic = 't'): Promise<void> =>
  log.engine.syncUpTo([{ topic, partition: 0, offset: log.engine.state(topic).partitions[0]?.logEndOffset ?? 0 }])

describe('retention by time', () => {
  test('K-11: whole segments go, by their greatest timestamp, the oldest first', async () => {
    const { log, send, state, pass, fs } = await diskTopic({ 'retention.ms': HOUR })
    await send(6)
    pass(HOUR / 2)
    await send(6)
    pass(HOUR / 2 + 1)
    await log.engine.clean()
    expect(state()).toMatchObject({ logStartOffset: 6, logEndOffset: 12 })
    expect(listSegments(fs, '/d/log/t-0')[0]).toBe(6)
    await log.close()
  })

  test('a log that nobody writes to loses its last segment too, and goes on at the same offset', async () => {
    const { log, send, state, pass, fs, env } = await diskTopic({ 'retention.ms': HOUR })
    await send(5)
    pass(HOUR + 1)
    await log.engine.clean()
    expect(state()).toMatchObject({ logStartOffset: 5, logEndOffset: 5, bytes: 0 })
    expect(listSegments(fs, '/d/log/t-0')).toEqual([])
    await send(1)
    expect(state()).toMatchObject({ logStartOffset: 5, logEndOffset: 6 })
    log.abandon()
    const after = fs.afterPowerLoss()
    const again = await openLog({ dir: '/d', env: { ...env, fs: after } })
    expect(again.engine.state('t').partitions[0]).toMatchObject({ logStartOffset: 5, logEndOffset: 6, damaged: [] })
    await again.close()
  })

  test('it is looked at without being asked, sooner where retention.ms is short', async () => {
    const { log, send, state, pass } = await diskTopic({ 'retention.ms': 10_000 })
    await send(3)
    pass(10_001)
    await log.engine.clean()
    expect(state()).toMatchObject({ logStartOffset: 3 })
    await log.close()
  })

  test('-1 keeps for ever, and so does a topic that is only compacted or has no cleanup.policy', async () => {
    for (const config of [{ 'retention.ms': -1 }, { 'cleanup.policy': 'none', 'retention.ms': 1 }]) {
      const { log, send, state, pass } = await diskTopic(config)
      await send(5)
      pass(1000 * HOUR)
      await log.engine.clean()
      expect(state()).toMatchObject({ logStartOffset: 0 })
      await log.close()
    }
  })
})

describe('retention by size', () => {
  test('the oldest segments go as long as what stays is at least retention.bytes', async () => {
    const { log, send, state } = await diskTopic({ 'retention.bytes': 3000 })
    await send(20)
    const before = state()?.bytes ?? 0
    await log.engine.clean()
    const { bytes = 0, logStartOffset = 0 } = state() ?? {}
    expect(logStartOffset).toBeGreaterThan(0)
    expect(bytes).toBeGreaterThanOrEqual(3000)
    expect(bytes).toBeLessThan(3000 + 1024)
    expect(before).toBeGreaterThan(6000)
    await log.close()
  })

  test('a topic in memory loses whole chunks, by size and by time', async () => {
    const place = world()
    const log = await openLog({ env: place.env })
    log.engine.createTopic({ name: 't', config: { 'retention.bytes': 1, 'retention.ms': HOUR } })
    const appender = new RowsAppender(log.engine.describe('t'), log.memory)
    const value = 'x'.repeat(1_000_000)
    for (let i = 0; i < 10; i++) appender.append([value], place.clock.now)
    const held = log.memory.chunks.freeChunks()
    await log.engine.clean()
    const state = () => log.engine.state('t').partitions[0]
    expect(state()?.logStartOffset).toBeGreaterThan(0)
    expect(state()?.logStartOffset).toBeLessThan(10)
    expect(log.memory.chunks.freeChunks()).toBeGreaterThan(held)
    place.pass(HOUR + 1)
    await log.engine.clean()
    expect(state()).toMatchObject({ logStartOffset: 10, logEndOffset: 10 })
    appender.append(['y'], place.clock.now)
    const reader = readerOf(log.engine.describe('t'), log.memory, 0, { env: place.env })
    expect(readValues(reader, 10)).toEqual(['y'])
    await log.close()
  })
})

describe('readers and retention', () => {
  test('who is in the middle of a segment reads it to its end; behind it the offsets are gone, with their range', async () => {
    const { log, send, pass, env } = await diskTopic({ 'retention.ms': HOUR, 'segment.bytes': 2048 })
    await send(12)
    const again = await reopened(log, env)
    const reader = readerOf(again.engine.describe('t'), again.memory, 0, { env })
    reader.seek(0)
    expect(reader.next()).toBe(true)
    expect(reader.baseOffset).toBe(0)
    reader.release()
    pass(HOUR + 1)
    await again.engine.clean()
    expect(again.engine.state('t').partitions[0]).toMatchObject({ logStartOffset: 12 })
    const offsets: number[] = []
    expect(() => {
      while (reader.next()) offsets.push(reader.baseOffset)
    }).toThrow(expect.objectContaining({ code: 'OFFSET_OUT_OF_RANGE' }))
    expect(offsets).toEqual([1, 2, 3])
    reader.close()
    await again.close()
  })

  test('files are renamed to .deleted, and removed after file.delete.delay.ms', async () => {
    const { log, send, pass, fs } = await diskTopic({ 'retention.ms': HOUR, 'file.delete.delay.ms': 60_000 })
    await send(4)
    pass(HOUR + 1)
    await log.engine.clean()
    const deleted = () => [...fs.files.keys()].filter((path) => path.endsWith('.deleted'))
    expect(deleted().length).toBeGreaterThan(0)
    pass(60_000)
    expect(deleted()).toEqual([])
    await log.close()
  })
})

async function reopened(log: OpenLog, env: Env): Promise<OpenLog> {
  await log.close()
  return await openLog({ dir: '/d', env, fsync: 'group' })
}

describe('deleteRecords', () => {
  test('moves the log start offset, at once and for good, also into the middle of a segment', async () => {
    const { log, send, state, env, fs, reader } = await diskTopic({})
    await send(10)
    expect(await log.engine.deleteRecords('t', 0, 5)).toBe(5)
    expect(state()).toMatchObject({ logStartOffset: 5, logEndOffset: 10 })
    expect(() => reader().seek(4)).toThrow(expect.objectContaining({ code: 'OFFSET_OUT_OF_RANGE' }))
    log.abandon()
    fs.remove('/d/lock')
    const again = await openLog({ dir: '/d', env, fsync: 'group' })
    expect(again.engine.state('t').partitions[0]).toMatchObject({ logStartOffset: 5, logEndOffset: 10, damaged: [] })
    expect(await again.engine.deleteRecords('t', 0, -1)).toBe(10)
    await again.close()
  })

  test('of a topic in memory frees the chunks below', async () => {
    const log = await openLog()
    log.engine.createTopic({ name: 't' })
    const appender = new RowsAppender(log.engine.describe('t'), log.memory)
    for (let i = 0; i < 6; i++) appender.append(['x'.repeat(2_000_000)])
    await log.engine.deleteRecords('t', 0, 5)
    expect(log.memory.chunks.freeChunks()).toBe(2)
    await log.close()
  })

  test.each([-2, 11, 1.5])('an offset of %d is refused with the range', async (offset) => {
    const { log, send } = await diskTopic({})
    await send(10)
    await expect(log.engine.deleteRecords('t', 0, offset)).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
    await expect(log.engine.deleteRecords('t', 7, 0)).rejects.toMatchObject({ code: 'UNKNOWN_PARTITION' })
    await log.close()
  })
})

describe('altering a topic', () => {
  test('settings take effect at once, and survive', async () => {
    const { log, send, fs, env } = await diskTopic({ 'segment.bytes': 1_000_000 })
    await send(4)
    expect(listSegments(fs, '/d/log/t-0')).toEqual([0])
    log.engine.alterTopic('t', { config: { 'segment.bytes': 1024 } })
    await send(4)
    expect(listSegments(fs, '/d/log/t-0').length).toBeGreaterThan(2)
    const again = await reopened(log, env)
    expect(again.engine.describe('t').config['segment.bytes']).toBe(1024)
    again.engine.alterTopic('t', { config: { 'segment.bytes': null } })
    expect(again.engine.describe('t').config['segment.bytes']).toBe(1_073_741_824)
    await again.close()
  })

  test('a topic that becomes compacted has gaps from then on, for readers that were there before too, and after it is compacted no more', async () => {
    const { log, clock, env, fs } = await diskTopic({})
    const appender = new RowsAppender(log.engine.describe('t'), log.memory)
    const send = (message: Message) => appender.appendMessages([message], clock.now)
    for (let i = 0; i < 30; i++) send({ key: `k${i % 3}`, value: `${i}`.padEnd(100, '.') })
    await synced(log)
    const early = readerOf(log.engine.describe('t'), log.memory, 0, { env })
    log.engine.alterTopic('t', { config: { 'cleanup.policy': 'compact' } })
    await log.engine.compactNow('t')
    expect(readValues(early, 0).map((value) => Number.parseInt(value, 10))).toEqual([27, 28, 29])
    log.engine.alterTopic('t', { config: { 'cleanup.policy': 'delete' } })
    const again = await reopened(log, env)
    const reader = readerOf(again.engine.describe('t'), again.memory, 0, { env })
    expect(readValues(reader, 0)).toHaveLength(3)
    expect(again.engine.findings).toEqual([])
    again.abandon()
    fs.remove('/d/lock')
    const crashed = await openLog({ dir: '/d', env })
    expect(crashed.engine.findings).toEqual([])
    await crashed.close()
  })

  test('partitions can be added, and not taken away', async () => {
    const { log, send, env } = await diskTopic({}, 2)
    await send(3)
    expect(log.engine.alterTopic('t', { partitions: 5 }).partitions).toHaveLength(5)
    const appender = new RowsAppender(log.engine.describe('t'), log.memory, 4)
    appender.append(['new'])
    const again = await reopened(log, env)
    const topic = again.engine.describe('t')
    expect(topic.partitions).toHaveLength(5)
    const reader = readerOf(topic, again.memory, 4, { env })
    reader.seek(0)
    expect(reader.next() && batchValues(reader)).toEqual(['new'])
    expect(() => again.engine.alterTopic('t', { partitions: 5 })).toThrow(
      expect.objectContaining({ code: 'TOPIC_PARTITIONS_INVALID' }),
    )
    expect(() => again.engine.alterTopic('t', { partitions: 3 })).toThrow(/the number given is the new total/)
    await again.close()
  })

  test.each([
    ['retention.ms', -5, /a number from -1/],
    ['retention.ms', 'soon', /a number from -1/],
    ['cleanup.policy', 'compress', /'delete', 'compact'/],
    ['min.cleanable.dirty.ratio', 1.5, /from 0 to 1/],
    ['segment.bytes', 0, /a number from/],
    ['retention.mss', 1, /did you mean 'retention.ms'/],
  ])('%s = %s is refused, and nothing changes', async (name, value, message) => {
    const { log } = await diskTopic({})
    const before = log.engine.describe('t').config
    expect(() => log.engine.alterTopic('t', { config: { [name]: value } })).toThrow(message)
    expect(() => log.engine.createTopic({ name: 'u', config: { [name]: value } })).toThrow(message)
    expect(log.engine.describe('t').config).toEqual(before)
    expect(log.engine.list()).toHaveLength(1)
    await log.close()
  })
})

describe('explainRecord', () => {
  test('says what keeps a record, and what became of one that is gone', async () => {
    const { log, clock, pass } = await diskTopic({
      'cleanup.policy': 'compact,delete',
      'delete.retention.ms': HOUR,
      'retention.ms': 48 * HOUR,
    })
    const appender = new RowsAppender(log.engine.describe('t'), log.memory)
    const send = (message: Message) => appender.appendMessages([message], clock.now)
    send({ key: 'a', value: '1' })
    send({ key: 'b', value: '1' })
    send({ key: 'a', value: null })
    await synced(log)
    const explain = (offset: number) => log.engine.explainRecord('t', 0, offset)
    const text = async (offset: number) => (await explain(offset)).reasons.join('\n')
    expect(await text(0)).toMatch(/offset 2 has the same key/)
    expect(await text(0)).toMatch(/being appended to/)
    expect(await text(1)).toMatch(/last record of its key/)
    expect(await text(2)).toMatch(/tombstone: it stays for delete.retention.ms, 3600000/)
    expect(await explain(3)).toMatchObject({ state: 'not given' })
    await log.engine.compactNow('t')
    expect(await explain(0)).toMatchObject({ state: 'compacted', nextOffset: 1 })
    expect(await text(2)).toMatch(new RegExp(`after ${new Date(clock.now + HOUR).toISOString()} takes it`))
    expect(await text(1)).toMatch(new RegExp(`keeps it until ${new Date(clock.now + 48 * HOUR).toISOString()}`))
    pass(49 * HOUR)
    expect(await text(1)).toMatch(/is due since/)
    await log.engine.clean()
    expect(await explain(1)).toMatchObject({ state: 'deleted', nextOffset: 3 })
    await log.close()
  })

  test.each([-1, -5])('of offset %d, which no record can have, is refused', async (offset) => {
    const { log, send } = await diskTopic({})
    await send(2)
    await expect(log.engine.explainRecord('t', 0, offset)).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
    await log.close()
  })
})
