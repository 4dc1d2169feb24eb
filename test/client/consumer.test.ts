import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Consumer } from '../../src/client/consumer.js'
import { Producer } from '../../src/client/producer.js'
import type { EachBatchPayload } from '../../src/client/run-options.js'
import { nextTurn, until } from '../log/log-fixture.js'
import { type ClientLog, gate, openClientLog, textOf } from './consumer-fixture.js'

const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => String(from + i))

describe('consumer', () => {
  let log: ClientLog
  const consumers: Consumer[] = []
  const consumer = (...args: Parameters<ClientLog['consumer']>): Consumer => {
    const made = log.consumer(...args)
    consumers.push(made)
    return made
  }
  beforeEach(async () => {
    log = await openClientLog()
    log.createTopic('t', 2)
  })
  afterEach(async () => {
    await Promise.all(consumers.splice(0).map((one) => one.disconnect()))
    await log.close()
  })

  /** Runs until `count` messages have been seen; stops. */
  async function seen(one: Consumer, count: number): Promise<string[]> {
    const values: string[] = []
    const enough = gate()
    await one.run({
      eachMessage: ({ message }) => {
        values.push(textOf(message))
        if (values.length === count) enough.open()
      },
    })
    await enough.opened
    await one.stop()
    return values
  }

  describe('place', () => {
    it('goes on after a stop where it was', async () => {
      await log.send('t', 0, ...numbers(0, 10))
      const one = consumer()
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      let handed = 0
      const values: string[] = []
      await one.run({
        eachMessage: ({ message }) => {
          values.push(textOf(message))
          handed += 1
          if (handed === 4) void one.stop()
        },
      })
      await one.finished()
      expect(values).toEqual(numbers(0, 4))
      expect(await seen(one, 6)).toEqual(numbers(4, 10))
    })

    it('sought within a callback has the last word', async () => {
      await log.send('t', 0, ...numbers(0, 5))
      const one = consumer()
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      const values: string[] = []
      const enough = gate()
      await one.run({
        eachMessage: ({ message }) => {
          values.push(textOf(message))
          if (values.length === 3) one.seek({ topic: 't', partition: 0, offset: '1' })
          if (values.length === 7) enough.open()
        },
      })
      await enough.opened
      expect(values).toEqual(['0', '1', '2', '1', '2', '3', '4'])
    })

    it('K-24: is found by time: the first record that is not older, inside a batch too', async () => {
      await new Producer(log.host).send({
        topic: 't',
        messages: numbers(0, 10).map((value, i) => ({ value, partition: 0, timestamp: 1000 + i * 10 })),
      })
      const one = consumer()
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      for (const [timestamp, offset] of [
        [0, '0'],
        [1000, '0'],
        [1041, '5'],
        [1090, '9'],
        [1091, '10'],
      ] as const) {
        one.seek({ topic: 't', partition: 0, timestamp })
        expect(one.positions()[0]?.offset).toBe(offset)
      }
      one.seek({ topic: 't', partition: 0, timestamp: new Date(1031) })
      expect((await seen(one, 1))[0]).toBe('4')
    })

    it('can be put at the beginning and at the end', async () => {
      await log.send('t', 0, ...numbers(0, 3))
      await log.send('t', 1, 'x')
      const one = consumer()
      await one.subscribe({ topics: ['t'] })
      one.seekToBeginning()
      expect(one.positions().map((p) => p.offset)).toEqual(['0', '0'])
      one.seekToEnd([{ topic: 't', partition: 0 }])
      expect(one.positions().map((p) => p.offset)).toEqual(['3', '0'])
    })

    it('that is not in the log is refused, and the place stays', async () => {
      await log.send('t', 0, ...numbers(0, 3))
      const one = consumer()
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      const seek = (offset: unknown) => () => one.seek({ topic: 't', partition: 0, offset: offset as string })
      for (const offset of ['-1', -2, 1.5, '1.5', '', 'earliest', undefined, null, Number.NaN]) {
        expect(seek(offset), String(offset)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
      }
      expect(seek(4)).toThrow(expect.objectContaining({ code: 'OFFSET_OUT_OF_RANGE' }))
      expect(() => one.seek({ topic: 't', partition: 7, offset: 0 })).toThrow(
        expect.objectContaining({ code: 'NOT_ASSIGNED' }),
      )
      expect(() => one.seek({ topic: 't', partition: 0, timestamp: 'yesterday' })).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      )
      expect(one.positions()[0]?.offset).toBe('0')
    })

    it.each([
      ['earliest', false, ['0', '1', '2', '3']],
      ['latest', true, ['3']],
      ['by_duration:PT1H', false, ['2', '3']],
      ['by_duration:P1DT1.5S', false, ['1', '2', '3']],
    ] as const)('K-18: autoOffsetReset %s', async (autoOffsetReset, fromBeginning, expected) => {
      const now = Date.now()
      await new Producer(log.host).send({
        topic: 't',
        messages: [2 * 86_400_000, 86_400_000, 60_000].map((age, i) => ({
          value: String(i),
          partition: 0,
          timestamp: now - age,
        })),
      })
      const one = consumer({ autoOffsetReset })
      await one.subscribe({ topics: ['t'], fromBeginning })
      await log.send('t', 0, '3')
      expect(await seen(one, expected.length)).toEqual(expected)
    })

    it("K-18: autoOffsetReset 'none' asks for a committed offset; what is no such setting is refused", async () => {
      const one = consumer({ autoOffsetReset: 'none' })
      await expect(one.subscribe({ topics: ['t'] })).rejects.toMatchObject({ code: 'NO_COMMITTED_OFFSET' })
      for (const wrong of [
        'by_duration:',
        'by_duration:P',
        'by_duration:PT',
        'by_duration:-PT1H',
        'by_duration:1h',
        'oldest',
        7,
        null,
      ]) {
        expect(() => log.consumer({ autoOffsetReset: wrong as 'earliest' }), String(wrong)).toThrow(
          expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
        )
      }
    })
  })

  describe('subscription', () => {
    it('by pattern reads topics that match, those that come later from their beginning, and no internal ones', async () => {
      log.createTopic('orders-eu')
      await log.send('orders-eu', 0, 'before')
      const one = consumer()
      await one.subscribe({ topics: [/^orders-/g, /offsets/] })
      log.createTopic('orders-us')
      log.createTopic('other')
      await log.send('orders-us', 0, 'us')
      await log.send('other', 0, 'other')
      await log.send('orders-eu', 0, 'eu')
      expect((await seen(one, 2)).sort()).toEqual(['eu', 'us'])
      expect(one.assignment().map((p) => p.topic)).toEqual(['orders-eu', 'orders-us'])
    })

    it('by a pattern that matches nothing waits for what comes', async () => {
      const one = consumer()
      await one.subscribe({ topic: /^nothing-/ })
      expect(one.assignment()).toEqual([])
      const values = seen(one, 1)
      await nextTurn()
      log.createTopic('nothing-yet')
      await log.send('nothing-yet', 0, 'now')
      expect(await values).toEqual(['now'])
    })

    it('comes before run, run comes once', async () => {
      const one = consumer()
      await expect(one.run({ eachMessage: () => undefined })).rejects.toMatchObject({ code: 'NOT_SUBSCRIBED' })
      await one.subscribe({ topics: ['t'] })
      await one.run({ eachMessage: () => undefined })
      await expect(one.run({ eachMessage: () => undefined })).rejects.toMatchObject({ code: 'CONSUMER_RUNNING' })
      await expect(one.subscribe({ topics: ['t'] })).rejects.toMatchObject({ code: 'CONSUMER_RUNNING' })
      await expect(one[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'CONSUMER_RUNNING' })
    })

    it.each([{}, { topics: [] }, { topics: [7] }, { topics: 't' }, undefined])('of %j is refused', async (wrong) => {
      await expect(consumer().subscribe(wrong as object)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    })
  })

  describe('pause', () => {
    it('holds back one partition, in the middle of a batch too, until resume', async () => {
      await log.send('t', 0, ...numbers(0, 6))
      const one = consumer()
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      const values: string[] = []
      let resume = (): void => undefined
      await one.run({
        eachMessage: ({ message, pause }) => {
          values.push(textOf(message))
          if (values.length === 2) resume = pause()
        },
      })
      await until(() => values.length === 2, 'two messages')
      await log.send('t', 1, 'other')
      await until(() => values.length === 3, 'the other partition')
      expect(values).toEqual(['0', '1', 'other'])
      expect(one.paused()).toEqual([{ topic: 't', partitions: [0] }])
      resume()
      await until(() => values.length === 7, 'the rest')
      expect(values.slice(3)).toEqual(numbers(2, 6))
    })
  })

  describe('pause', () => {
    it('holds in a group before the first assignment, through rebalances and runs, until resume', async () => {
      await log.send('t', 0, 'p0')
      await log.send('t', 1, 'p1')
      const one = consumer({ groupId: 'g', partitionAssigners: ['range'] })
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      one.pause([{ topic: 't', partitions: [0] }])
      const values: string[] = []
      const eachMessage = ({ message }: { message: { readonly value: unknown } }): void => {
        values.push(textOf(message))
      }
      await one.run({ eachMessage })
      await until(() => values.length === 1, 'the other partition')
      const other = consumer({ groupId: 'g', partitionAssigners: ['range'] })
      await other.subscribe({ topics: ['t'] })
      await other.run({ eachMessage })
      await other.disconnect()
      await until(() => one.assignment().length === 2, 'both partitions')
      expect(one.paused()).toEqual([{ topic: 't', partitions: [0] }])
      await one.stop()
      await one.run({ eachMessage })
      expect(one.paused()).toEqual([{ topic: 't', partitions: [0] }])
      one.pause([{ topic: 't' }])
      one.resume([{ topic: 't', partitions: [0] }])
      expect(one.paused()).toEqual([{ topic: 't', partitions: [1] }])
      await until(() => values.length === 2, 'the partition that was paused')
      expect(values).toEqual(['p1', 'p0'])
      one.resume([{ topic: 't' }])
      expect(one.paused()).toEqual([])
    })
  })

  describe('eachBatch', () => {
    const batches = async (
      options: object,
      each: (payload: EachBatchPayload) => Promise<void> | void,
    ): Promise<Consumer> => {
      const one = consumer({ groupId: 'g' })
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      await one.run({ eachBatch: each, ...options })
      return one
    }

    it('joins the batches of small sends, and tells where it is', async () => {
      for (let i = 0; i < 50; i++) await log.send('t', 0, String(i))
      const first = gate()
      let batch: EachBatchPayload['batch'] | undefined
      await batches({}, (payload) => {
        batch = payload.batch
        first.open()
      })
      await first.opened
      expect(batch?.messages.map(textOf)).toEqual(numbers(0, 50))
      expect([batch?.firstOffset(), batch?.lastOffset(), batch?.highWatermark]).toEqual(['0', '49', '50'])
      expect([batch?.offsetLag(), batch?.offsetLagLow(), batch?.isEmpty()]).toEqual(['0', '49', false])
    })

    it('what is resolved before an error is not handed out again', async () => {
      await log.send('t', 0, ...numbers(0, 10))
      const one = await batches({ eachBatchAutoResolve: false }, ({ batch, resolveOffset }) => {
        for (const message of batch.messages) {
          if (message.offset === '4') throw new Error('four')
          resolveOffset(message.offset)
        }
      })
      await expect(one.finished()).rejects.toThrow('four')
      expect((await log.groups.describe('g')).partitions[0]?.committedOffset).toBe(4)
      expect((await seen(one, 6)).slice(0, 6)).toEqual(numbers(4, 10))
    })

    it('without eachBatchAutoResolve only what was resolved is done with', async () => {
      await log.send('t', 0, ...numbers(0, 10))
      const firsts: string[] = []
      await batches({ eachBatchAutoResolve: false }, ({ batch, resolveOffset, uncommittedOffsets }) => {
        firsts.push(batch.firstOffset() ?? '')
        resolveOffset(batch.messages[2]?.offset ?? batch.lastOffset())
        expect(uncommittedOffsets().topics[0]?.partitions).toHaveLength(1)
      })
      await until(() => firsts.length === 4, 'four batches')
      expect(firsts).toEqual(['0', '3', '6', '9'])
    })

    it('what lies outside of the batch cannot be resolved', async () => {
      await log.send('t', 0, ...numbers(0, 3))
      const one = await batches({}, ({ resolveOffset }) => resolveOffset('3'))
      await expect(one.finished()).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
    })

    it('commits when it is told to, and heartbeat and isRunning are there', async () => {
      await log.send('t', 0, ...numbers(0, 4))
      const committed = gate()
      const one = await batches(
        { autoCommit: false },
        async ({ batch, heartbeat, commitOffsetsIfNecessary, isRunning, isStale }) => {
          await heartbeat()
          expect([isRunning(), isStale()]).toEqual([true, false])
          await commitOffsetsIfNecessary()
          expect(log.coordinator.offsets.of('g')).toEqual([])
          await commitOffsetsIfNecessary({
            topics: [{ topic: batch.topic, partitions: [{ partition: batch.partition, offset: '2' }] }],
          })
          committed.open()
        },
      )
      await committed.opened
      await one.stop()
      expect((await log.groups.describe('g')).partitions[0]?.committedOffset).toBe(2)
    })

    it('becomes stale when somebody seeks, and then its end moves nothing', async () => {
      await log.send('t', 0, ...numbers(0, 4))
      const firsts: string[] = []
      let wasStale = false
      const one = consumer()
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      await one.run({
        eachBatch: ({ batch, isStale }) => {
          firsts.push(batch.firstOffset() ?? '')
          if (firsts.length > 1) return
          one.seek({ topic: 't', partition: 0, offset: 1 })
          wasStale = isStale()
        },
      })
      await until(() => firsts.length === 2, 'two batches')
      expect(firsts).toEqual(['0', '1'])
      expect(wasStale).toBe(true)
    })
  })

  describe('concurrency', () => {
    it('partitionsConsumedConcurrently: so many partitions at a time, each in order, no more', async () => {
      log.createTopic('many', 5)
      for (let p = 0; p < 5; p++) await log.send('many', p, ...numbers(0, 3))
      const one = consumer()
      await one.subscribe({ topics: ['many'], fromBeginning: true })
      const gates = [gate(), gate(), gate()]
      const order: Record<number, string[]> = {}
      let running = 0
      let most = 0
      await one.run({
        partitionsConsumedConcurrently: 3,
        eachMessage: async ({ partition, message }) => {
          order[partition] = [...(order[partition] ?? []), textOf(message)]
          running += 1
          most = Math.max(most, running)
          await gates[Math.min(2, running - 1)]?.opened
          running -= 1
        },
      })
      await until(() => running === 3, 'three handlers')
      for (let i = 0; i < 20; i++) await nextTurn()
      expect(running).toBe(3)
      for (const one of gates) one.open()
      await until(() => Object.values(order).flat().length === 15, 'all messages')
      expect(most).toBe(3)
      for (const values of Object.values(order)) expect(values).toEqual(numbers(0, 3))
    })

    it('keysConsumedConcurrently: keys at the same time, one key in order; a commit never passes what is in hand', async () => {
      const keyed = Array.from({ length: 40 }, (_, i) => [`k${i % 4}`, String(i)] as const)
      await log.sendKeyed('t', 0, keyed)
      const one = consumer({ groupId: 'g' })
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      const slow = gate()
      const order = new Map<string, number[]>()
      await one.run({
        keysConsumedConcurrently: 3,
        eachMessage: async ({ message }) => {
          const key = String(message.key)
          const offset = Number(message.offset)
          if (offset === 2) await slow.opened
          else await nextTurn()
          order.set(key, [...(order.get(key) ?? []), offset])
        },
      })
      await until(() => [...order.values()].flat().length === 30, 'all but one key')
      expect(order.get('k2')).toBeUndefined()
      expect(one.positions().find((p) => p.partition === 0)?.offset).toBe('2')
      slow.open()
      await until(() => [...order.values()].flat().length === 40, 'all')
      for (const offsets of order.values()) expect(offsets).toEqual([...offsets].sort((a, b) => a - b))
      await one.stop()
      expect((await log.groups.describe('g')).partitions[0]?.committedOffset).toBe(40)
    })
  })

  describe('an error in a callback', () => {
    it('stops the consumer in front of the message, which is handed out again', async () => {
      await log.send('t', 0, ...numbers(0, 5))
      const one = consumer({ groupId: 'g' })
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      const crashes: unknown[] = []
      one.on('crash', (error) => crashes.push(error))
      await one.run({
        eachMessage: async ({ message }) => {
          await nextTurn()
          if (message.offset === '3') throw new Error('three')
        },
      })
      await expect(one.finished()).rejects.toThrow('three')
      expect(crashes).toHaveLength(1)
      expect((await log.groups.describe('g')).partitions.map((p) => p.committedOffset)).toEqual([3, 0])
      expect(await seen(one, 2)).toEqual(['3', '4'])
    })

    it('is tried again as often as onError says, with waits that grow', async () => {
      await log.send('t', 0, ...numbers(0, 2))
      const one = consumer()
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      const tries: string[] = []
      const times: number[] = []
      await one.run({
        onError: { retry: { attempts: 4, backoff: '5 ms' } },
        eachMessage: ({ message }) => {
          tries.push(message.offset)
          times.push(performance.now())
          if (message.offset === '0' && tries.length < 4) throw new Error('not yet')
        },
      })
      await until(() => tries.length === 5, 'five tries')
      expect(tries).toEqual(['0', '0', '0', '0', '1'])
      expect((times[3] as number) - (times[0] as number)).toBeGreaterThanOrEqual(30)
    })

    it("is skipped where onError says 'skip', and told", async () => {
      await log.send('t', 0, ...numbers(0, 4))
      const one = consumer({ groupId: 'g' })
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      const skipped: string[] = []
      one.on('skip', ({ message }) => skipped.push(message.offset))
      const values: string[] = []
      await one.run({
        onError: { then: 'skip' },
        eachMessage: ({ message }) => {
          if (message.offset === '1') throw new Error('one')
          values.push(textOf(message))
        },
      })
      await until(() => values.length === 3, 'the others')
      await one.stop()
      expect([values, skipped]).toEqual([['0', '2', '3'], ['1']])
      expect((await log.groups.describe('g')).partitions[0]?.committedOffset).toBe(4)
    })

    const nothing = (): void => undefined
    it.each([
      [{}, 'INVALID_ARGUMENT'],
      [{ eachMessage: 7 }, 'INVALID_ARGUMENT'],
      [{ eachMessage: nothing, eachBatch: nothing }, 'INVALID_ARGUMENT'],
      [{ eachBatch: nothing, keysConsumedConcurrently: 2 }, 'INVALID_ARGUMENT'],
      [{ eachBatch: nothing, onError: { then: 'skip' } }, 'INVALID_ARGUMENT'],
      [{ eachMessage: nothing, onError: { then: 'explode' } }, 'INVALID_ARGUMENT'],
      [{ eachMessage: nothing, partitionsConsumedConcurrently: 0 }, 'INVALID_ARGUMENT'],
      [{ eachMessage: nothing, autoCommitInterval: -1 }, 'INVALID_ARGUMENT'],
      [{ eachMessage: nothing, signal: 'stop' }, 'INVALID_ARGUMENT'],
      [{ eachMessage: nothing, onError: { retry: { backoff: 'soon' } } }, 'INVALID_DURATION'],
    ])('run(%j) is refused', async (options, code) => {
      const one = consumer()
      await one.subscribe({ topics: ['t'] })
      await expect(one.run(options as object)).rejects.toMatchObject({ code })
      await one.run({ eachMessage: () => undefined })
    })
  })

  describe('ends', () => {
    it('by the signal given to run; handlers hear of it and are waited for', async () => {
      await log.send('t', 0, ...numbers(0, 3))
      const one = consumer()
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      const abort = new AbortController()
      const started = gate()
      let ended = false
      await one.run({
        signal: abort.signal,
        eachMessage: async ({ signal }) => {
          started.open()
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
          await nextTurn()
          ended = true
        },
      })
      await started.opened
      abort.abort()
      await one.finished()
      expect(ended).toBe(true)
      expect(one.positions()[0]?.offset).toBe('1')
      await one.run({ signal: abort.signal, eachMessage: () => undefined })
      expect(await seen(one, 2)).toEqual(['1', '2'])
    })

    it('a loop by break, and the next loop goes on with the next message', async () => {
      await log.send('t', 0, ...numbers(0, 6))
      for (const groupId of [undefined, 'g']) {
        const one = consumer({ groupId })
        await one.subscribe({ topics: ['t'], fromBeginning: true })
        const values: string[] = []
        for (const limit of [2, 5, 6]) {
          for await (const message of one) {
            values.push(textOf(message))
            if (values.length === limit) break
          }
        }
        expect(values).toEqual(numbers(0, 6))
        await one.disconnect()
      }
      // The message that the last loop was left with is not known to be handled.
      expect((await log.groups.describe('g')).partitions[0]?.committedOffset).toBe(5)
    })

    it('a loop by return(), while it waits for a message that never comes', async () => {
      await log.send('t', 0, '0')
      const one = consumer()
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      const loop = one[Symbol.asyncIterator]()
      expect((await loop.next()).value).toMatchObject({ topic: 't', partition: 0, offset: '0' })
      const waiting = loop.next()
      await nextTurn()
      expect(await loop.return(undefined)).toEqual({ done: true, value: undefined })
      expect(await waiting).toEqual({ done: true, value: undefined })
      // A loop that is over ends nothing that came after it.
      await log.send('t', 0, '1')
      const run = seen(one, 1)
      await loop.return(undefined)
      expect(await run).toEqual(['1'])
    })

    it.each([{}, { groupId: 'g' }])('with the engine, run or loop, without an error (%j)', async (options) => {
      const running = consumer(options)
      const looping = consumer({ ...options, ...(options.groupId === undefined ? {} : { groupId: 'h' }) })
      const crashes: unknown[] = []
      running.on('crash', (error) => crashes.push(error))
      for (const one of [running, looping]) await one.subscribe({ topics: ['t'], fromBeginning: true })
      await running.run({ eachMessage: () => undefined })
      const loop = looping[Symbol.asyncIterator]().next()
      await nextTurn()
      await log.close()
      expect(await loop).toEqual({ done: true, value: undefined })
      await running.finished()
      expect(crashes).toEqual([])
    })

    it('by a callback that throws nothing at all: that is an error too', async () => {
      await log.send('t', 0, '0')
      const one = consumer()
      one.on('crash', () => undefined)
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      await one.run({
        eachMessage: () => {
          throw undefined
        },
      })
      const outcome = (): Promise<string> =>
        one.finished().then(
          () => 'ended',
          (error: unknown) => `rejected with ${String(error)}`,
        )
      expect(await outcome()).toBe('rejected with undefined')
      expect(await outcome()).toBe('rejected with undefined')
    })

    it('a loop takes no more than it is asked for', async () => {
      await log.send('t', 0, ...numbers(0, 3))
      const one = consumer({ groupId: 'g' })
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      const loop = one[Symbol.asyncIterator]()
      expect(textOf((await loop.next()).value as { value: unknown })).toBe('0')
      for (let i = 0; i < 10; i++) await nextTurn()
      expect(one.positions()[0]?.offset).toBe('1')
      // Nobody asks for more: disconnect does not wait for it.
      await one.disconnect()
      expect((await loop.next()).done).toBe(true)
      expect((await log.groups.describe('g')).state).toBe('Empty')
    })
  })

  it('goes to where autoOffsetReset says when its place is gone, and says so; without it that is an error', async () => {
    await log.send('t', 0, ...numbers(0, 3))
    await log.coordinator.offsets.commit('g', [{ topic: 't', partition: 0, offset: 1 }])
    await log.engine.deleteRecords('t', 0, 2)
    const strict = consumer({ groupId: 'g' })
    await strict.subscribe({ topics: ['t'] })
    await expect(strict.run({ eachMessage: () => undefined })).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
    for (const [autoOffsetReset, to, value] of [
      ['earliest', 2, '2'],
      ['latest', 4, 'new'],
    ] as const) {
      const one = consumer({ groupId: 'g', autoOffsetReset, autoCommit: false })
      const resets: unknown[] = []
      one.on(one.events.OFFSET_RESET, ({ payload }) => resets.push([payload.from, payload.to]))
      await one.subscribe({ topics: ['t'] })
      const values = seen(one, 1)
      await until(() => resets.length > 0, 'the reset')
      await log.send('t', 0, 'new')
      expect((await values)[0]).toBe(value)
      expect(resets).toEqual([[1, to]])
    }
  })

  it('that falls behind retention while it runs does the same', async () => {
    await log.send('t', 0, ...numbers(0, 3))
    for (const autoOffsetReset of [undefined, 'earliest'] as const) {
      const one = consumer({ autoOffsetReset })
      await one.subscribe({ topics: ['t'] })
      one.seek({ topic: 't', partition: 0, offset: (await log.engine.deleteRecords('t', 0, 0)) as number })
      await log.engine.deleteRecords('t', 0, Number(one.positions()[0]?.offset) + 1)
      if (autoOffsetReset === undefined) {
        await one.run({ eachMessage: () => undefined })
        await expect(one.finished()).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
      } else expect(await seen(one, 1)).toEqual(['2'])
    }
  })
})
