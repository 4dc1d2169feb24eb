import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Consumer } from '../../src/client/consumer.js'
import type { ConsumerOptions } from '../../src/client/consumer-options.js'
import { nodeEnv } from '../../src/common/env.js'
import { nextTurn, temporaryDirectory, until } from '../log/log-fixture.js'
import { type ClientLog, gate, openClientLog, textOf } from './consumer-fixture.js'

const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => String(from + i))

/** Some turns, in which nothing is expected to happen. */
async function aWhile(): Promise<void> {
  for (let i = 0; i < 30; i++) await nextTurn()
}

describe('group', () => {
  let log: ClientLog
  let directory: { readonly path: string; remove(): void }
  let now = 0
  const env = { ...nodeEnv, now: () => nodeEnv.now() + now }
  const consumers: Consumer[] = []
  const open = (): Promise<ClientLog> => openClientLog({ dir: directory.path, env })

  async function consumer(options: ConsumerOptions = {}, topics: (string | RegExp)[] = ['t']): Promise<Consumer> {
    const made = log.consumer({ groupId: 'g', ...options })
    consumers.push(made)
    made.on('crash', () => undefined)
    await made.subscribe({ topics, fromBeginning: true })
    return made
  }
  const partitionsOf = (one: Consumer): number[] =>
    one
      .assignment()
      .map((p) => p.partition)
      .sort()
  const committed = async (): Promise<(number | null)[]> =>
    (await log.groups.describe('g')).partitions.map((p) => p.committedOffset)

  beforeEach(async () => {
    now = 0
    directory = temporaryDirectory()
    log = await open()
    log.createTopic('t', 4)
  })
  afterEach(async () => {
    await Promise.all(consumers.splice(0).map((one) => one.disconnect()))
    await log.close()
    directory.remove()
  })

  it('shares the partitions among its members, and each record is handled once', async () => {
    const seen: string[] = []
    const members = await Promise.all([consumer(), consumer(), consumer()])
    await Promise.all(
      members.map((member) =>
        member.run({
          eachMessage: ({ partition, message }) => {
            seen.push(`${partition}:${textOf(message)}`)
          },
        }),
      ),
    )
    expect(members.flatMap(partitionsOf).sort()).toEqual([0, 1, 2, 3])
    expect(members.map((m) => m.assignment().length).sort()).toEqual([1, 1, 2])
    for (let p = 0; p < 4; p++) await log.send('t', p, ...numbers(0, 50))
    await until(() => seen.length >= 200, 'all records')
    await aWhile()
    expect(seen).toHaveLength(200)
    expect(new Set(seen).size).toBe(200)
  })

  it('goes on behind what is committed, after a restart too', async () => {
    await log.send('t', 0, ...numbers(0, 10))
    const one = await consumer()
    const enough = gate()
    await one.run({
      eachMessage: ({ message }) => {
        if (message.offset === '5') enough.open()
        if (Number(message.offset) > 5) throw new Error('six')
      },
    })
    await enough.opened
    await expect(one.finished()).rejects.toThrow('six')
    await log.close()
    log = await open()
    expect(await committed()).toEqual([6, 0, 0, 0])
    const third = await consumer({ autoOffsetReset: 'none' })
    const values: string[] = []
    await third.run({ eachMessage: ({ message }) => void values.push(textOf(message)) })
    await until(() => values.length === 4, 'the rest')
    expect(values).toEqual(numbers(6, 10))
  })

  describe('a rebalance', () => {
    it('drains before it fences: the handler in hand hears its signal, is waited for, its offset is committed, then the partition moves', async () => {
      for (let p = 0; p < 4; p++) await log.send('t', p, ...numbers(0, 5))
      const events: string[] = []
      const slow = gate()
      const first = await consumer()
      await first.run({
        partitionsConsumedConcurrently: 4,
        eachMessage: async ({ partition, message, signal }) => {
          if (message.offset !== '2') return
          events.push(`first has ${partition}`)
          signal.addEventListener('abort', () => events.push(`first hears of ${partition}`))
          await slow.opened
          events.push(`first ends ${partition}`)
        },
      })
      await until(() => events.length === 4, 'four handlers')
      const second = await consumer()
      const joined = second.run({
        eachMessage: ({ partition, message }) => {
          events.push(`second gets ${partition}:${message.offset}`)
        },
      })
      await until(() => events.length === 6, 'the signals')
      await aWhile()
      const heard = events.slice(4).map((event) => event.at(-1) as string)
      // Nothing has moved yet, and what stays was not told to stop.
      expect(events).toHaveLength(6)
      expect((await log.groups.describe('g')).state).toBe('PreparingRebalance')
      slow.open()
      await joined
      expect(partitionsOf(second)).toEqual(heard.map(Number).sort())
      await until(() => events.filter((event) => event.startsWith('second')).length === 4, 'the rest of what has moved')
      for (const partition of heard) {
        const of = events.filter((event) => event.includes(` ${partition}`))
        expect(of).toEqual([
          `first has ${partition}`,
          `first hears of ${partition}`,
          `first ends ${partition}`,
          `second gets ${partition}:3`,
          `second gets ${partition}:4`,
        ])
      }
    })

    it('K-21: of a cooperative assignor stops only what moves; of an eager one all', async () => {
      for (const [assignor, stopped] of [
        ['cooperative-sticky', 2],
        ['sticky', 4],
        ['range', 4],
        ['roundrobin', 4],
      ] as const) {
        const groupId = `g-${assignor}`
        const options = { groupId, partitionAssigners: [assignor] }
        const first = await consumer(options)
        const signals: AbortSignal[] = []
        await first.run({
          partitionsConsumedConcurrently: 4,
          eachMessage: async ({ signal }) => {
            signals.push(signal)
            await new Promise((resolve) => signal.addEventListener('abort', resolve))
          },
        })
        for (let p = 0; p < 4; p++) await log.send('t', p, 'x')
        await until(() => signals.length === 4, 'four handlers')
        const second = await consumer(options)
        await second.run({ eachMessage: () => undefined })
        expect(
          signals.filter((signal) => signal.aborted),
          assignor,
        ).toHaveLength(stopped)
        expect((await log.groups.describe(groupId)).protocol).toBe(assignor)
        await first.stop()
        await second.stop()
      }
    })

    it('expels a member whose handlers do not end in time; what it still commits is refused', async () => {
      await log.send('t', 0, ...numbers(0, 3))
      const stuck = gate()
      const held = gate()
      const first = await consumer({ rebalanceTimeout: 20, partitionAssigners: ['range'] })
      await first.run({
        eachMessage: async ({ partition, message }) => {
          if (message.offset !== '1') return
          held.open()
          await stuck.opened
          await expect(first.commitOffsets([{ topic: 't', partition, offset: '2' }])).rejects.toMatchObject({
            code: 'UNKNOWN_MEMBER_ID',
          })
          zombie.open()
        },
      })
      const zombie = gate()
      await held.opened
      const second = await consumer({ partitionAssigners: ['range'] })
      const values: string[] = []
      await second.run({ eachMessage: ({ message }) => void values.push(message.offset) })
      await expect(first.finished()).rejects.toMatchObject({ code: 'REBALANCE_TIMEOUT' })
      expect(partitionsOf(second)).toEqual([0, 1, 2, 3])
      await until(() => values.length === 3, 'what was not committed, anew')
      stuck.open()
      await zombie.opened
      await second.stop()
      expect((await committed())[0]).toBe(3)
      // It may come again, as another member.
      await first.run({ eachMessage: () => undefined })
      expect(partitionsOf(first)).toEqual([0, 1, 2, 3])
    })

    it('a commit that a rebalance overtakes counts for what its member has kept, and is no reason for it to stop', async () => {
      const slow = gate()
      const fetched = log.coordinator.offsets.messages.bind(log.coordinator.offsets)
      let isHeld = true
      let begun = 0
      // A commit waits for the records that it is about, as long as their sync takes.
      log.coordinator.offsets.messages = async (group, offsets) => {
        begun += 1
        if (isHeld) await slow.opened
        return await fetched(group, offsets)
      }
      for (let p = 0; p < 4; p++) await log.send('t', p, 'a')
      const crashes: unknown[] = []
      const first = await consumer({ autoCommitInterval: 1 })
      first.on('crash', (error) => crashes.push(error))
      await first.run({ eachMessage: () => undefined })
      await until(() => begun === 1, 'the commit of all four partitions is under way')
      isHeld = false
      const second = await consumer()
      await second.run({ eachMessage: () => undefined })
      const [kept] = partitionsOf(first) as [number]
      const byHand = first.commitOffsets([{ topic: 't', partition: kept, offset: 1 }])
      slow.open()
      await byHand
      await first.commitOffsets([{ topic: 't', partition: kept, offset: 1 }])
      await aWhile()
      expect(crashes).toEqual([])
      expect(partitionsOf(first)).toHaveLength(2)
      await until(() => first.positions().every(({ offset }) => offset === '1'), 'everything is handled')
    })

    it('a commit of a generation before, or for what somebody else has, is refused', async () => {
      await log.send('t', 0, 'a')
      const first = await consumer()
      await first.run({ eachMessage: () => undefined })
      const group = log.coordinator.group('g')
      const [member] = group?.members ?? []
      const before = { memberId: member?.member.memberId ?? '', generation: group?.generation ?? 0 }
      const second = await consumer()
      await second.run({ eachMessage: () => undefined })
      const commit = [{ topic: 't', partition: 0, offset: 0 }]
      await expect(log.coordinator.commit('g', before, commit)).rejects.toMatchObject({ code: 'ILLEGAL_GENERATION' })
      await expect(log.coordinator.commit('g', { memberId: 'nobody', generation: 2 }, commit)).rejects.toMatchObject({
        code: 'UNKNOWN_MEMBER_ID',
      })
      const other = partitionsOf(first).includes(0) ? second : first
      await expect(other.commitOffsets([{ topic: 't', partition: 0, offset: 0 }])).rejects.toMatchObject({
        code: 'NOT_ASSIGNED',
      })
      for (const offset of [-1, 99, '1.5', 'x', Number.NaN]) {
        const owner = other === first ? second : first
        await expect(owner.commitOffsets([{ topic: 't', partition: 0, offset }])).rejects.toMatchObject({
          code: 'OFFSET_OUT_OF_RANGE',
        })
      }
    })

    it('gives partitions of a member that leaves to the others, from where it has come', async () => {
      const values: string[] = []
      const run = (member: Consumer): Promise<void> =>
        member.run({ eachMessage: ({ message }) => void values.push(textOf(message)) })
      const first = await consumer()
      const second = await consumer()
      await Promise.all([run(first), run(second)])
      for (let p = 0; p < 4; p++) await log.send('t', p, ...numbers(0, 10))
      await until(() => values.length === 40, 'all')
      await second.disconnect()
      await until(() => first.assignment().length === 4, 'the partitions')
      for (let p = 0; p < 4; p++) await log.send('t', p, 'more')
      await until(() => values.length === 44, 'more')
      await aWhile()
      expect(values.slice(40)).toEqual(['more', 'more', 'more', 'more'])
    })

    it('loses nothing of a partition that moves before anything of it was committed', async () => {
      await log.send('t', 0, 'before')
      const latest = async (): Promise<Consumer> => {
        const made = log.consumer({ groupId: 'g', autoCommit: false, partitionAssigners: ['range'] })
        consumers.push(made)
        await made.subscribe({ topics: ['t'] })
        return made
      }
      const values: string[] = []
      const first = await latest()
      first.pause([{ topic: 't' }])
      await first.run({ eachMessage: () => undefined })
      first.pause([{ topic: 't' }])
      for (let p = 0; p < 4; p++) await log.send('t', p, `after ${p}`)
      const second = await latest()
      await second.run({ eachMessage: ({ message }) => void values.push(textOf(message)) })
      await first.disconnect()
      await until(() => new Set(values).size === 4, 'what was sent after the group began')
      expect([...new Set(values)].sort()).toEqual(['after 0', 'after 1', 'after 2', 'after 3'])
    })

    it('comes with topics: new ones of a pattern, one that is deleted, one that is made anew', async () => {
      const one = await consumer({}, [/^t/])
      const two = await consumer({}, [/^t/])
      const values: string[] = []
      const run = (member: Consumer): Promise<void> =>
        member.run({ eachMessage: ({ topic, message }) => void values.push(`${topic}:${textOf(message)}`) })
      await Promise.all([run(one), run(two)])
      log.createTopic('t2', 2)
      await log.send('t2', 1, 'new')
      await until(() => values.length === 1, 'the new topic')
      expect(one.assignment().length + two.assignment().length).toBe(6)
      await log.engine.deleteTopic('t2')
      log.host.forgetTopic('t2')
      await until(() => one.assignment().length + two.assignment().length === 4, 'the topic to go')
      log.createTopic('t2', 1)
      await log.send('t2', 0, 'anew')
      await until(() => values.length === 2, 'the topic made anew')
      expect(values).toEqual(['t2:new', 't2:anew'])
    })

    it('comes with partitions that a topic gets, which are read from their beginning', async () => {
      const seen: string[] = []
      const eachMessage = ({
        partition,
        message,
      }: {
        partition: number
        message: { readonly value: unknown }
      }): void => {
        seen.push(`${partition}:${textOf(message)}`)
      }
      const members = await Promise.all([consumer(), consumer({ autoOffsetReset: 'latest' })])
      await Promise.all(members.map((member) => member.run({ eachMessage })))
      log.host.topicChanged(log.engine.alterTopic('t', { partitions: 6 }))
      for (let partition = 0; partition < 6; partition++) await log.send('t', partition, 'x')
      await until(() => seen.length === 6, 'a record of each partition')
      expect(members.map((member) => partitionsOf(member).length)).toEqual([3, 3])
      expect([...seen].sort()).toEqual(['0:x', '1:x', '2:x', '3:x', '4:x', '5:x'])
    })

    it('needs an assignor that all members have', async () => {
      const first = await consumer({ partitionAssigners: ['range', 'roundrobin'] })
      await first.run({ eachMessage: () => undefined })
      const second = await consumer({ partitionAssigners: ['sticky'] })
      await expect(second.run({ eachMessage: () => undefined })).rejects.toMatchObject({
        code: 'INCONSISTENT_GROUP_PROTOCOL',
      })
      const third = await consumer({ partitionAssigners: ['roundrobin'] })
      await third.run({ eachMessage: () => undefined })
      expect((await log.groups.describe('g')).protocol).toBe('roundrobin')
    })

    it("by an assignor of the user's own, whose mistakes are found", async () => {
      const mine = {
        name: 'mine',
        protocol: 'eager' as const,
        assign: ({ members }: { members: readonly { memberId: string }[] }) =>
          new Map([[members[0]?.memberId ?? '', numbers(0, 3).map((p) => ({ topic: 't', partition: Number(p) }))]]),
      }
      const one = await consumer({ partitionAssigners: [mine] })
      await expect(one.run({ eachMessage: () => undefined })).rejects.toMatchObject({ code: 'ASSIGNMENT_INVALID' })
    })
  })

  describe('commits', () => {
    it('by themselves, after so many messages and after so long', async () => {
      const one = await consumer()
      await one.run({ autoCommitThreshold: 10, autoCommitInterval: 1_000_000, eachMessage: () => undefined })
      await log.send('t', 0, ...numbers(0, 25))
      await until(() => log.coordinator.offsets.of('g').some((o) => o.committed.offset >= 10), 'a commit by number')
      await one.stop()
      expect((await committed())[0]).toBe(25)
      await one.run({ autoCommitInterval: 5, eachMessage: () => undefined })
      await log.send('t', 0, ...numbers(0, 5))
      await until(() => log.coordinator.offsets.of('g')[0]?.committed.offset === 30, 'a commit by time')
    })

    it('not at all with autoCommit false, but what it is told to, with metadata', async () => {
      await log.send('t', 0, ...numbers(0, 5))
      const one = await consumer({ autoCommit: false })
      const done = gate()
      await one.run({
        eachMessage: async ({ topic, partition, message }) => {
          if (message.offset === '2') {
            await one.commitOffsets([{ topic, partition, offset: '3', metadata: 'three' }])
          }
          if (message.offset === '4') done.open()
        },
      })
      await done.opened
      await one.stop()
      const { partitions } = await log.groups.describe('g')
      expect(partitions).toMatchObject([{ partition: 0, committedOffset: 3, metadata: 'three', lag: 2 }])
      expect(one.events.COMMIT_OFFSETS).toBe('consumer.commit_offsets')
    })

    it('everything handed out where no offsets are said', async () => {
      await log.send('t', 0, ...numbers(0, 5))
      const one = await consumer({ autoCommit: false })
      for await (const message of one) {
        if (message.offset !== '4') continue
        await one.commitOffsets()
        break
      }
      expect((await committed())[0]).toBe(5)
    })

    it('need a group, and a run', async () => {
      const none = log.consumer()
      await expect(none.commitOffsets([])).rejects.toMatchObject({ code: 'UNKNOWN_MEMBER_ID' })
      await expect((await consumer()).commitOffsets()).rejects.toMatchObject({ code: 'UNKNOWN_MEMBER_ID' })
    })

    it('where consumers run when the engine closes', async () => {
      await log.send('t', 0, ...numbers(0, 5))
      const one = await consumer()
      const values: string[] = []
      await one.run({ eachMessage: ({ message }) => void values.push(textOf(message)) })
      await until(() => values.length === 5, 'all')
      await log.close()
      await one.finished()
      log = await open()
      expect((await committed())[0]).toBe(5)
    })

    it('K-21: expire when a group without members is that old; those of a group with members are kept', async () => {
      const day = 24 * 3_600_000
      await log.send('t', 0, 'a')
      const one = await consumer()
      await one.run({ eachMessage: () => undefined })
      await until(() => one.positions().some((p) => p.offset === '1'), 'a')
      await one.commitOffsets()
      await log.coordinator.offsets.commit('old', [{ topic: 't', partition: 0, offset: 1 }])
      now = 6 * day
      await log.coordinator.expireOffsets()
      expect([...log.coordinator.offsets.groups()].sort()).toEqual(['g', 'old'])
      now = 8 * day
      await log.coordinator.expireOffsets()
      expect(log.coordinator.offsets.groups()).toEqual(['g'])
      await one.stop()
      now = 14 * day
      await log.coordinator.expireOffsets()
      expect(log.coordinator.offsets.groups()).toEqual(['g'])
      now = 16 * day
      await log.coordinator.expireOffsets()
      expect(log.coordinator.offsets.groups()).toEqual([])
    })
  })

  describe('mill.groups', () => {
    it('describes members, their partitions, committed offsets and lag', async () => {
      await log.send('t', 0, ...numbers(0, 10))
      const one = await consumer({ clientId: 'reader' })
      await one.run({
        eachMessage: ({ message }) => (message.offset === '3' ? one.pause([{ topic: 't' }]) : undefined),
      })
      await until(() => one.paused().length === 1, 'four messages')
      await one.commitOffsets()
      const description = await log.groups.describe('g')
      expect(description).toMatchObject({
        groupId: 'g',
        protocolType: 'consumer',
        state: 'Stable',
        protocol: 'cooperative-sticky',
        generation: 1,
        lag: 6,
      })
      expect(description.members[0]).toMatchObject({ clientId: 'reader' })
      expect(description.members[0]?.assignment).toHaveLength(4)
      expect(description.partitions[0]).toEqual({
        topic: 't',
        partition: 0,
        memberId: description.members[0]?.memberId,
        committedOffset: 4,
        metadata: '',
        logStartOffset: 0,
        logEndOffset: 10,
        lag: 6,
      })
      expect(await log.groups.list()).toEqual([{ groupId: 'g', protocolType: 'consumer', state: 'Stable', members: 1 }])
      await one.stop()
      expect(await log.groups.list()).toEqual([{ groupId: 'g', protocolType: 'consumer', state: 'Empty', members: 0 }])
    })

    it('deletes and resets only without members', async () => {
      await log.send('t', 0, ...numbers(0, 10))
      const one = await consumer()
      await one.run({ eachMessage: () => undefined })
      await expect(log.groups.delete('g')).rejects.toMatchObject({ code: 'NON_EMPTY_GROUP' })
      await expect(log.groups.resetOffsets('g', { topic: 't', to: 'earliest' })).rejects.toMatchObject({
        code: 'NON_EMPTY_GROUP',
      })
      await until(() => one.positions().some((p) => p.offset === '10'), 'all')
      await one.stop()
      const reset = (to: object | string, partitions = [0]) =>
        log.groups.resetOffsets('g', { topic: 't', partitions, to: to as 'earliest' })
      expect(await reset('earliest')).toEqual([{ topic: 't', partition: 0, from: 10, to: 0 }])
      expect(await reset({ offset: 4 })).toEqual([{ topic: 't', partition: 0, from: 0, to: 4 }])
      expect(await reset({ shiftBy: -2 })).toEqual([{ topic: 't', partition: 0, from: 4, to: 2 }])
      expect(await reset({ shiftBy: 99 })).toEqual([{ topic: 't', partition: 0, from: 2, to: 10 }])
      expect(await reset({ timestamp: 0 })).toEqual([{ topic: 't', partition: 0, from: 10, to: 0 }])
      expect(await reset('latest', [0, 1])).toHaveLength(2)
      const dry = await log.groups.resetOffsets('g', { to: 'earliest', dryRun: true })
      expect(dry).toHaveLength(4)
      expect((await committed())[0]).toBe(10)
      await reset({ offset: 7 })
      const values: string[] = []
      await one.run({ eachMessage: ({ message }) => void values.push(textOf(message)) })
      await until(() => values.length === 3, 'from where it was put')
      await one.stop()
      await log.groups.delete('g')
      expect(await log.groups.list()).toEqual([])
      await log.close()
      log = await open()
      expect(await log.groups.list()).toEqual([])
    })

    it('may give a group offsets before it has ever been there', async () => {
      await log.send('t', 2, ...numbers(0, 5))
      await log.groups.resetOffsets('later', { topic: 't', partitions: [2], to: { offset: 3 } })
      const one = await consumer({ groupId: 'later' })
      const values: string[] = []
      await one.run({ eachMessage: ({ message }) => void values.push(textOf(message)) })
      await until(() => values.length === 2, 'two')
      expect(values).toEqual(['3', '4'])
    })

    it('refuses what cannot be, with words', async () => {
      await log.coordinator.offsets.commit('audit', [{ topic: 't', partition: 0, offset: 0 }])
      await expect(log.groups.describe('audti')).rejects.toMatchObject({
        code: 'UNKNOWN_GROUP',
        hint: "did you mean 'audit'?",
      })
      await expect(log.groups.delete('nope')).rejects.toMatchObject({ code: 'UNKNOWN_GROUP' })
      await expect(log.groups.resetOffsets('nope', { to: 'earliest' })).rejects.toMatchObject({ code: 'UNKNOWN_GROUP' })
      await expect(log.groups.describe('')).rejects.toMatchObject({ code: 'INVALID_GROUP_ID' })
      const reset = (options: object) => log.groups.resetOffsets('audit', options as { to: 'earliest' })
      for (const to of [undefined, 'first', {}, { offset: '3' }, { offset: 1.5 }, { timestamp: 'now' }, null]) {
        await expect(reset({ topic: 't', to })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      }
      await expect(reset({ topic: 't', to: { offset: -1 } })).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
      await expect(reset({ topic: 't', to: { offset: 1 } })).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
      await expect(reset({ topic: 'u', to: 'earliest' })).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' })
      await expect(reset({ topic: 't', partitions: [4], to: 'earliest' })).rejects.toMatchObject({
        code: 'UNKNOWN_PARTITION',
      })
      expect(() => log.consumer({ groupId: '' })).toThrow(expect.objectContaining({ code: 'INVALID_GROUP_ID' }))
      expect(() => log.consumer({ groupId: 7 as unknown as string })).toThrow(
        expect.objectContaining({ code: 'INVALID_GROUP_ID' }),
      )
    })
  })
})
