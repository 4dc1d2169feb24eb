import { Millrace, t } from 'millrace'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { refusal } from './refusal.js'

let mill: Millrace
const Click = t.struct({ page: t.string, ts: t.timestamp })

beforeAll(async () => {
  mill = await Millrace.open({ workers: 1 })
  await mill.topics.create('user-clicks', { partitions: 2, schema: Click })
  await mill.topics.create('orders')
})
afterAll(() => mill.close())

const value = { page: '/a', ts: 1 }

test.each<[string, () => unknown]>([
  ['describe', () => mill.topics.describe('user-click')],
  ['delete', () => mill.topics.delete('user-click')],
  ['send', () => mill.producer().send({ topic: 'user-click', messages: [{ value }] })],
  ['sendBatch', () => mill.producer().sendBatch({ topicMessages: [{ topic: 'user-click', messages: [{ value }] }] })],
  ['subscribe of a consumer', () => mill.consumer({ groupId: 'g' }).subscribe({ topics: ['user-click'] })],
  ['topic of a reader', () => mill.readStream.topic('user-click')],
  ['subscribe of a reader', () => mill.read.format('log').option('subscribe', 'user-click').load()],
])('%s of a topic that does not exist lists those that do, and the nearest', async (_, call) => {
  const error = await refusal(call)
  expect(error.code).toBe('UNKNOWN_TOPIC')
  expect(error.detail).toContain('orders, user-clicks')
  expect(error.hint).toContain("'user-clicks'")
})

test('a record written to a topic that does not exist is told of at the flush', async () => {
  const producer = mill.producer()
  producer.write('user-click', { value })
  expect((await refusal(() => producer.flush())).code).toBe('UNKNOWN_TOPIC')
})

test.each<[unknown, RegExp]>([
  ['a/b', /"\/"/],
  ['a\\b', /"\\\\"/],
  ['..', /directory/],
  ['.', /directory/],
  ['', /empty/],
  ['x'.repeat(250), /250 characters, at most 249/],
  ['two words', /" "/],
  ['x\0', /u0000/],
  ['con', /device/],
  ['NUL', /device/],
  ['aux.log', /device/],
  ['LPT1', /device/],
  ['dot.', /dot/],
  [7, /number/],
  [undefined, /undefined/],
])('no topic is named %j', async (name, detail) => {
  const error = await refusal(() => mill.topics.create(name as string))
  expect(error.code).toBe('TOPIC_NAME_INVALID')
  expect(error.detail).toMatch(detail)
  expect(mill.topics.list().map((topic) => topic.name)).toEqual(['user-clicks', 'orders'])
})

test('a name of 249 characters is a name', async () => {
  const name = 'y'.repeat(249)
  await mill.topics.create(name)
  await mill.topics.delete(name)
})

test('two topics may not differ in case alone, nor be one', async () => {
  const error = await refusal(() => mill.topics.create('User-Clicks'))
  expect(error.code).toBe('TOPIC_EXISTS')
  expect(error.detail).toContain('user-clicks')
  expect((await refusal(() => mill.topics.create('orders'))).code).toBe('TOPIC_EXISTS')
})

test.each([0, -1, 1.5, 1e9, Number.NaN, '3'])('no topic has %j partitions', async (partitions) => {
  const error = await refusal(() => mill.topics.create('p', { partitions: partitions as number }))
  expect(error.code).toBe('TOPIC_PARTITIONS_INVALID')
  expect(error.summary).toContain(JSON.stringify(partitions))
  expect(error.detail).toContain('from 1 to 10000')
})

test('an option, a setting or a schema that does not exist is refused, not passed over', async () => {
  const create = (options: object) => refusal(() => mill.topics.create('p', options))
  expect(await create({ partition: 3 })).toMatchObject({ code: 'UNKNOWN_OPTION', hint: "did you mean 'partitions'?" })
  expect((await create({ numPartitions: 3 })).hint).toContain("'partitions'")
  expect((await create({ config: { 'retention.m': 1 } })).hint).toContain("'retention.ms'")
  expect((await create({ config: { 'retention.ms': 'a week' } })).code).toBe('TOPIC_CONFIG_INVALID')
  expect((await create({ partitioner: 'md5' })).code).toBe('TOPIC_CONFIG_INVALID')
  for (const schema of ['a string', { a: 'string' }, t.string, null]) {
    expect((await create({ schema })).code).toBe('TOPIC_SCHEMA_INVALID')
  }
  expect((await refusal(() => mill.topics.create('p', 4 as never))).code).toBe('INVALID_ARGUMENT')
  expect(mill.topics.list().map((topic) => topic.name)).toEqual(['user-clicks', 'orders'])
})

