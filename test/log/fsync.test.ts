import { describe, expect, it } from 'vitest'
import { Producer } from '../../src/client/producer.js'
import {
  nextTurn,
  type OpenLog,
  type OpenLogOptions,
  openLog,
  RowsAppender,
  readerOf,
  readValues,
  until,
} from './log-fixture.js'
import { envOf, MemoryFileSystem } from './memory-file-system.js'

interface Gate {
  readonly path: string
  open(error?: Error): void
}

/** A disk whose syncs end when the test says so. */
function gatedDisk(): { readonly fs: MemoryFileSystem; readonly gates: Gate[] } {
  const fs = new MemoryFileSystem()
  const gates: Gate[] = []
  fs.onSync = (path) =>
    new Promise((resolve, reject) => {
      gates.push({ path, open: (error) => (error === undefined ? resolve() : reject(error)) })
    })
  return { fs, gates }
}

const open = (fs: MemoryFileSystem, options: OpenLogOptions): Promise<OpenLog> =>
  openLog({ dir: '/d', env: envOf(fs), ...options })

async function closeFreely(log: OpenLog, fs: MemoryFileSystem, gates: Gate[] = []): Promise<void> {
  fs.onSync = async () => undefined
  for (const gate of gates) gate.open()
  await log.close().catch(() => undefined)
}

describe('fsync group', () => {
  it('acknowledges when the disk has it, and one sync serves all that came meanwhile', async () => {
    const { fs, gates } = gatedDisk()
    const log = await open(fs, { fsync: 'group' })
    log.engine.createTopic({ name: 't' })
    const producer = new Producer(log.host)
    await log.host.sender('t')
    const acked: number[] = []
    const send = (i: number): void =>
      void producer.send({ topic: 't', messages: [{ value: String(i) }] }).then(() => acked.push(i))
    send(0)
    await until(() => gates.length === 1, 'the first sync begins')
    for (let i = 1; i <= 5; i++) {
      send(i)
      await nextTurn()
    }
    expect([gates.length, acked]).toEqual([1, []])
    gates[0]?.open()
    await until(() => gates.length === 2, 'the second sync begins')
    expect(acked).toEqual([0])
    gates[1]?.open()
    await until(() => acked.length === 6, 'all are acknowledged')
    expect([gates.length, acked]).toEqual([2, [0, 1, 2, 3, 4, 5]])
    await closeFreely(log, fs)
  })

  it('what was acknowledged is there after a loss of power', async () => {
    const { fs, gates } = gatedDisk()
    const log = await open(fs, { fsync: 'group' })
    log.engine.createTopic({ name: 't', config: { 'segment.bytes': 1024 } })
    const producer = new Producer(log.host)
    let acked = 0
    for (let i = 0; i < 40; i++) {
      const sent = producer.send({ topic: 't', messages: [{ value: `${i} ${'x'.repeat(100)}` }] })
      if (i === 35) {
        sent.catch(() => undefined)
        break
      }
      let done = false
      void sent.then(() => {
        done = true
      })
      await until(() => {
        for (const gate of gates.splice(0)) gate.open()
        return done
      }, 'it is acknowledged')
      acked += 1
    }
    await until(() => gates.length > 0, 'the last sync begins')
    const left = fs.afterPowerLoss()
    log.abandon()
    const again = await open(left, { fsync: 'group' })
    const values = readValues(readerOf(again.engine.describe('t'), again.memory, 0, { env: envOf(left) }), 0)
    expect(values.length).toBeGreaterThanOrEqual(acked)
    expect(values.every((value, i) => value.startsWith(`${i} `))).toBe(true)
    await again.close()
  })

  it('a failed sync makes the partition read-only: its sends are refused, it is not tried again, others go on', async () => {
    const { fs, gates } = gatedDisk()
    const told: string[] = []
    const log = await open(fs, { fsync: 'group', onFailed: ({ code, summary }) => told.push(`${code}: ${summary}`) })
    log.engine.createTopic({ name: 't', partitions: 2 })
    const producer = new Producer(log.host)
    const lost = producer.send({ topic: 't', messages: [{ value: 'a', partition: 0 }] })
    const checkpoint = until(() => gates.length === 1, 'the sync begins').then(() =>
      log.engine.syncUpTo([{ topic: 't', partition: 0, offset: 1 }]),
    )
    const refusals = Promise.allSettled([lost, checkpoint])
    await until(() => gates.length === 1, 'the sync begins')
    await nextTurn()
    gates[0]?.open(new Error('EIO'))
    for (const refusal of await refusals)
      expect(refusal).toMatchObject({ status: 'rejected', reason: { code: 'PARTITION_READ_ONLY', retriable: false } })
    await expect(producer.send({ topic: 't', messages: [{ value: 'b', partition: 0 }] })).rejects.toMatchObject({
      code: 'PARTITION_READ_ONLY',
    })
    fs.onSync = async () => undefined
    await producer.send({ topic: 't', messages: [{ value: 'c', partition: 1 }] })
    expect(fs.syncs.filter((path) => path.includes('t-0')).length).toBe(1)
    expect(log.engine.state('t').partitions.map((partition) => partition.status)).toEqual(['read-only', 'ok'])
    await expect(log.engine.close()).rejects.toMatchObject({ code: 'PARTITION_READ_ONLY' })
    await log.close().catch(() => undefined)
    log.host.close()
    expect(told).toEqual(['PARTITION_READ_ONLY: partition t-0 is read-only since a sync of it failed'])
  })
})

