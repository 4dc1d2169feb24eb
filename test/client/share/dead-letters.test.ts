import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { SharedMessage } from '../../../src/client/share/delivery.js'
import { scalar, structType } from '../../../src/types/data-type.js'
import { temporaryDirectory, until } from '../../log/log-fixture.js'
import type { ClientLog } from '../consumer-fixture.js'
import { arrived, gathering, openShareLog, type ShareLog, settled } from './share-fixture.js'

let share: ShareLog
let log: ClientLog
let directory: { readonly path: string; remove(): void }
const ENABLED = { 'errors.deadletterqueue.group.enable': 'true' }

beforeEach(async () => {
  directory = temporaryDirectory()
  share = await openShareLog(directory.path)
  log = share.log
  log.createTopic('work', 3)
  log.createTopic('dlq.work', 2, ENABLED)
})
afterEach(async () => {
  vi.restoreAllMocks()
  await log.close()
  directory.remove()
})

interface Letter {
  readonly partition: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: Record<string, string>
}

/** All that is in the dead-letter topic by now, once it is so many. */
async function letters(count: number): Promise<Letter[]> {
  const consumer = log.consumer()
  await consumer.subscribe({ topics: ['dlq.work'], fromBeginning: true })
  const found: Letter[] = []
  const text = (value: unknown): string | null => (value === null ? null : String(value))
  await consumer.run({
    eachMessage: ({ partition, message: { key, value, headers } }) => {
      const named = Object.entries(headers).map(([name, bytes]) => [name, String(bytes)])
      found.push({ partition, key: text(key), value: text(value), headers: Object.fromEntries(named) })
    },
  })
  await until(() => found.length >= count, `${count} dead letters`)
  await settled()
  await consumer.disconnect()
  return found
}

