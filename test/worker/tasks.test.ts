import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { avg, col, count, max, repeat, sum, window } from '../../src/api/functions.js'
import type { LogicalPlan } from '../../src/plan/logical-plan.js'
import type { ExchangeInput, PhysicalPlan, Stage } from '../../src/plan/physical-plan.js'
import { scalar, structType } from '../../src/types/data-type.js'
import type { AggregateTask } from '../../src/worker/aggregate-task.js'
import { mix } from '../codegen/stages.js'
import { scan } from '../plan/plans.js'
import { aggregate, batch, Driver, stream } from './driver.js'

const schema = structType([
  { name: 'key', type: scalar('string'), nullable: true },
  { name: 'ts', type: scalar('timestamp'), nullable: true },
  { name: 'price', type: scalar('double'), nullable: true },
])
type Event = readonly [key: string | null, ts: number | null, price: number | null]

const events = (streaming = true): LogicalPlan => scan(streaming, schema)
const watermarked = (delayMs: number): LogicalPlan => ({ op: 'withWatermark', input: events(), column: 'ts', delayMs })
const perSecond = (delayMs: number): LogicalPlan =>
  aggregate(watermarked(delayMs), [window('ts', '1 second'), col('key')], [count().as('n'), sum('price').as('total')])
const running = (): LogicalPlan => aggregate(events(), [col('key')], [count().as('n')])

const rowsOf = (driver: Driver): unknown[] => driver.rows.map(({ row }) => row)

/** The last row of each group. */
function lastRows(driver: Driver, keyFields: number): Map<string, readonly unknown[]> {
  return new Map(driver.rows.map(({ row }) => [JSON.stringify(row.slice(0, keyFields)), row]))
}

describe('whatever the order in which tasks get their turns', () => {
  interface Plan {
    readonly partitions: number
    readonly tasks: number
    readonly delayMs: number
    readonly outputMode: 'append' | 'update'
    readonly eager: boolean
    readonly continuous: boolean
    readonly events: readonly Event[]
    readonly seed: number
  }
  const plans: fc.Arbitrary<Plan> = fc.record({
    partitions: fc.integer({ min: 1, max: 4 }),
    tasks: fc.integer({ min: 1, max: 3 }),
    delayMs: fc.constantFrom(0, 700, 3000),
    outputMode: fc.constantFrom('append' as const, 'update' as const),
    eager: fc.boolean(),
    continuous: fc.boolean(),
    seed: fc.nat(),
    events: fc.array(
      fc.tuple(
        fc.constantFrom('a', 'b', 'c', null),
        fc.option(fc.integer({ min: 0, max: 6000 }), { nil: null, freq: 9 }),
        fc.option(fc.integer({ min: 0, max: 100 }), { nil: null }),
      ),
      { maxLength: 120 },
    ),
  })

  it('late rows are counted, windows close once, and the rows are those of a Map', () => {
    fc.assert(
      fc.property(plans, (plan) => {
        const { partitions, delayMs, seed } = plan
        // Event times go forward over the length of the input.
        const list = plan.events.map(
          ([key, ts, price], i): Event => [key, ts === null ? null : ts + Math.floor(i * 100), price],
        )
        const driver = new Driver({
          plan: stream(perSecond(delayMs), plan.outputMode),
          partitions,
          tasks: plan.tasks,
          emitEagerly: plan.eager,
          ringBytes: 4096,
        })
        let clock = 0
        const chance = (n: number): number => mix(seed, clock++, 11) % n
        let fed = 0
        let epoch = 0
        let running = false
        if (plan.continuous) driver.goal({ open: true })
        const finish = (): boolean => fed === list.length && driver.sinkEpochs.at(-1) === epoch - 1 && !running
        for (let turn = 0; turn < 5000 && !finish(); turn++) {
          switch (chance(8)) {
            case 0: {
              const rows = list.slice(fed, fed + 1 + chance(9))
              driver.inputs[chance(partitions)]?.append(rows)
              fed += rows.length
              break
            }
            case 1:
              if (running) break
              running = true
              if (plan.continuous) driver.goal({ barrier: epoch, open: true })
              else {
                // An end may lie in the middle of a block.
                const ends = driver.inputs.map((input) => input.offset + chance(input.end - input.offset + 1))
                driver.goal({ ends, barrier: epoch })
              }
              epoch += 1
              break
            case 2:
              driver.readSink(chance(3), 1 + chance(3))
              break
            default:
              driver.tasks[chance(driver.tasks.length)]?.step()
          }
          if (running && driver.sinkEpochs.at(-1) === epoch - 1) running = false
        }
        while (fed < list.length) driver.inputs[0]?.append(list.slice(fed, ++fed))
        driver.settle()
        driver.epoch(epoch, { final: true })
        expect(driver.sinkEpochs).toEqual(Array.from({ length: epoch + 1 }, (_, i) => i))

        // What each partition got is only known now.
        const expected = new Map<string, [number, number | null]>()
        let late = 0
        for (const input of driver.inputs) {
          let greatest = Number.NEGATIVE_INFINITY
          for (const [key, ts, price] of valuesOf(input)) {
            if (ts === null) continue
            const watermark = greatest - delayMs
            greatest = Math.max(greatest, ts)
            const start = Math.floor(ts / 1000) * 1000
            if (start + 1000 <= watermark) {
              late += 1
              continue
            }
            const id = JSON.stringify([[start, start + 1000], key])
            const [n, total] = expected.get(id) ?? [0, null]
            expected.set(id, [n + 1, price === null ? total : (total ?? 0) + price])
          }
        }
        const found = lastRows(driver, 2)
        expect([...found.keys()].sort()).toEqual([...expected.keys()].sort())
        for (const [id, row] of found) expect(row.slice(2)).toEqual(expected.get(id))
        expect(driver.lateRows()).toBe(late)
        if (plan.outputMode === 'append') expect(driver.rows.length).toBe(expected.size)
      }),
      { numRuns: Number(process.env['MILLRACE_RUNS'] ?? 150) },
    )
  })
})

