import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { Producer } from '../../src/client/producer.js'
import type { ProducerOptions } from '../../src/client/producer-settings.js'
import { type Env, nodeEnv } from '../../src/common/env.js'
import { nextTurn, type OpenLog, openLog, readerOf, readValues, until } from '../log/log-fixture.js'
import { envOf, MemoryFileSystem } from '../log/memory-file-system.js'

const idempotent: ProducerOptions = { idempotent: true }
/** The disk as it is in memory; waits are a twentieth of what they are. */
const quick = (fs: MemoryFileSystem): Env => ({
  ...envOf(fs),
  timer: (ms, done) => nodeEnv.timer(ms / 20, done),
})
/** What a process that opens the directory anew finds. Who was killed writes to the old one alone. */
function disk(fs: MemoryFileSystem, kept: boolean): MemoryFileSystem {
  const found = fs.afterPowerLoss()
  if (kept) for (const path of fs.files.keys()) found.replaceFile(path, fs.readFile(path))
  found.remove('/d/lock')
  return found
}
const messages = (...values: string[]) => values.map((value) => ({ value }))

describe('a send of an idempotent producer that failed is gone on with by resend', () => {
  const logs: OpenLog[] = []
  afterEach(async () => {
    for (const log of logs.splice(0)) await log.close().catch(() => undefined)
  })

  async function open(fs: MemoryFileSystem): Promise<OpenLog> {
    const log = await openLog({ dir: '/d', env: quick(fs) })
    logs.push(log)
    return log
  }

  const valuesOf = (log: OpenLog, env = nodeEnv, partition = 0): string[] =>
    readValues(readerOf(log.engine.describe('t'), log.memory, partition, { env }), 0)
  const failed = (log: OpenLog, sent: Promise<unknown>): Promise<unknown> =>
    sent.then(
      () => {
        throw new Error(`it was not to be sent: ${valuesOf(log)}`)
      },
      (error: unknown) => error,
    )

  it('after delivery.timeout.ms on a full disk: what is in the log is waited for, what never came there is sent, in order', async () => {
    const fs = new MemoryFileSystem()
    const log = await open(fs)
    log.engine.createTopic({ name: 't' })
    const producer = new Producer(log.host, { ...idempotent, 'delivery.timeout.ms': 20 })
    await producer.send({ topic: 't', messages: messages('0') })
    fs.capacity = fs.usedBytes() + 10
    const first = await failed(log, producer.send({ topic: 't', messages: messages('1', '2') }))
    expect(first).toMatchObject({ code: 'DISK_FULL', retriable: true })
    // By now nothing is taken any more: this one never comes into the log.
    const second = await failed(log, producer.send({ topic: 't', messages: messages('3') }))
    // The first is in the log's memory, which the disk has no room for: the second try waits and fails as well.
    const again = await failed(log, producer.resend(first))
    expect(again).toMatchObject({ code: 'DISK_FULL' })
    fs.capacity = Number.MAX_SAFE_INTEGER
    await until(() => log.engine.state('t').partitions[0]?.status === 'ok', 'there is space again')
    const resent = Promise.all([producer.resend(again), producer.resend(second)])
    expect(await resent).toMatchObject([[{ baseOffset: 1, recordCount: 2 }], [{ baseOffset: 3, recordCount: 1 }]])
    expect(valuesOf(log)).toEqual(['0', '1', '2', '3'])
    expect(await producer.send({ topic: 't', messages: messages('4') })).toMatchObject([{ baseOffset: 4 }])
  })

  it('each of several that shared a batch, with an error and places of its own', async () => {
    const fs = new MemoryFileSystem()
    const log = await open(fs)
    log.engine.createTopic({ name: 't' })
    const producer = new Producer(log.host, { ...idempotent, 'delivery.timeout.ms': 20 })
    await producer.send({ topic: 't', messages: messages('0') })
    fs.capacity = fs.usedBytes() + 10
    const sends = [['a', 'b'], ['c'], ['d', 'e']].map((values) =>
      failed(log, producer.send({ topic: 't', messages: messages(...values) })),
    )
    const errors = await Promise.all(sends)
    expect(new Set(errors).size).toBe(3)
    fs.capacity = Number.MAX_SAFE_INTEGER
    // In another order than they were sent: what is in the log stays where it is.
    const resent = await Promise.all([2, 0, 1].map((i) => producer.resend(errors[i])))
    expect(resent).toMatchObject([
      [{ baseOffset: 4, recordCount: 2 }],
      [{ baseOffset: 1, recordCount: 2 }],
      [{ baseOffset: 3, recordCount: 1 }],
    ])
    expect(valuesOf(log)).toEqual(['0', 'a', 'b', 'c', 'd', 'e'])
  })

  it('after a failed sync, by a producer of the engine that was opened anew: what the disk has kept is not sent again', async () => {
    for (const kept of [true, false]) {
      const fs = new MemoryFileSystem()
      const log = await open(fs)
      log.engine.createTopic({ name: 't' })
      const producer = new Producer(log.host, idempotent)
      await producer.send({ topic: 't', messages: messages('0') })
      fs.onSync = async (path) => {
        if (path.endsWith('.log')) throw new Error('EIO')
      }
      const error = await failed(log, producer.send({ topic: 't', messages: messages('1', '2') }))
      expect(error).toMatchObject({ code: 'PARTITION_READ_ONLY' })
      const unsent = await failed(log, producer.send({ topic: 't', messages: messages('3') }))
      // The same engine takes nothing more, and says so again.
      const again = await failed(log, producer.resend(error))
      expect(again).toMatchObject({ code: 'PARTITION_READ_ONLY' })
      fs.onSync = async () => undefined
      log.abandon()
      const found = disk(fs, kept)
      const next = await open(found)
      const nextProducer = new Producer(next.host, idempotent)
      // Somebody else is there first.
      await new Producer(next.host, idempotent).send({ topic: 't', messages: messages('x') })
      const resent = await Promise.all([nextProducer.resend(again), nextProducer.resend(unsent)])
      const values = valuesOf(next, envOf(found))
      expect(values).toEqual(kept ? ['0', '1', '2', 'x', '3'] : ['0', 'x', '1', '2', '3'])
      for (const [i, own] of [['1', '2'], ['3']].entries()) {
        const [place] = resent[i] as { baseOffset: number; recordCount: number }[]
        expect(values.slice(place?.baseOffset, (place?.baseOffset ?? 0) + (place?.recordCount ?? 0))).toEqual(own)
      }
    }
  })

  it('of sendBatch: the topics that came through are left alone', async () => {
    const fs = new MemoryFileSystem()
    const log = await open(fs)
    for (const name of ['t', 'u']) log.engine.createTopic({ name })
    const producer = new Producer(log.host, idempotent)
    await producer.sendBatch({ topicMessages: ['t', 'u'].map((topic) => ({ topic, messages: messages('0') })) })
    fs.onSync = async (path) => {
      if (path.includes('/u-0/') && path.endsWith('.log')) throw new Error('EIO')
    }
    const error = await failed(
      log,
      producer.sendBatch({ topicMessages: ['t', 'u'].map((topic) => ({ topic, messages: messages('1') })) }),
    )
    fs.onSync = async () => undefined
    log.abandon()
    const found = disk(fs, false)
    const next = await open(found)
    // It answers as the call itself would have.
    expect(await new Producer(next.host, idempotent).resend(error)).toMatchObject([
      { topicName: 't', baseOffset: 1 },
      { topicName: 'u', baseOffset: 1 },
    ])
    for (const topic of ['t', 'u']) {
      const reader = readerOf(next.engine.describe(topic), next.memory, 0, { env: envOf(found) })
      expect(readValues(reader, 0)).toEqual(['0', '1'])
    }
  })

  it('of a large send over partitions, wherever it was cut off', async () => {
    const fs = new MemoryFileSystem()
    const log = await open(fs)
    log.engine.createTopic({ name: 't', partitions: 3 })
    const producer = new Producer(log.host, { ...idempotent, 'delivery.timeout.ms': 30, batchSize: 2000 })
    const large = Array.from({ length: 25_000 }, (_, i) => ({ key: `k${i % 7}`, value: `${i}`.padStart(6, '0') }))
    fs.capacity = fs.usedBytes() + 150_000
    let error: unknown = await failed(log, producer.send({ topic: 't', messages: large }))
    expect(error).toMatchObject({ code: 'DISK_FULL' })
    fs.capacity = Number.MAX_SAFE_INTEGER
    let places: readonly { recordCount: number }[] = []
    while (error !== undefined) {
      await nextTurn()
      const tried: unknown = error
      error = await producer.resend(tried).then(
        (resent) => {
          places = resent
          return undefined
        },
        (next: unknown) => next,
      )
    }
    expect(places.reduce((sum, { recordCount }) => sum + recordCount, 0)).toBe(large.length)
    const all = [0, 1, 2].map((partition) => valuesOf(log, envOf(fs), partition))
    expect(all.flat().sort()).toEqual(large.map(({ value }) => value))
    for (const values of all) expect(values).toEqual([...values].sort())
  })

  it('of what was given to write, which tells of the error by its event', async () => {
    const fs = new MemoryFileSystem()
    const log = await open(fs)
    log.engine.createTopic({ name: 't' })
    const producer = new Producer(log.host, { ...idempotent, 'delivery.timeout.ms': 20 })
    const errors: unknown[] = []
    producer.on('error', (error) => errors.push(error))
    producer.write('t', { value: '0' })
    await producer.flush()
    fs.capacity = fs.usedBytes() + 10
    producer.write('t', { value: '1' })
    producer.write('t', { value: '2' })
    await expect(producer.flush()).rejects.toMatchObject({ code: 'DISK_FULL' })
    fs.capacity = Number.MAX_SAFE_INTEGER
    expect(errors).toHaveLength(1)
    expect(await producer.resend(errors[0])).toMatchObject([{ baseOffset: 1, recordCount: 2 }])
    expect(valuesOf(log)).toEqual(['0', '1', '2'])
  })

  it('once: there is nothing left for the error afterwards, and nothing for an error of anybody else', async () => {
    const fs = new MemoryFileSystem()
    const log = await open(fs)
    log.engine.createTopic({ name: 't' })
    const producer = new Producer(log.host, idempotent)
    const plain = new Producer(log.host)
    const error = await failed(log, producer.send({ topic: 'nope', messages: messages('1') }))
    expect(error).toMatchObject({ code: 'UNKNOWN_TOPIC' })
    const fromPlain = await failed(log, plain.send({ topic: 'nope', messages: messages('1') }))
    log.engine.createTopic({ name: 'nope' })
    expect(await producer.resend(error)).toMatchObject([{ topicName: 'nope', baseOffset: 0 }])
    for (const wrong of [error, fromPlain, new Error('no'), undefined, 7]) {
      await expect(producer.resend(wrong)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        hint: expect.stringContaining('idempotent: true'),
      })
    }
    const transactional = new Producer(log.host, { transactionalId: 'x' })
    await expect(transactional.resend(error)).rejects.toMatchObject({ code: 'NOT_IN_TRANSACTION' })
  })

  it('not into another topic that has its name by now', async () => {
    const fs = new MemoryFileSystem()
    const log = await open(fs)
    log.engine.createTopic({ name: 't' })
    const producer = new Producer(log.host, { ...idempotent, 'delivery.timeout.ms': 20 })
    await producer.send({ topic: 't', messages: messages('0') })
    fs.capacity = fs.usedBytes() + 10
    const error = await failed(log, producer.send({ topic: 't', messages: messages('1') }))
    fs.capacity = Number.MAX_SAFE_INTEGER
    await log.engine.deleteTopic('t')
    log.host.forgetTopic('t')
    log.host.addTopic(log.engine.createTopic({ name: 't' }))
    await expect(producer.resend(error)).rejects.toMatchObject({ code: 'TOPIC_DELETED' })
    expect(valuesOf(log)).toEqual([])
  })
})

