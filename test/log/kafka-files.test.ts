import { afterEach, describe, expect, test } from 'vitest'
import { completeTopicConfig } from '../../src/log/topic-config.js'
import { type OpenLog, openLog, RowsAppender, readerOf, readValues } from './log-fixture.js'
import { envOf, MemoryFileSystem } from './memory-file-system.js'
import { RawProducer } from './transaction-fixture.js'

/** Kafka's rules about the files of a partition, byte by byte: names, indexes, recovery; and the defaults of a topic's settings. */
describe('the files of a partition', () => {
  const opened: OpenLog[] = []
  afterEach(async () => {
    for (const log of opened.splice(0)) await log.close().catch(() => undefined)
  })

  async function partition(fs: MemoryFileSystem, config: Record<string, string | number> = {}) {
    const env = envOf(fs)
    const log = await openLog({ dir: '/d', env, fsync: 'group' })
    opened.push(log)
    const known = log.engine.list().some((topic) => topic.name === 't')
    const topic = known ? log.engine.describe('t') : log.engine.createTopic({ name: 't', config })
    const appender = new RowsAppender(topic, log.memory)
    const end = () => log.engine.state('t').partitions[0]?.logEndOffset ?? 0
    return {
      log,
      env,
      append: (values: readonly string[], timestamp?: number) => appender.append(values, timestamp),
      synced: () => log.engine.syncUpTo([{ topic: 't', partition: 0, offset: end() }]),
      end,
      values: () => readValues(readerOf(topic, log.memory, 0, { env }), 0),
    }
  }
  const names = (fs: MemoryFileSystem): string[] => fs.list('/d/log/t-0')
  const view = (fs: MemoryFileSystem, name: string): DataView => {
    const bytes = fs.readFile(`/d/log/t-0/${name}`)
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }
  const named = (offset: number, suffix: string): string => `${String(offset).padStart(20, '0')}.${suffix}`

  test('K-5: a segment is named by its first offset in twenty digits, with .log .index .timeindex .txnindex and .snapshot; what goes is .deleted first', async () => {
    const fs = new MemoryFileSystem()
    const { log, append, synced } = await partition(fs, { 'segment.bytes': 1024, 'index.interval.bytes': 1 })
    const producer = await RawProducer.open(log, 'x')
    producer.begin()
    producer.append('t', 0, ['aborted'])
    await producer.end(false)
    for (let i = 0; i < 6; i++) append(['.'.repeat(400)], 1000 + i)
    await synced()
    await log.close()
    const bases = names(fs)
      .filter((name) => name.endsWith('.log'))
      .map((name) => Number(name.slice(0, 20)))
    expect(bases.length).toBeGreaterThan(2)
    for (const base of bases) {
      // The one that is written to has indexes once there is something in them.
      if (base !== Math.max(...bases)) {
        expect(names(fs)).toContain(named(base, 'index'))
        expect(names(fs)).toContain(named(base, 'timeindex'))
      }
      // The first batch of the file has the offset that is in its name.
      expect(Number(view(fs, named(base, 'log')).getBigInt64(0))).toBe(base)
    }
    expect(names(fs)).toContain(named(0, 'txnindex'))
    expect(names(fs).some((name) => /^\d{20}\.snapshot$/.test(name))).toBe(true)
    const again = await partition(fs)
    again.log.engine.alterTopic('t', { config: { 'retention.bytes': 0 } })
    await again.log.engine.clean()
    expect(names(fs)).toContain(`${named(0, 'log')}.deleted`)
  })

  test('K-6, K-7: a segment too small for an entry of .index has an empty one beside its .timeindex, since tools open both', async () => {
    const fs = new MemoryFileSystem()
    const { log, append } = await partition(fs)
    append(['only'], 1000)
    await log.close()
    expect(names(fs)).toEqual(expect.arrayContaining([named(0, 'index'), named(0, 'timeindex')]))
    expect(view(fs, named(0, 'index')).byteLength).toBe(0)
    expect(view(fs, named(0, 'timeindex')).byteLength).toBe(12)
  })

  test('K-6: an entry of .index is the last offset of a batch less the base offset, and where the batch lies; sparse, ascending', async () => {
    const fs = new MemoryFileSystem()
    const { log, append, synced } = await partition(fs, { 'index.interval.bytes': 500 })
    for (let i = 0; i < 30; i++) append([`${i}a`.padEnd(60, '.'), `${i}b`.padEnd(60, '.')], 1000 + i)
    await synced()
    await log.close()
    const index = view(fs, named(0, 'index'))
    const segment = view(fs, named(0, 'log'))
    expect(index.byteLength % 8).toBe(0)
    const entries = index.byteLength / 8
    expect(entries).toBeGreaterThan(3)
    expect(entries).toBeLessThan(30)
    let before = 0
    for (let i = 0; i < entries; i++) {
      const offset = index.getInt32(i * 8)
      const position = index.getInt32(i * 8 + 4)
      const base = Number(segment.getBigInt64(position))
      expect(offset).toBe(base + segment.getInt32(position + 23))
      // No denser than index.interval.bytes.
      expect(position - before).toBeGreaterThanOrEqual(500)
      before = position
    }
  })

  test('K-7: an entry of .timeindex is the greatest timestamp so far and the offset that brought it; both ascend', async () => {
    const fs = new MemoryFileSystem()
    const { log, append, synced } = await partition(fs, { 'index.interval.bytes': 1 })
    // Times go back now and then; the index never does.
    const times = [1000, 1500, 1200, 1400, 2000, 1999, 2001]
    for (const time of times) append(['v'.repeat(40)], time)
    await synced()
    await log.close()
    const index = view(fs, named(0, 'timeindex'))
    expect(index.byteLength % 12).toBe(0)
    const entries = Array.from({ length: index.byteLength / 12 }, (_, i) => [
      Number(index.getBigInt64(i * 12)),
      index.getInt32(i * 12 + 8),
    ])
    expect(entries.length).toBeGreaterThan(2)
    for (const [time, offset] of entries as [number, number][]) {
      // "Up to this offset nothing is newer": of the records up to there this is the greatest.
      expect(time).toBe(Math.max(...times.slice(0, offset + 1)))
    }
    expect(entries).toEqual([...entries].sort((a, b) => (a[0] as number) - (b[0] as number)))
    expect(entries[entries.length - 1]).toEqual([2001, 6])
  })

  test('K-6, K-7: indexes that are gone or garbled after a crash are built anew, and say the same', async () => {
    const fs = new MemoryFileSystem()
    const { log, append, synced, end } = await partition(fs, { 'index.interval.bytes': 1 })
    for (let i = 0; i < 20; i++) append([`${i}`.padEnd(60, '.')], 1000 + i)
    await synced()
    await log.close()
    const kept = ['index', 'timeindex'].map((suffix) => fs.readFile(`/d/log/t-0/${named(0, suffix)}`))
    for (const harm of ['gone', 'garbled'] as const) {
      const crashed = new MemoryFileSystem()
      for (const path of fs.files.keys()) crashed.replaceFile(path, fs.readFile(path))
      crashed.remove('/d/lock')
      for (const path of [...crashed.files.keys()]) if (/clean|shutdown|recovery/.test(path)) crashed.remove(path)
      for (const suffix of ['index', 'timeindex']) {
        const path = `/d/log/t-0/${named(0, suffix)}`
        if (harm === 'gone') crashed.remove(path)
        else crashed.replaceFile(path, new Uint8Array(48).fill(255))
      }
      const again = await partition(crashed)
      expect(again.end()).toBe(end())
      expect(again.values()).toHaveLength(20)
      await again.log.close()
      expect(['index', 'timeindex'].map((suffix) => crashed.readFile(`/d/log/t-0/${named(0, suffix)}`))).toEqual(kept)
    }
  })

  test('K-8: an entry of .txnindex is an aborted transaction: producer, first and last offset, last stable offset', async () => {
    const fs = new MemoryFileSystem()
    const { log, append, synced } = await partition(fs)
    append(['before'])
    const aborted = await RawProducer.open(log, 'x')
    aborted.begin()
    aborted.append('t', 0, ['no', 'no'])
    const committed = await RawProducer.open(log, 'y')
    committed.begin()
    committed.append('t', 0, ['yes'])
    await aborted.end(false)
    await committed.end(true)
    await synced()
    await log.close()
    const index = view(fs, named(0, 'txnindex'))
    // One entry: what was committed has none.
    expect(index.byteLength).toBe(34)
    const numbers = [2, 10, 18, 26].map((at) => Number(index.getBigInt64(at)))
    // Offsets 1 and 2 are its records, 3 the other's, 4 its marker; readers of committed records then wait for the other at 3.
    expect([index.getInt16(0), ...numbers.slice(1)]).toEqual([0, 1, 4, 3])
    expect(numbers[0]).toBe(Number(view(fs, named(0, 'log')).getBigInt64(firstOf(view(fs, named(0, 'log')), 1) + 43)))
  })

  test('K-9: after a crash the newest segment is read to its first batch that is not whole, and cut there: a tail that is missing, and garbage that was added', async () => {
    const whole = new MemoryFileSystem()
    const { log, append, synced } = await partition(whole, { 'segment.bytes': 1024 })
    for (let i = 0; i < 12; i++) append([`${i}`.padEnd(200, '.')], 1000 + i)
    await synced()
    const last = named(
      Math.max(
        ...names(whole)
          .filter((n) => n.endsWith('.log'))
          .map((n) => Number(n.slice(0, 20))),
      ),
      'log',
    )
    log.abandon()
    const path = `/d/log/t-0/${last}`
    const content = whole.readFile(path)
    const base = Number(last.slice(0, 20))
    const ends: number[] = []
    for (let at = 0; at < content.length; ) {
      at += 12 + new DataView(content.buffer, content.byteOffset).getInt32(at + 8)
      ends.push(at)
    }
    const lastEnd = ends[ends.length - 2] ?? 0
    const cases: readonly [what: string, bytes: Uint8Array, end: number][] = [
      ['a batch without its last byte', content.subarray(0, content.length - 1), base + ends.length - 1],
      ['half a header', content.subarray(0, lastEnd + 20), base + ends.length - 1],
      ['zeros behind it', Buffer.concat([content, new Uint8Array(700)]), base + ends.length],
      ['garbage behind it', Buffer.concat([content, new Uint8Array(700).fill(0xa5)]), base + ends.length],
      ['another bit in the last batch', flipped(content, content.length - 3), base + ends.length - 1],
    ]
    for (const [what, bytes, end] of cases) {
      const crashed = new MemoryFileSystem()
      for (const each of whole.files.keys()) crashed.replaceFile(each, whole.readFile(each))
      crashed.remove('/d/lock')
      // Nothing was promised of it: no recovery point is known.
      for (const each of [...crashed.files.keys()]) if (/recovery|clean/.test(each)) crashed.remove(each)
      crashed.replaceFile(path, bytes)
      const again = await partition(crashed)
      expect(again.end(), what).toBe(end)
      expect(again.values(), what).toHaveLength(end)
      // The next offset is the one behind what is left.
      expect(again.append(['next']), what).toBe(end)
      await again.log.close()
    }
  })
})

