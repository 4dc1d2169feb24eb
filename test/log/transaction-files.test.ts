import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeProducerSnapshot,
  encodeProducerSnapshot,
  type ProducerSnapshotEntry,
} from '../../src/log/producer-snapshot.js'
import { listSegments, listSnapshots, segmentPath } from '../../src/log/segment-files.js'
import { type AbortedTransaction, encodeAborted, TransactionIndex } from '../../src/log/transaction-index.js'
import { MemoryFileSystem } from './memory-file-system.js'

const offset = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const entry: fc.Arbitrary<ProducerSnapshotEntry> = fc.record({
  producerId: offset,
  producerEpoch: fc.integer({ min: 0, max: 32_767 }),
  lastSequence: fc.integer({ min: -1, max: 0x7fff_ffff }),
  lastOffset: offset,
  offsetDelta: fc.nat(),
  timestamp: fc.integer({ min: -1, max: 4e12 }),
  coordinatorEpoch: fc.integer({ min: -1, max: 0x7fff_ffff }),
  currentFirstOffset: fc.oneof(offset, fc.constant(-1)),
})

describe('a producer snapshot', () => {
  test('is read back', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 5 }), (entries) => {
        expect(decodeProducerSnapshot(encodeProducerSnapshot(entries), 'x')).toEqual(entries)
      }),
      { numRuns: 50 },
    )
  })

  test('is laid out as Kafka lays it out', () => {
    const bytes = encodeProducerSnapshot([
      {
        producerId: 1,
        producerEpoch: 2,
        lastSequence: 3,
        lastOffset: 4,
        offsetDelta: 5,
        timestamp: 6,
        coordinatorEpoch: -1,
        currentFirstOffset: -1,
      },
    ])
    const hex = Buffer.from(bytes).toString('hex')
    expect(hex.slice(0, 4)).toBe('0001')
    expect(hex.slice(12)).toBe(
      `00000001${'0000000000000001'}0002${'00000003'}${'0000000000000004'}00000005${'0000000000000006'}ffffffffffffffffffffffff`,
    )
  })

  test('with any bit flipped, cut anywhere or longer is refused', () => {
    const whole = encodeProducerSnapshot([
      {
        producerId: 9,
        producerEpoch: 0,
        lastSequence: 10,
        lastOffset: 11,
        offsetDelta: 0,
        timestamp: 12,
        coordinatorEpoch: 0,
        currentFirstOffset: 7,
      },
    ])
    const refused = (bytes: Uint8Array): void =>
      expect(() => decodeProducerSnapshot(bytes, 'x')).toThrowError(
        expect.objectContaining({ code: 'PRODUCER_SNAPSHOT_CORRUPT' }) as Error,
      )
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const flipped = whole.slice()
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
      refused(flipped)
    }
    for (let length = 0; length < whole.length; length++) refused(whole.slice(0, length))
    refused(Uint8Array.from([...whole, 0]))
  })
})

describe('the index of aborted transactions', () => {
  const indexOf = (...entries: AbortedTransaction[]): TransactionIndex =>
    new TransactionIndex(Buffer.concat(entries.map(encodeAborted)))
  const first = { producerId: 1, firstOffset: 100, lastOffset: 120, lastStableOffset: 110 }
  const second = { producerId: 2 ** 52, firstOffset: 110, lastOffset: 130, lastStableOffset: 131 }

  test('gives the transactions that touch a range', () => {
    const index = indexOf(first, second)
    expect(index.overlapping(0, 100)).toEqual([])
    expect(index.overlapping(0, 101)).toEqual([first])
    expect(index.overlapping(120, 121)).toEqual([first, second])
    expect(index.overlapping(121, 999)).toEqual([second])
    expect(index.covers(131)).toBe(true)
    expect(index.covers(132)).toBe(false)
  })

  test('says what it cannot be', () => {
    expect(indexOf(first, second).fault(100)).toBeUndefined()
    expect(indexOf(second, first).fault(100)).toMatch(/ends at offset 120/)
    expect(indexOf(first).fault(500)).toMatch(/expected more than 499/)
    expect(indexOf({ ...first, firstOffset: 121 }).fault(100)).toMatch(/from offset 121 to 120/)
    expect(new TransactionIndex(encodeAborted(first).subarray(0, 33)).fault(0)).toMatch(/no whole entries/)
  })
})

test('file names that no number can hold are nobody’s segments', () => {
  const fs = new MemoryFileSystem()
  for (const name of ['00000000000000000007.log', '99999999999999999999.log', '7.log', '00000000000000000007.log.cut'])
    fs.replaceFile(`/t-0/${name}`, '')
  fs.replaceFile(segmentPath('/t-0', 12, 'snapshot'), '')
  expect(listSegments(fs, '/t-0')).toEqual([7])
  expect(listSnapshots(fs, '/t-0')).toEqual([12])
})
