import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Consumer } from '../../src/client/consumer.js'
import { Producer } from '../../src/client/producer.js'
import type { MillraceError } from '../../src/common/errors.js'
import { until } from '../log/log-fixture.js'
import { type ClientLog, openClientLog } from './consumer-fixture.js'

/** What was thrown, at once or later; fails where nothing was. */
async function refusal(work: () => unknown): Promise<MillraceError> {
  try {
    await work()
  } catch (error) {
    return error as MillraceError
  }
  throw new Error('nothing was refused')
}

describe("a consumer by Kafka's names", () => {
  it('is what it is by those of kafkajs; what tunes a connection is let through, two that differ are refused', async () => {
    const log = await openClientLog()
    log.createTopic('t')
    await log.send('t', 0, '1')
    const one = log.consumer({
      'group.id': 'g',
      'client.id': 'me',
      'auto.offset.reset': 'earliest',
      'isolation.level': 'read_committed',
      'enable.auto.commit': false,
      'auto.commit.interval.ms': 100,
      'partition.assignment.strategy': 'range, roundrobin',
      ...{ 'max.poll.records': 5, 'session.timeout.ms': 5, 'fetch.min.bytes': 1 },
    })
    await one.subscribe({ topics: ['t'] })
    const seen: string[] = []
    await one.run({ eachMessage: ({ message }) => void seen.push(String(message.value)) })
    await until(() => seen.length === 1, 'the record')
    const { protocol, members } = await log.groups.describe('g')
    expect([protocol, members[0]?.clientId]).toEqual(['range', 'me'])
    await one.disconnect()
    expect((await log.groups.list()).map(({ groupId }) => groupId)).toEqual([])
    for (const wrong of [
      { groupId: 'g', 'group.id': 'h' },
      { 'auto.offset.reset': 'oldest' },
      { 'partition.assignment.strategy': 7 },
      { 'enable.auto.commit': 'true' },
    ]) {
      expect(() => log.consumer(wrong as never), JSON.stringify(wrong)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      )
    }
    expect(() => log.consumer({ 'partition.assignment.strategy': 'rang' })).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_ASSIGNOR' }),
    )
    await log.close()
  })
})

