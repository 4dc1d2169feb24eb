import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Producer } from '../../src/client/producer.js'
import { nodeEnv } from '../../src/common/env.js'
import { nextTurn, type OpenLog, openLog, readerOf, readValues, until } from '../log/log-fixture.js'
import { envOf, MemoryFileSystem } from '../log/memory-file-system.js'

const code = (name: string) =>
  expect.objectContaining({ code: name, detail: expect.any(String), hint: expect.any(String) })

/** Batches of a partition, as their number of records. */
function batches(log: OpenLog, topic: string, partition = 0): number[] {
  const reader = readerOf(log.engine.describe(topic), log.memory, partition)
  const found: number[] = []
  reader.seek(0)
  while (reader.next()) found.push(reader.recordCount)
  reader.close()
  return found
}

describe('acks', () => {
  let log: OpenLog
  let syncs: (() => void)[]
  const fs = (): MemoryFileSystem => {
    const files = new MemoryFileSystem()
    files.onSync = (path) =>
      path.endsWith('.log') && !path.endsWith('transactions.log')
        ? new Promise((resolve) => syncs.push(resolve))
        : Promise.resolve()
    return files
  }
  const release = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) {
      for (const sync of syncs.splice(0)) sync()
      await nextTurn()
    }
  }
  beforeEach(async () => {
    syncs = []
    log = await openLog({ dir: '/d', env: envOf(fs()), fsync: 'group' })
    log.engine.createTopic({ name: 't' })
  })
  afterEach(async () => {
    const closed = log.close()
    await release()
    await closed
  })

  it('0: in the log; 1: written; all: synced', async () => {
    const producer = new Producer(log.host)
    const state = () => log.engine.state('t').partitions[0]
    const done: unknown[] = []
    const send = (acks: 0 | 1 | 'all') =>
      producer.send({ topic: 't', acks, messages: [{ value: String(acks) }] }).then(() => {
        done.push(acks)
        return state()
      })
    const all = send('all')
    const one = send(1)
    await send(0)
    expect(done).toEqual([0])
    expect((await one)?.writtenOffset).toBe(3)
    expect(done).toEqual([0, 1])
    expect(state()?.syncedOffset).toBe(0)
    await release()
    expect((await all)?.syncedOffset).toBe(3)
  })

  it('what is not acknowledged takes room in buffer.memory, and who waits for room for max.block.ms is refused', async () => {
    const producer = new Producer(log.host, { bufferMemory: 100, 'max.block.ms': 1 })
    const first = producer.send({ topic: 't', messages: [{ value: 'a'.repeat(90) }] })
    await expect(producer.send({ topic: 't', messages: [{ value: 'b'.repeat(90) }] })).rejects.toThrow(
      code('BUFFER_FULL'),
    )
    await until(() => syncs.length > 0, 'a sync has begun')
    await release()
    await first
    const second = producer.send({ topic: 't', messages: [{ value: 'c' }] })
    await until(() => syncs.length > 0, 'a sync has begun')
    await release()
    expect(await second).toMatchObject([{ baseOffset: 1 }])
  })

  it('K-16: a value that is none is refused, and so is less than all for an idempotent producer: nothing falls back in silence', async () => {
    expect(() => new Producer(log.host, { acks: 2 })).toThrow(code('INVALID_ARGUMENT'))
    expect(() => new Producer(log.host, { idempotent: true, acks: 1 })).toThrow(code('INVALID_ARGUMENT'))
    await expect(
      new Producer(log.host, { idempotent: true }).send({ topic: 't', acks: 0, messages: [{ value: '1' }] }),
    ).rejects.toThrow(code('INVALID_ARGUMENT'))
  })
})