it('retries: 0 is not for an idempotent producer; settings of connections are let through', async () => {
  const log = await openLog()
  expect(() => new Producer(log.host, { ...idempotent, retries: 0 })).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
  )
  expect(() => new Producer(log.host, { retries: -1 })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  new Producer(log.host, { ...idempotent, retries: 2_147_483_647, ...{ 'retry.backoff.ms': 100 } })
  new Producer(log.host, { retries: 0 })
  await log.close()
})

/**
 * Sends, and failing disks: full for a while, a sync that fails, the power that goes. Whatever was refused is gone on with in the end, over as many
 * engines as it takes. Then every record is there once, and the records of one send are in their order in each partition.
 */
type Step =
  | { readonly do: 'send'; readonly counts: readonly number[] }
  | { readonly do: 'full' | 'space' | 'broken' | 'resend' | 'turn' }
  | { readonly do: 'reopen'; readonly keeps: boolean }

const RUNS = Number(process.env['MILLRACE_RESEND_RUNS'] ?? 40)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      counts: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('full' as const, 'space' as const, 'resend' as const, 'turn' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('broken' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('reopen' as const), keeps: fc.boolean() }) },
)

it('whatever disks do, all that was refused is there once after it was gone on with', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 20 }), async (steps) => {
      let fs = new MemoryFileSystem()
      let log = await openLog({ dir: '/d', env: quick(fs) })
      log.engine.createTopic({ name: 't', partitions: 2 })
      const options = { ...idempotent, 'delivery.timeout.ms': 2 }
      let producer = new Producer(log.host, options)
      let sent = 0
      let sends = 0
      const refused: unknown[] = []
      const running = new Set<Promise<unknown>>()
      const attempt = (work: Promise<unknown>): void => {
        const settled = work.catch((error: unknown) => refused.push(error)).finally(() => running.delete(settled))
        running.add(settled)
      }
      const reopen = async (keeps: boolean): Promise<void> => {
        log.abandon()
        await Promise.all(running)
        fs = disk(fs, keeps)
        log = await openLog({ dir: '/d', env: quick(fs) })
        producer = new Producer(log.host, options)
      }
      for (const one of steps) {
        switch (one.do) {
          case 'send':
            for (const count of one.counts) {
              const id = sends++
              const values = Array.from({ length: count }, () => `${id}:${String(sent++).padStart(6, '0')}`)
              attempt(producer.send({ topic: 't', messages: values.map((value, i) => ({ value, partition: i % 2 })) }))
            }
            break
          case 'full':
            fs.capacity = fs.usedBytes() + 100
            break
          case 'space':
            fs.capacity = Number.MAX_SAFE_INTEGER
            break
          case 'broken':
            fs.onSync = async (path) => {
              if (path.endsWith('.log')) throw new Error('EIO')
            }
            break
          case 'resend':
            for (const error of refused.splice(0)) attempt(producer.resend(error))
            break
          case 'turn':
            for (let i = 0; i < 3; i++) await nextTurn()
            break
          case 'reopen':
            await reopen(one.keeps)
        }
      }
      await reopen(true)
      for (const error of refused.splice(0)) attempt(producer.resend(error))
      await Promise.all(running)
      expect(refused).toEqual([])
      const values = [0, 1].map((p) =>
        readValues(readerOf(log.engine.describe('t'), log.memory, p, { env: envOf(fs) }), 0),
      )
      expect(
        values
          .flat()
          .map((value) => Number(value.split(':')[1]))
          .sort((a, b) => a - b),
      ).toEqual(Array.from({ length: sent }, (_, i) => i))
      for (const list of values) {
        for (let id = 0; id < sends; id++) {
          const own = list.filter((value) => value.startsWith(`${id}:`))
          expect(own).toEqual([...own].sort())
        }
      }
      await log.close()
    }),
    { numRuns: RUNS },
  )
})