test('options of kafkajs that tune a network are let through, those that promise something are not', async () => {
  mill.producer({ idempotent: true, maxInFlightRequests: 1 } as object)
  mill.consumer({ groupId: 'g', sessionTimeout: 30_000 } as object)
  expect(await refusal(() => mill.producer({ createPartitioner: () => 0 } as object))).toMatchObject({
    code: 'UNKNOWN_OPTION',
  })
  expect((await refusal(() => mill.producer({ transactionalID: 'tx' } as object))).hint).toContain("'transactionalId'")
  expect((await refusal(() => mill.consumer({ groupID: 'g' } as object))).hint).toContain("'groupId'")
})

test.each<[string, () => unknown, string]>([
  ['describe without a name', () => mill.topics.describe(undefined as never), 'TOPIC_NAME_INVALID'],
  ['delete without a name', () => mill.topics.delete(undefined as never), 'TOPIC_NAME_INVALID'],
  ['a config of null', () => mill.topics.create('c', { config: null as never }), 'INVALID_ARGUMENT'],
  ['a config that is a list', () => mill.topics.create('c', { config: ['x'] as never }), 'INVALID_ARGUMENT'],
  [
    'a config that is a text',
    () => mill.topics.alter('orders', { config: 'retention.ms=5' as never }),
    'INVALID_ARGUMENT',
  ],
  [
    'addPartitions without a number',
    () => mill.topics.addPartitions('orders', undefined as never),
    'TOPIC_PARTITIONS_INVALID',
  ],
  ['addPartitions of a text', () => mill.topics.addPartitions('orders', '3' as never), 'TOPIC_PARTITIONS_INVALID'],
  ['deleteRecords of nothing', () => mill.topics.deleteRecords('orders', [null as never]), 'INVALID_ARGUMENT'],
  [
    'deleteRecords without a partition',
    () => mill.topics.deleteRecords('orders', [{ offset: 0 } as never]),
    'INVALID_ARGUMENT',
  ],
  [
    'deleteRecords of a partition that is a text',
    () => mill.topics.deleteRecords('orders', [{ partition: '0' as never, offset: 0 }]),
    'INVALID_ARGUMENT',
  ],
  ['explainRecord of nothing', () => mill.topics.explainRecord('orders', undefined as never), 'INVALID_ARGUMENT'],
  [
    'explainRecord of a partition that is a text',
    () => mill.topics.explainRecord('orders', { partition: 'x' as never, offset: 0 }),
    'INVALID_ARGUMENT',
  ],
  [
    'resetOffsets to a date that is none',
    () => mill.groups.resetOffsets('g', { topic: 'orders', to: { timestamp: new Date(Number.NaN) } }),
    'INVALID_ARGUMENT',
  ],
])('%s is refused, and nothing has changed', async (_, call, code) => {
  const before = JSON.stringify([mill.topics.list(), await mill.groups.list()])
  expect((await refusal(call)).code).toBe(code)
  expect(JSON.stringify([mill.topics.list(), await mill.groups.list()])).toBe(before)
})

test.each<[string, unknown]>([
  ['nothing', null],
  ['a partition that is a text', { partition: '0', offset: '0' }],
  ['no partition', { offset: '0' }],
])('sendOffsets of %s is refused', async (_, place) => {
  const tx = await mill.producer({ transactionalId: `t-${String(_)}` }).transaction()
  const error = await refusal(() =>
    tx.sendOffsets({ consumerGroupId: 'g', topics: [{ topic: 'orders', partitions: [place as never] }] }),
  )
  expect(error.code).toBe('INVALID_ARGUMENT')
  await tx.abort()
})