describe('linger, batch size and buffer', () => {
  let log: OpenLog
  let timers: { readonly ms: number; readonly call: () => void }[]
  beforeEach(async () => {
    timers = []
    const env = {
      ...nodeEnv,
      timer: (ms: number, call: () => void) => {
        const timer = { ms, call }
        timers.push(timer)
        return () => void timers.splice(timers.indexOf(timer), timers.includes(timer) ? 1 : 0)
      },
    }
    log = await openLog({ env })
    log.engine.createTopic({ name: 't' })
  })
  afterEach(() => log.close())
  const fire = (ms: number): void => {
    for (const timer of timers.filter((t) => t.ms === ms)) {
      timers.splice(timers.indexOf(timer), 1)
      timer.call()
    }
  }

  it('sends of later turns share a batch with those that linger, in their order', async () => {
    const producer = new Producer(log.host, { 'linger.ms': 77 })
    await log.host.sender('t')
    const sends: Promise<unknown>[] = []
    for (let i = 0; i < 3; i++) {
      sends.push(producer.send({ topic: 't', messages: [{ value: `${i}` }] }))
      await nextTurn()
    }
    expect(batches(log, 't')).toEqual([])
    fire(77)
    await Promise.all(sends)
    expect(batches(log, 't')).toEqual([3])
    expect(readValues(readerOf(log.engine.describe('t'), log.memory), 0)).toEqual(['0', '1', '2'])
  })

  it('a full batch does not linger, and neither does what a flush waits for', async () => {
    const producer = new Producer(log.host, { lingerMs: 60_000, batchSize: 200 })
    const [first] = await Promise.all([
      producer.send({ topic: 't', messages: [{ value: 'a'.repeat(150) }] }),
      producer.send({ topic: 't', messages: [{ value: 'b'.repeat(150) }] }),
    ])
    expect(first?.[0]?.baseOffset).toBe(0)
    producer.write('t', { value: 'c' })
    await producer.flush()
    expect(readValues(readerOf(log.engine.describe('t'), log.memory), 2)).toEqual(['c'])
  })

  it('batch.size cuts a send into batches, a larger record alone in its own', async () => {
    const producer = new Producer(log.host, { 'batch.size': 1000 })
    const values = [...Array.from({ length: 50 }, (_, i) => `${i} ${'.'.repeat(80)}`), 'x'.repeat(5000), 'last']
    await producer.send({ topic: 't', messages: values.map((value) => ({ value })) })
    const found = batches(log, 't')
    expect(found.length).toBeGreaterThan(5)
    expect(Math.max(...found)).toBeLessThan(12)
    expect(readValues(readerOf(log.engine.describe('t'), log.memory), 0)).toEqual(values)
  })

  it('buffer.memory: a send waits for room, in order', async () => {
    const producer = new Producer(log.host, { bufferMemory: 1000, lingerMs: 50, 'max.block.ms': 99 })
    await log.host.sender('t')
    const send = (value: string) => producer.send({ topic: 't', messages: [{ value }] })
    const a = send('a'.repeat(700))
    await nextTurn()
    expect(batches(log, 't')).toEqual([])
    // It does not fit beside the first one, which therefore stops lingering.
    const b = send('b'.repeat(700))
    const c = send('c'.repeat(100))
    await a
    await nextTurn()
    fire(50)
    await Promise.all([b, c])
    const firsts = readValues(readerOf(log.engine.describe('t'), log.memory), 0).map((value) => value[0])
    expect(firsts).toEqual(['a', 'b', 'c'])
    // Larger than the whole buffer: it goes alone.
    const d = send('d'.repeat(3000))
    await until(() => timers.some((t) => t.ms === 50), 'it lingers')
    fire(50)
    await d
  })

  it('write says false where the buffer is full', async () => {
    const producer = new Producer(log.host, { bufferMemory: 500, lingerMs: 50 })
    await log.host.sender('t')
    expect(producer.write('t', { value: 'x'.repeat(600) })).toBe(true)
    await nextTurn()
    expect(producer.write('t', { value: 'y' })).toBe(false)
    const drained = new Promise<void>((resolve) => producer.once('drain', resolve))
    await producer.flush()
    await drained
  })
})

it('an idempotent producer waits out a full disk, and its records are there once', async () => {
  const fs = new MemoryFileSystem()
  const log = await openLog({ dir: '/d', env: envOf(fs) })
  log.engine.createTopic({ name: 't' })
  const plain = new Producer(log.host)
  const producer = new Producer(log.host, { idempotent: true })
  const send = (of: Producer, value: string) => of.send({ topic: 't', messages: [{ value }] })
  await send(producer, '0')
  fs.capacity = fs.usedBytes() + 10
  let isSent = false
  const full = send(producer, '1').then((sent) => {
    isSent = true
    return sent
  })
  await until(() => log.engine.state('t').partitions[0]?.status === 'disk full', 'the disk is full')
  // Without a producer id it is refused, though it is in the log and may be written yet: sent again, it could be there twice.
  await expect(send(plain, 'refused')).rejects.toMatchObject({ code: 'DISK_FULL', retriable: true })
  const second = send(producer, '2')
  for (let i = 0; i < 20; i++) await nextTurn()
  expect(isSent).toBe(false)
  fs.capacity = Number.MAX_SAFE_INTEGER
  expect(await full).toMatchObject([{ baseOffset: 1, recordCount: 1 }])
  expect(await second).toMatchObject([{ baseOffset: 2, recordCount: 1 }])
  expect(readValues(readerOf(log.engine.describe('t'), log.memory), 0)).toEqual(['0', '1', '2'])
  await log.close()
})

it("Kafka's names and kafkajs's mean the same; two that differ, and what is no number, are refused", async () => {
  const log = await openLog()
  const refused = (options: object) => expect(() => new Producer(log.host, options)).toThrow(code('INVALID_ARGUMENT'))
  expect(new Producer(log.host, { 'enable.idempotence': true }).isIdempotent()).toBe(true)
  expect(new Producer(log.host, { 'transactional.id': 'x' }).isIdempotent()).toBe(true)
  expect(new Producer(log.host, { maxInFlightRequests: 5, 'linger.ms': 5, lingerMs: 5 }).isIdempotent()).toBe(false)
  refused({ 'linger.ms': 5, lingerMs: 6 })
  refused({ lingerMs: -1 })
  refused({ lingerMs: '5' })
  refused({ batchSize: 0 })
  refused({ bufferMemory: Number.NaN })
  refused({ transactionalId: '' })
  refused({ transactionalId: 'x', idempotent: false })
  refused({ idempotent: 'yes' })
  refused({ transactionalId: 'x', transactionTimeout: 0 })
  expect(() => new Producer(log.host, { lingerMS: 5 } as never)).toThrow(
    expect.objectContaining({ code: 'UNKNOWN_OPTION', hint: expect.stringContaining('lingerMs') }),
  )
  await log.close()
})
