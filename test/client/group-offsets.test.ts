import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { GroupOffsets } from '../../src/client/group-offsets.js'
import { offsetMessage, readOffsetRecord } from '../../src/client/offset-record.js'
import { Producer } from '../../src/client/producer.js'
import { type OpenLog, openLog, temporaryDirectory } from '../log/log-fixture.js'

describe('the record of a committed offset', () => {
  it('is laid out as Kafka lays it out', () => {
    const message = offsetMessage({
      group: 'g',
      topic: 'tt',
      partition: 3,
      committed: { offset: 258, metadata: 'm', commitTimestamp: 1_700_000_000_000, topicId: 'id', leaderEpoch: 7 },
    })
    expect(Buffer.from(message.key as Buffer).toString('hex')).toBe('000100016700027474' + '00000003')
    expect(Buffer.from(message.value as Buffer).toString('hex')).toBe(
      '0003' + '0000000000000102' + '00000007' + '00016d' + '0000018bcfe56800',
    )
  })

  it('comes back as it was, a tombstone too', () => {
    fc.assert(
      fc.property(
        fc.record({
          group: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 50 }),
          topic: fc.string({ minLength: 1, maxLength: 50 }),
          partition: fc.nat(),
          committed: fc.option(
            fc.record({
              offset: fc.maxSafeNat(),
              metadata: fc.string({ unit: 'grapheme', maxLength: 100 }),
              commitTimestamp: fc.maxSafeNat(),
              topicId: fc.string({ minLength: 1, maxLength: 22 }),
              leaderEpoch: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
            }),
            { nil: undefined },
          ),
        }),
        (record) => {
          const { key, value, headers } = offsetMessage(record)
          const bytes = Object.fromEntries(
            Object.entries((headers ?? {}) as Record<string, string>).map(([name, text]) => [name, Buffer.from(text)]),
          )
          expect(readOffsetRecord(key as Buffer, value as Buffer | null, bytes)).toEqual(record)
        },
      ),
    )
  })

  it('that was cut, lengthened or garbled is refused or read as another, never read beyond its end', () => {
    const { key, value } = offsetMessage({
      group: 'group',
      topic: 'topic',
      partition: 1,
      committed: { offset: 7, metadata: 'note', commitTimestamp: 1, topicId: 'id', leaderEpoch: -1 },
    }) as { key: Buffer; value: Buffer }
    const refused = { code: 'OFFSET_RECORD_UNREADABLE' }
    for (let end = 0; end < key.length; end++) {
      expect(() => readOffsetRecord(key.subarray(0, end), value, {})).toThrow(expect.objectContaining(refused))
    }
    for (let end = 0; end < value.length; end++) {
      expect(() => readOffsetRecord(key, value.subarray(0, end), {})).toThrow(expect.objectContaining(refused))
    }
    expect(() => readOffsetRecord(Buffer.concat([key, Buffer.alloc(1)]), value, {})).toThrow(
      expect.objectContaining(refused),
    )
    const newer = Buffer.from(value)
    newer.writeInt16BE(4, 0)
    expect(() => readOffsetRecord(key, newer, {})).toThrow(expect.objectContaining(refused))
    // Kafka's group metadata is in the same topic.
    expect(readOffsetRecord(Buffer.from('000200016700', 'hex'), value, {})).toBeUndefined()
  })
})

describe('committed offsets', () => {
  let log: OpenLog
  let directory: { readonly path: string; remove(): void }
  const reopen = async (): Promise<GroupOffsets> => {
    await log.close()
    log = await openLog({ dir: directory.path })
    const offsets = new GroupOffsets(log.host)
    await offsets.load()
    return offsets
  }
  beforeEach(async () => {
    directory = temporaryDirectory()
    log = await openLog({ dir: directory.path })
    log.engine.createTopic({ name: 't', partitions: 2 })
    await new Producer(log.host).send({
      topic: 't',
      messages: Array.from({ length: 10 }, (_, i) => ({ value: 'x', partition: i % 2 })),
    })
  })
  afterEach(async () => {
    await log.close()
    directory.remove()
  })

  it('are there after a restart, the last one of each partition', async () => {
    const offsets = new GroupOffsets(log.host)
    await offsets.commit('g', [{ topic: 't', partition: 0, offset: 2 }])
    await offsets.commit('g', [
      { topic: 't', partition: 0, offset: 3, metadata: 'note' },
      { topic: 't', partition: 1, offset: 5 },
    ])
    await offsets.commit('h', [{ topic: 't', partition: 0, offset: 1 }])
    const again = await reopen()
    expect(again.groups()).toEqual(['g', 'h'])
    expect(again.of('g').map((o) => [o.partition, o.committed.offset, o.committed.metadata])).toEqual([
      [0, 3, 'note'],
      [1, 5, ''],
    ])
    expect(again.get('h', log.engine.describe('t'), 0)?.offset).toBe(1)
  })

  it('that were forgotten stay forgotten', async () => {
    const offsets = new GroupOffsets(log.host)
    await offsets.commit('g', [{ topic: 't', partition: 0, offset: 2 }])
    await offsets.forget('g', [{ topic: 't', partition: 0 }])
    expect(offsets.groups()).toEqual([])
    expect((await reopen()).groups()).toEqual([])
  })

  it('of a deleted topic mean nothing to one made anew under its name', async () => {
    const offsets = new GroupOffsets(log.host)
    await offsets.commit('g', [{ topic: 't', partition: 0, offset: 2 }])
    await log.engine.deleteTopic('t')
    log.host.forgetTopic('t')
    const anew = log.engine.createTopic({ name: 't', partitions: 1 })
    expect(offsets.get('g', anew, 0)).toBeUndefined()
    expect((await reopen()).get('g', anew, 0)).toBeUndefined()
  })

  it('that are not possible are refused, and nothing of the commit is kept', async () => {
    const offsets = new GroupOffsets(log.host)
    const good = { topic: 't', partition: 0, offset: 1 }
    for (const offset of [-1, 6, 1.5, Number.NaN]) {
      await expect(offsets.commit('g', [good, { topic: 't', partition: 1, offset }])).rejects.toMatchObject({
        code: 'OFFSET_OUT_OF_RANGE',
      })
    }
    await expect(offsets.commit('g', [good, { topic: 'nope', partition: 0, offset: 0 }])).rejects.toMatchObject({
      code: 'UNKNOWN_TOPIC',
    })
    await expect(offsets.commit('g', [good, { topic: 't', partition: 2, offset: 0 }])).rejects.toMatchObject({
      code: 'UNKNOWN_PARTITION',
    })
    await expect(offsets.commit('g', [{ ...good, metadata: 'm'.repeat(5000) }])).rejects.toMatchObject({
      code: 'OFFSET_METADATA_INVALID',
    })
    await expect(offsets.commit('', [good])).rejects.toMatchObject({ code: 'INVALID_GROUP_ID' })
    expect(offsets.groups()).toEqual([])
  })
})
