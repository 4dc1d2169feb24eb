import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Consumer } from '../../src/client/consumer.js'
import { Producer } from '../../src/client/producer.js'
import { scalar, structType } from '../../src/types/data-type.js'
import { type OpenLog, openLog, readerOf, readValues, temporaryDirectory, until } from '../log/log-fixture.js'

const clicks = structType([
  { name: 'user', type: scalar('string'), nullable: false },
  { name: 'n', type: scalar('int'), nullable: false },
])

describe('producer', () => {
  let log: OpenLog
  let directory: { readonly path: string; remove(): void }
  beforeEach(async () => {
    directory = temporaryDirectory()
    log = await openLog({ dir: directory.path, fsync: 'group' })
  })
  afterEach(async () => {
    await log.close()
    directory.remove()
  })

  it('tells where the records of a send went, and they are there', async () => {
    const topic = log.engine.createTopic({ name: 't', partitions: 1 })
    const producer = new Producer(log.host)
    const sent = await producer.send({ topic: 't', messages: [{ value: 'a' }, { value: 'b' }] })
    expect(sent).toEqual([{ topicName: 't', partition: 0, errorCode: 0, baseOffset: 0, recordCount: 2 }])
    expect(readValues(readerOf(topic, log.memory), 0)).toEqual(['a', 'b'])
    expect(log.engine.state('t').partitions[0]?.syncedOffset).toBe(2)
  })

  it('joins the sends of one turn, and answers each with its own offsets', async () => {
    const topic = log.engine.createTopic({ name: 't', partitions: 3 })
    const producer = new Producer(log.host)
    await producer.send({ topic: 't', messages: [{ key: 'first', value: '-' }] })
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        producer.send({
          topic: 't',
          messages: [
            { key: `k${i % 7}`, value: `${i}a` },
            { key: `k${i % 5}`, value: `${i}b` },
          ],
        }),
      ),
    )
    let batches = 0
    const values = topic.partitions.map((_, p) => {
      const reader = readerOf(topic, log.memory, p)
      reader.seek(0)
      while (reader.next()) batches += 1
      return readValues(reader, 0)
    })
    expect(batches).toBeLessThanOrEqual(4)
    for (let i = 0; i < 50; i++) {
      const found = (answers[i] ?? []).flatMap(
        (part) => values[part.partition]?.slice(part.baseOffset, part.baseOffset + part.recordCount) ?? [],
      )
      expect(found.sort()).toEqual([`${i}a`, `${i}b`])
    }
  })

  it('refuses a send with one wrong record as a whole, and no other', async () => {
    const topic = log.engine.createTopic({ name: 't', partitions: 2, schema: clicks })
    const producer = new Producer(log.host)
    const good = producer.send({ topic: 't', messages: [{ key: 'a', value: { user: 'a', n: 1 } }] })
    const wrong = producer.send({
      topic: 't',
      messages: [
        { key: 'b', value: { user: 'b', n: 1 } },
        { key: 'c', value: { user: 'c', n: 'x' } },
      ],
    })
    const later = producer.send({ topic: 't', messages: [{ key: 'd', value: { user: 'd', n: 2 } }] })
    await expect(wrong).rejects.toMatchObject({
      code: 'RECORD_INVALID',
      summary: expect.stringContaining('messages[1].value.n'),
    })
    await good
    await later
    const ends = topic.partitions.map((_, p) => readerOf(topic, log.memory, p).logEndOffset())
    expect(ends.reduce((a, b) => a + b)).toBe(2)
  })

  it('writes nothing of a large send whose last record is wrong', async () => {
    const topic = log.engine.createTopic({ name: 't', partitions: 2, schema: clicks })
    const producer = new Producer(log.host)
    const messages: { key: string; value: unknown }[] = Array.from({ length: 35_000 }, (_, i) => ({
      key: `k${i}`,
      value: { user: 'u', n: i },
    }))
    messages.push({ key: 'x', value: { user: 'u', n: 1.5 } })
    await expect(producer.send({ topic: 't', messages })).rejects.toMatchObject({ code: 'RECORD_INVALID' })
    expect(topic.partitions.map((_, p) => readerOf(topic, log.memory, p).logEndOffset())).toEqual([0, 0])
    messages.pop()
    const sent = await producer.send({ topic: 't', messages })
    expect(sent.reduce((sum, part) => sum + part.recordCount, 0)).toBe(35_000)
    expect(sent.length).toBe(2)
  })

  it('keeps the order of sends, large and small', async () => {
    const topic = log.engine.createTopic({ name: 't', partitions: 1 })
    const producer = new Producer(log.host)
    let n = 0
    const take = (count: number): { value: string }[] => Array.from({ length: count }, () => ({ value: String(n++) }))
    await Promise.all(
      [3, 25_000, 1, 2, 12_000, 999, 5].map((count) => producer.send({ topic: 't', messages: take(count) })),
    )
    expect(readValues(readerOf(topic, log.memory), 0)).toEqual(Array.from({ length: n }, (_, i) => String(i)))
  })

  it('says which topics exist where one does not', async () => {
    log.engine.createTopic({ name: 'clicks' })
    const producer = new Producer(log.host)
    await expect(producer.send({ topic: 'click', messages: [{ value: 'a' }] })).rejects.toMatchObject({
      code: 'UNKNOWN_TOPIC',
      detail: 'topics are clicks',
      hint: "did you mean 'clicks'?",
    })
  })

  it('takes records without a promise each, refuses a wrong one alone, and flush tells of it', async () => {
    const topic = log.engine.createTopic({ name: 't', partitions: 1, schema: clicks })
    const producer = new Producer(log.host)
    for (let i = 0; i < 10_000; i++) producer.write('t', { value: { user: 'u', n: i === 5000 ? 'x' : i } })
    await expect(producer.flush()).rejects.toMatchObject({ code: 'RECORD_INVALID' })
    await producer.flush()
    expect(readerOf(topic, log.memory).logEndOffset()).toBe(9999)
  })

  it('sends to several topics at once, or to none where one does not exist', async () => {
    log.engine.createTopic({ name: 'a' })
    log.engine.createTopic({ name: 'b' })
    const producer = new Producer(log.host)
    const sent = await producer.sendBatch({
      topicMessages: ['a', 'b'].map((topic) => ({ topic, messages: [{ value: 'x' }] })),
    })
    expect(sent.map((part) => part.topicName)).toEqual(['a', 'b'])
    await expect(
      producer.sendBatch({ topicMessages: ['a', 'c'].map((topic) => ({ topic, messages: [{ value: 'x' }] })) }),
    ).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' })
    expect(log.engine.state('a').partitions[0]?.logEndOffset).toBe(1)
  })

  it('refuses what is sent after the topic was deleted', async () => {
    log.engine.createTopic({ name: 't' })
    const producer = new Producer(log.host)
    await producer.send({ topic: 't', messages: [{ value: 'a' }] })
    await log.engine.deleteTopic('t')
    await expect(producer.send({ topic: 't', messages: [{ value: 'b' }] })).rejects.toMatchObject({
      code: 'TOPIC_DELETED',
    })
    log.host.forgetTopic('t')
    await expect(producer.send({ topic: 't', messages: [{ value: 'b' }] })).rejects.toMatchObject({
      code: 'UNKNOWN_TOPIC',
    })
  })
})