describe('fsync always', () => {
  it('syncs once for each record batch, in order', async () => {
    const fs = new MemoryFileSystem()
    const log = await open(fs, { fsync: 'always' })
    const topic = log.engine.createTopic({ name: 't' })
    const appender = new RowsAppender(topic, log.memory)
    for (let i = 0; i < 5; i++) appender.append([String(i)])
    await until(() => appender.appender.ackedOffset() === 5, 'all are synced')
    expect(fs.syncs.length).toBe(5)
    appender.append(['more'])
    await until(() => appender.appender.ackedOffset() === 6, 'the next is synced')
    expect(fs.syncs.length).toBe(6)
    await log.close()
  })
})

describe('fsync never and interval', () => {
  it.each(['never', 'interval'] as const)(
    '%s: acknowledges what is written, and does not wait for the disk',
    async (fsync) => {
      const { fs, gates } = gatedDisk()
      const log = await open(fs, { fsync, syncIntervalMs: 60_000 })
      log.engine.createTopic({ name: 't' })
      await new Producer(log.host).send({ topic: 't', messages: [{ value: 'a' }] })
      expect(gates.length).toBe(0)
      const checkpoint = log.engine.syncUpTo([{ topic: 't', partition: 0, offset: 1 }])
      await until(() => gates.length === 1, 'the checkpoint syncs all the same')
      gates[0]?.open()
      await checkpoint
      await closeFreely(log, fs)
    },
  )

  it('interval: syncs by itself after a while', async () => {
    const fs = new MemoryFileSystem()
    const log = await open(fs, { fsync: 'interval', syncIntervalMs: 5 })
    const topic = log.engine.createTopic({ name: 't' })
    await new Producer(log.host).send({ topic: 't', messages: [{ value: 'a' }] })
    const { control } = new RowsAppender(topic, log.memory).appender
    await until(() => control.syncedOffset() === 1, 'it is synced')
    await log.close()
  })
})

describe('a full disk', () => {
  it('refuses sends with an error that may be tried again, and goes on by itself when there is space', async () => {
    const fs = new MemoryFileSystem()
    const log = await open(fs, { fsync: 'group' })
    const topic = log.engine.createTopic({ name: 't' })
    const producer = new Producer(log.host)
    await producer.send({ topic: 't', messages: [{ value: 'before' }] })
    fs.capacity = fs.usedBytes() + 10
    await expect(producer.send({ topic: 't', messages: [{ value: 'full' }] })).rejects.toMatchObject({
      code: 'DISK_FULL',
      retriable: true,
    })
    await expect(producer.send({ topic: 't', messages: [{ value: 'still full' }] })).rejects.toMatchObject({
      code: 'DISK_FULL',
      retriable: true,
    })
    fs.capacity = Number.MAX_SAFE_INTEGER
    const { control } = new RowsAppender(topic, log.memory).appender
    await until(() => control.status() === 0 && control.syncedOffset() === 2, 'the engine has tried again')
    await producer.send({ topic: 't', messages: [{ value: 'after' }] })
    expect(readValues(readerOf(topic, log.memory), 0)).toEqual(['before', 'full', 'after'])
    await log.close()
    const again = await open(fs, {})
    expect(readValues(readerOf(again.engine.describe('t'), again.memory, 0, { env: envOf(fs) }), 0)).toEqual([
      'before',
      'full',
      'after',
    ])
    await again.close()
  })
})

describe('closing', () => {
  it('writes and syncs what is left, and the next opening scans nothing', async () => {
    const fs = new MemoryFileSystem()
    const log = await open(fs, { fsync: 'never' })
    const topic = log.engine.createTopic({ name: 't', partitions: 2 })
    for (let i = 0; i < 100; i++) new RowsAppender(topic, log.memory, i % 2).append([String(i)])
    await log.close()
    expect(fs.exists('/d/lock')).toBe(false)
    const left = fs.afterPowerLoss()
    expect(left.exists('/d/log/clean-shutdown.json')).toBe(true)
    const again = await open(left, {})
    expect(left.exists('/d/log/clean-shutdown.json')).toBe(false)
    expect(again.engine.state('t').partitions.map((p) => p.logEndOffset)).toEqual([50, 50])
    await again.close()
    await again.engine.close()
  })

  it('refuses what is still waiting', async () => {
    const { fs, gates } = gatedDisk()
    const log = await open(fs, { fsync: 'group' })
    log.engine.createTopic({ name: 't' })
    const sent = new Producer(log.host).send({ topic: 't', messages: [{ value: 'a' }] })
    const refusal = expect(sent).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
    await until(() => gates.length === 1, 'the sync begins')
    log.host.close()
    await refusal
    await closeFreely(log, fs, gates)
  })
})
