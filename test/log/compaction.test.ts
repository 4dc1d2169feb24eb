import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Env } from '../../src/common/env.js'
import type { TopicDescriptor } from '../../src/log/partition-descriptor.js'
import { listSegments } from '../../src/log/segment-files.js'
import type { Message } from '../../src/record/key-scatter.js'
import { RecordCursor } from '../../src/record/rows-payload.js'
import { type OpenLog, openLog, RowsAppender, readerOf } from './log-fixture.js'
import { envOf, MemoryFileSystem } from './memory-file-system.js'

interface Found {
  readonly offset: number
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
}

const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString())

function readAll(log: OpenLog, env: Env, topic = 't', from?: number): Found[] {
  const reader = readerOf(log.engine.describe(topic), log.memory, 0, { env })
  const found: Found[] = []
  reader.seek(from ?? reader.logStartOffset())
  while (reader.next()) {
    const cursor = RecordCursor.ofBatch(reader.views, reader.position)
    while (cursor.next()) {
      if (cursor.offset < (from ?? 0)) continue
      found.push({
        offset: cursor.offset,
        key: text(cursor.key()),
        value: text(cursor.value()),
        timestamp: cursor.timestamp,
      })
    }
  }
  reader.close()
  return found
}

/** A log with one compacted topic on a disk in memory, under a clock that stands still. */
async function compactedLog(config: Record<string, string | number> = {}) {
  const fs = new MemoryFileSystem()
  const clock = { now: 1_000_000 }
  const env: Env = { ...envOf(fs), now: () => clock.now }
  const log = await openLog({ dir: '/d', env, fsync: 'group' })
  const topic = log.engine.createTopic({
    name: 't',
    config: { 'cleanup.policy': 'compact', 'segment.bytes': 1024, 'min.cleanable.dirty.ratio': 0, ...config },
  })
  const send = (messages: readonly Message[]): number =>
    new RowsAppender(log.engine.describe('t'), log.memory).appendMessages(messages, clock.now)
  return { fs, env, clock, log, topic, send, read: (from?: number) => readAll(log, env, 't', from) }
}

const keyed = (key: string, value: string | null): Message => ({ key, value })

