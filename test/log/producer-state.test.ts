import { describe, expect, test } from 'vitest'
import { advanceSequence, ProducerStates, SEQUENCE_MAX, type SequencedBatch } from '../../src/log/producer-state.js'

const batch = (baseSequence: number, records: number, baseOffset: number, more: Partial<SequencedBatch> = {}) => ({
  producerId: 7,
  producerEpoch: 0,
  baseSequence,
  offsetDelta: records - 1,
  baseOffset,
  timestamp: 1000,
  isTransactional: false,
  ...more,
})

/** As an appender would: -1 = appended. */
function append(states: ProducerStates, b: SequencedBatch): number {
  const known = states.check(b)
  if (known < 0) states.appended(b)
  return known
}

describe('K-15: the sequence of a producer id', () => {
  test('a batch that comes again is answered with the offset that it has', () => {
    const states = new ProducerStates()
    append(states, batch(0, 3, 100))
    append(states, batch(3, 2, 110))
    expect(append(states, batch(0, 3, 999))).toBe(100)
    expect(append(states, batch(3, 2, 999))).toBe(110)
    expect(states.entry(7)?.lastSequence).toBe(4)
  })

  test('the last five batches are remembered, the sixth is out of order', () => {
    const states = new ProducerStates()
    for (let i = 0; i < 6; i++) append(states, batch(i, 1, 10 * i))
    for (let i = 1; i < 6; i++) expect(append(states, batch(i, 1, 0))).toBe(10 * i)
    expect(() => append(states, batch(0, 1, 0))).toThrow(expect.objectContaining({ code: 'OUT_OF_ORDER_SEQUENCE' }))
  })

  test('a gap is refused, with both numbers', () => {
    const states = new ProducerStates()
    append(states, batch(0, 3, 0))
    expect(() => append(states, batch(4, 1, 3))).toThrow(/found sequence 4, expected 3/)
  })

  test('part of a batch is no duplicate', () => {
    const states = new ProducerStates()
    append(states, batch(0, 3, 0))
    expect(() => append(states, batch(0, 2, 3))).toThrow(expect.objectContaining({ code: 'OUT_OF_ORDER_SEQUENCE' }))
  })

  test('behind 2^31-1 sequences begin again at 0, inside a batch too', () => {
    expect(advanceSequence(SEQUENCE_MAX, 1)).toBe(0)
    expect(advanceSequence(SEQUENCE_MAX - 1, 3)).toBe(1)
    const states = new ProducerStates()
    append(states, batch(SEQUENCE_MAX - 1, 4, 0))
    expect(states.entry(7)?.lastSequence).toBe(1)
    expect(append(states, batch(2, 1, 4))).toBe(-1)
    expect(append(states, batch(SEQUENCE_MAX - 1, 4, 9))).toBe(0)
    append(states, batch(3, SEQUENCE_MAX - 2, 5))
    expect(append(states, batch(0, 1, 6))).toBe(-1)
  })

  test('an older epoch is fenced; a newer one begins at 0', () => {
    const states = new ProducerStates()
    append(states, batch(0, 2, 0, { producerEpoch: 4 }))
    expect(() => append(states, batch(2, 1, 2, { producerEpoch: 3 }))).toThrow(
      expect.objectContaining({ code: 'PRODUCER_FENCED' }),
    )
    expect(() => append(states, batch(2, 1, 2, { producerEpoch: 5 }))).toThrow(/found sequence 2, expected 0/)
    expect(append(states, batch(0, 1, 2, { producerEpoch: 5 }))).toBe(-1)
  })

  test('the batches of an older epoch are no duplicates of the new one', () => {
    const states = new ProducerStates()
    append(states, batch(0, 2, 0))
    append(states, batch(0, 2, 2, { producerEpoch: 1 }))
    expect(append(states, batch(0, 2, 9, { producerEpoch: 1 }))).toBe(2)
  })

  test('after the state was lost any sequence is as good as another', () => {
    const states = new ProducerStates()
    expect(append(states, batch(41, 1, 0))).toBe(-1)
    expect(append(states, batch(42, 1, 1))).toBe(-1)
  })

  test('a batch outside of the open transaction of its producer id is refused', () => {
    const states = new ProducerStates()
    append(states, batch(0, 1, 0, { isTransactional: true }))
    expect(() => append(states, batch(1, 1, 1))).toThrow(expect.objectContaining({ code: 'INVALID_TRANSACTION_STATE' }))
  })
})

describe('transactions of a partition', () => {
  test('a marker ends it, and tells where it began', () => {
    const states = new ProducerStates()
    append(states, batch(0, 2, 10, { isTransactional: true }))
    append(states, batch(2, 1, 20, { isTransactional: true }))
    append(states, batch(0, 1, 15, { producerId: 8, isTransactional: true }))
    expect(states.lastStableOffset(30)).toBe(10)
    const marker = { producerId: 7, producerEpoch: 0, coordinatorEpoch: 2, isAbort: true }
    expect(states.ended(marker, 30, 5)).toEqual({ producerId: 7, firstOffset: 10, lastOffset: 30, isAborted: true })
    expect(states.lastStableOffset(31)).toBe(15)
    expect(states.ended({ ...marker, producerId: 8, isAbort: false }, 31, 5)?.isAborted).toBe(false)
    expect(states.lastStableOffset(32)).toBe(32)
  })

  test('a marker without a transaction ends nothing, and its epoch counts', () => {
    const states = new ProducerStates()
    append(states, batch(0, 1, 0))
    const marker = { producerId: 7, producerEpoch: 3, coordinatorEpoch: 0, isAbort: true }
    expect(states.ended(marker, 1, 5)).toBeUndefined()
    expect(() => append(states, batch(1, 1, 2))).toThrow(expect.objectContaining({ code: 'PRODUCER_FENCED' }))
  })

  test('who has written nothing for long is forgotten; who has a transaction open is not', () => {
    const states = new ProducerStates()
    append(states, batch(0, 1, 0, { timestamp: 100 }))
    append(states, batch(0, 1, 1, { producerId: 8, timestamp: 100, isTransactional: true }))
    append(states, batch(0, 1, 2, { producerId: 9, timestamp: 300 }))
    expect(states.expire(200)).toBe(1)
    expect(states.entry(7)).toBeUndefined()
    expect(states.entry(8)).toBeDefined()
    expect(states.entry(9)).toBeDefined()
  })

  test('a snapshot keeps epoch, last batch and open transaction', () => {
    const states = new ProducerStates()
    for (let i = 0; i < 3; i++) append(states, batch(i, 1, i, { isTransactional: true, producerEpoch: 2 }))
    const again = ProducerStates.fromSnapshot(states.toSnapshot())
    expect(again.toSnapshot()).toEqual(states.toSnapshot())
    expect(append(again, batch(2, 1, 9, { isTransactional: true, producerEpoch: 2 }))).toBe(2)
    expect(append(again, batch(3, 1, 3, { isTransactional: true, producerEpoch: 2 }))).toBe(-1)
    expect(again.lastStableOffset(10)).toBe(0)
  })
})
