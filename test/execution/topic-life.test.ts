import { Millrace, t } from 'millrace'
import { afterEach, describe, expect, test } from 'vitest'

const open: Millrace[] = []

async function memory(): Promise<Millrace> {
  const mill = await Millrace.open({ workers: 1, memoryBudget: 64 * 1024 * 1024 })
  open.push(mill)
  return mill
}

afterEach(async () => {
  for (const mill of open.splice(0)) await mill.close()
})

const Position = t.struct({ user: t.string, page: t.string.nullable(), visits: t.int, at: t.timestamp })

describe('compaction of a typed topic', () => {
  test('of each key the last row stays, at its offset, for consumers and for queries', async () => {
    const mill = await memory()
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

  test('rows with gaps between them keep their offsets through another round, and a read may begin in a gap', async () => {
    const mill = await memory()
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
    const mill = await memory()
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