describe('back-pressure', () => {
  it('a memory topic beyond the budget spills, and everything is read back', async () => {
    const directory = temporaryDirectory()
    const log = await openLog({ memoryBudget: 16 * 1024 * 1024, spillDirectory: `${directory.path}/spill` })
    const topic = log.engine.createTopic({ name: 't', partitions: 2 })
    const producer = new Producer(log.host)
    const filler = 'x'.repeat(1000)
    for (let s = 0; s < 10; s++) {
      await producer.send({
        topic: 't',
        messages: Array.from({ length: 8000 }, (_, i) => ({ partition: i % 2, value: `${s * 8000 + i} ${filler}` })),
      })
    }
    expect(log.memory.chunks.allocatedChunks()).toBeLessThanOrEqual(4)
    for (let p = 0; p < 2; p++) {
      const values = readValues(readerOf(topic, log.memory, p), 0)
      expect(values.length).toBe(40_000)
      expect(values.every((value, i) => value.startsWith(`${i * 2 + p} `))).toBe(true)
    }
    await log.close()
    directory.remove()
  })

  it('write says false when too much is pending, and drain says when there is room', async () => {
    const log = await openLog({ memoryBudget: 8 * 1024 * 1024 })
    log.engine.createTopic({ name: 't' })
    const producer = new Producer(log.host)
    await log.host.sender('t')
    let refusals = 0
    const filler = 'y'.repeat(200)
    for (let i = 0; i < 300_000; i++) {
      if (producer.write('t', { value: filler })) continue
      refusals += 1
      await new Promise((resolve) => producer.once('drain', resolve))
    }
    await producer.flush()
    expect(refusals).toBeGreaterThan(0)
    expect(log.engine.state('t').partitions[0]?.logEndOffset).toBe(300_000)
    await log.close()
  })
})

