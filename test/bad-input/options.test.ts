import { Millrace, type MillraceOptions } from 'millrace'
import { expect, test } from 'vitest'
import { refusal } from './refusal.js'

test.each<[object, string, RegExp]>([
  [{ dirr: './data' }, 'UNKNOWN_OPTION', /dir, workers, fsync/],
  [{ dir: 7 }, 'INVALID_OPTION', /found 7, expected a path/],
  [{ dir: '' }, 'INVALID_OPTION', /expected a path/],
  [{ workers: 0 }, 'INVALID_OPTION', /found 0, expected a whole number from 1/],
  [{ workers: 1.5 }, 'INVALID_OPTION', /found 1.5/],
  [{ workers: 1e9 }, 'INVALID_OPTION', /found 1000000000/],
  [{ fsync: 'grup' }, 'INVALID_OPTION', /found 'grup', expected one of never, interval, group, always/],
  [{ memoryBudget: 256 }, 'INVALID_OPTION', /found 256, expected at least/],
  [{ ansi: 'yes' }, 'INVALID_OPTION', /found 'yes'/],
  [{ offsetsRetentionMs: 0 }, 'INVALID_OPTION', /found 0, expected a whole number of milliseconds above 0/],
  [{ transactionalIdExpirationMs: -1 }, 'INVALID_OPTION', /found -1/],
  [{ producerIdExpirationMs: '1 day' }, 'INVALID_OPTION', /found '1 day'/],
  [{ logger: {} }, 'INVALID_OPTION', /debug, info, warn and error/],
])('Millrace.open(%j) is refused before anything is started', async (options, code, detail) => {
  const error = await refusal(() => Millrace.open(options as MillraceOptions))
  expect(error.code).toBe(code)
  expect(error.detail).toMatch(detail)
})

test.each(['./data', null, 3])('Millrace.open takes an object, not %j', async (options) => {
  expect((await refusal(() => Millrace.open(options as unknown as MillraceOptions))).code).toBe('INVALID_OPTION')
})
