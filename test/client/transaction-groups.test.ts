import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Consumer } from '../../src/client/consumer.js'
import type { ConsumerOptions } from '../../src/client/consumer-options.js'
import { GroupOffsets } from '../../src/client/group-offsets.js'
import { HostLog } from '../../src/client/host-log.js'
import { Producer } from '../../src/client/producer.js'
import type { Transaction } from '../../src/client/transaction.js'
import { TransactionalOffsets } from '../../src/client/transactional-offsets.js'
import { nextTurn, temporaryDirectory, until } from '../log/log-fixture.js'
import { seen } from '../log/transaction-fixture.js'
import { type ClientLog, gate, openClientLog } from './consumer-fixture.js'

const code = (expected: string) => expect.objectContaining({ code: expected })

describe('a transaction that commits for a member of a group', () => {
  let log: ClientLog
  let directory: { readonly path: string; remove(): void }
  const consumers: Consumer[] = []

  async function member(options: ConsumerOptions = {}): Promise<Consumer> {
    const made = log.consumer({ groupId: 'g', autoCommit: false, ...options })
    consumers.push(made)
    made.on('crash', () => undefined)
    await made.subscribe({ topics: ['in'], fromBeginning: true })
    await made.run({ eachMessage: () => undefined })
    return made
  }
  const producer = (id = 'x'): Producer =>
    new Producer(log.host, { transactionalId: id }, new TransactionalOffsets(log.coordinator.offsets, log.coordinator))
  const to = (partition: number, offset: number) => [{ topic: 'in', partitions: [{ partition, offset }] }]
  const partitionsOf = (one: Consumer): number[] => one.assignment().map((place) => place.partition)
  const committed = (partition: number): number | undefined =>
    log.coordinator.offsets.get('g', log.engine.describe('in'), partition)?.offset
  const positionOf = (one: Consumer, partition: number): string | undefined =>
    one.positions().find((place) => place.partition === partition)?.offset
  async function out(tx: Transaction, value: string): Promise<void> {
    await tx.send({ topic: 'out', messages: [{ value }] })
  }

  beforeEach(async () => {
    directory = temporaryDirectory()
    log = await openClientLog({ dir: directory.path, fsync: 'never' })
    log.createTopic('in', 2)
    log.createTopic('out')
    await log.send('in', 0, 'a', 'b')
    await log.send('in', 1, 'c', 'd')
  })
  afterEach(async () => {
    await Promise.all(consumers.splice(0).map((one) => one.disconnect()))
    await log.close()
    directory.remove()
  })

  it('says who it is with consumer.groupMetadata(), and the group goes on from its offsets', async () => {
    const one = await member()
    const metadata = one.groupMetadata()
    const described = await log.groups.describe('g')
    expect(metadata).toEqual({
      groupId: 'g',
      generationId: described.generation,
      memberId: described.members[0]?.memberId,
      groupInstanceId: null,
    })
    const tx = await producer().transaction()
    await out(tx, '1')
    await tx.sendOffsets({ groupMetadata: metadata, topics: to(0, 1) })
    expect(committed(0)).toBeUndefined()
    await tx.commit()
    expect(committed(0)).toBe(1)
    expect(seen(log, 'out', 0, 'read_committed')).toEqual(['1'])
  })

  it('is refused where its partitions have moved: to another member, or where it is a member no more', async () => {
    const one = await member()
    const before = one.groupMetadata()
    const two = await member()
    const [theirs] = partitionsOf(two) as [number]
    const zombie = await producer().transaction()
    await out(zombie, 'twice')
    await expect(zombie.sendOffsets({ groupMetadata: before, topics: to(theirs, 1) })).rejects.toThrow(
      code('NOT_ASSIGNED'),
    )
    // It has failed, so nothing of it can be committed.
    await expect(zombie.commit()).rejects.toThrow(code('TRANSACTION_MUST_ABORT'))
    await zombie.abort()
    const wrong = await producer().transaction()
    await expect(wrong.sendOffsets({ groupMetadata: one.groupMetadata(), topics: to(theirs, 1) })).rejects.toThrow(
      code('NOT_ASSIGNED'),
    )
    await wrong.abort()
    const gone = two.groupMetadata()
    await two.disconnect()
    expect(() => two.groupMetadata()).toThrow(code('UNKNOWN_MEMBER_ID'))
    const late = await producer().transaction()
    await expect(late.sendOffsets({ groupMetadata: gone, topics: to(theirs, 1) })).rejects.toThrow(
      code('UNKNOWN_MEMBER_ID'),
    )
    await late.abort()
    expect([committed(0), committed(1)]).toEqual([undefined, undefined])
    expect(seen(log, 'out', 0, 'read_committed')).toEqual([])
  })

  it('is refused at its commit where a partition has moved since it sent the offsets, and then leaves nothing', async () => {
    const one = await member()
    const tx = await producer().transaction()
    await out(tx, 'twice')
    await tx.sendOffsets({ groupMetadata: one.groupMetadata(), topics: [...to(0, 2), ...to(1, 2)] })
    const two = await member()
    const [moved] = partitionsOf(two) as [number]
    await expect(tx.commit()).rejects.toThrow(code('NOT_ASSIGNED'))
    expect(tx.isActive()).toBe(true)
    await tx.abort()
    // The new owner has begun where the group was, and nobody has gone past it.
    expect(committed(moved)).toBeUndefined()
    expect(seen(log, 'out', 0, 'read_committed')).toEqual([])
    await until(() => positionOf(two, moved) === '2', 'the new owner has read them')
  })

  it('is committed although the group has rebalanced since, where its own partition has not moved', async () => {
    const one = await member()
    const two = await member()
    const [kept] = partitionsOf(one) as [number]
    const metadata = one.groupMetadata()
    const tx = await producer().transaction()
    await tx.sendOffsets({ groupMetadata: metadata, topics: to(kept, 1) })
    await two.disconnect()
    await until(() => one.groupMetadata().generationId > metadata.generationId, 'a rebalance')
    await tx.sendOffsets({ groupMetadata: metadata, topics: to(kept, 2) })
    await tx.commit()
    expect(committed(kept)).toBe(2)
  })

  it('is refused where an eager rebalance has taken its partition away and given it back, when it sends offsets and when it commits', async () => {
    const eager = { partitionAssigners: ['range' as const] }
    const one = await member(eager)
    const metadata = one.groupMetadata()
    const tx = await producer().transaction()
    await tx.sendOffsets({ groupMetadata: metadata, topics: to(0, 1) })
    const two = await member(eager)
    await two.disconnect()
    await until(() => partitionsOf(one).length === 2, 'both are back')
    await expect(tx.commit()).rejects.toThrow(code('ILLEGAL_GENERATION'))
    await tx.abort()
    const late = await producer().transaction()
    await expect(late.sendOffsets({ groupMetadata: metadata, topics: to(0, 1) })).rejects.toThrow(
      code('ILLEGAL_GENERATION'),
    )
    await late.abort()
    expect(committed(0)).toBeUndefined()
  })

  it('holds the partitions of the group while it is being decided: the next owner begins behind it', async () => {
    const one = await member()
    const decision = gate()
    let isAsked = false
    const slow = new HostLog({
      memory: log.memory,
      env: log.host.env,
      resolveTopic: async (name) => log.engine.describe(name),
      listTopics: () => log.engine.list(),
      createTopic: async (spec) => log.engine.createTopic(spec),
      coordinator: {
        ...log.host.coordinator,
        end: async (request) => {
          isAsked = true
          await decision.opened
          return await log.host.coordinator.end(request)
        },
      },
    })
    const ofSlow = new Producer(
      slow,
      { transactionalId: 'y' },
      new TransactionalOffsets(log.coordinator.offsets, log.coordinator),
    )
    const tx = await ofSlow.transaction()
    const sending = tx.sendOffsets({ groupMetadata: one.groupMetadata(), topics: [...to(0, 2), ...to(1, 2)] })
    // This second host log has no bell of its own.
    let isSent = false
    void sending.then(() => {
      isSent = true
    })
    await until(() => {
      slow.rung()
      return isSent
    }, 'the offsets are sent')
    const committing = tx.commit()
    await until(() => isAsked, 'the engine is asked')
    let isJoined = false
    const joining = member().then((two) => {
      isJoined = true
      return two
    })
    for (let i = 0; i < 30; i++) await nextTurn()
    expect(isJoined).toBe(false)
    decision.open()
    await committing
    const two = await joining
    const [moved] = partitionsOf(two) as [number]
    expect(positionOf(two, moved)).toBe('2')
  })

  it('that is of no member commits whatever it says, as a program that shares out its partitions itself does', async () => {
    const tx = await producer().transaction()
    await tx.sendOffsets({ consumerGroupId: 'own', topics: to(0, 1) })
    await tx.commit()
    expect(log.coordinator.offsets.get('own', log.engine.describe('in'), 0)?.offset).toBe(1)
  })

  it('wants whole metadata, of the same group as consumerGroupId', async () => {
    const one = await member()
    const whole = one.groupMetadata()
    for (const groupMetadata of [{}, 7, null, { ...whole, memberId: 7 }, { ...whole, generationId: '1' }]) {
      const tx = await producer().transaction()
      await expect(tx.sendOffsets({ groupMetadata: groupMetadata as never, topics: to(0, 1) })).rejects.toThrow(
        code('INVALID_ARGUMENT'),
      )
      await tx.abort()
    }
    const tx = await producer().transaction()
    await expect(tx.sendOffsets({ consumerGroupId: 'h', groupMetadata: whole, topics: to(0, 1) })).rejects.toThrow(
      code('INVALID_ARGUMENT'),
    )
    await tx.abort()
    const never = await producer().transaction()
    const stranger = { ...whole, groupId: 'nobody' }
    await expect(never.sendOffsets({ groupMetadata: stranger, topics: to(0, 1) })).rejects.toThrow(
      code('UNKNOWN_MEMBER_ID'),
    )
    await never.abort()
  })

  it('does not go back behind an offset whose record is later in the log, now and after a restart', async () => {
    const tx = await producer().transaction()
    await tx.sendOffsets({ consumerGroupId: 'g', topics: to(0, 2) })
    await log.coordinator.offsets.commit('g', [{ topic: 'in', partition: 0, offset: 1 }])
    await tx.commit()
    expect(committed(0)).toBe(1)
    log.abandon()
    log = await openClientLog({ dir: directory.path, fsync: 'never' })
    const again = new GroupOffsets(log.host)
    await again.load()
    expect(again.get('g', log.engine.describe('in'), 0)?.offset).toBe(1)
  })
})

describe('K-17, K-19: a consumer', () => {
  it('reads uncommitted records by default, and does not go back by itself when a transaction is aborted', async () => {
    const log = await openClientLog()
    log.createTopic('t')
    const [byDefault, committed] = [log.consumer(), log.consumer({ isolationLevel: 'read_committed' })]
    const read: string[][] = [[], []]
    for (const [i, one] of [byDefault, committed].entries()) {
      await one.subscribe({ topics: ['t'], fromBeginning: true })
      await one.run({ eachMessage: ({ message }) => void read[i]?.push(String(message.value)) })
    }
    const producer = new Producer(log.host, { transactionalId: 'x' })
    const tx = await producer.transaction()
    await tx.send({ topic: 't', messages: [{ value: 'aborted' }] })
    await until(() => read[0]?.length === 1, 'what is not committed is read')
    await tx.abort()
    const next = await producer.transaction()
    await next.send({ topic: 't', messages: [{ value: 'committed' }] })
    await next.commit()
    await until(() => read[0]?.length === 2 && read[1]?.length === 1, 'what is committed is read')
    expect(read).toEqual([['aborted', 'committed'], ['committed']])
    await Promise.all([byDefault.disconnect(), committed.disconnect()])
    await log.close()
  })
})
