import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Millrace, t } from 'millrace'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

let mill: Millrace
beforeAll(async () => {
  mill = await Millrace.open({ workers: 1, memoryBudget: 64 * 1024 * 1024 })
})
afterAll(() => mill.close())
afterEach(async () => {
  for (const { name } of mill.topics.list()) await mill.topics.delete(name)
})

const Position = t.struct({ user: t.string, page: t.string.nullable(), visits: t.int, at: t.timestamp })

describe('compaction of a typed topic', () => {
  test('of each key the last row stays, at its offset, for consumers and for queries', async () => {
    await mill.topics.create('positions', { schema: Position, config: { 'cleanup.policy': 'compact' } })
    const producer = mill.producer()
    const rows = Array.from({ length: 300 }, (_, i) => ({
      key: `u${i % 11}`,
      value: { user: `u${i % 11}`, page: i % 3 === 0 ? null : `/p${i}`, visits: i, at: 1000 + i },
      headers: i % 2 === 0 ? { n: String(i) } : undefined,
    }))
    for (let at = 0; at < rows.length; at += 37) {
      await producer.send({ topic: 'positions', messages: rows.slice(at, at + 37) })
    }
    const [compacted] = await mill.topics.compactNow('positions')
    expect(compacted).toMatchObject({ recordsBefore: 300, recordsAfter: 11 })

    const found = await mill.read.topic('positions').collect()
    expect(found).toEqual(rows.slice(289).map(({ value }) => value))

    const log = await mill.read.format('log').option('subscribe', 'positions').load().collect()
    expect(log.map((row) => row.offset)).toEqual(rows.slice(289).map((_, i) => 289 + i))

    const consumer = mill.consumer({ groupId: 'g' })
    await consumer.subscribe({ topics: ['positions'], fromBeginning: true })
    const messages: unknown[] = []
    for await (const message of consumer) {
      messages.push({ offset: message.offset, value: message.value, key: message.key?.toString() })
      if (messages.length === 11) break
    }
    expect(messages).toEqual(rows.slice(289).map(({ key, value }, i) => ({ offset: String(289 + i), key, value })))
    await consumer.disconnect()
  })

  test.each(['gzip', 'lz4', 'snappy'])('compressed with %s it is compacted, and stays compressed', async (codec) => {
    const config = { 'cleanup.policy': 'compact', 'compression.type': codec }
    await mill.topics.create('positions', { schema: Position, config })
    await mill.topics.create('raw', { config })
    const producer = mill.producer()
    const page = '/page'.repeat(40)
    const values = Array.from({ length: 400 }, (_, i) => ({ user: `u${i % 150}`, page, visits: i, at: 1000 + i }))
    await producer.send({ topic: 'positions', messages: values.map((value) => ({ key: value.user, value })) })
    await producer.send({
      topic: 'raw',
      messages: values.map((value) => ({ key: value.user, value: page + value.visits })),
    })
    const [typed] = await mill.topics.compactNow('positions')
    const [rows] = await mill.topics.compactNow('raw')
    expect(typed).toMatchObject({ recordsBefore: 400, recordsAfter: 150 })
    expect(rows).toMatchObject({ recordsBefore: 400, recordsAfter: 150 })
    expect(typed?.bytesAfter).toBeLessThan(150 * 200)
    expect(rows?.bytesAfter).toBeLessThan(150 * 200)
    expect(await mill.read.topic('positions').collect()).toEqual(values.slice(250))
    const raw = await mill.read.format('log').option('subscribe', 'raw').load().collect()
    expect(raw.map((row) => Buffer.from(row.value as Uint8Array).toString())).toEqual(
      values.slice(250).map((value) => page + value.visits),
    )
    // A batch of which every record was overtaken, and another round over what is compacted.
    await producer.send({ topic: 'positions', messages: values.map((value) => ({ key: value.user, value })) })
    expect((await mill.topics.compactNow('positions'))[0]).toMatchObject({ recordsAfter: 150 })
    expect(await mill.read.topic('positions').collect()).toEqual(values.slice(250))
  })

  test('rows with gaps between them keep their offsets through another round, and a read may begin in a gap', async () => {
    await mill.topics.create('positions', { schema: Position, config: { 'cleanup.policy': 'compact' } })
    const producer = mill.producer()
    const value = (i: number) => ({ user: 'u', page: null, visits: i, at: 1000 + i })
    const send = (keys: string[], from: number) =>
      producer.send({ topic: 'positions', messages: keys.map((key, i) => ({ key, value: value(from + i) })) })
    await send(['a', 'b', 'a', 'c', 'd', 'a', 'e', 'b'], 0)
    await mill.topics.compactNow('positions')
    const read = async (start?: number) => {
      const options = start === undefined ? 'earliest' : JSON.stringify({ positions: { 0: start } })
      const frame = mill.read.option('startingOffsets', options).topic('positions')
      return (await frame.collect()).map((row) => row.visits)
    }
    expect(await read()).toEqual([3, 4, 5, 6, 7])
    await send(['d', 'e'], 8)
    await mill.topics.compactNow('positions')
    expect(await read()).toEqual([3, 5, 7, 8, 9])
    expect(await read(4)).toEqual([5, 7, 8, 9])
    expect(await read(6)).toEqual([7, 8, 9])
    const ending = mill.read.option('endingOffsets', JSON.stringify({ positions: { 0: 7 } })).topic('positions')
    expect((await ending.collect()).map((row) => row.visits)).toEqual([3, 5])
  })

  test('a query whose input was compacted away up to its end comes to its end', async () => {
    await mill.topics.create('raw', { config: { 'cleanup.policy': 'compact' } })
    const producer = mill.producer()
    for (let i = 0; i < 10; i++) await producer.send({ topic: 'raw', messages: [{ key: 'k', value: String(i) }] })
    await mill.topics.compactNow('raw')
    const rows = await mill.read
      .format('log')
      .option('subscribe', 'raw')
      .option('endingOffsets', JSON.stringify({ raw: { 0: 7 } }))
      .load()
      .collect()
    expect(rows).toEqual([])
  })
})

