import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SharedMessage } from '../../../src/client/share/delivery.js'
import { temporaryDirectory, until } from '../../log/log-fixture.js'
import { type ClientLog, gate } from '../consumer-fixture.js'
import { arrived, gathering, nameOf, openShareLog, type ShareLog, settled } from './share-fixture.js'

let share: ShareLog
let log: ClientLog
const LOCK_MS = 30_000
const nothing = (): void => undefined
const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => String(from + i))
const startOf = async (groupId = 'jobs'): Promise<number | null | undefined> =>
  (await log.groups.describe(groupId)).partitions[0]?.committedOffset

beforeEach(async () => {
  share = await openShareLog()
  log = share.log
  log.createTopic('work')
})
afterEach(() => log.close())

describe('K-22: handing out', () => {
  it('several members take different records of one partition, and all of them are handed out once', async () => {
    await log.send('work', 0, ...numbers(0, 200))
    const seen: string[][] = [[], [], []]
    const consumers = await Promise.all(
      seen.map(async (got) => {
        const consumer = log.shareConsumer({ groupId: 'jobs', maxRecords: 7 })
        await consumer.subscribe({ topics: ['work'], fromBeginning: true })
        await consumer.run({
          eachMessage: async ({ message }) => {
            await settled(1)
            got.push(nameOf(message))
          },
        })
        return consumer
      }),
    )
    await until(() => seen.flat().length === 200, 'all are handed out')
    expect(seen.flat().sort()).toEqual(numbers(0, 200).sort())
    for (const got of seen) expect(got.length).toBeGreaterThan(0)
    await Promise.all(consumers.map((consumer) => consumer.disconnect()))
    expect(await startOf()).toBe(200)
  })

  it('a callback that ends accepts its message, one that throws releases it, and it comes again until the limit', async () => {
    await log.send('work', 0, 'good', 'bad', 'fine')
    const consumer = log.shareConsumer({ groupId: 'jobs' })
    await consumer.subscribe({ topics: ['work'], fromBeginning: true })
    const got: string[] = []
    const failed: unknown[] = []
    consumer.on('failed', (failure) => failed.push(failure))
    await consumer.run({
      eachMessage: ({ message }) => {
        got.push(nameOf(message))
        if (String(message.value) === 'bad') throw new Error('no')
      },
    })
    await until(() => failed.length === 5, 'five deliveries have failed')
    await settled()
    expect(got.toSorted()).toEqual(['bad', 'bad#2', 'bad#3', 'bad#4', 'bad#5', 'fine', 'good'])
    expect(failed[4]).toMatchObject({ topic: 'work', partition: 0, deliveryCount: 5, error: new Error('no') })
    await consumer.disconnect()
    expect(await startOf()).toBe(3)
  })

  it("onError: 'reject' gives a message up at once, 'stop' stops the consumer and releases it, with a backoff it comes later", async () => {
    await log.send('work', 0, 'a', 'b')
    const run = async (onError: object): Promise<string[]> => {
      const consumer = log.shareConsumer({ groupId: JSON.stringify(onError) })
      consumer.on('failed', () => undefined)
      await consumer.subscribe({ topics: ['work'], fromBeginning: true })
      const got: string[] = []
      await consumer.run({
        eachMessage: ({ message }) => {
          got.push(nameOf(message))
          throw new Error('no')
        },
        onError,
      })
      if ('then' in onError && onError.then === 'stop') await expect(consumer.finished()).rejects.toThrow('no')
      await settled()
      if ('backoff' in onError) {
        expect(got).toEqual(['a', 'b'])
        share.clock.advance(1000)
        await until(() => got.length === 4, 'they come again')
      }
      await consumer.disconnect()
      return got
    }
    expect(await run({ then: 'reject' })).toEqual(['a', 'b'])
    expect(await startOf('{"then":"reject"}')).toBe(2)
    expect(await run({ then: 'stop' })).toEqual(['a'])
    expect((await log.groups.describe('{"then":"stop"}')).partitions[0]?.inFlight).toMatchObject({ acquired: 0 })
    expect(await run({ backoff: '1 s' })).toEqual(['a', 'b', 'a#2', 'b#2'])
  })

  it('eachBatch accepts what it did not acknowledge otherwise, and releases all of it when it throws', async () => {
    await log.send('work', 0, 'a', 'b', 'c', 'd')
    const consumer = log.shareConsumer({ groupId: 'jobs' })
    consumer.on('failed', () => undefined)
    await consumer.subscribe({ topics: ['work'], fromBeginning: true })
    const batches: string[][] = []
    await consumer.run({
      eachBatch: ({ batch, acknowledge }) => {
        batches.push(batch.messages.map(nameOf))
        if (batches.length === 1) throw new Error('not yet')
        if (batches.length === 2) acknowledge(batch.messages[1] as SharedMessage, 'release')
      },
    })
    await until(() => batches.length === 3, 'three batches')
    expect(batches).toEqual([['a', 'b', 'c', 'd'], ['a#2', 'b#2', 'c#2', 'd#2'], ['b#3']])
    await consumer.disconnect()
    expect(await startOf()).toBe(4)
  })

  it('a loop accepts a message when it asks for the next one; break releases the one in hand, and gives back what was not handed out uncounted', async () => {
    await log.send('work', 0, 'a', 'b', 'c', 'd', 'e', 'f', 'g')
    const consumer = log.shareConsumer({ groupId: 'jobs' })
    await consumer.subscribe({ topics: ['work'], fromBeginning: true })
    const got: string[] = []
    for await (const message of consumer) {
      got.push(`${message.topic}-${message.partition} ${nameOf(message)}`)
      if (got.length === 5) break
    }
    expect(got.at(-1)).toBe('work-0 e')
    const again: string[] = []
    for await (const message of consumer) {
      again.push(nameOf(message))
      if (again.length === 3) break
    }
    expect(again).toEqual(['e#2', 'f', 'g'])
    await consumer.disconnect()
    expect(await startOf()).toBe(6)
  })

  it('a loop that waits ends when the consumer disconnects', async () => {
    const consumer = log.shareConsumer({ groupId: 'jobs' })
    await consumer.subscribe({ topics: ['work'] })
    const loop = (async () => {
      for await (const message of consumer) return String(message.value)
      return 'ended'
    })()
    await settled()
    await consumer.disconnect()
    expect(await loop).toBe('ended')
  })

  it('records of one key are not kept in order where one of them comes again, and several callbacks run at a time', async () => {
    await log.send('work', 0, ...numbers(0, 10))
    const consumer = log.shareConsumer({ groupId: 'jobs', maxRecords: 1 })
    await consumer.subscribe({ topics: ['work'], fromBeginning: true })
    let running = 0
    let most = 0
    let done = 0
    const hold = gate()
    await consumer.run({
      messagesConsumedConcurrently: 4,
      eachMessage: async () => {
        running += 1
        most = Math.max(most, running)
        if (running === 4) hold.open()
        await hold.opened
        running -= 1
        done += 1
      },
    })
    await until(() => done === 10, 'all are handled')
    expect(most).toBe(4)
    await consumer.disconnect()
  })

  it('a slow consumer takes one record at a time, so that others find the rest', async () => {
    await log.send('work', 0, ...numbers(0, 12))
    const slow = gate()
    const first = log.shareConsumer({ groupId: 'jobs' })
    await first.subscribe({ topics: ['work'], fromBeginning: true })
    await first.run({ eachMessage: () => slow.opened })
    await settled()
    const second = await gathering(log, 'jobs', ['work'], { acknowledgementMode: 'implicit' })
    await arrived(second, 11)
    slow.open()
    await first.disconnect()
    await second.consumer.disconnect()
    expect(await startOf()).toBe(12)
  })

  it('typed topics, and messages of several partitions and topics', async () => {
    log.createTopic('more', 3)
    await log.send('work', 0, 'w')
    for (let partition = 0; partition < 3; partition++) await log.send('more', partition, `m${partition}`)
    const one = await gathering(log, 'jobs', ['work', 'more'])
    await arrived(one, 4)
    expect(one.got.toSorted()).toEqual(['m0', 'm1', 'm2', 'w'])
    expect(one.consumer.assignment()).toHaveLength(4)
    await one.consumer.disconnect()
  })
})

