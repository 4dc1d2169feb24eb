import { expect, test } from 'vitest'
import { nodeEnv } from '../../src/common/env.js'
import { RateInput } from '../../src/connector/rate-input.js'
import { rateSchema } from '../../src/connector/source-schemas.js'
import { readValues } from '../../src/types/block-reader.js'

const rate = { rowsPerSecond: 10, startedAt: 1_000_000, partitions: 3 }

/** All rows of a partition from `offset` up to `limit`, at a time. */
function rowsOf(partition: number, offset: number, limit: number, now: number): unknown[][] {
  const input = new RateInput({ ...nodeEnv, now: () => now }, { ...rate, partition }, offset)
  const rows: unknown[][] = []
  while (input.next(limit)) {
    rows.push(...readValues(rateSchema, input).map((row) => [...row]))
    input.release()
  }
  return rows
}

test('the partitions together hold every value that is due, once, at its time', () => {
  const now = rate.startedAt + 2500
  const rows = [0, 1, 2].flatMap((p) => rowsOf(p, 0, Number.POSITIVE_INFINITY, now))
  rows.sort((a, b) => Number(a[1]) - Number(b[1]))
  expect(rows).toEqual(Array.from({ length: 25 }, (_, value) => [rate.startedAt + value * 100, value]))
})

test('a range of offsets has the same rows whenever it is read', () => {
  const early = rowsOf(1, 2, 5, rate.startedAt + 2000)
  expect(early.length).toBe(3)
  expect(rowsOf(1, 2, 5, rate.startedAt + 900_000)).toEqual(early)
})

test('nothing is due before the start, nothing is read beyond the limit, and what is due is known', () => {
  expect(rowsOf(0, 0, 100, rate.startedAt - 5000)).toEqual([])
  expect(rowsOf(0, 3, 3, rate.startedAt + 60_000)).toEqual([])
  let now = rate.startedAt
  const input = new RateInput({ ...nodeEnv, now: () => now }, { ...rate, partition: 0 }, 0)
  expect(input.hasNew()).toBe(false)
  now += 100
  expect(input.hasNew()).toBe(true)
})