describe('compaction', () => {
  test('K-12: of each key the last record stays, at its offset, in order', async () => {
    const { log, send, read } = await compactedLog()
    for (let i = 0; i < 100; i++) send([keyed(`k${i % 7}`, `v${i}`), keyed('hot', `h${i}`)])
    const before = read()
    expect(before).toHaveLength(200)
    const [result] = await log.engine.compactNow('t')
    const after = read()
    const last = new Map(before.map((record) => [record.key, record]))
    expect(after).toEqual([...last.values()].sort((a, b) => a.offset - b.offset))
    expect(result).toMatchObject({ cleanedTo: 200, recordsBefore: 200, recordsAfter: 8 })
    await log.close()
  })

  test('K-12: a read at an offset that was compacted away goes on at the next one', async () => {
    const { log, send, read } = await compactedLog()
    for (let i = 0; i < 50; i++) send([keyed(i === 20 ? 'once' : 'hot', `v${i}`)])
    await log.engine.compactNow('t')
    expect(read(3).map((r) => r.offset)).toEqual([20, 49])
    expect(read(21).map((r) => r.offset)).toEqual([49])
    await log.close()
  })

  test('who is in the middle of a segment reads it to its end; behind it comes what compaction has left', async () => {
    const { env, log, send } = await compactedLog()
    for (let i = 0; i < 60; i++) send([keyed(i % 2 === 0 ? 'hot' : `k${i}`, `v${i}`.padEnd(100, '.'))])
    await log.close()
    const again = await openLog({ dir: '/d', env, fsync: 'group' })
    const reader = readerOf(again.engine.describe('t'), again.memory, 0, { env })
    const offsets: number[] = []
    const take = (): void => {
      const cursor = RecordCursor.ofBatch(reader.views, reader.position)
      while (cursor.next()) offsets.push(cursor.offset)
    }
    reader.seek(0)
    for (let batch = 0; batch < 3; batch++) {
      expect(reader.next()).toBe(true)
      take()
      reader.release()
    }
    const next = Number(listSegments(env.fs, '/d/log/t-0').find((offset) => offset > 2))
    await again.engine.compactNow('t')
    while (reader.next()) take()
    reader.close()
    // The segment that it was in as it was, then the compacted ones: of 'hot' the last record alone.
    const all = Array.from({ length: 60 }, (_, i) => i)
    expect(offsets).toEqual(all.filter((i) => i < next || i % 2 === 1 || i === 58))
    await again.close()
  })

  test('what is sent after it, and what it left, read as one log', async () => {
    const { log, send, read } = await compactedLog()
    for (let i = 0; i < 40; i++) send([keyed('a', `v${i}`)])
    await log.engine.compactNow('t')
    for (let i = 40; i < 45; i++) send([keyed('a', `v${i}`)])
    expect(read().map((r) => r.offset)).toEqual([39, 40, 41, 42, 43, 44])
    await log.engine.compactNow('t')
    expect(read().map((r) => r.offset)).toEqual([44])
    await log.close()
  })

  test('K-12, K-4: a tombstone stays for delete.retention.ms after it was first compacted, then it goes; timestamps stay', async () => {
    const { log, send, read, clock } = await compactedLog({ 'delete.retention.ms': 5000 })
    send([keyed('a', '1'), keyed('b', '1'), keyed('c', '1')])
    send([keyed('a', null), keyed('b', '2'), keyed('c', null)])
    send([keyed('last', 'x')])
    await log.engine.compactNow('t')
    const whole = [
      { offset: 3, key: 'a', value: null, timestamp: 1_000_000 },
      { offset: 4, key: 'b', value: '2', timestamp: 1_000_000 },
      { offset: 5, key: 'c', value: null, timestamp: 1_000_000 },
      { offset: 6, key: 'last', value: 'x', timestamp: 1_000_000 },
    ]
    expect(read()).toEqual(whole)
    clock.now += 4999
    await log.engine.compactNow('t')
    expect(read()).toEqual(whole)
    clock.now += 1
    await log.engine.compactNow('t')
    expect(read().map((r) => r.offset)).toEqual([4, 6])
    await log.close()
  })

  test('the last batch stays, empty, so that no offset is given twice after a crash', async () => {
    const { fs, log, send, clock } = await compactedLog({ 'delete.retention.ms': 0 })
    send([keyed('a', '1')])
    send([keyed('a', null)])
    await log.engine.compactNow('t')
    clock.now += 1
    await log.engine.compactNow('t')
    expect(readAll(log, envOf(fs))).toEqual([])
    log.abandon()
    const env = envOf(fs.afterPowerLoss())
    const again = await openLog({ dir: '/d', env })
    expect(again.engine.state('t').partitions[0]).toMatchObject({ logEndOffset: 2, damaged: [] })
    expect(new RowsAppender(again.engine.describe('t'), again.memory).appendMessages([keyed('b', '1')])).toBe(2)
    expect(readAll(again, env).map((r) => r.offset)).toEqual([2])
    await again.close()
  })

  test('records younger than min.compaction.lag.ms are not compacted', async () => {
    const { log, send, read, clock } = await compactedLog({ 'min.compaction.lag.ms': 1000 })
    for (let i = 0; i < 60; i++) send([keyed('a', `${i}`.padEnd(100, '.'))])
    await log.engine.compactNow('t')
    expect(read()).toHaveLength(60)
    clock.now += 1001
    await log.engine.compactNow('t')
    expect(read()).toHaveLength(1)
    await log.close()
  })

  test('small segments grow together, up to segment.bytes', async () => {
    const { fs, log, send } = await compactedLog()
    for (let i = 0; i < 100; i++) send([keyed(`k${i}`, 'v'.repeat(50))])
    await log.engine.syncUpTo([{ topic: 't', partition: 0, offset: 100 }])
    const before = listSegments(fs, '/d/log/t-0').length
    for (let i = 0; i < 100; i++) send([keyed(`k${i}`, 'w')])
    await log.engine.compactNow('t')
    await log.engine.compactNow('t')
    const after = listSegments(fs, '/d/log/t-0')
    expect(after.length).toBeLessThan(before)
    expect([...fs.files.keys()].filter((path) => /cleaned|swap|replaces|deleted/.test(path))).toEqual([])
    await log.close()
  })

  test('a damaged segment is not compacted, and nothing of it is deleted', async () => {
    const { fs, log, send } = await compactedLog()
    for (let i = 0; i < 30; i++) send([keyed('a', `v${i}`.padEnd(100, '.'))])
    await log.engine.syncUpTo([{ topic: 't', partition: 0, offset: 30 }])
    const path = '/d/log/t-0/00000000000000000000.log'
    const file = fs.files.get(path)
    if (file === undefined) throw new Error('no segment')
    file.content[200] = (file.content[200] as number) ^ 1
    const sizes = [...fs.files].filter(([name]) => name.endsWith('.log')).map(([name, { size }]) => [name, size])
    await expect(log.engine.compactNow('t')).rejects.toMatchObject({ code: 'SEGMENT_CORRUPT' })
    expect([...fs.files].filter(([name]) => name.endsWith('.log')).map(([name, { size }]) => [name, size])).toEqual(
      sizes,
    )
    await log.close()
  })

  test('a topic that is not compacted says so', async () => {
    const log = await openLog()
    log.engine.createTopic({ name: 'plain' })
    await expect(log.engine.compactNow('plain')).rejects.toMatchObject({ code: 'TOPIC_CONFIG_INVALID' })
    await log.close()
  })

  test('a compacted topic in memory is compacted in temporary files', async () => {
    const { env } = await compactedLog()
    const log = await openLog({ env })
    log.engine.createTopic({ name: 't', config: { 'cleanup.policy': 'compact' } })
    const appender = new RowsAppender(log.engine.describe('t'), log.memory)
    for (let i = 0; i < 20; i++) appender.appendMessages([keyed(`k${i % 2}`, `${i}`)])
    await log.engine.compactNow('t')
    expect(readAll(log, env).map((r) => r.offset)).toEqual([18, 19])
    await log.close()
  })
})