describe('K-22: acknowledging', () => {
  it('accept, release, reject: once each, by who has the record', async () => {
    await log.send('work', 0, 'a', 'b', 'c')
    const one = await gathering(log)
    await arrived(one, 3)
    const [a, b, c] = one.messages as [SharedMessage, SharedMessage, SharedMessage]
    one.consumer.acknowledge(a)
    one.consumer.acknowledge({ topic: 'work', partition: 0, offset: c.offset }, 'reject')
    one.consumer.acknowledge(b, 'release')
    await arrived(one, 4)
    expect(one.got[3]).toBe('b#2')
    const refused = expect.objectContaining({ code: 'INVALID_RECORD_STATE' })
    expect(() => one.consumer.acknowledge(a)).toThrow(refused)
    // Of the delivery before; this one goes on.
    expect(() => one.consumer.acknowledge(b)).toThrow(refused)
    expect(() => one.consumer.acknowledge({ topic: 'work', partition: 0, offset: 99 })).toThrow(refused)
    expect(() => one.consumer.acknowledge({ topic: 'work', partition: 9, offset: 0 })).toThrow(refused)
    one.consumer.acknowledge(one.messages[3] as SharedMessage)
    await one.consumer.commit()
    expect(await startOf()).toBe(3)
    await one.consumer.disconnect()
  })

  it('a lock that is over makes the record available again, its handler is told, and what it says is refused', async () => {
    await log.send('work', 0, 'a')
    const consumer = log.shareConsumer({ groupId: 'jobs' })
    await consumer.subscribe({ topics: ['work'], fromBeginning: true })
    const aborted: unknown[] = []
    const got: string[] = []
    await consumer.run({
      messagesConsumedConcurrently: 2,
      eachMessage: async ({ message, signal }) => {
        got.push(nameOf(message))
        if (got.length > 1) return
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        aborted.push(signal.reason)
        expect(() => consumer.acknowledge(message)).toThrow(expect.objectContaining({ code: 'INVALID_RECORD_STATE' }))
      },
    })
    await until(() => got.length === 1, 'it is handed out')
    share.clock.advance(LOCK_MS - 1)
    await settled()
    expect(got).toEqual(['a'])
    share.clock.advance(1)
    await until(() => got.length === 2, 'it comes again')
    expect(got[1]).toBe('a#2')
    expect(aborted).toEqual([expect.objectContaining({ code: 'ACQUISITION_LOCK_EXPIRED' })])
    await consumer.disconnect()
    expect(await startOf()).toBe(1)
  })

  it('messages acquired together, whose locks run out while the first is handled, are not handed out from that delivery', async () => {
    await log.send('work', 0, 'a', 'b', 'c', 'd', 'e', 'f', 'g')
    const consumer = log.shareConsumer({ groupId: 'jobs' })
    await consumer.subscribe({ topics: ['work'], fromBeginning: true })
    const got: string[] = []
    for await (const message of consumer) {
      got.push(nameOf(message))
      // By now they come four at a time: d, e, f and g.
      if (got.length === 4) share.clock.advance(LOCK_MS)
      if (got.length === 8) break
    }
    expect(got.slice(3).toSorted()).toEqual(['d', 'd#2', 'e#2', 'f#2', 'g#2'])
    await consumer.disconnect()
  })

  it('renew begins the lock anew, as often as one likes, where the group allows it', async () => {
    await log.send('work', 0, 'a')
    const one = await gathering(log)
    await arrived(one, 1)
    const [a] = one.messages as [SharedMessage]
    for (let i = 0; i < 5; i++) {
      share.clock.advance(LOCK_MS - 1)
      one.consumer.acknowledge(a, 'renew')
    }
    share.clock.advance(LOCK_MS - 1)
    await settled()
    expect(one.got).toEqual(['a'])
    await log.groups.alter('jobs', { 'share.renew.acknowledge.enable': false })
    expect(() => one.consumer.acknowledge(a, 'renew')).toThrow(
      expect.objectContaining({ code: 'INVALID_RECORD_STATE' }),
    )
    share.clock.advance(1)
    await arrived(one, 2)
    expect(() => one.consumer.acknowledge(a, 'renew')).toThrow(
      expect.objectContaining({ code: 'INVALID_RECORD_STATE' }),
    )
    await one.consumer.disconnect()
  })

  it('what a consumer has when it disconnects is released, and counted', async () => {
    await log.send('work', 0, 'a', 'b')
    const one = await gathering(log)
    await arrived(one, 2)
    await one.consumer.disconnect()
    const other = await gathering(log)
    await arrived(other, 2)
    expect(other.got).toEqual(['a#2', 'b#2'])
    await other.consumer.disconnect()
  })

  it('a stop ends callbacks by their signal, and a consumer that has stopped runs again', async () => {
    await log.send('work', 0, 'a', 'b')
    const consumer = log.shareConsumer({ groupId: 'jobs' })
    await consumer.subscribe({ topics: ['work'], fromBeginning: true })
    const got: string[] = []
    const options = {
      eachMessage: async ({ message, signal }: { message: SharedMessage; signal: AbortSignal }) => {
        got.push(nameOf(message))
        if (got.length === 1) await new Promise((resolve) => signal.addEventListener('abort', resolve))
      },
    }
    await consumer.run(options)
    await until(() => got.length === 1, 'it is handed out')
    await consumer.stop()
    await consumer.run(options)
    await until(() => got.length === 2, 'it goes on')
    expect(got).toEqual(['a', 'b'])
    await consumer.disconnect()
  })
})

