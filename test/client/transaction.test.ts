import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { GroupOffsets } from '../../src/client/group-offsets.js'
import { Producer } from '../../src/client/producer.js'
import { TransactionalOffsets } from '../../src/client/transactional-offsets.js'
import { scalar, structType } from '../../src/types/data-type.js'
import { type OpenLog, openLog, temporaryDirectory } from '../log/log-fixture.js'
import { seen } from '../log/transaction-fixture.js'

describe('transactions of a producer', () => {
  let log: OpenLog
  let directory: { readonly path: string; remove(): void }
  const reopen = async (): Promise<void> => {
    log = await openLog({ dir: directory.path, fsync: 'group' })
  }
  beforeEach(async () => {
    directory = temporaryDirectory()
    await reopen()
    log.engine.createTopic({ name: 'a', partitions: 2 })
    log.engine.createTopic({ name: 'b' })
  })
  afterEach(async () => {
    await log.close()
    directory.remove()
  })

  const committed = (topic: string, partition = 0): string[] => seen(log, topic, partition, 'read_committed')

  it('are seen across topics and partitions when they are committed, all at once', async () => {
    const producer = new Producer(log.host, { transactionalId: 'x' })
    const tx = await producer.transaction()
    await tx.send({
      topic: 'a',
      messages: [
        { partition: 0, value: '1' },
        { partition: 1, value: '2' },
      ],
    })
    await tx.sendBatch({ topicMessages: [{ topic: 'b', messages: [{ value: '3' }] }] })
    expect([committed('a'), committed('a', 1), committed('b')]).toEqual([[], [], []])
    expect(tx.isActive()).toBe(true)
    expect(log.engine.state('b').partitions[0]).toMatchObject({ logEndOffset: 1, lastStableOffset: 0 })
    await tx.commit()
    expect(log.engine.state('b').partitions[0]).toMatchObject({ logEndOffset: 2, lastStableOffset: 2 })
    expect(tx.isActive()).toBe(false)
    expect([committed('a'), committed('a', 1), committed('b')]).toEqual([['1'], ['2'], ['3']])
  })

  it('that are aborted leave nothing behind for readers of committed records', async () => {
    const producer = new Producer(log.host, { transactionalId: 'x' })
    const first = await producer.transaction()
    await first.send({ topic: 'b', messages: [{ value: 'no' }] })
    await first.abort()
    const second = await producer.transaction()
    await second.send({ topic: 'b', messages: [{ value: 'yes' }] })
    await second.commit()
    expect(committed('b')).toEqual(['yes'])
    expect(seen(log, 'b', 0, 'read_uncommitted')).toEqual(['no', 'yes'])
  })

  it('wait for their sends, whether somebody awaits them or not', async () => {
    const producer = new Producer(log.host, { transactionalId: 'x', lingerMs: 60_000 })
    const tx = await producer.transaction()
    for (let i = 0; i < 100; i++) void tx.send({ topic: 'b', messages: [{ value: `${i}` }] })
    await tx.commit()
    expect(committed('b')).toEqual(Array.from({ length: 100 }, (_, i) => `${i}`))
  })

  it('K-17: commit the offsets of a group with their records, or not at all', async () => {
    const input = new Producer(log.host)
    await input.send({ topic: 'a', messages: [{ partition: 0, value: 'in' }] })
    const offsets = new GroupOffsets(log.host)
    const producer = new Producer(log.host, { transactionalId: 'x' }, new TransactionalOffsets(offsets))
    const request = {
      consumerGroupId: 'g',
      topics: [{ topic: 'a', partitions: [{ partition: 0, offset: '1', metadata: 'm' }] }],
    }
    await offsets.load()
    const topic = log.engine.describe('a')
    const aborted = await producer.transaction()
    await aborted.send({ topic: 'b', messages: [{ value: 'no' }] })
    await aborted.sendOffsets(request)
    await aborted.abort()
    expect(offsets.get('g', topic, 0)).toBeUndefined()
    const tx = await producer.transaction()
    await tx.send({ topic: 'b', messages: [{ value: 'out' }] })
    await tx.sendOffsets({
      ...request,
      topics: [{ topic: 'a', partitions: [{ partition: 0, offset: '0' }] }],
    })
    expect(offsets.get('g', topic, 0)).toBeUndefined()
    await tx.commit()
    expect(offsets.get('g', topic, 0)?.offset).toBe(0)
    // From the disk: what was aborted is not read.
    log.abandon()
    await reopen()
    const again = new GroupOffsets(log.host)
    await again.load()
    expect(again.get('g', log.engine.describe('a'), 0)?.offset).toBe(0)
    expect(committed('b')).toEqual(['out'])
  })

  it('are over for their producer, and committed, although a topic of their offsets is gone by then', async () => {
    const offsets = new GroupOffsets(log.host)
    await offsets.load()
    const producer = new Producer(log.host, { transactionalId: 'x' }, new TransactionalOffsets(offsets))
    const tx = await producer.transaction()
    await tx.send({ topic: 'a', messages: [{ partition: 0, value: '1' }] })
    const of = (topic: string) => ({ topic, partitions: [{ partition: 0, offset: '0' }] })
    await tx.sendOffsets({ consumerGroupId: 'g', topics: [of('a'), of('b')] })
    await log.engine.deleteTopic('b')
    log.host.forgetTopic('b')
    await tx.commit()
    expect(committed('a')).toEqual(['1'])
    expect(offsets.of('g').map(({ topic }) => topic)).toEqual(['a'])
    await (await producer.transaction()).abort()
  })

  it('of a typed topic keep its batches where blocks may lie', async () => {
    log.engine.createTopic({
      name: 'typed',
      schema: structType([{ name: 'n', type: scalar('int'), nullable: false }]),
    })
    const producer = new Producer(log.host, { transactionalId: 'x' })
    for (let n = 0; n < 5; n++) {
      const tx = await producer.transaction()
      await tx.send({ topic: 'typed', messages: [{ value: { n } }] })
      if (n % 2 === 0) await tx.commit()
      else await tx.abort()
    }
    await log.close()
    await reopen()
    expect(log.engine.state('typed').partitions[0]).toMatchObject({ logEndOffset: 10, damaged: [] })
  })

  it('of a process that died are aborted when the log is opened', async () => {
    const producer = new Producer(log.host, { transactionalId: 'x' })
    const tx = await producer.transaction()
    await tx.send({ topic: 'b', messages: [{ value: 'lost' }] })
    log.abandon()
    await reopen()
    const heir = new Producer(log.host, { transactionalId: 'x' })
    const next = await heir.transaction()
    await next.send({ topic: 'b', messages: [{ value: 'kept' }] })
    await next.commit()
    expect(committed('b')).toEqual(['kept'])
  })

  describe('what is refused', () => {
    const code = (name: string) =>
      expect.objectContaining({ code: name, detail: expect.any(String), hint: expect.any(String) })

    it('a transaction without a transactionalId', async () => {
      await expect(new Producer(log.host).transaction()).rejects.toThrow(code('NO_TRANSACTIONAL_ID'))
      await expect(new Producer(log.host, { idempotent: true }).transaction()).rejects.toThrow(
        code('NO_TRANSACTIONAL_ID'),
      )
    })

    it('a send outside of a transaction', async () => {
      const producer = new Producer(log.host, { transactionalId: 'x' })
      await expect(producer.send({ topic: 'b', messages: [{ value: '1' }] })).rejects.toThrow(
        code('NOT_IN_TRANSACTION'),
      )
      await expect(producer.sendBatch({ topicMessages: [] })).rejects.toThrow(code('NOT_IN_TRANSACTION'))
      expect(() => producer.write('b', { value: '1' })).toThrow(code('NOT_IN_TRANSACTION'))
    })

    it('a second transaction while one is open', async () => {
      const producer = new Producer(log.host, { transactionalId: 'x' })
      const [first, second] = await Promise.allSettled([producer.transaction(), producer.transaction()])
      expect(first.status).toBe('fulfilled')
      expect(second).toMatchObject({ reason: code('TRANSACTION_OPEN') })
      await producer.disconnect()
    })

    it('anything in a transaction that is over', async () => {
      const producer = new Producer(log.host, { transactionalId: 'x' })
      const tx = await producer.transaction()
      await tx.commit()
      await expect(tx.commit()).rejects.toThrow(code('INVALID_TRANSACTION_STATE'))
      await expect(tx.abort()).rejects.toThrow(code('INVALID_TRANSACTION_STATE'))
      await expect(tx.send({ topic: 'b', messages: [{ value: '1' }] })).rejects.toThrow(
        code('INVALID_TRANSACTION_STATE'),
      )
      await expect(tx.sendOffsets({ consumerGroupId: 'g', topics: [] })).rejects.toThrow(
        code('INVALID_TRANSACTION_STATE'),
      )
    })

    it('a commit after a send that was refused; the transaction is to be aborted', async () => {
      const producer = new Producer(log.host, { transactionalId: 'x' })
      const tx = await producer.transaction()
      await tx.send({ topic: 'b', messages: [{ value: 'good' }] })
      await expect(tx.send({ topic: 'nowhere', messages: [{ value: '1' }] })).rejects.toMatchObject({
        code: 'UNKNOWN_TOPIC',
      })
      await expect(tx.commit()).rejects.toThrow(code('TRANSACTION_MUST_ABORT'))
      await tx.abort()
      expect(committed('b')).toEqual([])
    })

    it('offsets without a group, of no topic, or beyond the log', async () => {
      const producer = new Producer(log.host, { transactionalId: 'x' })
      const refuses = async (request: unknown, expected: string): Promise<void> => {
        const tx = await producer.transaction()
        await expect(tx.sendOffsets(request as never)).rejects.toThrow(code(expected))
        await tx.abort()
      }
      const topics = [{ topic: 'a', partitions: [{ partition: 0, offset: '0' }] }]
      await refuses({ topics }, 'INVALID_GROUP_ID')
      await refuses({ consumerGroupId: '', topics }, 'INVALID_GROUP_ID')
      await refuses(undefined, 'INVALID_GROUP_ID')
      await refuses({ consumerGroupId: 'g' }, 'INVALID_ARGUMENT')
      await refuses({ consumerGroupId: 'g', topics: [{ topic: 'a' }] }, 'INVALID_ARGUMENT')
      await refuses(
        { consumerGroupId: 'g', topics: [{ topic: 'a', partitions: [{ partition: 0, offset: '7' }] }] },
        'OFFSET_OUT_OF_RANGE',
      )
      await refuses(
        { consumerGroupId: 'g', topics: [{ topic: 'a', partitions: [{ partition: 0, offset: '' }] }] },
        'OFFSET_OUT_OF_RANGE',
      )
    })

    it('everything of a producer whose id another one has taken, for ever', async () => {
      const zombie = new Producer(log.host, { transactionalId: 'x' })
      const tx = await zombie.transaction()
      await tx.send({ topic: 'b', messages: [{ value: 'z' }] })
      const heir = new Producer(log.host, { transactionalId: 'x' })
      await heir.connect()
      await expect(tx.send({ topic: 'b', messages: [{ value: 'late' }] })).rejects.toThrow(code('PRODUCER_FENCED'))
      await expect(tx.abort()).rejects.toThrow(code('PRODUCER_FENCED'))
      await expect(zombie.transaction()).rejects.toThrow(code('PRODUCER_FENCED'))
      const next = await heir.transaction()
      await next.send({ topic: 'b', messages: [{ value: 'h' }] })
      await next.commit()
      expect(committed('b')).toEqual(['h'])
    })

    it('a commit after the timeout; then the producer goes on', async () => {
      const producer = new Producer(log.host, { transactionalId: 'x', transactionTimeout: 5 })
      const tx = await producer.transaction()
      await tx.send({ topic: 'b', messages: [{ value: 'slow' }] })
      for (let refused = false; !refused; ) {
        await new Promise((resolve) => setImmediate(resolve))
        refused = await tx.send({ topic: 'b', messages: [{ value: '.' }] }).then(
          () => false,
          () => true,
        )
      }
      await expect(tx.commit()).rejects.toThrow(code('TRANSACTION_MUST_ABORT'))
      await tx.abort()
      const next = await producer.transaction()
      await next.commit()
      expect(committed('b')).toEqual([])
    })
  })
})