type Step =
  | { readonly kind: 'send'; readonly keys: readonly number[]; readonly tombstones: boolean; readonly bytes: number }
  | { readonly kind: 'compact' | 'reopen' | 'wait' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      keys: fc.array(fc.nat(9), { minLength: 1, maxLength: 12 }),
      tombstones: fc.boolean(),
      bytes: fc.constantFrom(1, 60, 400),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('compact' as const, 'wait' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
)

/** Every step that a compaction passes, by its name; found by running one. */
const phases = [
  'roll: the old segment is sealed',
  'clean: written',
  'clean: synced',
  'swap: the list of replaced segments is durable',
  'swap: named .swap',
  'swap: named .log',
  'swap: replaced segments are removed',
]

class PowerCut extends Error {}

describe('compaction against a model', () => {
  test('through any sends, compactions, reopenings and power cuts in any named phase the newest of each key is there and nothing is invented', async () => {
    const passed = new Set<string>()
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 4, maxLength: 30 }),
        fc.constantFrom(...phases),
        fc.integer({ min: 1, max: 4 }),
        async (steps, cutAt, nth) => {
          let fs = new MemoryFileSystem()
          let passes = 0
          let isCut = false
          const clock = { now: 1_000_000 }
          const envNow = (): Env => ({
            ...envOf(fs),
            now: () => clock.now,
            passing: (name) => {
              passed.add(name)
              if (name === cutAt && ++passes === nth) isCut = true
              if (isCut) throw new PowerCut(name)
            },
          })
          let env = envNow()
          const open = (): Promise<OpenLog> => openLog({ dir: '/d', env, fsync: 'group' })
          let log = await open()
          log.engine.createTopic({
            name: 't',
            config: { 'cleanup.policy': 'compact', 'segment.bytes': 1024, 'delete.retention.ms': 1000 },
          })
          const model: Found[] = []
          const reopen = async (): Promise<void> => {
            if (isCut) {
              log.abandon()
              fs = fs.afterPowerLoss()
              isCut = false
              passes = Number.NEGATIVE_INFINITY
            } else await log.close().catch(() => undefined)
            env = envNow()
            log = await open()
          }
          const check = (): void => {
            expect(log.engine.state('t').partitions[0]).toMatchObject({ logEndOffset: model.length, damaged: [] })
            const found = readAll(log, env)
            const newest = new Map<string | null, Found>()
            for (const record of model) newest.set(record.key, record)
            let before = -1
            for (const record of found) {
              expect(record).toEqual(model[record.offset])
              expect(record.offset).toBeGreaterThan(before)
              before = record.offset
            }
            const offsets = new Set(found.map((record) => record.offset))
            for (const record of newest.values()) {
              if (record.value !== null) expect(offsets.has(record.offset)).toBe(true)
            }
          }
          for (const each of steps) {
            if (each.kind === 'send') {
              const messages = each.keys.map((key, i) =>
                keyed(`k${key}`, each.tombstones && i % 2 === 0 ? null : `${model.length + i}`.padEnd(each.bytes, '.')),
              )
              const topic: TopicDescriptor = log.engine.describe('t')
              const base = new RowsAppender(topic, log.memory).appendMessages(messages, clock.now)
              expect(base).toBe(model.length)
              messages.forEach((message, i) => {
                model.push({
                  offset: base + i,
                  key: message.key as string,
                  value: message.value as string | null,
                  timestamp: clock.now,
                })
              })
              try {
                await log.engine.syncUpTo([{ topic: 't', partition: 0, offset: model.length }])
              } catch {
                await reopen()
                model.length = log.engine.state('t').partitions[0]?.logEndOffset ?? 0
              }
            } else if (each.kind === 'wait') clock.now += 600
            else if (each.kind === 'reopen') await reopen()
            else {
              await log.engine.compactNow('t').catch((error: unknown) => {
                if (!isCut) throw error
              })
              if (isCut) await reopen()
            }
            check()
          }
          await log.close().catch(() => undefined)
        },
      ),
      { numRuns: Number(process.env['COMPACTION_RUNS'] ?? 60) },
    )
    expect([...passed].sort()).toEqual([...phases].sort())
  })
})