describe('K-22: the group', () => {
  it('begins with what is sent after the subscription, at the beginning, or by a duration, as its setting says', async () => {
    await log.send('work', 0, 'old')
    share.clock.advance(3_600_000)
    await log.send('work', 0, 'newer')
    share.clock.advance(60_000)
    await log.groups.alter('early', { 'share.auto.offset.reset': 'earliest' })
    await log.groups.alter('timed', { config: { 'share.auto.offset.reset': 'by_duration:PT30M' } })
    const got: Record<string, string[]> = {}
    for (const groupId of ['late', 'early', 'timed']) {
      const consumer = log.shareConsumer({ groupId })
      await consumer.subscribe({ topics: ['work'] })
      const values: string[] = []
      got[groupId] = values
      await consumer.run({ eachMessage: ({ message }) => void values.push(String(message.value)) })
    }
    await log.send('work', 0, 'new')
    await until(() => Object.values(got).every((values) => values.at(-1) === 'new'), 'all have the newest')
    expect(got).toEqual({ late: ['new'], early: ['old', 'newer', 'new'], timed: ['newer', 'new'] })
  })

  it('holds no more than its limit of record locks in flight, and goes on when the first are done with', async () => {
    await log.groups.alter('jobs', { 'share.partition.max.record.locks': 100 })
    await log.send('work', 0, ...numbers(0, 300))
    const one = await gathering(log)
    await arrived(one, 100)
    await settled()
    expect(one.got.length).toBe(100)
    // Not the first: the start stays, and so does the window.
    for (const message of one.messages.slice(1, 50)) one.consumer.acknowledge(message)
    await settled()
    expect(one.got.length).toBe(100)
    one.consumer.acknowledge(one.messages[0] as SharedMessage)
    await arrived(one, 150)
    await settled()
    expect(one.got.length).toBe(150)
    await log.groups.alter('jobs', { 'share.partition.max.record.locks': null })
    await arrived(one, 300)
    await one.consumer.disconnect()
  })

  it('settings count from the next delivery on: the lock, the limit, the isolation', async () => {
    await log.groups.alter('jobs', { 'share.record.lock.duration.ms': 1000, 'share.delivery.count.limit': '2' })
    await log.send('work', 0, 'a')
    const one = await gathering(log)
    await arrived(one, 1)
    expect(one.consumer.acquisitionLockTimeoutMs()).toBe(1000)
    share.clock.advance(1000)
    await arrived(one, 2)
    share.clock.advance(1000)
    await settled()
    expect(one.got).toEqual(['a', 'a#2'])
    expect(await startOf()).toBe(1)
    expect((await log.groups.describe('jobs')).config).toMatchObject({
      'share.record.lock.duration.ms': 1000,
      'share.delivery.count.limit': 2,
      'share.isolation.level': 'read_uncommitted',
    })
    await one.consumer.disconnect()
  })

  it('read_committed hands out nothing of an open transaction, and nothing of one that was aborted', async () => {
    await log.groups.alter('jobs', { 'share.isolation.level': 'read_committed' })
    const { Producer } = await import('../../../src/client/producer.js')
    const producer = new Producer(log.host, { transactionalId: 'tx' })
    const one = await gathering(log)
    const abort = await producer.transaction()
    await abort.send({ topic: 'work', messages: [{ value: 'aborted', partition: 0 }] })
    await abort.abort()
    const commit = await producer.transaction()
    await commit.send({ topic: 'work', messages: [{ value: 'committed', partition: 0 }] })
    await settled()
    expect(one.got).toEqual([])
    await commit.commit()
    await log.send('work', 0, 'plain')
    await arrived(one, 2)
    expect(one.got).toEqual(['committed', 'plain'])
    const dirty = await gathering(log, 'dirty')
    await arrived(dirty, 3)
    expect(dirty.got).toEqual(['aborted', 'committed', 'plain'])
    for (const { consumer, messages } of [one, dirty]) {
      for (const message of messages) consumer.acknowledge(message)
      await consumer.disconnect()
    }
    // Markers are done with, too.
    expect((await log.groups.describe('jobs')).lag).toBe(0)
    await producer.disconnect()
  })

  it('new topics of a pattern and new partitions are taken from their beginning', async () => {
    const consumer = log.shareConsumer({ groupId: 'jobs' })
    await consumer.subscribe({ topics: [/^work/] })
    const got: string[] = []
    await consumer.run({ eachMessage: ({ message }) => void got.push(String(message.value)) })
    log.createTopic('work-2')
    await log.send('work-2', 0, 'a')
    await until(() => got.length === 1, 'the topic is found')
    log.host.topicChanged(log.engine.alterTopic('work', { partitions: 2 }))
    await log.send('work', 1, 'b')
    await until(() => got.length === 2, 'the partition is found')
    await consumer.disconnect()
  })

  it('goes on where retention has moved the log start; what was in hand there is nobody’s any more', async () => {
    await log.send('work', 0, ...numbers(0, 10))
    const one = await gathering(log)
    await arrived(one, 10)
    one.consumer.acknowledge(one.messages[7] as SharedMessage, 'release')
    await arrived(one, 11)
    await log.engine.deleteRecords('work', 0, 6)
    await log.send('work', 0, 'new')
    await arrived(one, 12)
    expect(one.got.slice(10)).toEqual(['7#2', 'new'])
    one.consumer.acknowledge(one.messages[0] as SharedMessage)
    expect(await startOf()).toBe(6)
    await one.consumer.disconnect()
  })

  it('a topic that is deleted takes its state along, and the group goes on with the others', async () => {
    log.createTopic('gone')
    await log.send('gone', 0, 'a')
    const one = await gathering(log, 'jobs', ['work', 'gone'])
    await arrived(one, 1)
    await log.engine.deleteTopic('gone')
    log.host.forgetTopic('gone')
    await settled()
    await log.send('work', 0, 'b')
    await arrived(one, 2)
    expect((await log.groups.describe('jobs')).partitions.map(({ topic }) => topic)).toEqual(['work'])
    await one.consumer.disconnect()
  })

  it('is listed and described with its type, members, what is in flight, and lag', async () => {
    await log.send('work', 0, 'a', 'b', 'c', 'd')
    const one = await gathering(log)
    await arrived(one, 4)
    one.consumer.acknowledge(one.messages[2] as SharedMessage)
    expect(await log.groups.list()).toEqual([{ groupId: 'jobs', protocolType: 'share', state: 'Stable', members: 1 }])
    expect(await log.groups.describe('jobs')).toMatchObject({
      protocolType: 'share',
      state: 'Stable',
      members: [{ clientId: 'consumer', assignment: [{ topic: 'work', partition: 0 }] }],
      partitions: [
        {
          topic: 'work',
          partition: 0,
          memberId: null,
          committedOffset: 0,
          logEndOffset: 4,
          lag: 3,
          inFlight: { available: 0, acquired: 3, acknowledged: 1, archived: 0 },
        },
      ],
      lag: 3,
    })
    await one.consumer.disconnect()
    expect(await log.groups.list()).toMatchObject([{ groupId: 'jobs', state: 'Empty', members: 0 }])
  })

  it('is given another start, or deleted, only without members', async () => {
    await log.send('work', 0, ...numbers(0, 5))
    const one = await gathering(log)
    await arrived(one, 5)
    for (const message of one.messages) one.consumer.acknowledge(message)
    const refused = { code: 'NON_EMPTY_GROUP' }
    await expect(log.groups.resetOffsets('jobs', { to: 'earliest' })).rejects.toMatchObject(refused)
    await expect(log.groups.delete('jobs')).rejects.toMatchObject(refused)
    await one.consumer.disconnect()
    const change = { topic: 'work', partition: 0, from: 5, to: 3 }
    expect(await log.groups.resetOffsets('jobs', { to: { offset: 3 }, dryRun: true })).toEqual([change])
    expect(await startOf()).toBe(5)
    expect(await log.groups.resetOffsets('jobs', { to: { offset: 3 } })).toEqual([change])
    const again = await gathering(log)
    await arrived(again, 2)
    expect(again.got).toEqual(['3', '4'])
    await again.consumer.disconnect()
    await log.groups.delete('jobs')
    await expect(log.groups.describe('jobs')).rejects.toMatchObject({ code: 'UNKNOWN_GROUP' })
    await expect(again.consumer.run({ eachMessage: () => undefined })).rejects.toMatchObject({ code: 'UNKNOWN_GROUP' })
    const anew = await gathering(log)
    await arrived(anew, 5)
    await anew.consumer.disconnect()
  })
})

