import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { daysFromDate, formatIsoDate, parseIsoDate } from '../../src/common/calendar.js'
import { formatDecimal, parseDecimal } from '../../src/common/decimal.js'

describe('dates', () => {
  test('are the days that Date counts', () => {
    fc.assert(
      fc.property(fc.integer({ min: -100_000_000, max: 100_000_000 }), (days) => {
        const date = new Date(days * 86_400_000)
        expect(formatIsoDate(days)).toBe(date.toISOString().split('T')[0])
        expect(daysFromDate(date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate())).toBe(days)
        const text = formatIsoDate(days)
        if (text.length === 10) expect(parseIsoDate(text)).toBe(days)
      }),
    )
  })

  test.each([
    '2026-02-29',
    '2026-13-01',
    '2026-00-01',
    '2026-01-00',
    '2026-04-31',
    '26-01-01',
    '2026/01/01',
    '2026-01-1 ',
    '',
    '1900-02-29',
    '+026-01-01',
  ])('%j is no day', (text) => expect(parseIsoDate(text)).toBeNaN())
})

describe('decimals', () => {
  test('come back as they were', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }),
        fc.integer({ min: 0, max: 38 }),
        (unscaled, scale) => {
          expect(parseDecimal(formatDecimal(unscaled, scale), 38, scale)).toBe(unscaled)
        },
      ),
    )
  })

  test.each([
    ['1.005', 4, 2, undefined],
    ['1.00500', 4, 3, 1005n],
    ['99.99', 4, 2, 9999n],
    ['100', 4, 2, undefined],
    ['.5', 4, 2, 50n],
    ['5.', 4, 2, 500n],
    ['.', 4, 2, undefined],
    ['', 4, 2, undefined],
    ['-', 4, 2, undefined],
    ['1e1', 4, 2, 1000n],
    ['1e2', 4, 2, undefined],
    ['1e9999', 38, 2, undefined],
    ['0e9999', 4, 2, 0n],
    ['1e-2', 4, 2, 1n],
    ['1e-3', 4, 2, undefined],
    ['0.000', 4, 2, 0n],
    ['1 ', 4, 2, undefined],
    ['0x10', 4, 2, undefined],
    ['Infinity', 4, 2, undefined],
    [1e21, 38, 0, 10n ** 21n],
    [0.1, 4, 2, 10n],
    [-0, 4, 2, 0n],
  ])('%j as decimal(%i,%i)', (text, precision, scale, expected) => {
    expect(parseDecimal(text, precision, scale)).toBe(expected)
  })
})
