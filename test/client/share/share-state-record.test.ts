import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RecordState, type StateBatch } from '../../../src/client/share/record-state.js'
import {
  overlaid,
  readShareStateRecord,
  settingsMessage,
  snapshotMessage,
  updateMessage,
} from '../../../src/client/share/share-state-record.js'

const topicId = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex').toString('base64url')
const key = { group: 'g', topicId, partition: 3 }
const batch: StateBatch = { first: 5, last: 6, state: RecordState.acknowledged, deliveryCount: 2 }
const snapshot = {
  snapshotEpoch: 1,
  stateEpoch: 2,
  leaderEpoch: 7,
  start: 4,
  createdAt: 5,
  writtenAt: 6,
  batches: [batch],
}
const hex = (bytes: unknown): string => Buffer.from(bytes as Buffer).toString('hex')
const KEY = '000167' + '000102030405060708090a0b0c0d0e0f' + '00000003'
const BATCH = '0000000000000005' + '0000000000000006' + '02' + '0002' + '00'

const batches: fc.Arbitrary<StateBatch[]> = fc
  .array(
    fc.record({
      gap: fc.nat({ max: 3 }),
      count: fc.integer({ min: 1, max: 4 }),
      state: fc.constantFrom(RecordState.available, RecordState.acknowledged, RecordState.archived),
      deliveryCount: fc.integer({ min: 1, max: 25 }),
    }),
    { maxLength: 200 },
  )
  .map((parts) => {
    let at = 4
    return parts.map(({ gap, count, state, deliveryCount }) => {
      const first = at + gap
      at = first + count
      return { first, last: at - 1, state, deliveryCount }
    })
  })

describe('K-22: a record of __share_group_state', () => {
  it('is laid out as Kafka 4.3 lays it out', () => {
    const message = snapshotMessage(key, snapshot)
    expect(hex(message.key)).toBe(`0000${KEY}`)
    expect(hex(message.value)).toBe(
      `0000${'00000001'}${'00000002'}${'00000007'}${'0000000000000004'}${'0000000000000005'}${'0000000000000006'}02${BATCH}00`,
    )
    const update = updateMessage(key, { snapshotEpoch: 1, leaderEpoch: 7, start: 4, batches: [batch] })
    expect(hex(update.key)).toBe(`0001${KEY}`)
    expect(hex(update.value)).toBe(`0000${'00000001'}${'00000007'}${'0000000000000004'}02${BATCH}00`)
  })

  it('comes back as it was, a tombstone too', () => {
    const read = ({ key: k, value }: { key?: unknown; value?: unknown }) =>
      readShareStateRecord(k as Buffer, value as Buffer | null)
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
        fc.nat(),
        batches,
        (group, partition, some) => {
          const place = { group, topicId, partition }
          const whole = { ...snapshot, batches: some }
          expect(read(snapshotMessage(place, whole))).toEqual({ kind: 'snapshot', key: place, value: whole })
          const update = { snapshotEpoch: 3, leaderEpoch: 7, start: 4, batches: some }
          expect(read(updateMessage(place, update))).toEqual({ kind: 'update', key: place, value: update })
          expect(read(snapshotMessage(place, undefined))).toMatchObject({ kind: 'snapshot', value: undefined })
          expect(read(updateMessage(place, undefined))).toMatchObject({ kind: 'update', value: undefined })
        },
      ),
    )
    const value = { 'share.delivery.count.limit': '3' }
    expect(read(settingsMessage('g', value))).toEqual({ kind: 'settings', group: 'g', value })
    expect(read(settingsMessage('g', undefined))).toEqual({ kind: 'settings', group: 'g', value: undefined })
  })

  it('that was cut, lengthened or garbled is refused, or read as another, never read beyond its end', () => {
    const refused = expect.objectContaining({ code: 'SHARE_STATE_UNREADABLE' })
    const messages = [
      snapshotMessage(key, snapshot),
      updateMessage(key, { snapshotEpoch: 1, leaderEpoch: 7, start: 4, batches: [batch] }),
      settingsMessage('g', { a: 'b' }),
    ] as { key: Buffer; value: Buffer }[]
    for (const message of messages) {
      for (let end = 0; end < message.key.length; end++) {
        expect(() => readShareStateRecord(message.key.subarray(0, end), message.value)).toThrow(refused)
      }
      for (let end = 0; end < message.value.length; end++) {
        expect(() => readShareStateRecord(message.key, message.value.subarray(0, end))).toThrow(refused)
      }
      expect(() => readShareStateRecord(message.key, Buffer.concat([message.value, Buffer.alloc(1)]))).toThrow(refused)
      for (let bit = 0; bit < message.value.length * 8; bit++) {
        const flipped = Buffer.from(message.value)
        flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
        try {
          readShareStateRecord(message.key, flipped)
        } catch (error) {
          expect(error).toEqual(refused)
        }
      }
    }
    // A kind that a newer version may have.
    expect(readShareStateRecord(Buffer.from('0005000167', 'hex'), null)).toBeUndefined()
    // An array that says it has more than two thousand million elements.
    const value = Buffer.from('000000000001000000000000000000000004ffffffff07', 'hex')
    expect(() => readShareStateRecord((messages[1] as { key: Buffer }).key, value)).toThrow(refused)
  })

  it('an update lies over its snapshot: of each offset the later word counts', () => {
    fc.assert(
      fc.property(batches, batches, (under, over) => {
        const expected = new Map<number, string>()
        for (const layer of [under, over]) {
          for (const { first, last, state, deliveryCount } of layer) {
            for (let at = first; at <= last; at++) expected.set(at, `${state} ${deliveryCount}`)
          }
        }
        const found = new Map<number, string>()
        let end = 0
        for (const { first, last, state, deliveryCount } of overlaid(under, over)) {
          expect(first).toBeGreaterThanOrEqual(end)
          end = last + 1
          for (let at = first; at <= last; at++) found.set(at, `${state} ${deliveryCount}`)
        }
        expect([...found].sort((a, b) => a[0] - b[0])).toEqual([...expected].sort((a, b) => a[0] - b[0]))
      }),
    )
  })
})