test("K-10: the defaults of a topic's settings are Kafka's", () => {
  const day = 86_400_000
  const never = Number.MAX_SAFE_INTEGER
  expect(completeTopicConfig('t', {})).toEqual({
    'cleanup.policy': 'delete',
    'compression.gzip.level': -1,
    'compression.type': 'producer',
    'compression.zstd.level': 3,
    'delete.retention.ms': day,
    'errors.deadletterqueue.group.enable': 'false',
    'file.delete.delay.ms': 60_000,
    'index.interval.bytes': 4096,
    'max.compaction.lag.ms': never,
    'max.message.bytes': 1_048_576 + 12,
    'message.timestamp.after.max.ms': 3_600_000,
    'message.timestamp.before.max.ms': never,
    'message.timestamp.type': 'CreateTime',
    'min.cleanable.dirty.ratio': 0.5,
    'min.compaction.lag.ms': 0,
    'retention.bytes': -1,
    'retention.ms': 7 * day,
    'segment.bytes': 1024 ** 3,
    'segment.index.bytes': 10 * 1024 * 1024,
    'segment.ms': 7 * day,
  })
  // Since Kafka 4.2 an empty policy keeps for ever.
  expect(completeTopicConfig('t', { 'cleanup.policy': '' })['cleanup.policy']).toBe('')
})

/** Where the batch with this base offset begins. */
function firstOf(segment: DataView, baseOffset: number): number {
  for (let at = 0; at < segment.byteLength; at += 12 + segment.getInt32(at + 8)) {
    if (Number(segment.getBigInt64(at)) === baseOffset) return at
  }
  throw new Error(`no batch begins at offset ${baseOffset}`)
}

function flipped(content: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(content)
  copy[at] = (copy[at] as number) ^ 1
  return copy
}
