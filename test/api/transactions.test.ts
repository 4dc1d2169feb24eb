import { Millrace } from 'millrace'
import { afterEach, expect, test } from 'vitest'

let mill: Millrace | undefined
afterEach(async () => {
  await mill?.close()
})

test('mill.transactions shows what holds readers up, and ends it', async () => {
  mill = await Millrace.open({ workers: 1, transactionalIdExpirationMs: 1000, producerIdExpirationMs: 1000 })
  await mill.topics.create('orders')
  const producer = mill.producer({ transactionalId: 'orders-1', transactionTimeout: 30_000 })
  const tx = await producer.transaction()
  await tx.send({ topic: 'orders', messages: [{ value: 'a' }] })
  const { producerId, producerEpoch } = await mill.transactions.describe('orders-1')
  expect(await mill.transactions.list()).toEqual([
    {
      transactionalId: 'orders-1',
      producerId,
      producerEpoch,
      state: 'Ongoing',
      timeoutMs: 30_000,
      startedAt: expect.any(Number),
      partitions: [{ topic: 'orders', partition: 0, firstOffset: 0 }],
    },
  ])
  await mill.transactions.abort('orders-1')
  await expect(tx.send({ topic: 'orders', messages: [{ value: 'b' }] })).rejects.toMatchObject({
    code: 'PRODUCER_FENCED',
  })
  await expect(tx.commit()).rejects.toMatchObject({ code: 'TRANSACTION_MUST_ABORT' })
  await tx.abort()
  const next = await producer.transaction()
  await next.send({ topic: 'orders', messages: [{ value: 'c' }] })
  await next.commit()
  expect(await mill.read.format('log').option('subscribe', 'orders').load().count()).toBe(1)
  await expect(mill.transactions.describe('orders-2')).rejects.toMatchObject({ code: 'UNKNOWN_TRANSACTIONAL_ID' })
  await expect(mill.transactions.abort('orders-1')).rejects.toMatchObject({ code: 'INVALID_TRANSACTION_STATE' })
  await expect(mill.transactions.abort('')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
})

test('close() ends at once amid a transaction, a commit and a rebalance, and says so', async () => {
  mill = await Millrace.open({ workers: 1 })
  await mill.topics.create('orders', { partitions: 2 })
  const committing = await mill.producer({ transactionalId: 'a' }).transaction()
  const open = await mill.producer({ transactionalId: 'b' }).transaction()
  await open.send({ topic: 'orders', messages: [{ value: 'never' }] })
  const sent = committing.send({ topic: 'orders', messages: [{ value: 'perhaps' }] })
  const committed = committing.commit()
  const members = [mill.consumer({ groupId: 'g' }), mill.consumer({ groupId: 'g' })]
  for (const member of members) await member.subscribe({ topics: ['orders'], fromBeginning: true })
  await members[0]?.run({ eachMessage: () => undefined })
  const joining = members[1]?.run({ eachMessage: () => undefined })
  await mill.close()
  await joining
  expect(await sent).toHaveLength(1)
  const outcome = await committed.then(
    () => 'committed',
    (error: { readonly code: string }) => error.code,
  )
  expect(['committed', 'ENGINE_CLOSED']).toContain(outcome)
  await expect(open.commit()).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
})

test("queries and users write nothing to the engine's own topics, and do not change what it relies on", async () => {
  mill = await Millrace.open({ workers: 1 })
  await mill.topics.create('t')
  const consumer = mill.consumer({ groupId: 'g' })
  await consumer.subscribe({ topics: ['t'], fromBeginning: true })
  await consumer.run({ eachMessage: () => undefined })
  await consumer.commitOffsets()
  const name = '__consumer_offsets'
  const refused = { code: 'TOPIC_NAME_INVALID' }
  const writer = mill.readStream.format('log').option('subscribe', 't').load().writeStream
  await expect(writer.format('log').option('topic', name).start()).rejects.toMatchObject(refused)
  await expect(mill.topics.deleteRecords(name, [{ partition: 0, offset: -1 }])).rejects.toMatchObject(refused)
  await expect(mill.topics.alter(name, { 'cleanup.policy': 'delete' })).rejects.toMatchObject(refused)
  await expect(mill.topics.addPartitions(name, 50)).rejects.toMatchObject(refused)
  expect((await mill.topics.alter(name, { 'segment.bytes': 1_048_576 })).config['segment.bytes']).toBe(1_048_576)
})