function* valuesOf(input: { readonly appended: readonly (readonly unknown[])[] }): Iterable<Event> {
  for (const row of input.appended) yield row as unknown as Event
}

describe('an end', () => {
  it('in the middle of a block stops there, and the next epoch goes on behind it', () => {
    const driver = new Driver({ plan: stream(running(), 'update'), partitions: 1, tasks: 1 })
    driver.inputs[0]?.append(Array.from({ length: 10 }, (): Event => ['a', 0, 0]))
    driver.epoch(0, { ends: [3] })
    driver.epoch(1, { ends: [3] })
    driver.epoch(2, { ends: [10] })
    expect(rowsOf(driver)).toEqual([
      ['a', 3],
      ['a', 10],
    ])
    expect(driver.barriers.filter((b) => b.stage === 0).map((b) => b.positions[0]?.offset)).toEqual([3, 3, 10])
  })
})

describe('the watermark', () => {
  const closed = (driver: Driver): number => driver.barriers.filter((b) => b.stage === 1).at(-1)?.closedUntil as number

  it('is the least of the partitions, of one task and of several', () => {
    for (const tasks of [1, 3]) {
      const driver = new Driver({ plan: stream(perSecond(500), 'append'), partitions: 3, tasks })
      driver.inputs[0]?.append([['a', 9000, 1]])
      driver.inputs[1]?.append([['a', 5000, 1]])
      driver.epoch(0)
      expect(closed(driver)).toBe(Number.NEGATIVE_INFINITY)
      driver.inputs[2]?.append([['a', 7000, 1]])
      driver.epoch(1)
      expect(closed(driver)).toBe(4500)
      // It never goes back.
      driver.inputs[2]?.append([['a', 100, 1]])
      driver.epoch(2)
      expect(closed(driver)).toBe(4500)
    }
  })

  it('does not wait for a partition that has been idle, and takes no notice of it when all are', () => {
    const driver = new Driver({ plan: stream(perSecond(0), 'append'), partitions: 2, tasks: 1, idleAfterMs: 5000 })
    driver.inputs[0]?.append([['a', 9000, 1]])
    driver.inputs[1]?.append([['a', 3000, 1]])
    driver.epoch(0)
    expect(closed(driver)).toBe(3000)
    driver.clock = 6000
    driver.inputs[0]?.append([['a', 12_500, 1]])
    driver.epoch(1)
    expect(closed(driver)).toBe(12_500)
    expect(rowsOf(driver)).toEqual([
      [[3000, 4000], 'a', 1, 1],
      [[9000, 10_000], 'a', 1, 1],
    ])
    driver.clock = 20_000
    driver.epoch(2)
    expect(closed(driver)).toBe(12_500)
    // The partition comes back: what its own watermark lets pass and the windows do not is counted as late.
    driver.inputs[1]?.append([['a', 4000, 1]])
    driver.epoch(3)
    expect(driver.lateRows()).toBe(1)
    expect(driver.rows.length).toBe(2)
  })

  it('moves on by the clock alone while a goal is open', () => {
    const driver = new Driver({
      plan: stream(perSecond(0), 'append'),
      partitions: 2,
      tasks: 1,
      idleAfterMs: 5000,
    })
    driver.goal({ open: true })
    driver.inputs[0]?.append([['a', 9000, 1]])
    driver.settle()
    driver.clock = 4000
    driver.inputs[0]?.append([['a', 11_000, 1]])
    driver.settle()
    expect(driver.rows).toEqual([])
    driver.clock = 5000
    driver.settle()
    // Read without an epoch's end: rows of the next epoch to be committed.
    expect(driver.rows).toEqual([{ epoch: 0, row: [[9000, 10_000], 'a', 1, 1] }])
  })
})

