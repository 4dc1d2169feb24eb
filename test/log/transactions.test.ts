import { existsSync, readdirSync, rmSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { nodeEnv } from '../../src/common/env.js'
import { OwnedTransactions } from '../../src/log/owned-transactions.js'
import { PRODUCER_EPOCH_MAX } from '../../src/log/producer-state.js'
import { ABORTED_RING } from '../../src/log/transaction-control.js'
import type { Outcome } from '../../src/log/transaction-recovery.js'
import { chosen, ImagedFileSystem } from './imaged-file-system.js'
import { type OpenLog, openLog, RowsAppender, temporaryDirectory, until } from './log-fixture.js'
import { envOf, MemoryFileSystem } from './memory-file-system.js'
import { partitionOf, RawProducer, seen } from './transaction-fixture.js'

const opened: OpenLog[] = []
const open = async (...args: Parameters<typeof openLog>): Promise<OpenLog> => {
  const log = await openLog(...args)
  opened.push(log)
  return log
}
afterEach(async () => {
  for (const log of opened.splice(0)) await log.close().catch(() => undefined)
})

const lso = (log: OpenLog, partition = 0, topic = 't'): number =>
  log.engine.transactions.log.partition(topic, partition)?.control.lastStableOffset() ?? -1

async function twoPartitions(options: Parameters<typeof openLog>[0] = {}): Promise<OpenLog> {
  const log = await open(options)
  log.engine.createTopic({ name: 't', partitions: 2 })
  return log
}

describe.each(['memory', 'disk'] as const)('a transaction in %s', (where) => {
  const logOf = (): Promise<OpenLog> =>
    twoPartitions(where === 'memory' ? {} : { dir: '/d', env: envOf(new MemoryFileSystem()) })

  test('is seen by readers of committed records when it is committed, in all partitions, and by others at once', async () => {
    const log = await logOf()
    const producer = await RawProducer.open(log, 'x')
    producer.begin()
    producer.append('t', 0, ['a', 'b'])
    producer.append('t', 1, ['c'])
    expect(seen(log, 't', 0, 'read_committed')).toEqual([])
    expect(seen(log, 't', 0, 'read_uncommitted')).toEqual(['a', 'b'])
    expect(lso(log)).toBe(0)
    await producer.end(true)
    expect(seen(log, 't', 0, 'read_committed')).toEqual(['a', 'b'])
    expect(seen(log, 't', 1, 'read_committed')).toEqual(['c'])
    // The marker has an offset of its own.
    expect(lso(log)).toBe(3)
  })

  test('K-17: that is aborted is never seen by them, and what others wrote between is', async () => {
    const log = await logOf()
    const producer = await RawProducer.open(log, 'x')
    const other = await RawProducer.open(log, 'y')
    producer.begin()
    other.begin()
    producer.append('t', 0, ['a1'])
    other.append('t', 0, ['b1'])
    new RowsAppender(log.engine.describe('t'), log.memory).append(['plain'])
    producer.append('t', 0, ['a2'])
    other.append('t', 0, ['b2'])
    await other.end(true)
    // The oldest open transaction holds everybody back.
    expect(seen(log, 't', 0, 'read_committed')).toEqual([])
    await producer.end(false)
    expect(seen(log, 't', 0, 'read_committed')).toEqual(['b1', 'plain', 'b2'])
    expect(seen(log, 't', 0, 'read_uncommitted')).toEqual(['a1', 'b1', 'plain', 'a2', 'b2'])
    producer.begin()
    producer.append('t', 0, ['a3'])
    await producer.end(true)
    expect(seen(log, 't', 0, 'read_committed')).toEqual(['b1', 'plain', 'b2', 'a3'])
  })

  test('K-16: has an epoch of its own', async () => {
    const log = await logOf()
    const producer = await RawProducer.open(log, 'x')
    const first = producer.grant.producerEpoch
    producer.begin()
    producer.append('t', 0, ['a'])
    await producer.end(true)
    expect(producer.grant.producerEpoch).toBe(first + 1)
    producer.begin()
    await producer.end(false)
    expect(producer.grant.producerEpoch).toBe(first + 2)
  })

  test('of another producer with the same id is aborted, and the other one is fenced', async () => {
    const log = await logOf()
    const zombie = await RawProducer.open(log, 'x')
    zombie.begin()
    zombie.append('t', 0, ['z'])
    const heir = await RawProducer.open(log, 'x')
    expect(heir.grant.producerId).toBe(zombie.grant.producerId)
    expect(() => zombie.append('t', 0, ['late'])).toThrow(expect.objectContaining({ code: 'PRODUCER_FENCED' }))
    expect(() => zombie.append('t', 1, ['late'])).toThrow(expect.objectContaining({ code: 'PRODUCER_FENCED' }))
    await expect(zombie.end(true)).rejects.toMatchObject({ code: 'PRODUCER_FENCED' })
    heir.begin()
    heir.append('t', 0, ['h'])
    await heir.end(true)
    expect(seen(log, 't', 0, 'read_committed')).toEqual(['h'])
  })

  test('more are aborted than the shared ring holds, and readers know them all', async () => {
    const log = await logOf()
    const producer = await RawProducer.open(log, 'x')
    const early = partitionOf(log, 't', 0)
    expect(early.partition).toBe(0)
    const expected: string[] = []
    for (let i = 0; i < 2 * ABORTED_RING + 10; i++) {
      producer.begin()
      producer.append('t', 0, [`${i}`])
      const commit = i % 97 === 0
      if (commit) expected.push(`${i}`)
      await producer.end(commit)
    }
    expect(seen(log, 't', 0, 'read_committed')).toEqual(expected)
  }, 20_000)
})

describe('what the coordinator refuses', () => {
  test('an end without a beginning, an unknown producer, a fenced epoch', async () => {
    const log = await twoPartitions()
    const { transactions } = log.engine
    const producer = await RawProducer.open(log, 'x')
    const { producerId, producerEpoch } = producer.grant
    await expect(transactions.end({ producerId, producerEpoch, commit: true, ends: [] })).rejects.toMatchObject({
      code: 'INVALID_TRANSACTION_STATE',
      detail: expect.stringContaining('Empty'),
    })
    await expect(transactions.end({ producerId: 999, producerEpoch: 0, commit: true, ends: [] })).rejects.toMatchObject(
      { code: 'UNKNOWN_PRODUCER_ID', hint: expect.any(String) },
    )
    await expect(
      transactions.end({ producerId, producerEpoch: producerEpoch - 1, commit: false, ends: [] }),
    ).rejects.toMatchObject({ code: 'PRODUCER_FENCED', detail: expect.stringContaining(`epoch ${producerEpoch - 1}`) })
  })

  test('a commit of records whose topic is gone; it can still be aborted', async () => {
    const log = await twoPartitions()
    log.engine.createTopic({ name: 'gone' })
    const producer = await RawProducer.open(log, 'x')
    producer.begin()
    producer.append('gone', 0, ['a'])
    producer.append('t', 0, ['b'])
    await log.engine.deleteTopic('gone')
    await expect(producer.end(true)).rejects.toMatchObject({ code: 'TOPIC_DELETED' })
    await producer.end(false)
    expect(seen(log, 't', 0, 'read_committed')).toEqual([])
    expect(lso(log)).toBe(2)
  })
})

test('a forgotten transaction is aborted in time, and its producer is told', async () => {
  const timers: { at: number; call: () => void }[] = []
  const env = {
    ...nodeEnv,
    timer: (ms: number, call: () => void) => {
      const timer = { at: ms, call }
      timers.push(timer)
      return () => void timers.splice(timers.indexOf(timer), 1)
    },
  }
  const log = await twoPartitions({ env })
  const producer = await RawProducer.open(log, 'x', 1234)
  producer.begin()
  producer.append('t', 0, ['a'])
  const timer = timers.find(({ at }) => at === 1234)
  expect(timer).toBeDefined()
  timer?.call()
  await until(() => lso(log) === 2, 'the transaction is aborted')
  expect(() => producer.append('t', 0, ['late'])).toThrow(expect.objectContaining({ code: 'PRODUCER_FENCED' }))
  await expect(producer.end(true)).rejects.toMatchObject({ code: 'TRANSACTION_TIMED_OUT' })
  await producer.end(false)
  producer.begin()
  producer.append('t', 0, ['b'])
  await producer.end(true)
  expect(seen(log, 't', 0, 'read_committed')).toEqual(['b'])
})

describe('what the coordinator tells', () => {
  test('every transactional id, what it has open and where readers wait for it', async () => {
    const log = await twoPartitions()
    const { transactions } = log.engine
    expect(transactions.list()).toEqual([])
    await RawProducer.open(log, 'idle')
    const producer = await RawProducer.open(log, 'x', 60_000)
    new RowsAppender(log.engine.describe('t'), log.memory).append(['before'])
    producer.begin()
    producer.append('t', 1, ['a'])
    producer.append('t', 0, ['b'])
    const { producerId, producerEpoch } = producer.grant
    expect(transactions.describe('x')).toEqual({
      transactionalId: 'x',
      producerId,
      producerEpoch,
      state: 'Ongoing',
      timeoutMs: 60_000,
      startedAt: expect.any(Number),
      partitions: [
        { topic: 't', partition: 0, firstOffset: 1 },
        { topic: 't', partition: 1, firstOffset: 0 },
      ],
    })
    expect(transactions.list().map(({ transactionalId, state }) => [transactionalId, state])).toEqual([
      ['idle', 'Empty'],
      ['x', 'Ongoing'],
    ])
    await producer.end(true)
    expect(transactions.describe('x')).toMatchObject({ state: 'Empty', startedAt: null, partitions: [] })
    expect(() => transactions.describe('y')).toThrow(expect.objectContaining({ code: 'UNKNOWN_TRANSACTIONAL_ID' }))
  })

  test("a transaction of the engine's own, which has no transactional id", async () => {
    const log = await twoPartitions()
    const { transactions } = log.engine
    const own = new OwnedTransactions(transactions, undefined)
    const tx = await own.begin()
    const appender = await RawProducer.open(log, 'x')
    appender.session = tx.session
    appender.append('t', 0, ['a'])
    const listed = () => transactions.list().filter(({ transactionalId }) => transactionalId === null)
    expect(listed()).toEqual([
      expect.objectContaining({
        producerId: tx.name.producerId,
        state: 'Ongoing',
        partitions: [{ topic: 't', partition: 0, firstOffset: 0 }],
      }),
    ])
    await own.close()
    expect(listed()).toEqual([])
  })
})

describe('a transaction that is aborted by request', () => {
  test('lets readers go on; its producer hears of it when it commits, and goes on with another', async () => {
    const log = await twoPartitions()
    const { transactions } = log.engine
    const producer = await RawProducer.open(log, 'x')
    producer.begin()
    producer.append('t', 0, ['hangs'])
    new RowsAppender(log.engine.describe('t'), log.memory).append(['waits'])
    expect(seen(log, 't', 0, 'read_committed')).toEqual([])
    await transactions.abort('x')
    expect(seen(log, 't', 0, 'read_committed')).toEqual(['waits'])
    expect(() => producer.append('t', 0, ['late'])).toThrow(expect.objectContaining({ code: 'PRODUCER_FENCED' }))
    await expect(producer.end(true)).rejects.toMatchObject({ code: 'TRANSACTION_ABORTED' })
    await producer.end(false)
    producer.begin()
    producer.append('t', 0, ['next'])
    await producer.end(true)
    expect(seen(log, 't', 0, 'read_committed')).toEqual(['waits', 'next'])
  })

  test('is refused where none is open, or the id is not known', async () => {
    const log = await twoPartitions()
    await RawProducer.open(log, 'orders-1')
    await expect(log.engine.transactions.abort('orders-1')).rejects.toMatchObject({ code: 'INVALID_TRANSACTION_STATE' })
    await expect(log.engine.transactions.abort('orders-2')).rejects.toMatchObject({
      code: 'UNKNOWN_TRANSACTIONAL_ID',
      hint: "did you mean 'orders-1'?",
    })
  })

  test('while it is being committed: one of the two happens, and both are told which', async () => {
    for (let round = 0; round < 8; round++) {
      const log = await twoPartitions()
      const producer = await RawProducer.open(log, 'x')
      producer.begin()
      producer.append('t', 0, ['a'])
      const both = round % 2 === 0 ? ['commit', 'abort'] : ['abort', 'commit']
      const outcomes = await Promise.allSettled(
        both.map((what) => (what === 'commit' ? producer.end(true) : log.engine.transactions.abort('x'))),
      )
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
      expect(seen(log, 't', 0, 'read_committed')).toEqual(both[0] === 'commit' ? ['a'] : [])
    }
  })
})

test('with the last epoch a transactional id gets another producer id', async () => {
  const log = await twoPartitions()
  const producer = await RawProducer.open(log, 'x')
  const { producerId } = producer.grant
  for (let i = 0; i < PRODUCER_EPOCH_MAX; i++) {
    producer.begin()
    await producer.end(true)
  }
  expect(producer.grant).toMatchObject({ producerId, producerEpoch: PRODUCER_EPOCH_MAX })
  producer.begin()
  producer.append('t', 0, ['a'])
  await producer.end(true)
  expect(producer.grant.producerId).not.toBe(producerId)
  expect(producer.grant.producerEpoch).toBe(0)
  producer.begin()
  producer.append('t', 0, ['b'])
  await producer.end(true)
  expect(seen(log, 't', 0, 'read_committed')).toEqual(['a', 'b'])
})

test('transactional ids and producer states expire', async () => {
  const log = await twoPartitions({ dir: '/d', env: envOf(new MemoryFileSystem()) })
  const { transactions } = log.engine
  const producer = await RawProducer.open(log, 'x')
  producer.begin()
  producer.append('t', 0, ['a'])
  await producer.end(true)
  await log.engine.syncUpTo([{ topic: 't', partition: 0, offset: 2 }])
  const states = transactions.log.partition('t', 0)?.producers.states
  expect(states?.size).toBe(1)
  transactions.expire(Date.now() + 25 * 3_600_000)
  expect(states?.size).toBe(0)
  expect(transactions.list()).toHaveLength(1)
  transactions.expire(Date.now() + 8 * 24 * 3_600_000)
  expect(transactions.list()).toEqual([])
  expect(() => producer.begin()).not.toThrow()
  await expect(producer.end(true)).rejects.toMatchObject({ code: 'UNKNOWN_PRODUCER_ID' })
})

describe('after a restart', () => {
  test("compressed batches are their producer's still, and markers lie beside them", async () => {
    const fs = new MemoryFileSystem()
    const log = await open({ dir: '/d', env: envOf(fs) })
    log.engine.createTopic({ name: 't', config: { 'compression.type': 'gzip' } })
    const producer = await RawProducer.open(log, 'x')
    const text = 'the same words again and again '.repeat(50)
    for (const commit of [true, false, true]) {
      producer.begin()
      producer.append('t', 0, [`${commit} ${text}`, text])
      await producer.end(commit)
    }
    await log.engine.syncUpTo([{ topic: 't', partition: 0, offset: 9 }])
    const before = log.engine.transactions.log.partition('t', 0)?.producers.states.toSnapshot()
    const again = await open({ dir: '/d', env: envOf(fs.afterPowerLoss()) })
    const states = again.engine.transactions.log.partition('t', 0)?.producers.states
    expect(states?.toSnapshot()).toEqual(before)
    expect(seen(again, 't', 0, 'read_committed')).toEqual([`true ${text}`, text, `true ${text}`, text])
    expect(seen(again, 't', 0, 'read_uncommitted')).toHaveLength(6)
  })

  test.each(['stop', 'crash'] as const)(
    'after a %s aborted transactions stay hidden, whatever the segments',
    async (how) => {
      const { path, remove } = temporaryDirectory()
      try {
        let log = await open({ dir: path })
        log.engine.createTopic({ name: 't', partitions: 1, config: { 'segment.bytes': 2000 } })
        const producer = await RawProducer.open(log, 'x')
        const expected: string[] = []
        for (let i = 0; i < 60; i++) {
          const commit = i % 3 !== 0
          producer.begin()
          producer.append('t', 0, [`${i}`, 'x'.repeat(100)])
          if (commit) expected.push(`${i}`)
          await producer.end(commit)
        }
        const end = partitionOf(log, 't', 0)
        await until(() => log.engine.state('t').partitions[0]?.syncedOffset === 180, 'all is synced')
        expect(end.partition).toBe(0)
        const short = (values: string[]): string[] => values.filter((value) => value.length < 100)
        for (let round = 0; round < 3; round++) {
          if (how === 'stop') await log.close()
          else log.abandon()
          if (round === 1) {
            // Snapshots are only there to save time.
            for (const file of readdirSync(`${path}/log/t-0`))
              if (file.endsWith('.snapshot')) rmSync(`${path}/log/t-0/${file}`)
          }
          log = await open({ dir: path })
          expect(short(seen(log, 't', 0, 'read_committed'))).toEqual(expected)
          const states = log.engine.transactions.log.partition('t', 0)?.producers.states
          expect(states?.size).toBe(1)
          expect(states?.open()).toEqual([])
        }
        expect(existsSync(`${path}/log/t-0`)).toBe(true)
        const again = await RawProducer.open(log, 'x')
        expect(again.grant.producerId).toBe(producer.grant.producerId)
        expect(again.grant.producerEpoch).toBeGreaterThan(producer.grant.producerEpoch)
        again.begin()
        expect(again.append('t', 0, ['new'])).toBe(180)
        await again.end(true)
        expect(short(seen(log, 't', 0, 'read_committed'))).toEqual([...expected, 'new'])
      } finally {
        for (const log of opened.splice(0)) await log.close().catch(() => undefined)
        remove()
      }
    },
  )
})

test.each(['group', 'never'] as const)(
  'killed at any step, a transaction is in all of its partitions or in none, and there once its commit has resolved (fsync %s)',
  async (fsync) => {
    const fs = new ImagedFileSystem()
    const log = await twoPartitions({ dir: '/d', env: envOf(fs), fsync })
    const producer = await RawProducer.open(log, 'x')
    fs.images.length = 0
    const commits = (i: number): boolean => i % 3 !== 1
    for (let i = 0; i < 7; i++) {
      producer.begin()
      producer.append('t', 0, [`${i}`])
      producer.append('t', 1, [`${i}`])
      if (i % 2 === 0) producer.append('t', 0, [`${i}+`])
      await producer.end(commits(i))
      fs.done = i + 1
    }
    await log.close()
    opened.length = 0
    expect(fs.images.length).toBeGreaterThan(60)
    for (const image of chosen(fs.images)) {
      const again = await openLog({ dir: '/d', env: envOf(image.fs), fsync })
      const [p0, p1] = [0, 1].map((p) => seen(again, 't', p, 'read_committed')) as [string[], string[]]
      // All or nothing, in every partition, and nothing of what was aborted.
      expect(p0.filter((value) => !value.endsWith('+'))).toEqual(p1)
      expect(p0.filter((value) => value.endsWith('+'))).toEqual(
        p1.filter((value) => Number(value) % 2 === 0).map((value) => `${value}+`),
      )
      for (const value of p1) expect(commits(Number(value))).toBe(true)
      // What was acknowledged is there; at most the one that was under way beside it.
      const acknowledged = [0, 1, 2, 3, 4, 5, 6].filter((i) => i < image.done && commits(i)).map(String)
      expect(p1.slice(0, acknowledged.length)).toEqual(acknowledged)
      expect(p1.length).toBeLessThanOrEqual(acknowledged.length + 1)
      // Nothing holds readers up, and the next transaction goes on.
      for (const p of [0, 1]) expect(lso(again, p)).toBe(again.engine.state('t').partitions[p]?.logEndOffset)
      const next = await RawProducer.open(again, 'x')
      next.begin()
      next.append('t', 1, ['next'])
      await next.end(true)
      expect(seen(again, 't', 1, 'read_committed')).toEqual([...p1, 'next'])
      await again.close()
    }
  },
  60_000,
)

describe('a transaction that a checkpoint decides', () => {
  test.each<[Outcome, string[]]>([
    ['commit', ['a']],
    ['abort', []],
    ['unknown', []],
  ])('outcome %s', async (outcome, expected) => {
    const fs = new MemoryFileSystem()
    const log = await twoPartitions({ dir: '/d', env: envOf(fs) })
    const producer = await RawProducer.open(log, 'x')
    await log.engine.transactions.decisions.keep([
      { type: 'owner', producerId: producer.grant.producerId, owner: 'checkpoint of q' },
    ])
    producer.begin()
    producer.append('t', 0, ['a'])
    await log.engine.syncUpTo([{ topic: 't', partition: 0, offset: 1 }])
    const asked: unknown[] = []
    const again = await open({
      dir: '/d',
      env: envOf(fs.afterPowerLoss()),
      askOwner: (owner, { producerId, producerEpoch }) => {
        asked.push([owner, producerId, producerEpoch])
        return outcome
      },
    })
    expect(asked).toEqual([['checkpoint of q', producer.session.producerId, producer.session.producerEpoch]])
    expect(seen(again, 't', 0, 'read_committed')).toEqual(expected)
    expect(lso(again)).toBe(outcome === 'unknown' ? 0 : 2)
    if (outcome !== 'unknown') return
    expect(again.engine.transactions.inDoubt).toBe(1)
    again.engine.transactions.resolveInDoubt(() => 'commit')
    expect(seen(again, 't', 0, 'read_committed')).toEqual(['a'])
  })
})