describe('a consumer refuses, with what was found,', () => {
  let log: ClientLog
  let member: Consumer
  beforeAll(async () => {
    log = await openClientLog()
    log.createTopic('t', 2)
    await log.send('t', 0, 'a', 'b')
    member = log.consumer({ groupId: 'g' })
    await member.subscribe({ topics: ['t'], fromBeginning: true })
    await member.run({ eachMessage: () => undefined })
  })
  afterAll(async () => {
    await log.close()
  })

  it.each<[unknown, string, RegExp]>([
    [{ topics: ['t'], fromBegining: true }, 'UNKNOWN_OPTION', /did you mean 'fromBeginning'/],
    [{ topics: ['t'], fromBeginning: 'yes' }, 'INVALID_ARGUMENT', /string "yes", expected true or false/],
  ])('subscribe(%j)', async (given, code, words) => {
    const error = await refusal(() => log.consumer().subscribe(given as never))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(words)
  })

  it.each<[object, string, RegExp]>([
    [{ partitionsConsumedConcurently: 4 }, 'UNKNOWN_OPTION', /did you mean 'partitionsConsumedConcurrently'/],
    [{ onError: 'skip' }, 'INVALID_ARGUMENT', /found string "skip", expected an object/],
    [{ onError: { than: 'skip' } }, 'UNKNOWN_OPTION', /did you mean 'then'/],
    [{ onError: { retry: 5 } }, 'INVALID_ARGUMENT', /onError.retry/],
    [{ onError: { retry: { attempt: 5 } } }, 'UNKNOWN_OPTION', /did you mean 'attempts'/],
    [{ eachBatchAutoResolve: 'no' }, 'INVALID_ARGUMENT', /true or false/],
    [{ partitionsConsumedConcurrently: -1 }, 'INVALID_ARGUMENT', /above 0/],
  ])('run with %j, and does not begin', async (given, code, words) => {
    const one = log.consumer()
    await one.subscribe({ topics: ['t'] })
    const error = await refusal(() => one.run({ eachMessage: () => undefined, ...given } as never))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(words)
    await one.run({ eachMessage: () => undefined })
    await one.disconnect()
  })

  const filters = ['t', undefined, null, [null], ['t'], [{}], [{ topic: 7 }], [{ topic: 't', partitions: 0 }]]
  it.each([...filters, [{ topic: 't', partitions: [-1] }]])('pause and resume of %j', async (given) => {
    for (const method of ['pause', 'resume'] as const) {
      expect((await refusal(() => member[method](given as never))).code).toBe('INVALID_ARGUMENT')
    }
    expect(member.paused()).toEqual([])
  })

  it.each(['t', null, [null], [{ topic: 't' }], [{ topic: 't', partition: '0' }], [{ partition: 0 }]])(
    'seekToBeginning, seekToEnd and commitOffsets of %j',
    async (given) => {
      for (const method of ['seekToBeginning', 'seekToEnd', 'commitOffsets'] as const) {
        expect((await refusal(() => member[method](given as never))).code).toBe('INVALID_ARGUMENT')
      }
    },
  )

  it.each<[unknown, string]>([
    [undefined, 'INVALID_ARGUMENT'],
    [null, 'INVALID_ARGUMENT'],
    [{}, 'INVALID_ARGUMENT'],
    [{ topic: 't' }, 'INVALID_ARGUMENT'],
    [{ topic: 't', partition: 0 }, 'INVALID_ARGUMENT'],
    [{ topic: 't', partition: 'x', offset: 0 }, 'INVALID_ARGUMENT'],
    [{ topic: 't', partition: 0, offset: -1 }, 'INVALID_ARGUMENT'],
    [{ topic: 't', partition: 0, offset: 1.5 }, 'INVALID_ARGUMENT'],
    [{ topic: 't', partition: 0, timestamp: null }, 'INVALID_ARGUMENT'],
    [{ topic: 't', partition: 0, timestamp: '' }, 'INVALID_ARGUMENT'],
    [{ topic: 't', partition: 0, timestamp: new Date('no day') }, 'INVALID_ARGUMENT'],
    [{ topic: 't', partition: 0, offset: 3 }, 'OFFSET_OUT_OF_RANGE'],
    [{ topic: 't', partition: 2, offset: 0 }, 'NOT_ASSIGNED'],
  ])('seek(%j)', async (given, code) => {
    expect((await refusal(() => member.seek(given as never))).code).toBe(code)
  })

  it.each<[unknown, string]>([
    [undefined, 'INVALID_ARGUMENT'],
    [{ topic: 't' }, 'INVALID_ARGUMENT'],
    [{ topic: 't', to: 'earliest', partitions: 0 }, 'INVALID_ARGUMENT'],
    [{ topic: 't', to: 'earliest', partitions: ['0'] }, 'INVALID_ARGUMENT'],
    [{ topic: 't', to: 'earliest', partitions: [9] }, 'UNKNOWN_PARTITION'],
    [{ topic: 7, to: 'earliest' }, 'INVALID_ARGUMENT'],
    [{ topic: 't', to: 'earliest', dryrun: true }, 'UNKNOWN_OPTION'],
    [{ topic: 't', to: 'earliest', dryRun: 'no' }, 'INVALID_ARGUMENT'],
  ])('resetOffsets(%j), and nothing is changed', async (given, code) => {
    expect((await refusal(() => log.groups.resetOffsets('other', given as never))).code).toBe(code)
    expect((await log.groups.list()).map(({ groupId }) => groupId)).not.toContain('other')
  })

  it('commitOffsetsIfNecessary of what are no offsets; the batch may go on', async () => {
    const codes: unknown[] = []
    const one = log.consumer({ groupId: 'batches' })
    await one.subscribe({ topics: ['t'], fromBeginning: true })
    const handled = new Promise<void>((resolve) => {
      void one.run({
        eachBatch: async ({ commitOffsetsIfNecessary }) => {
          for (const given of ['t', {}, { topics: 7 }, { topics: [null] }, { topics: [{ topic: 't' }] }]) {
            codes.push((await refusal(() => commitOffsetsIfNecessary(given as never))).code)
          }
          resolve()
        },
      })
    })
    await handled
    await one.disconnect()
    expect(codes).toEqual(Array(5).fill('INVALID_ARGUMENT'))
  })

  it("sends to the engine's own topics, in a transaction too", async () => {
    const topic = '__consumer_offsets'
    const refused = { code: 'TOPIC_NAME_INVALID', hint: expect.stringContaining('mill.groups.resetOffsets') }
    const producer = new Producer(log.host)
    await expect(producer.send({ topic, messages: [{ value: 'x' }] })).rejects.toMatchObject(refused)
    await expect(producer.sendBatch({ topicMessages: [{ topic, messages: [] }] })).rejects.toMatchObject(refused)
    expect(() => producer.write(topic, { value: 'x' })).toThrow(expect.objectContaining(refused))
    const tx = await new Producer(log.host, { transactionalId: 'x' }).transaction()
    await expect(tx.send({ topic, messages: [{ value: 'x' }] })).rejects.toMatchObject(refused)
    await tx.abort()
  })
})
