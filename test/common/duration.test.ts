import { expect, test } from 'vitest'
import { parseDuration } from '../../src/common/duration.js'

test.each([
  ['500 ms', 500],
  ['10 seconds', 10_000],
  ['1 minute', 60_000],
  ['2 hours', 7_200_000],
  ['1 day', 86_400_000],
  ['1 hour 30 minutes', 5_400_000],
  ['INTERVAL 1 Week', 604_800_000],
  ['1.5 seconds', 1500],
  [250, 250],
] as [string | number, number][])('%s', (text, ms) => {
  expect(parseDuration(text, 'a window')).toBe(ms)
})

test.each(['', '1', 'minute', '1 fortnight', '1 month', '0.0001 ms', '5 seconds ago', Number.NaN, 1.5] as (
  | string
  | number
)[])('%s is refused with what was found and how to write it', (text) => {
  expect(() => parseDuration(text, 'a window')).toThrow(
    /is not a duration of a window[\s\S]*hint: write a number and a unit/,
  )
})
