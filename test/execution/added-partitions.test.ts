import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Millrace } from 'millrace'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

type Trigger = { readonly processingTime: string } | { readonly continuous: string }

let dir: string
let mill: Millrace
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'added-'))
  mill = await Millrace.open({ dir, workers: 2 })
})
afterAll(async () => {
  await mill.close()
  rmSync(dir, { recursive: true, force: true })
})

let seen: string[]
/** Of the query of this test. */
let name: string
let tests = 0
beforeEach(() => {
  seen = []
  name = `q${tests++}`
})
afterEach(async () => {
  for (const topic of mill.topics.list()) await mill.topics.delete(topic.name)
})

const streamOf = (topics: string) =>
  mill.readStream.option('subscribe', topics).option('startingOffsets', 'earliest').format('log').load()

const start = (topics: string, trigger: Trigger) => run(streamOf(topics), trigger)

const run = (stream: ReturnType<typeof streamOf>, trigger: Trigger) =>
  stream.writeStream
    .queryName(name)
    .foreachBatch(async (rows) => {
      for (const row of await rows.collect()) {
        seen.push(`${row.topic}-${row.partition}:${Buffer.from(row.value as Uint8Array)}`)
      }
    })
    .trigger(trigger)
    .start()

/** One record to every partition, with the same value. */
async function sendToAll(topic: string, value: string): Promise<string[]> {
  const { partitions } = mill.topics.get(topic)
  const messages = Array.from({ length: partitions }, (_, partition) => ({ value, partition }))
  await mill.producer().send({ topic, messages })
  return messages.map(({ partition }) => `${topic}-${partition}:${value}`)
}

const inOrder = (values: readonly string[]): string[] => [...values].sort()

describe.each<[string, Trigger]>([
  ['micro-batch', { processingTime: '0 seconds' }],
  ['continuous', { continuous: '20 milliseconds' }],
])('a query in %s mode', (_, trigger) => {
  test('reads partitions that its topic gets while it runs, from their beginning, and goes on with them after a stop', async () => {
    await mill.topics.create('a', { partitions: 1 })
    const query = await start('a', trigger)
    const sent = await sendToAll('a', 'before')
    await query.processAllAvailable()
    await mill.topics.addPartitions('a', 4)
    sent.push(...(await sendToAll('a', 'while')))
    await query.processAllAvailable()
    expect(inOrder(seen)).toEqual(inOrder(sent))
    await query.stop()
    sent.push(...(await sendToAll('a', 'stopped')))
    await mill.topics.addPartitions('a', 5)
    sent.push(...(await sendToAll('a', 'grown')))
    const again = await start('a', trigger)
    await again.processAllAvailable()
    expect(inOrder(seen)).toEqual(inOrder(sent))
    await again.stop()
  })

  test.each([
    ['several topics', (): ReturnType<typeof streamOf> => streamOf('a,b')],
    ['a union of sources', () => streamOf('a').union(streamOf('b'))],
  ])('over %s keeps the place of each partition, whichever topic grows, while it runs or not', async (_what, input) => {
    await mill.topics.create('a', { partitions: 2 })
    await mill.topics.create('b', { partitions: 1 })
    const sent: string[] = []
    const sendEverywhere = async (value: string): Promise<void> => {
      for (const topic of ['a', 'b']) sent.push(...(await sendToAll(topic, value)))
    }
    let query = await run(input(), trigger)
    await sendEverywhere('1')
    await query.processAllAvailable()
    await mill.topics.addPartitions('a', 3)
    await mill.topics.addPartitions('b', 2)
    await sendEverywhere('2')
    await query.processAllAvailable()
    await query.stop()
    await mill.topics.addPartitions('a', 4)
    await sendEverywhere('3')
    query = await run(input(), trigger)
    await mill.topics.addPartitions('b', 3)
    await sendEverywhere('4')
    await query.processAllAvailable()
    await query.stop()
    await mill.close()
    mill = await Millrace.open({ dir, workers: 2 })
    query = await run(input(), trigger)
    await sendEverywhere('5')
    await query.processAllAvailable()
    await query.stop()
    expect(inOrder(seen)).toEqual(inOrder(sent))
  })
})

test('what reads up to an end that was fixed at the start does without', async () => {
  await mill.topics.create('a', { partitions: 1 })
  const sent = await sendToAll('a', 'before')
  const query = await mill.readStream
    .option('startingOffsets', 'earliest')
    .option('subscribe', 'a')
    .format('log')
    .load()
    .writeStream.foreachBatch(async (rows) => {
      if (mill.topics.get('a').partitions === 1) await mill.topics.addPartitions('a', 2)
      seen.push(...(await rows.collect()).map((row) => `a-${row.partition}:before`))
    })
    .trigger({ availableNow: true })
    .start()
  await query.awaitTermination()
  expect(seen).toEqual(sent)
})