describe('consumer', () => {
  let log: OpenLog
  let producer: Producer
  beforeEach(async () => {
    log = await openLog()
    producer = new Producer(log.host)
  })
  afterEach(() => log.close())

  it('hands out every record in order, with the fields of kafkajs', async () => {
    log.engine.createTopic({ name: 't', partitions: 2 })
    await producer.send({
      topic: 't',
      messages: [{ key: 'k', value: 'v', headers: { h: 'x' }, timestamp: '5', partition: 1 }],
    })
    const consumer = new Consumer(log.host)
    await consumer.subscribe({ topics: ['t'], fromBeginning: true })
    const got = await new Promise((resolve) => void consumer.run({ eachMessage: (payload) => resolve(payload) }))
    expect(got).toMatchObject({
      topic: 't',
      partition: 1,
      message: {
        key: Buffer.from('k'),
        value: Buffer.from('v'),
        offset: '0',
        timestamp: '5',
        headers: { h: Buffer.from('x') },
      },
    })
    await consumer.disconnect()
  })

  it('sees what is sent after subscribe, decoded, and ends the loop at break without losing its place', async () => {
    log.engine.createTopic({ name: 't', partitions: 1, schema: clicks })
    await producer.send({ topic: 't', messages: [{ value: { user: 'before', n: 0 } }] })
    const consumer = new Consumer(log.host)
    await consumer.subscribe({ topics: ['t'] })
    await producer.send({ topic: 't', messages: [1, 2, 3, 4].map((n) => ({ key: 'k', value: { user: 'u', n } })) })
    const seen: unknown[] = []
    for await (const message of consumer) {
      seen.push(message.value)
      if (seen.length === 2) break
    }
    for await (const message of consumer) {
      seen.push(message.value)
      if (seen.length === 4) break
    }
    expect(seen).toEqual([1, 2, 3, 4].map((n) => ({ user: 'u', n })))
    await consumer.disconnect()
  })

  it('wakes for a record that comes while it sleeps', async () => {
    log.engine.createTopic({ name: 't' })
    const consumer = new Consumer(log.host)
    await consumer.subscribe({ topics: ['t'] })
    const got: string[] = []
    await consumer.run({ eachMessage: ({ message }) => void got.push(String(message.value)) })
    for (let i = 0; i < 20; i++) {
      await producer.send({ topic: 't', messages: [{ value: String(i) }] })
      // It has nothing more to do when this is here, so the next one finds it asleep.
      await until(() => got.length === i + 1, 'the record has come')
    }
    await consumer.stop()
    expect(got).toEqual(Array.from({ length: 20 }, (_, i) => String(i)))
    await consumer.disconnect()
  })

  it('goes where it is sought, also from within the callback', async () => {
    log.engine.createTopic({ name: 't' })
    await producer.send({ topic: 't', messages: ['a', 'b', 'c', 'd'].map((value) => ({ value })) })
    const consumer = new Consumer(log.host)
    await consumer.subscribe({ topic: 't', fromBeginning: true })
    const got: string[] = []
    await new Promise<void>((resolve) => {
      void consumer.run({
        eachMessage: async ({ message }) => {
          got.push(String(message.value))
          if (got.length === 2) consumer.seek({ topic: 't', partition: 0, offset: '0' })
          if (got.length === 6) resolve()
        },
      })
    })
    expect(got).toEqual(['a', 'b', 'a', 'b', 'c', 'd'])
    await consumer.disconnect()
  })

  it('hands out nothing of a paused partition until it is resumed', async () => {
    log.engine.createTopic({ name: 't', partitions: 2 })
    const consumer = new Consumer(log.host)
    await consumer.subscribe({ topic: 't', fromBeginning: true })
    consumer.pause([{ topic: 't', partitions: [0] }])
    const got: string[] = []
    await consumer.run({ eachBatch: ({ batch }) => void got.push(...batch.messages.map((m) => String(m.value))) })
    await producer.send({
      topic: 't',
      messages: [
        { value: 'p0', partition: 0 },
        { value: 'p1', partition: 1 },
      ],
    })
    await until(() => got.length === 1, 'the other partition is read')
    await producer.send({ topic: 't', messages: [{ value: 'p1 again', partition: 1 }] })
    await until(() => got.length === 2, 'the other partition is read again')
    expect(got).toEqual(['p1', 'p1 again'])
    expect(consumer.paused()).toEqual([{ topic: 't', partitions: [0] }])
    consumer.resume([{ topic: 't' }])
    await until(() => got.length === 3, 'the first partition is read')
    expect(got).toEqual(['p1', 'p1 again', 'p0'])
    await consumer.disconnect()
  })

  it('stops at an error of the callback, tells of it, and keeps its place', async () => {
    log.engine.createTopic({ name: 't' })
    await producer.send({ topic: 't', messages: ['a', 'b'].map((value) => ({ value })) })
    const consumer = new Consumer(log.host)
    await consumer.subscribe({ topic: 't', fromBeginning: true })
    const crashed = new Promise((resolve) => consumer.once('crash', resolve))
    await consumer.run({
      eachMessage: ({ message }) => {
        if (String(message.value) === 'b') throw new Error('no b')
      },
    })
    expect(await crashed).toMatchObject({ message: 'no b' })
    await expect(consumer.finished()).rejects.toThrow('no b')
    expect(consumer.positions()).toEqual([{ topic: 't', partition: 0, offset: '1' }])
    await consumer.disconnect()
  })
})