describe('a topic later', () => {
  test('alter, addPartitions, deleteRecords and explainRecord', async () => {
    await mill.topics.create('events', { partitions: 2 })
    const producer = mill.producer()
    await producer.send({ topic: 'events', messages: [{ key: 'a', value: '1', partition: 1 }] })
    const described = await mill.topics.alter('events', { 'retention.ms': 1000, 'max.message.bytes': 200 })
    expect(described.config['retention.ms']).toBe(1000)
    await expect(
      producer.send({ topic: 'events', messages: [{ key: 'a', value: 'x'.repeat(300) }] }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/TOO_LARGE/) })
    await mill.topics.alter('events', { config: { 'retention.ms': null, 'max.message.bytes': null } })
    expect(await mill.topics.addPartitions('events', 4)).toMatchObject({ partitions: 4 })
    const [sent] = await producer.send({
      topic: 'events',
      messages: [{ key: 'a', value: 'x'.repeat(300), partition: 3 }],
    })
    expect(sent).toMatchObject({ partition: 3, baseOffset: 0 })
    expect(await mill.topics.explainRecord('events', { partition: 1, offset: 0 })).toMatchObject({ state: 'present' })
    expect(await mill.topics.deleteRecords('events', [{ partition: 1, offset: '1' }])).toEqual([
      { partition: 1, lowWatermark: '1' },
    ])
    expect(await mill.topics.explainRecord('events', { partition: 1, offset: 0 })).toMatchObject({ state: 'deleted' })
    await expect(mill.topics.alter('events', { schema: 'x' } as never)).rejects.toMatchObject({
      code: 'UNKNOWN_OPTION',
    })
    await expect(mill.topics.alter('events', { 'retention.ms': -5 })).rejects.toMatchObject({
      code: 'TOPIC_CONFIG_INVALID',
    })
    await expect(mill.topics.alter('event', { 'retention.ms': 5 })).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' })
  })

  test('a query below the log start offset fails with the range, or with failOnDataLoss false goes on at the start', async () => {
    await mill.topics.create('typed', { schema: Position })
    await mill.topics.create('raw')
    const producer = mill.producer()
    for (let i = 0; i < 10; i++) {
      await producer.send({ topic: 'typed', messages: [{ value: { user: 'u', page: null, visits: i, at: 1 } }] })
      await producer.send({ topic: 'raw', messages: [{ value: `${i}` }] })
    }
    const seen: number[] = []
    const stream = (failOnDataLoss: string) =>
      mill.readStream.option('startingOffsets', 'earliest').option('failOnDataLoss', failOnDataLoss).topic('typed')
    const checkpoint = mkdtempSync(join(tmpdir(), 'millrace-loss-'))
    const start = (failOnDataLoss: string) =>
      stream(failOnDataLoss)
        .writeStream.option('checkpointLocation', checkpoint)
        .outputMode('append')
        .foreachBatch(async (rows) => {
          seen.push(...(await rows.collect()).map((row) => Number(row.visits)))
        })
        .start()
    const first = await start('true')
    await first.processAllAvailable()
    await first.stop()
    expect(seen).toHaveLength(10)
    for (let i = 10; i < 20; i++)
      await producer.send({ topic: 'typed', messages: [{ value: { user: 'u', page: null, visits: i, at: 1 } }] })
    await mill.topics.deleteRecords('typed', [{ partition: 0, offset: 15 }])
    const failing = start('true').then((query) => query.awaitTermination())
    await expect(failing).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
    const going = await start('false')
    await going.processAllAvailable()
    await going.stop()
    expect(seen.slice(10)).toEqual([15, 16, 17, 18, 19])
    rmSync(checkpoint, { recursive: true, force: true })
  })

  test('what is queued when partitions are added keeps its order per key', async () => {
    await mill.topics.create('events', { partitions: 1 })
    const producer = mill.producer()
    const sends: Promise<unknown>[] = []
    for (let i = 0; i < 50; i++) sends.push(producer.send({ topic: 'events', messages: [{ key: 'k', value: `${i}` }] }))
    const added = mill.topics.addPartitions('events', 3)
    for (let i = 50; i < 100; i++)
      sends.push(producer.send({ topic: 'events', messages: [{ key: 'k', value: `${i}`, partition: 0 }] }))
    await added
    for (let i = 100; i < 150; i++)
      sends.push(producer.send({ topic: 'events', messages: [{ key: 'k', value: `${i}`, partition: 0 }] }))
    await Promise.all(sends)
    const rows = await mill.read.format('log').option('subscribe', 'events').load().collect()
    const values = rows.filter((row) => row.partition === 0).map((row) => Number(Buffer.from(row.value as Uint8Array)))
    expect(values).toEqual(Array.from({ length: 150 }, (_, i) => i))
  })

  test('LogAppendTime gives every record the time of its append', async () => {
    await mill.topics.create('events', { config: { 'message.timestamp.type': 'LogAppendTime' } })
    const before = Date.now()
    await mill.producer().send({ topic: 'events', messages: [{ value: 'x', timestamp: 5 }] })
    const [row] = await mill.read.format('log').option('subscribe', 'events').load().collect()
    expect(row?.timestamp).toBeGreaterThanOrEqual(before)
    expect(row?.timestampType).toBe(1)
  })

  test('K-10: a record from too far in the future is refused by default, one from the past where the topic says so', async () => {
    await mill.topics.create('events', { config: { 'message.timestamp.before.max.ms': 1000 } })
    const producer = mill.producer()
    const send = (timestamp: number) => producer.send({ topic: 'events', messages: [{ value: 'x', timestamp }] })
    await expect(send(Date.now() + 2 * 3_600_000)).rejects.toMatchObject({ code: 'INVALID_TIMESTAMP' })
    await expect(send(Date.now() - 60_000)).rejects.toMatchObject({ code: 'INVALID_TIMESTAMP' })
    await send(Date.now())
    await mill.topics.alter('events', { 'message.timestamp.before.max.ms': null })
    await send(1000)
  })

  test('a compacted topic takes no record without a key', async () => {
    await mill.topics.create('state', { config: { 'cleanup.policy': 'compact' } })
    const send = mill.producer().send({ topic: 'state', messages: [{ key: 'k', value: 'v' }, { value: 'lost' }] })
    await expect(send).rejects.toMatchObject({ code: 'INVALID_RECORD' })
  })
})
