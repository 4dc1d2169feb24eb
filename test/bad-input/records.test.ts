import { Millrace, t } from 'millrace'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { refusal } from './refusal.js'

let mill: Millrace
const Click = t.struct({
  userId: t.string,
  at: t.struct({ page: t.string }),
  ts: t.timestamp,
  price: t.double.nullable(),
})

beforeAll(async () => {
  mill = await Millrace.open({ workers: 1 })
  await mill.topics.create('clicks', { partitions: 3, schema: Click })
  await mill.topics.create('raw', { partitions: 3 })
})
afterAll(() => mill.close())

const good = { userId: 'u', at: { page: '/a' }, ts: 1, price: null }
const thrice = (message: unknown) => [{ key: 'a', value: good }, { key: 'b', value: good }, message] as never
const endOffsets = async (topic: string): Promise<number[]> =>
  (await mill.topics.describe(topic)).partitionStates.map((p) => p.logEndOffset)

async function refusedSend(topic: string, messages: never) {
  const before = await endOffsets(topic)
  const error = await refusal(() => mill.producer().send({ topic, messages }))
  expect(await endOffsets(topic), 'nothing of the send is written').toEqual(before)
  return error
}

test.each<[string, unknown, RegExp]>([
  ['messages[2].value.ts', { ...good, ts: 'noon' }, /found string "noon", expected timestamp/],
  ['messages[2].value.ts', { ...good, ts: new Date(Number.NaN) }, /found an invalid Date/],
  ['messages[2].value.at.page', { ...good, at: { page: 3 } }, /found number 3, expected string/],
  ['messages[2].value.at', { ...good, at: 'home' }, /found string "home", expected struct/],
  ['messages[2].value.price', { ...good, price: '9.5' }, /expected double: a number, or null/],
  ['messages[2].value.userId', { ...good, userId: null }, /found null, expected string/],
  ['messages[2].value.at.page', { ...good, at: {} }, /found nothing, expected string/],
  ['messages[2].value', 'hello', /found string "hello", expected struct/],
  ['messages[2].value', [], /found array of 0/],
  ['messages[2].value', null, /found null/],
])('a value that does not fit at %s refuses the whole send', async (path, value, detail) => {
  const error = await refusedSend('clicks', thrice({ key: 'c', value }))
  expect(error.code).toBe('RECORD_INVALID')
  expect(error.summary.split(' ')[0]).toBe(path)
  expect(error.detail).toMatch(detail)
})

test.each([1, 1n, true, {}, [1], new Date(0), new ArrayBuffer(2), Symbol('k')])(
  'a key is a string or bytes, and %s is neither',
  async (key) => {
    const error = await refusedSend('clicks', thrice({ key, value: good }))
    expect(error.code).toBe('RECORD_INVALID')
    expect(error.summary).toMatch(/^messages\[2\]\.key /)
    expect(error.detail).toContain('expected a string, a Uint8Array, or null')
  },
)

test.each<[string, object]>([
  ['messages[2].partition', { value: good, partition: 3 }],
  ['messages[2].partition', { value: good, partition: -1 }],
  ['messages[2].partition', { value: good, partition: 0.5 }],
  ['messages[2].timestamp', { value: good, timestamp: 'noon' }],
  ['messages[2].headers.trace', { value: good, headers: { trace: 7 } }],
])('%s is checked', async (path, message) => {
  const error = await refusedSend('clicks', thrice(message))
  expect(error.code).toBe('RECORD_INVALID')
  expect(error.summary.startsWith(`${path} `)).toBe(true)
})

test.each([null, 4, 'text', undefined])('a message that is %j is refused', async (message) => {
  expect((await refusedSend('clicks', thrice(message))).code).toBe('RECORD_INVALID')
})

test('an untyped topic takes strings, bytes and tombstones alone', async () => {
  for (const value of [1, {}, true, new ArrayBuffer(1)]) {
    expect((await refusedSend('raw', [{ key: 'a', value: 'x' }, { value }] as never)).code).toBe('RECORD_INVALID')
  }
  const missing = await refusedSend('raw', [{ key: 'a' }] as never)
  expect(missing.hint).toContain('tombstone')
})

test('a call that is no send is refused', async () => {
  const send = mill.producer().send.bind(mill.producer()) as (argument?: unknown) => Promise<unknown>
  for (const argument of [
    undefined,
    null,
    'clicks',
    {},
    { topic: 'clicks' },
    { topic: 'clicks', messages: {} },
    { messages: [] },
  ]) {
    expect((await refusal(() => send(argument))).code).toBe('INVALID_ARGUMENT')
  }
})

test('of joined sends only the one at fault is refused', async () => {
  const before = await mill.read.topic('clicks').count()
  const producer = mill.producer()
  const results = await Promise.allSettled([
    producer.send({ topic: 'clicks', messages: [{ key: 'a', value: good }] }),
    producer.send({ topic: 'clicks', messages: thrice({ value: {} }) }),
    producer.send({ topic: 'clicks', messages: [{ key: 'b', value: good }] }),
  ])
  expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(await mill.read.topic('clicks').count()).toBe(before + 2)
})

test('of written records those that fit are written, and flush tells of the first that does not', async () => {
  const before = await mill.read.topic('clicks').count()
  const producer = mill.producer()
  producer.write('clicks', { key: 'a', value: good })
  producer.write('clicks', { key: 'b', value: {} })
  producer.write('clicks', { key: 'c', value: good })
  expect((await refusal(() => producer.flush())).code).toBe('RECORD_INVALID')
  expect(await mill.read.topic('clicks').count()).toBe(before + 2)
  await producer.flush()
})

test('rows of createDataFrame are checked with their path', async () => {
  const error = await refusal(() => mill.createDataFrame([{ a: 1 }, { a: 'x' }] as never, t.struct({ a: t.int })))
  expect(error).toMatchObject({ code: 'RECORD_INVALID' })
  expect(error.summary).toMatch(/^rows\[1\]\.a /)
  expect((await refusal(() => mill.createDataFrame('rows' as never, 'a int'))).code).toBe('ROWS_EXPECTED')
  expect((await refusal(() => mill.createDataFrame([], undefined as never))).code).toBe('SCHEMA_EXPECTED')
  expect((await refusal(() => mill.createDataFrame([], 'a inty'))).code).toBe('DDL_INVALID')
})

const huge = Buffer.alloc(2 ** 31)
test.each<[string, string, object]>([
  ['a value', 'raw', { value: huge }],
  ['a key', 'raw', { key: huge, value: 'v' }],
  ['a header', 'raw', { value: 'v', headers: { h: huge } }],
  ['headers together', 'raw', { value: 'v', headers: { h: Array.from({ length: 70 }, () => 'x'.repeat(1 << 20)) } }],
  ['a text of 128 MiB', 'raw', { value: 'x'.repeat(1 << 27) }],
  ['a key', 'clicks', { key: huge, value: good }],
  ['a header', 'clicks', { value: good, headers: { h: huge } }],
])('%s beyond what any topic takes, mostly of 2 GiB, is refused at once, in topic %s', async (_, topic, message) => {
  const error = await refusedSend(topic, [message] as never)
  expect(error.code).toBe('RECORD_TOO_LARGE')
  expect(error.summary).toMatch(/^messages\[0\](\.key|\.headers)? is too large$/)
})