describe('K-22: a name is a share group’s or a consumer group’s', () => {
  const refused = { code: 'INCONSISTENT_GROUP_PROTOCOL' }

  it('a share consumer is refused the name of a consumer group, with members or with offsets', async () => {
    const consumer = log.consumer({ groupId: 'audit' })
    await consumer.subscribe({ topics: ['work'] })
    await consumer.run({ eachMessage: () => undefined })
    const other = log.shareConsumer({ groupId: 'audit' })
    await expect(other.subscribe({ topics: ['work'] })).rejects.toMatchObject(refused)
    await consumer.commitOffsets([{ topic: 'work', partition: 0, offset: 0 }])
    await consumer.disconnect()
    await expect(other.subscribe({ topics: ['work'] })).rejects.toMatchObject(refused)
    await expect(log.groups.alter('audit', { 'share.delivery.count.limit': 3 })).rejects.toMatchObject(refused)
    await log.groups.delete('audit')
    await other.subscribe({ topics: ['work'] })
  })

  it('a consumer, and a transaction, is refused the name of a share group', async () => {
    await log.groups.alter('jobs', { 'share.delivery.count.limit': 3 })
    const consumer = log.consumer({ groupId: 'jobs' })
    await consumer.subscribe({ topics: ['work'] })
    await expect(consumer.run({ eachMessage: () => undefined })).rejects.toMatchObject(refused)
    await log.groups.delete('jobs')
    await consumer.run({ eachMessage: () => undefined })
    await consumer.disconnect()
  })
})