describe('a full channel', () => {
  it('makes its task yield, and nothing is lost', () => {
    const driver = new Driver({ plan: stream(running(), 'update'), partitions: 1, tasks: 1, ringBytes: 4096 })
    const keys = Array.from({ length: 2000 }, (_, i) => `key number ${i}`)
    driver.inputs[0]?.append(keys.map((key): Event => [key, 0, 0]))
    driver.goal({ ends: [2000], barrier: 0 })
    const [scanTask, task] = [driver.scans[0], driver.heads[0] as AggregateTask]
    // The reading task does not run: the scan fills the ring and gets no further.
    let steps = 0
    while (scanTask?.step() === true) steps += 1
    expect(steps).toBeLessThan(5)
    expect(scanTask?.step()).toBe(false)
    // Nobody reads the sink: the aggregate fills its ring in turn.
    for (let i = 0; i < 500; i++) {
      scanTask?.step()
      task.step()
    }
    expect(task.step()).toBe(false)
    driver.settle()
    expect(lastRows(driver, 1).size).toBe(2000)
    expect(driver.rows.length).toBe(2000)
    expect(driver.sinkEpochs).toEqual([0])
  })

  it('of the state log holds the epoch back until there is room', () => {
    const driver = new Driver({
      plan: stream(running(), 'update'),
      partitions: 1,
      tasks: 1,
      ringBytes: 4096,
      logged: true,
    })
    driver.inputs[0]?.append(Array.from({ length: 1000 }, (_, i): Event => [`k${i}`, 0, 0]))
    driver.epoch(0)
    driver.inputs[0]?.append([['k7', 0, 0]])
    driver.epoch(1)
    const rows = driver.stateBlocks.map((b) => b.views.i32[2] as number)
    expect(rows.reduce((a, b) => a + b)).toBe(1001)
    expect(rows.at(-1)).toBe(1)
    // A snapshot has all of it again.
    driver.epoch(2, { snapshot: true })
    expect(driver.stateBlocks.reduce((all, b) => all + (b.views.i32[2] as number), 0)).toBe(2001)
  })

  it('a row that no frame can hold is an error, not a hang', () => {
    const wide: LogicalPlan = { op: 'select', input: events(), columns: [repeat('key', 3000).as('wide').expression] }
    const driver = new Driver({ plan: stream(wide, 'append'), partitions: 1, tasks: 1, ringBytes: 4096 })
    driver.inputs[0]?.append([['k', 0, 0]])
    expect(() => driver.epoch(0)).toThrow(/ROW_TOO_LARGE|too large/)
  })
})

