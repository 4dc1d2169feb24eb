import { describe, expect, test } from 'vitest'
import { LatencyHistogram } from '../../bench/lib/latency-histogram.js'
import { type Line, type Required, reached } from '../../bench/lib/line.js'
import { median } from '../../bench/lib/measure.js'
import { pace } from '../../bench/lib/pacer.js'
import { toJson, toTable } from '../../bench/lib/report.js'

const line = (figure: number, required?: Required): Line => ({
  what: 'ingest',
  figure,
  unit: 'records/s',
  limit: { what: 'bare loop', value: 4e6 },
  ...(required === undefined ? {} : { required }),
})

describe('a requirement', () => {
  test('holds where all its conditions hold, or one of them where it says either', () => {
    expect(reached(line(2.5e6, { atLeast: 2e6, ofLimit: 0.6 }))).toBe(true)
    expect(reached(line(2.1e6, { atLeast: 2e6, ofLimit: 0.6 }))).toBe(false)
    expect(reached(line(2.1e6, { atLeast: 2e6, ofLimit: 0.6, either: true }))).toBe(true)
    expect(reached(line(1e6, { atMost: 1e6 }))).toBe(true)
    expect(reached(line(1e6 + 1, { atMost: 1e6 }))).toBe(false)
    expect(reached(line(1))).toBeUndefined()
  })

  test('of a limit that was not measured does not hold', () => {
    expect(reached({ what: 'x', figure: 1, unit: 'ms', required: { ofLimit: 0.5 } })).toBe(false)
  })

  test('stands in the table and in the JSON', () => {
    const missed = line(2.1e6, { atLeast: 2e6, ofLimit: 0.6 })
    expect(toTable([missed])).toMatch(/ingest.*2\.10 M\/s.*4\.00 M\/s.*53 %.*2\.00 M\/s.*NOT/)
    expect(JSON.parse(toJson([missed], true))).toMatchObject({ quick: true, lines: [{ reached: false, ratio: 0.525 }] })
  })
})

describe('the harness', () => {
  test('the median of an even number of values lies between the middle two', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(median([3, 1, 2])).toBe(2)
  })

  test.each(['spin', 'timer'] as const)(
    'the pacer sends every record once, in order, none before it is due (%s)',
    async (wait) => {
      let next = 0
      const { sent } = await pace({ rate: 20_000, seconds: 0.05, batch: 10, wait }, (from, to, intended) => {
        expect(from).toBe(next)
        expect((to - from) % 10).toBe(0)
        expect(intended(to - 1)).toBeLessThanOrEqual(performance.now())
        next = to
      })
      expect([sent, next]).toEqual([1000, 1000])
    },
  )

  test('a stall of the sender does not move the intended times', async () => {
    const due: number[] = []
    await pace({ rate: 1000, seconds: 0.03, wait: 'spin' }, (from, to, intended) => {
      for (let i = from; i < to; i++) due.push(intended(i))
      if (from === 0) for (const until = performance.now() + 10; performance.now() < until; );
    })
    expect(due).toHaveLength(30)
    expect((due[29] ?? 0) - (due[0] ?? 0)).toBeCloseTo(29, 6)
  })

  test('the histogram is right to three figures', () => {
    const histogram = new LatencyHistogram()
    for (let i = 1; i <= 1000; i++) histogram.record(i)
    expect(histogram.count).toBe(1000)
    expect(histogram.percentile(50) / 500).toBeCloseTo(1, 2)
    expect(histogram.percentile(99) / 990).toBeCloseTo(1, 2)
    expect(histogram.max / 1000).toBeCloseTo(1, 2)
  })
})
