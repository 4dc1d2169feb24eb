import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { Producer } from '../../src/client/producer.js'
import type { Env } from '../../src/common/env.js'
import { Codec, canCompress } from '../../src/record/codec.js'
import { scalar, structType } from '../../src/types/data-type.js'
import { type OpenLog, openLog, RowsAppender, readerOf, readValues } from './log-fixture.js'
import { envOf, MemoryFileSystem } from './memory-file-system.js'

/** What each setting of a topic does, where no other test shows it. */
describe('a setting of a topic', () => {
  const opened: OpenLog[] = []
  afterEach(async () => {
    for (const log of opened.splice(0)) await log.close().catch(() => undefined)
  })

  async function topicOf(config: Record<string, string | number>) {
    const fs = new MemoryFileSystem()
    const clock = { now: 1_000_000_000 }
    const env: Env = { ...envOf(fs), now: () => clock.now }
    const log = await openLog({ dir: '/d', env, fsync: 'group' })
    opened.push(log)
    const topic = log.engine.createTopic({ name: 't', config })
    const producer = new Producer(log.host)
    return {
      fs,
      log,
      clock,
      append: (values: readonly string[]) => new RowsAppender(topic, log.memory).append(values, clock.now),
      keyed: (key: string, value: string) =>
        new RowsAppender(topic, log.memory).appendMessages([{ key, value }], clock.now),
      send: (value: string | Buffer, timestamp = clock.now) =>
        producer.send({ topic: 't', messages: [{ key: 'k', value, timestamp }] }),
      synced: () =>
        log.engine.syncUpTo([
          { topic: 't', partition: 0, offset: log.engine.state('t').partitions[0]?.logEndOffset ?? 0 },
        ]),
      values: () => readValues(readerOf(topic, log.memory, 0, { env }), 0),
      bytes: (suffix: string): number[] =>
        fs
          .list('/d/log/t-0')
          .filter((name) => name.endsWith(suffix))
          .map((name) => fs.readFile(`/d/log/t-0/${name}`).length),
      alter: (changed: Record<string, string | number | null>) =>
        log.host.topicChanged(log.engine.alterTopic('t', { config: changed })),
    }
  }

  test('max.compaction.lag.ms: a record that is older is compacted whatever the share of what is new', async () => {
    const config = {
      'cleanup.policy': 'compact',
      'segment.bytes': 1024,
      'min.cleanable.dirty.ratio': 1,
      'max.compaction.lag.ms': 10_000,
    }
    const { log, clock, keyed, synced, values } = await topicOf(config)
    for (let i = 0; i < 12; i++) keyed('k', `${i}`.padEnd(200, '.'))
    await synced()
    clock.now += 10_000
    await log.engine.clean()
    expect(values()).toHaveLength(12)
    clock.now += 1
    await log.engine.clean()
    // The segment that is appended to is left alone.
    expect(values().length).toBeLessThan(6)
  })

  test('min.cleanable.dirty.ratio: it is compacted when more than this share is new', async () => {
    const config = { 'cleanup.policy': 'compact', 'segment.bytes': 1024, 'min.cleanable.dirty.ratio': 0.6 }
    const { log, keyed, synced, values } = await topicOf(config)
    const fill = async (from: number, count: number): Promise<void> => {
      for (let i = from; i < from + count; i++) keyed(`k${i}`, `${i}`.padEnd(200, '.'))
      await synced()
      await log.engine.clean()
    }
    // All of it is new: it is compacted, and nothing goes since every key is there once.
    await fill(0, 40)
    // About a third is new, over old keys: not yet.
    await fill(0, 20)
    expect(values()).toHaveLength(60)
    await fill(0, 20)
    expect(values()).toHaveLength(80)
    // Two thirds.
    await fill(0, 40)
    expect(values().length).toBeLessThan(80)
  })

  test('segment.index.bytes: a full offset index ends its segment', async () => {
    const config = { 'segment.index.bytes': 1024, 'index.interval.bytes': 1 }
    const { append, synced, bytes, log } = await topicOf(config)
    for (let i = 0; i < 300; i++) append([`${i}`])
    await synced()
    await log.close()
    expect(bytes('.log').length).toBeGreaterThanOrEqual(2)
    for (const size of bytes('.index')) expect(size).toBeLessThanOrEqual(1024 + 8)
  })

  test('index.interval.bytes: how dense the offset index is', async () => {
    const sizes: number[] = []
    for (const interval of [100, 1000]) {
      const { append, synced, bytes, log } = await topicOf({ 'index.interval.bytes': interval })
      for (let i = 0; i < 200; i++) append([`${i}`.padEnd(100, '.')])
      await synced()
      await log.close()
      sizes.push(bytes('.index')[0] ?? 0)
    }
    const [dense, sparse] = sizes as [number, number]
    expect(dense).toBeGreaterThan(4 * sparse)
    expect(sparse).toBeGreaterThan(0)
  })

  test('message.timestamp.after.max.ms: how far ahead of now a record may be, to the millisecond; altered at run time', async () => {
    const { send, clock, alter } = await topicOf({ 'message.timestamp.after.max.ms': 1000 })
    await send('in time', clock.now + 1000)
    await expect(send('too far', clock.now + 1001)).rejects.toMatchObject({ code: 'INVALID_TIMESTAMP' })
    clock.now += 1
    await send('now it is', clock.now + 1000)
    alter({ 'message.timestamp.after.max.ms': 0 })
    await expect(send('not at all', clock.now + 1)).rejects.toMatchObject({ code: 'INVALID_TIMESTAMP' })
    await send('now', clock.now)
    alter({ 'message.timestamp.after.max.ms': null })
    await send('an hour', clock.now + 3_600_000)
    await expect(send('more', clock.now + 3_600_001)).rejects.toMatchObject({ code: 'INVALID_TIMESTAMP' })
  })

  test('max.message.bytes: a record batch is cut before it is larger, a record that alone is larger is refused', async () => {
    const { log, send, synced, fs } = await topicOf({ 'max.message.bytes': 1000 })
    await new Producer(log.host).send({
      topic: 't',
      messages: Array.from({ length: 20 }, (_, i) => ({ value: `${i}`.padEnd(200, '.') })),
    })
    await synced()
    await expect(send('x'.repeat(1000))).rejects.toMatchObject({ code: 'RECORD_TOO_LARGE' })
    const segment = fs.readFile('/d/log/t-0/00000000000000000000.log')
    const view = new DataView(segment.buffer, segment.byteOffset, segment.length)
    let batches = 0
    for (let at = 0; at < segment.length; batches++) {
      const length = 12 + view.getInt32(at + 8)
      expect(length).toBeLessThanOrEqual(1000)
      at += length
    }
    expect(batches).toBeGreaterThanOrEqual(5)
  })

  test('message.timestamp.after.max.ms: a record that must be built to know its size is held against the same time', async () => {
    const { log, clock, values } = await topicOf({})
    const typed = structType([{ name: 's', type: scalar('string'), nullable: false }])
    log.engine.createTopic({ name: 'typed', schema: typed })
    const large = 'x'.repeat(400_000)
    const producer = new Producer(log.host)
    // More than are looked at at once, so that all are checked before the first is written.
    const count = 10_001
    const messages = Array.from({ length: count }, (_, i) => ({ value: i === 7 ? large : '.', timestamp: clock.now }))
    await producer.send({ topic: 't', messages })
    expect(values()).toHaveLength(count)
    const rows = messages.map(({ value, timestamp }) => ({ value: { s: value }, timestamp }))
    expect(await producer.send({ topic: 'typed', messages: rows })).toMatchObject([{ recordCount: count }])
  })

  const text = Array.from({ length: 4000 }, (_, i) => `${i % 97} the quick brown fox ${(i * 7919) % 1013}`).join('\n')
  const sizeOf = async (config: Record<string, string | number>, value: string | Buffer = text): Promise<number> => {
    const { send, synced, bytes, log } = await topicOf(config)
    await send(value)
    await synced()
    await log.close()
    return bytes('.log')[0] ?? 0
  }

  test('compression.gzip.level: 1 is larger than 9, -1 is what zlib does by itself', async () => {
    const gzip = (level: number) => sizeOf({ 'compression.type': 'gzip', 'compression.gzip.level': level })
    const [quick, small, byItself] = [await gzip(1), await gzip(9), await gzip(-1)]
    expect(quick).toBeGreaterThan(small)
    expect(byItself).toBeLessThanOrEqual(quick)
    expect(quick).toBeLessThan(text.length / 2)
  })

  test.runIf(canCompress(Codec.zstd))('compression.zstd.level: 1 is larger than 19', async () => {
    const zstd = (level: number) => sizeOf({ 'compression.type': 'zstd', 'compression.zstd.level': level })
    const [quick, small] = [await zstd(1), await zstd(19)]
    expect(quick).toBeGreaterThan(small)
    expect(quick).toBeLessThan(text.length / 2)
  })

  test('compression.type: lz4 and snappy make text smaller, and leave alone what becomes no smaller', async () => {
    const noise = randomBytes(20_000)
    const plain = await sizeOf({ 'compression.type': 'uncompressed' })
    const plainNoise = await sizeOf({ 'compression.type': 'uncompressed' }, noise)
    for (const type of ['lz4', 'snappy']) {
      expect(await sizeOf({ 'compression.type': type })).toBeLessThan(plain / 2)
      expect(await sizeOf({ 'compression.type': type }, noise)).toBe(plainNoise)
    }
  })
})