describe('K-23: the dead letters of a share group', () => {
  it('a record that is rejected, or fails at its last delivery, leaves one that says where it came from', async () => {
    await log.groups.alter('jobs', { 'errors.deadletterqueue.topic.name': 'dlq.work', 'share.delivery.count.limit': 2 })
    await log.sendKeyed('work', 2, [['k', 'bad']])
    await log.send('work', 1, 'worse', 'good')
    const one = await gathering(log)
    await arrived(one, 3)
    for (const message of one.messages) {
      const type = { bad: 'reject', worse: 'release', good: 'accept' } as const
      one.consumer.acknowledge(message, type[String(message.value) as keyof typeof type])
    }
    await arrived(one, 4)
    one.consumer.acknowledge(one.messages[3] as SharedMessage, 'release')
    const context = (partition: number, count: number, message: string) => ({
      '__dlq.errors.topic': 'work',
      '__dlq.errors.partition': String(partition),
      '__dlq.errors.offset': '0',
      '__dlq.errors.group': 'jobs',
      '__dlq.errors.delivery.count': String(count),
      '__dlq.errors.message': message,
    })
    const found = await letters(2)
    expect(found.toSorted((a, b) => a.partition - b.partition)).toEqual([
      { partition: 0, key: null, value: null, headers: context(2, 1, 'Offset rejected by client.') },
      { partition: 1, key: null, value: null, headers: context(1, 2, 'Offset delivery count exceeded the threshold.') },
    ])
    await one.consumer.disconnect()
    expect((await log.groups.describe('jobs')).lag).toBe(0)
  })

  it('copies key, value and headers where the group says so; the context has the last word', async () => {
    await log.groups.alter('jobs', {
      'errors.deadletterqueue.topic.name': 'dlq.work',
      'errors.deadletterqueue.copy.record.enable': true,
    })
    const { Producer } = await import('../../../src/client/producer.js')
    const headers = { trace: 'abc', '__dlq.errors.topic': 'forged' }
    await new Producer(log.host).send({ topic: 'work', messages: [{ key: 'k', value: 'v', headers, partition: 0 }] })
    const one = await gathering(log)
    await arrived(one, 1)
    one.consumer.acknowledge(one.messages[0] as SharedMessage, 'reject')
    const [letter] = await letters(1)
    expect(letter).toMatchObject({ key: 'k', value: 'v', headers: { trace: 'abc', '__dlq.errors.topic': 'work' } })
    await one.consumer.disconnect()
  })

  it('copies a typed value as JSON, and goes without a copy that is too large for its topic', async () => {
    const schema = structType([
      { name: 'id', type: scalar('long'), nullable: false },
      { name: 'note', type: scalar('string'), nullable: false },
    ])
    log.host.addTopic(log.engine.createTopic({ name: 'typed', partitions: 1, schema }))
    log.engine.alterTopic('dlq.work', { config: { 'max.message.bytes': 600 } })
    log.host.topicChanged(log.engine.describe('dlq.work'))
    await log.groups.alter('jobs', {
      'errors.deadletterqueue.topic.name': 'dlq.work',
      'errors.deadletterqueue.copy.record.enable': true,
    })
    const { Producer } = await import('../../../src/client/producer.js')
    const producer = new Producer(log.host)
    await producer.send({
      topic: 'typed',
      messages: [{ value: { id: 7, note: 'x' } }, { value: { id: 8, note: 'y'.repeat(1000) } }],
    })
    const one = await gathering(log, 'jobs', ['typed'])
    await arrived(one, 2)
    for (const message of one.messages) one.consumer.acknowledge(message, 'reject')
    const found = await letters(2)
    expect(found.map(({ value }) => value)).toEqual(['{"id":7,"note":"x"}', null])
    expect(found[1]?.headers).toMatchObject({ '__dlq.errors.offset': '1' })
    await one.consumer.disconnect()
  })

  it('a record whose dead letter was not written when the process ended gets it in the next life', async () => {
    await log.groups.alter('jobs', { 'errors.deadletterqueue.topic.name': 'dlq.work' })
    await log.send('work', 0, 'bad', 'good')
    const one = await gathering(log)
    await arrived(one, 2)
    // The topic of the dead letters takes nothing for now.
    const sender = await log.host.sender('dlq.work')
    vi.spyOn(sender, 'enqueue').mockImplementation(() => undefined)
    one.consumer.acknowledge(one.messages[0] as SharedMessage, 'reject')
    one.consumer.acknowledge(one.messages[1] as SharedMessage)
    await one.consumer.commit()
    expect((await log.groups.describe('jobs')).partitions[0]).toMatchObject({ committedOffset: 0, lag: 1 })
    log.abandon()
    share = await openShareLog(directory.path, share.clock)
    log = share.log
    const again = await gathering(log)
    const found = await letters(1)
    expect(found.map(({ headers }) => headers['__dlq.errors.message'])).toEqual(['Offset rejected by client.'])
    expect(again.got).toEqual([])
    await again.consumer.disconnect()
    expect((await log.groups.describe('jobs')).partitions[0]).toMatchObject({ committedOffset: 2 })
  })

  it('a record that is given up while an earlier state is being written gets one letter, once that it is to have one is durable', async () => {
    await log.groups.alter('jobs', { 'errors.deadletterqueue.topic.name': 'dlq.work' })
    await log.send('work', 0, 'good', 'bad')
    const one = await gathering(log)
    await arrived(one, 2)
    const written = (): number => log.engine.state('dlq.work').partitions.reduce((sum, of) => sum + of.logEndOffset, 0)
    const state = await log.host.sender('__share_group_state')
    const held: (() => void)[] = []
    const enqueue = state.enqueue.bind(state)
    const holding = vi.spyOn(state, 'enqueue').mockImplementation((send) => void held.push(() => enqueue(send)))
    one.consumer.acknowledge(one.messages[0] as SharedMessage)
    await until(() => held.length === 1, 'that one is done is being written')
    one.consumer.acknowledge(one.messages[1] as SharedMessage, 'reject')
    await settled()
    held[0]?.()
    await until(() => held.length === 2, 'and then that the other is given up')
    await settled()
    expect(written()).toBe(0)
    holding.mockRestore()
    held[1]?.()
    await one.consumer.disconnect()
    expect(written()).toBe(1)
  })

  it('a dead letter that can never be written is given up with a warning: its record does not hold up the others', async () => {
    await log.groups.alter('jobs', { 'errors.deadletterqueue.topic.name': 'dlq.work' })
    await log.send('work', 0, 'bad')
    const one = await gathering(log)
    await arrived(one, 1)
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    await log.engine.deleteTopic('dlq.work')
    log.host.forgetTopic('dlq.work')
    one.consumer.acknowledge(one.messages[0] as SharedMessage, 'reject')
    await one.consumer.disconnect()
    expect(warned).toHaveBeenCalledWith(expect.stringContaining('dead letters could not be written'), expect.anything())
    expect((await log.groups.describe('jobs')).partitions[0]?.committedOffset).toBe(1)
  })

  it('one that may be possible later is written then, and its record waits', async () => {
    await log.groups.alter('jobs', { 'errors.deadletterqueue.topic.name': 'dlq.work' })
    await log.send('work', 0, 'bad')
    const one = await gathering(log)
    await arrived(one, 1)
    const { MillraceError } = await import('../../../src/common/errors.js')
    const sender = await log.host.sender('dlq.work')
    const full = new MillraceError('DISK_FULL', 'the disk is full', {
      detail: 'none is left',
      hint: 'make room',
      retriable: true,
    })
    const refusing = vi.spyOn(sender, 'enqueue').mockImplementation(({ refused }) => refused(full))
    one.consumer.acknowledge(one.messages[0] as SharedMessage, 'reject')
    await until(() => refusing.mock.calls.length === 1, 'it was tried')
    await settled()
    expect((await log.groups.describe('jobs')).partitions[0]?.committedOffset).toBe(0)
    refusing.mockRestore()
    share.clock.advance(1000)
    expect(await letters(1)).toHaveLength(1)
    await one.consumer.disconnect()
    expect((await log.groups.describe('jobs')).partitions[0]?.committedOffset).toBe(1)
  })

  it('a letter that is given up in its turn leaves none: a group that reads its own dead letters comes to an end', async () => {
    await log.groups.alter('jobs', { 'errors.deadletterqueue.topic.name': 'dlq.work' })
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    await log.send('work', 0, 'bad', 'worse')
    const one = await gathering(log, 'jobs', ['work', 'dlq.work'])
    const rejected = new Set<SharedMessage>()
    const rejectAll = async (count: number): Promise<void> => {
      await arrived(one, count)
      for (const message of one.messages) if (!rejected.has(message)) one.consumer.acknowledge(message, 'reject')
      for (const message of one.messages) rejected.add(message)
      await one.consumer.commit()
      await settled()
    }
    await rejectAll(2)
    await rejectAll(4)
    await one.consumer.disconnect()
    expect(one.got).toHaveLength(4)
    expect(await letters(2)).toHaveLength(2)
    expect((await log.groups.describe('jobs')).lag).toBe(0)
    expect(warned.mock.calls.map(([said]) => said)).toEqual([expect.stringContaining('leaves no dead letters')])
  })

  it('nor do letters go in a circle through several groups, those without a member too; in a row they go to its end', async () => {
    vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const name = 'errors.deadletterqueue.topic.name'
    log.createTopic('dlq.again', 1, ENABLED)
    await log.groups.alter('jobs', { [name]: 'dlq.work' })
    await log.groups.alter('again', { [name]: 'dlq.again' })
    // Reads both work and the letters of the other group.
    const first = await gathering(log, 'jobs', ['work', 'dlq.again'])
    await (await gathering(log, 'again', ['dlq.work'])).consumer.disconnect()
    await first.consumer.disconnect()
    await log.send('work', 0, 'bad')
    log.abandon()
    share = await openShareLog(directory.path, share.clock)
    log = share.log

    const one = await gathering(log, 'jobs', ['work', 'dlq.again'])
    await arrived(one, 1)
    one.consumer.acknowledge(one.messages[0] as SharedMessage, 'reject')
    expect(await letters(1)).toHaveLength(1)
    const two = await gathering(log, 'again', ['dlq.work'])
    await arrived(two, 1)
    two.consumer.acknowledge(two.messages[0] as SharedMessage, 'reject')
    await two.consumer.disconnect()
    // dlq.again leads by `jobs` back to dlq.work.
    await settled()
    expect(one.got).toHaveLength(1)
    expect((await log.groups.describe('again')).lag).toBe(0)

    await log.groups.delete('again')
    const three = await gathering(log, 'last', ['dlq.work'])
    log.createTopic('dlq.last', 1, ENABLED)
    await log.groups.alter('last', { [name]: 'dlq.last' })
    await arrived(three, 1)
    three.consumer.acknowledge(three.messages[0] as SharedMessage, 'reject')
    await three.consumer.disconnect()
    await one.consumer.disconnect()
    const { partitions } = log.engine.state('dlq.last')
    expect(partitions[0]?.logEndOffset).toBe(1)
  })

  it.each([
    ['__work', {}, 'engine itself'],
    ['letters', ENABLED, "begin with 'dlq.'"],
    ['dlq.none', undefined, 'no such topic'],
    ['dlq.plain', {}, 'is not true'],
    ['dlq.compact', { ...ENABLED, 'cleanup.policy': 'compact' }, 'compacted'],
  ])('topic %s cannot have them: said when it is set', async (name, config, why) => {
    if (config !== undefined && !name.startsWith('__')) log.createTopic(name, 1, config)
    const error: unknown = await log.groups
      .alter('jobs', { 'errors.deadletterqueue.topic.name': name })
      .catch((found: unknown) => found)
    expect(error).toMatchObject({ code: 'GROUP_CONFIG_INVALID' })
    expect((error as { detail: string }).detail).toContain(why)
    expect(await log.groups.list()).toEqual([])
  })

  it('a typed topic cannot have them, and one is enabled at run time', async () => {
    const schema = structType([{ name: 'id', type: scalar('long'), nullable: false }])
    log.host.addTopic(log.engine.createTopic({ name: 'dlq.typed', partitions: 1, schema, config: ENABLED }))
    const name = 'errors.deadletterqueue.topic.name'
    await expect(log.groups.alter('jobs', { [name]: 'dlq.typed' })).rejects.toMatchObject({
      code: 'GROUP_CONFIG_INVALID',
    })
    log.createTopic('dlq.later', 1)
    log.host.topicChanged(log.engine.alterTopic('dlq.later', { config: ENABLED }))
    expect(await log.groups.alter('jobs', { [name]: 'dlq.later' })).toMatchObject({ [name]: 'dlq.later' })
    expect(await log.groups.alter('jobs', { [name]: '' })).toMatchObject({ [name]: '' })
  })
})
