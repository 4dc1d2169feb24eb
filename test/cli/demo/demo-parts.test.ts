import { describe, expect, it } from 'vitest'
import { type DemoArguments, demoCommand } from '../../../src/cli/demo/arguments.js'
import { joinFlights, readFlights } from '../../../src/cli/demo/flights-file.js'
import {
  compareResults,
  GroupDirectory,
  GroupResults,
  mostDelayedOrigins,
} from '../../../src/cli/demo/group-results.js'
import { LatencyHistogram } from '../../../src/cli/demo/latency-histogram.js'
import { lines } from '../../../src/cli/demo/progress.js'
import { comparisonTable, milliseconds, partitionBars } from '../../../src/cli/demo/report.js'

describe('latency histogram', () => {
  it('a percentile is right to two hundredths at every size', () => {
    for (const scale of [0.001, 0.02, 0.5, 3, 400, 60_000]) {
      const histogram = new LatencyHistogram()
      for (let i = 1; i <= 1000; i += 1) histogram.record((i / 1000) * scale)
      for (const percent of [50, 90, 99]) {
        const exact = (percent / 100) * scale
        // Below 64 µs a bucket is one whole microsecond.
        expect(Math.abs(histogram.percentileMs(percent) - exact)).toBeLessThanOrEqual(Math.max(exact * 0.02, 0.001))
      }
      expect(histogram.maxMs).toBe(scale)
    }
  })

  it('nothing recorded has no percentile, and a clock that went back counts as zero', () => {
    const histogram = new LatencyHistogram()
    expect(histogram.percentileMs(50)).toBeNaN()
    histogram.record(-3)
    expect(histogram.percentileMs(100)).toBe(0)
    histogram.record(Number.MAX_SAFE_INTEGER)
    expect(histogram.count).toBe(2)
  })
})

describe('arguments', () => {
  const parse = (...args: string[]): DemoArguments => {
    let parsed: DemoArguments | undefined
    const command = demoCommand(async (given) => {
      parsed = given
    })
    command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} })
    command.parse(args, { from: 'user' })
    if (parsed === undefined) throw new Error('the action did not run')
    return parsed
  }

  it('defaults are all flights, all modes, and a folder beside the program', () => {
    expect(parse()).toMatchObject({
      events: 3_000_000,
      dir: './millrace-demo',
      modes: ['batch', 'micro-batch', 'continuous'],
    })
  })

  it('counts may be written with separators and modes in any order', () => {
    expect(
      parse('--events', '100_000', '--modes', 'continuous,batch', '--workers', '3', '--rate', '50,000'),
    ).toMatchObject({
      events: 100_000,
      modes: ['batch', 'continuous'],
      workers: 3,
      rate: 50_000,
    })
  })

  it.each([
    ['--events', '0'],
    ['--events', '3000001'],
    ['--rate', 'fast'],
    ['--workers', '30'],
    ['--modes', 'batch,turbo'],
  ])('%s %s is refused', (option, value) => {
    expect(() => parse(option, value)).toThrow(/Expected a whole number|There is no mode 'turbo'/)
  })
})

describe('flights', () => {
  it('come in the order of the file, packed', async () => {
    const slices = []
    for await (const slice of readFlights(1_000)) slices.push(slice)
    const flights = joinFlights(slices)
    expect(flights.count).toBe(1_000)
    expect({
      date: new Date(flights.date[0] ?? 0).toISOString(),
      delay: flights.delay[0],
      distance: flights.distance[0],
      origin: flights.airports[flights.origin[0] ?? 0],
      destination: flights.airports[flights.destination[0] ?? 0],
    }).toEqual({ date: '2001-01-01T00:01:00.000Z', delay: 33, distance: 2176, origin: 'LAS', destination: 'PHL' })
    expect(flights.date).toEqual(flights.date.slice().sort())
  })
})

describe('results', () => {
  const row = { origin: 'ORD', windowStart: 0, flights: 2, averageDelay: 0.3, maxDelay: 9 }

  it('the last row of a group counts, and a rounding of the average does not', () => {
    const directory = new GroupDirectory()
    const [a, b] = [new GroupResults(directory), new GroupResults(directory)]
    a.put({ ...row, flights: 1 })
    a.put(row)
    b.put({ ...row, averageDelay: 0.1 + 0.2 })
    expect(a.groups).toBe(1)
    expect(compareResults(a, b)).toEqual({ equal: true, groups: 1, different: 0 })
  })

  it('a missing group, another count and another maximum are differences', () => {
    const directory = new GroupDirectory()
    const [a, b] = [new GroupResults(directory), new GroupResults(directory)]
    a.put(row)
    a.put({ ...row, windowStart: 1 })
    b.put({ ...row, maxDelay: 10 })
    b.put({ ...row, windowStart: 2 })
    expect(compareResults(a, b)).toMatchObject({ equal: false, groups: 3, different: 3, example: { left: row } })
  })

  it('results outgrow their first capacity', () => {
    const directory = new GroupDirectory()
    const results = new GroupResults(directory)
    for (let i = 0; i < 10_000; i += 1) results.put({ ...row, windowStart: i })
    expect(results.groups).toBe(10_000)
    expect(results.get(9_999)).toEqual({ ...row, windowStart: 9_999 })
  })

  it('origins with few flights do not lead the list of delays', () => {
    const results = new GroupResults(new GroupDirectory())
    results.put(row)
    results.put({ ...row, origin: 'XXX', flights: 1, averageDelay: 500 })
    expect(mostDelayedOrigins(results, 2, 10).map((o) => o.origin)).toEqual(['ORD'])
  })
})

describe('report', () => {
  it('states what differs and never claims equality of a mode with itself', () => {
    const latency = new LatencyHistogram()
    latency.record(2)
    const base = { recordsIn: 100, rowsOut: 10, seconds: 2, cpuSeconds: 1, latency }
    const text = comparisonTable(
      [
        { ...base, mode: 'batch' },
        { ...base, mode: 'continuous', comparison: { equal: false, groups: 9, different: 4 } },
      ],
      { colours: false },
    )
    expect(text).toContain('reference')
    expect(text).toContain('NO, 4 differ')
    expect(text).toContain('50')
  })

  it('bars are as long as their share of the greatest partition', () => {
    const bars = partitionBars([100, 50, 0]).split('\n')
    expect(bars.map((line) => (line.match(/█/g) ?? []).length)).toEqual([40, 20, 0, 0])
    expect(bars[3]).toContain('2.00 times')
  })

  it('a latency has the unit that suits it', () => {
    expect([0.1234, 12.34, 1234, Number.NaN].map(milliseconds)).toEqual(['0.12 ms', '12.3 ms', '1.23 s', '–'])
  })

  it('without a terminal progress is a plain line now and then', () => {
    let clock = 0
    const written: string[] = []
    const steps = lines('ingest', 200, { write: (text: string) => written.push(text) }, () => clock)
    for (clock = 500; clock <= 4_000; clock += 500) steps.update(clock / 20)
    steps.finish(200, 'done')
    expect(written).toHaveLength(2)
    expect(written[0]).toBe('ingest: 100 of 200 (50 %), 50 records/s\n')
    expect(written[1]).toMatch(/^ingest: 200 of 200 \(100 %\), .* records\/s, done\n$/)
  })
})