describe('an epoch', () => {
  it('holds what came before its barrier on every input, and nothing behind it', () => {
    const driver = new Driver({ plan: stream(running(), 'update'), partitions: 2, tasks: 2 })
    driver.inputs[0]?.append([['a', 0, 0]])
    driver.inputs[1]?.append([['a', 0, 0]])
    driver.goal({ open: true })
    const [one, other] = driver.scans
    const settleHeads = (): void => {
      for (let i = 0; i < 10; i++) {
        for (const head of driver.heads) head.step()
        for (let task = 0; task < 2; task++) driver.readSink(task, 100)
      }
    }
    // One scan is an epoch ahead: what it sends behind its barrier waits for the other's.
    one?.step()
    one?.setGoal({ ends: null, barrier: 0, final: false, snapshot: false, open: true })
    one?.step()
    driver.inputs[0]?.append([['a', 0, 0]])
    one?.step()
    settleHeads()
    expect(driver.sinkEpochs).toEqual([])
    other?.step()
    other?.setGoal({ ends: null, barrier: 0, final: false, snapshot: false, open: true })
    other?.step()
    settleHeads()
    expect(driver.sinkEpochs).toEqual([0])
    expect(driver.rows.filter((r) => r.epoch === 0).map((r) => r.row)).toEqual([['a', 2]])
    driver.goal({ barrier: 1 })
    driver.settle()
    expect(driver.rows.filter((r) => r.epoch === 1).map((r) => r.row)).toEqual([['a', 3]])
  })

  it('gives the one group of a global aggregate, even of nothing, once as long as it stays so', () => {
    const plan = stream(aggregate(events(), [], [count().as('n'), sum('price').as('s'), max('key').as('m')]), 'update')
    const driver = new Driver({ plan, partitions: 2, tasks: 2 })
    driver.epoch(0)
    expect(rowsOf(driver)).toEqual([[0, null, null]])
    driver.epoch(1)
    driver.epoch(2, { final: true })
    expect(rowsOf(driver)).toEqual([[0, null, null]])
  })

  it('of complete mode has every group, changed or not', () => {
    const driver = new Driver({ plan: stream(running(), 'complete'), partitions: 1, tasks: 1 })
    driver.inputs[0]?.append([
      ['a', 0, 0],
      ['b', 0, 0],
    ])
    driver.epoch(0)
    driver.inputs[0]?.append([['b', 0, 0]])
    driver.epoch(1)
    expect(driver.rows.filter((r) => r.epoch === 1).map((r) => r.row)).toEqual([
      ['a', 1],
      ['b', 2],
    ])
  })
})