describe('K-22: what is not valid is refused in words', () => {
  it.each([
    [{}, 'INVALID_GROUP_ID'],
    [{ groupId: '' }, 'INVALID_GROUP_ID'],
    [{ groupId: 'g', acknowledgementMode: 'maybe' }, 'INVALID_ARGUMENT'],
    [{ groupId: 'g', maxRecords: 0 }, 'INVALID_ARGUMENT'],
    [{ groupId: 'g', 'group.id': 'h' }, 'INVALID_ARGUMENT'],
    [{ groupId: 'g', autoCommit: true }, 'UNKNOWN_OPTION'],
    ['jobs', 'INVALID_ARGUMENT'],
  ])('options %j', (options, code) => {
    expect(() => log.shareConsumer(options as never)).toThrow(expect.objectContaining({ code }))
  })

  it.each([
    [{}, 'INVALID_ARGUMENT'],
    [{ eachMessage: 7 }, 'INVALID_ARGUMENT'],
    [{ eachMessage: nothing, eachBatch: nothing }, 'INVALID_ARGUMENT'],
    [{ eachMessage: nothing, onError: 'skip' }, 'INVALID_ARGUMENT'],
    [{ eachMessage: nothing, onError: { then: 'skip' } }, 'INVALID_ARGUMENT'],
    [{ eachMessage: nothing, onError: { retry: 3 } }, 'UNKNOWN_OPTION'],
    [{ eachMessage: nothing, messagesConsumedConcurrently: -1 }, 'INVALID_ARGUMENT'],
    [{ eachMessage: nothing, partitionsConsumedConcurrently: 2 }, 'UNKNOWN_OPTION'],
    [{ eachMessage: nothing, signal: 'stop' }, 'INVALID_ARGUMENT'],
  ])('run %#', async (options, code) => {
    const consumer = log.shareConsumer({ groupId: 'jobs' })
    await consumer.subscribe({ topics: ['work'] })
    await expect(consumer.run(options as never)).rejects.toMatchObject({ code })
  })

  it('a run without a subscription, a second one, and a topic that is not there', async () => {
    const consumer = log.shareConsumer({ groupId: 'jobs' })
    const options = { eachMessage: () => undefined }
    await expect(consumer.run(options)).rejects.toMatchObject({ code: 'NOT_SUBSCRIBED' })
    await expect(consumer.subscribe({ topics: ['wrok'] })).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' })
    await consumer.subscribe({ topics: ['work'] })
    expect(() => consumer.acknowledge({ topic: 'work', partition: 0, offset: 0 })).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_MEMBER_ID' }),
    )
    await consumer.run(options)
    await expect(consumer.run(options)).rejects.toMatchObject({ code: 'CONSUMER_RUNNING' })
    await expect(consumer.subscribe({ topics: ['work'] })).rejects.toMatchObject({ code: 'CONSUMER_RUNNING' })
    await consumer.disconnect()
  })

  it.each([
    [undefined, 'accept'],
    [{ topic: 'work' }, 'accept'],
    [{ topic: 'work', partition: 0, offset: 'x' }, 'accept'],
    [{ topic: 'work', partition: 0, offset: 0.5 }, 'accept'],
    [{ topic: 'work', partition: 0, offset: 0 }, 'ACCEPT'],
    [{ topic: 'work', partition: 0, offset: 0 }, 4],
  ])('acknowledge(%j, %j)', async (message, type) => {
    const one = await gathering(log)
    expect(() => one.consumer.acknowledge(message as never, type as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    )
    await one.consumer.disconnect()
  })

  it.each([
    [{ 'share.record.lock.duration.ms': 999 }, '1000 to 3600000'],
    [{ 'share.record.lock.duration.ms': '30s' }, '1000 to 3600000'],
    [{ 'share.delivery.count.limit': 1 }, '2 to 25'],
    [{ 'share.delivery.count.limit': 5.5 }, '2 to 25'],
    [{ 'share.partition.max.record.locks': 20_000 }, '100 to 10000'],
    [{ 'share.auto.offset.reset': 'none' }, 'earliest'],
    [{ 'share.auto.offset.reset': 'by_duration:soon' }, 'earliest'],
    [{ 'share.isolation.level': 'serializable' }, 'read_committed'],
    [{ 'share.renew.acknowledge.enable': 'yes' }, 'true or false'],
    [{ 'share.delivery.count.limits': 3 }, 'share.delivery.count.limit'],
    [{ 'share.session.timeout.ms': 1000 }, 'settings are'],
  ])('setting %j', async (config, expected) => {
    const error: unknown = await log.groups.alter('jobs', config).catch((found: unknown) => found)
    expect(error).toMatchObject({ code: 'GROUP_CONFIG_INVALID' })
    expect(String((error as { detail: string }).detail)).toContain(expected)
    await expect(log.groups.alter('jobs', 7 as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(await log.groups.list()).toEqual([])
  })
})

describe('K-22: what outlives the process', () => {
  let directory: { readonly path: string; remove(): void }
  beforeEach(async () => {
    await log.close()
    directory = temporaryDirectory()
    share = await openShareLog(directory.path)
    log = share.log
    log.createTopic('work')
  })
  afterEach(async () => {
    await log.close()
    directory.remove()
    share = await openShareLog()
    log = share.log
  })
  const crash = async (): Promise<void> => {
    log.abandon()
    share = await openShareLog(directory.path, share.clock)
    log = share.log
  }

  it('accepted records never come again, released ones do with their count, those in hand uncounted, settings stay', async () => {
    await log.groups.alter('jobs', { 'share.delivery.count.limit': 7 })
    await log.send('work', 0, ...numbers(0, 12))
    const one = await gathering(log)
    await arrived(one, 12)
    for (const at of [1, 2, 5, 7, 9]) one.consumer.acknowledge(one.messages[at] as SharedMessage)
    one.consumer.acknowledge(one.messages[4] as SharedMessage, 'release')
    one.consumer.acknowledge(one.messages[8] as SharedMessage, 'reject')
    await one.consumer.commit()
    await crash()
    expect((await log.groups.describe('jobs')).config).toMatchObject({ 'share.delivery.count.limit': 7 })
    expect(await log.groups.list()).toMatchObject([{ groupId: 'jobs', protocolType: 'share' }])
    const again = await gathering(log)
    await arrived(again, 6)
    await settled()
    expect(again.got).toEqual(['0', '3', '4#2', '6', '10', '11'])
    await again.consumer.disconnect()
  })

  it('many runs are written as updates over a snapshot, and read back as they were', async () => {
    await log.send('work', 0, ...numbers(0, 100))
    const one = await gathering(log)
    await arrived(one, 100)
    const left = new Set(numbers(0, 100))
    for (let round = 0; round < 10; round++) {
      for (let at = round; at < 100; at += 20) {
        one.consumer.acknowledge(one.messages[at] as SharedMessage)
        left.delete(String(at))
      }
      await one.consumer.commit()
    }
    await crash()
    const again = await gathering(log)
    await arrived(again, left.size)
    await settled()
    expect(again.got).toEqual([...left])
    await again.consumer.disconnect()
  })

  it('a group that has begun with the latest record has what was sent while it was away', async () => {
    await log.send('work', 0, 'before')
    const consumer = log.shareConsumer({ groupId: 'jobs' })
    await consumer.subscribe({ topics: ['work'] })
    await crash()
    await log.send('work', 0, 'after')
    const again = log.shareConsumer({ groupId: 'jobs' })
    await again.subscribe({ topics: ['work'] })
    const got: string[] = []
    await again.run({ eachMessage: ({ message }) => void got.push(String(message.value)) })
    await until(() => got.length > 0, 'something comes')
    expect(got).toEqual(['after'])
    await again.disconnect()
  })

  it('compacted state says the same', async () => {
    await log.send('work', 0, ...numbers(0, 50))
    const one = await gathering(log)
    await arrived(one, 50)
    for (let at = 0; at < 50; at += 2) {
      one.consumer.acknowledge(one.messages[at] as SharedMessage)
      await one.consumer.commit()
    }
    log.engine.alterTopic('__share_group_state', { config: { 'segment.bytes': 1024 } })
    await log.engine.compactNow('__share_group_state')
    await crash()
    const again = await gathering(log)
    await arrived(again, 25)
    expect(again.got).toEqual(numbers(0, 50).filter((value) => Number(value) % 2 === 1))
    await again.consumer.disconnect()
  })
})
