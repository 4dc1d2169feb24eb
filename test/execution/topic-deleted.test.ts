import { col, count, Millrace, t } from 'millrace'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const Click = t.struct({ page: t.string, n: t.int })
const Other = t.struct({ size: t.double })

const triggers = [
  ['micro-batch', { processingTime: 0 }],
  ['continuous', { continuous: '5 ms' }],
] as const

let mill: Millrace
let topics = 0

beforeAll(async () => {
  mill = await Millrace.open({ workers: 2 })
})
afterAll(() => mill.close())

async function clicksTopic(): Promise<string> {
  const name = `deleted-${++topics}`
  await mill.topics.create(name, { partitions: 2, schema: Click })
  const messages = Array.from({ length: 100 }, (_, n) => ({ key: `${n}`, value: { page: `/${n % 3}`, n } }))
  await mill.producer().send({ topic: name, messages })
  return name
}

const read = (topic: string) => mill.readStream.option('startingOffsets', 'earliest').topic(topic, Click)

describe.each(triggers)('in %s mode', (_, trigger) => {
  it('a query ends with TOPIC_DELETED when its topic is deleted, idle or waited for', async () => {
    const topic = await clicksTopic()
    const query = await read(topic)
      .groupBy('page')
      .agg({ n: count() })
      .writeStream.queryName(`q-${topic}`)
      .outputMode('update')
      .format('memory')
      .trigger(trigger)
      .start()
    await query.processAllAvailable()
    const ended = expect(query.awaitTermination()).rejects.toMatchObject({
      code: 'TOPIC_DELETED',
      message: expect.stringContaining(topic),
      detail: expect.any(String),
      hint: expect.any(String),
    })
    await mill.topics.delete(topic)
    await ended
    expect(query.isActive).toBe(false)
    expect(await mill.table(`q-${topic}`).count()).toBe(3)
  })

  it('a topic that is deleted and made again does not feed the old query', async () => {
    const topic = await clicksTopic()
    const query = await read(topic).writeStream.format('noop').trigger(trigger).start()
    const ended = expect(query.awaitTermination()).rejects.toMatchObject({ code: 'TOPIC_DELETED' })
    await mill.topics.delete(topic)
    await mill.topics.create(topic, { partitions: 2, schema: Click })
    await mill.producer().send({ topic, messages: [{ key: 'a', value: { page: '/new', n: 1 } }] })
    await ended
    const next = await read(topic).writeStream.format('memory').queryName(`again-${topic}`).trigger(trigger).start()
    await next.processAllAvailable()
    await next.stop()
    expect(await mill.table(`again-${topic}`).collect()).toEqual([{ page: '/new', n: 1 }])
  })

  it('a query whose log sink loses its topic ends, even where it has nothing to write', async () => {
    const [from, to] = [await clicksTopic(), await clicksTopic()]
    const query = await read(from)
      .filter(col('n').lt(0))
      .writeStream.format('log')
      .option('topic', to)
      .trigger(trigger)
      .start()
    await query.processAllAvailable()
    const ended = expect(query.awaitTermination()).rejects.toMatchObject({ code: 'TOPIC_DELETED' })
    await mill.topics.delete(to)
    await ended
  })
})

it('a DataFrame over a typed topic is not started over another topic of the same name', async () => {
  const topic = await clicksTopic()
  const frame = read(topic)
  await mill.topics.delete(topic)
  await mill.topics.create(topic, { partitions: 2, schema: Other })
  await expect(frame.writeStream.format('noop').start()).rejects.toMatchObject({ code: 'TOPIC_DELETED' })
  const bytes = mill.readStream.format('log').option('subscribe', topic).load()
  const query = await bytes.writeStream.format('noop').start()
  await query.stop()
})

it('deleting a topic that nobody knows ends nothing', async () => {
  const topic = await clicksTopic()
  const query = await read(topic).writeStream.format('noop').start()
  await expect(mill.topics.delete('nowhere')).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' })
  await query.processAllAvailable()
  expect(query.isActive).toBe(true)
  await query.stop()
})