describe('sort and limit', () => {
  const prices = [3, null, Number.NaN, -0, Number.NEGATIVE_INFINITY, 3, 0.5, null, Number.POSITIVE_INFINITY]
  const sorted = (descending: boolean, nullsFirst: boolean, limit?: number): unknown[] => {
    const sort: LogicalPlan = {
      op: 'orderBy',
      input: events(false),
      keys: [{ kind: 'sort', arg: col('price').expression, descending, nullsFirst }],
    }
    const plan: LogicalPlan = limit === undefined ? sort : { op: 'limit', input: sort, count: limit }
    const driver = new Driver({ plan: batch(plan), partitions: 3, tasks: 2 })
    prices.forEach((price, i) => void driver.inputs[i % 3]?.append([[`${i}`, 0, price]]))
    driver.epoch(0, { final: true })
    return driver.rows.map(({ row }) => row[2])
  }
  const ascending = [Number.NEGATIVE_INFINITY, -0, 0.5, 3, 3, Number.POSITIVE_INFINITY, Number.NaN]

  it('NaN is the greatest, and nulls stand where they are told to', () => {
    expect(sorted(false, true)).toEqual([null, null, ...ascending])
    expect(sorted(false, false)).toEqual([...ascending, null, null])
    expect(sorted(true, false)).toEqual([...[...ascending].reverse(), null, null])
    expect(sorted(true, true)).toEqual([null, null, ...[...ascending].reverse()])
  })

  it('a limit keeps the first rows of all', () => {
    expect(sorted(true, false, 2)).toEqual([Number.NaN, Number.POSITIVE_INFINITY])
    expect(sorted(false, true, 0)).toEqual([])
    expect(sorted(false, false, 100).length).toBe(9)
  })

  it('many rows are sorted by all keys, and a limit over them keeps few', () => {
    const values = Array.from({ length: 20_000 }, (_, i) => [mix(1, i, 0) % 50, mix(2, i, 0) % 1000] as const)
    const sort: LogicalPlan = {
      op: 'orderBy',
      input: events(false),
      keys: [
        { kind: 'sort', arg: col('ts').expression, descending: true },
        { kind: 'sort', arg: col('price').expression, descending: false },
      ],
    }
    const driver = new Driver({ plan: batch({ op: 'limit', input: sort, count: 300 }), partitions: 2, tasks: 2 })
    values.forEach(([ts, price], i) => {
      if (i % 100 === 0)
        driver.inputs[(i / 100) % 2]?.append(values.slice(i, i + 100).map(([a, b]): Event => ['k', a, b]))
      void [ts, price]
    })
    driver.epoch(0, { final: true })
    const expected = [...values].sort((a, b) => b[0] - a[0] || a[1] - b[1]).slice(0, 300)
    expect(driver.rows.map(({ row }) => [row[1], row[2]])).toEqual(expected)
  })
})

it('a stage behind a head may aggregate again: its partial aggregates go to the tasks that own them', () => {
  const first = batch(aggregate(events(false), [col('key')], [count().as('n'), avg('price').as('p')]))
  const counts = structType(first.schema.fields)
  const second = batch(
    aggregate(scan(false, counts), [col('n')], [count().as('m'), max('key').as('k'), max('p').as('p')]),
  )
  const [scanStage, firstFinal] = first.stages as [Stage, Stage]
  const [partial, secondFinal] = second.stages as [Stage, Stage]
  expect((partial.input as { fields: readonly number[] }).fields).toEqual([0, 1, 2])
  const plan: PhysicalPlan = {
    ...second,
    stages: [
      scanStage,
      { ...firstFinal, pipeline: [...firstFinal.pipeline, ...partial.pipeline], output: partial.output },
      { ...secondFinal, id: 2, input: { ...(secondFinal.input as ExchangeInput), from: [1] } },
    ],
  }
  const driver = new Driver({ plan, partitions: 3, tasks: 3 })
  for (let i = 0; i < 100; i++) {
    for (let n = 0; n <= i % 7; n++) driver.inputs[(i + n) % 3]?.append([[`k${String(i).padStart(2, '0')}`, 0, i]])
  }
  driver.epoch(0, { final: true })
  const rows = rowsOf(driver).sort((a, b) => Number((a as number[])[0]) - Number((b as number[])[0]))
  expect(rows).toEqual(
    Array.from({ length: 7 }, (_, r) => {
      const last = r < 2 ? 98 + r : 91 + r
      return [r + 1, r < 2 ? 15 : 14, `k${last}`, last]
    }),
  )
})
