import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GroupInterpreter } from '../../src/codegen/group-interpreter.js'
import { aggregateStateSchema } from '../../src/operator/aggregate.js'
import { isStamped, seenKeys } from '../../src/operator/deduplicate.js'
import { shuffleSchema } from '../../src/operator/join.js'
import type { Deduplicate } from '../../src/plan/physical-plan.js'
import { types } from '../../src/plan/type-rules.js'
import { keyGroupOf, ownerOf } from '../../src/state/hash.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { readValues } from '../../src/types/block-reader.js'
import { structType } from '../../src/types/data-type.js'
import { SeenKeys } from '../../src/worker/seen-keys.js'
import { newCounters } from '../../src/worker/task.js'

const schema = structType([
  { name: 'key', type: types.string, nullable: true },
  { name: 'ts', type: types.timestamp, nullable: false },
])
const key = { kind: 'input', slot: 0, type: types.string, nullable: true } as const
const ts = { kind: 'input', slot: 1, type: types.timestamp, nullable: false } as const

const forEver: Deduplicate = { op: 'deduplicate', schema, keys: [key], expiresAt: [] }
const byTime: Deduplicate = { op: 'deduplicate', schema, keys: [key, ts], expiresAt: [ts] }
const within: Deduplicate = {
  op: 'deduplicate',
  schema,
  keys: [key],
  expiresAt: [],
  within: { eventTime: ts, delayMs: 10 },
}
const bySpark: Deduplicate = { ...within, rule: 'spark' }

type Row = readonly [key: string | null, ts: number, stamp?: number]

class Tried {
  readonly counters = newCounters()
  readonly seen: SeenKeys
  readonly log: (readonly unknown[])[] = []

  constructor(
    private readonly head: Deduplicate,
    logged = false,
  ) {
    this.seen = new SeenKeys(head, true, logged, this.counters)
  }

  add(...rows: readonly Row[]): (string | null)[] {
    const stamped = isStamped(this.head)
    const group = new GroupInterpreter(seenKeys(this.head), false, true)
    const frame = new BlockBuilder(shuffleSchema(schema, stamped))
    for (const [k, time, stamp] of rows) {
      const hash = group.hash(this.head.keys.length === 2 ? [k, time] : [k])
      frame.append([hash, ...(stamped ? [stamp ?? Number.NEGATIVE_INFINITY] : []), k, time])
    }
    const { views, position } = frame.toBlock()
    const out = new BlockBuilder(schema)
    this.seen.add(views, position, out)
    return readValues(schema, out.toBlock()).map((row) => row[0] as string | null)
  }

  /** The block of an epoch. */
  written(everything = false) {
    const builder = new BlockBuilder(aggregateStateSchema(seenKeys(this.head)))
    this.seen.writeLog(builder, everything)
    return builder.toBlock()
  }

  restore(blocks: readonly ReturnType<Tried['written']>[], closedUntil: number, task = 0, tasks = 1): this {
    this.seen.restore(blocks, closedUntil, task, tasks)
    return this
  }

  get rows(): number {
    this.seen.measure()
    return this.counters.stateRows
  }
}

test('the first row of a key leaves, a null among the keys', () => {
  const tried = new Tried(forEver)
  expect(tried.add(['a', 1], ['b', 1], ['a', 2], [null, 3])).toEqual(['a', 'b', null])
  expect(tried.add([null, 4], ['c', 1], ['b', 9])).toEqual(['c'])
  tried.seen.expire(1e9)
  expect(tried.add(['a', 0])).toEqual([])
  expect(tried.rows).toBe(4)
})

test('a key of a time is kept until the watermark is behind it, and its rows are late from then on', () => {
  const tried = new Tried(byTime)
  expect(tried.add(['a', 5], ['a', 6], ['a', 5])).toEqual(['a', 'a'])
  tried.seen.expire(5)
  expect([tried.rows, tried.add(['a', 5])]).toEqual([2, []])
  tried.seen.expire(6)
  expect([tried.rows, tried.add(['a', 5], ['b', 5])]).toEqual([1, []])
  expect(tried.counters.lateRows).toBe(2)
  expect(tried.counters.stateRowsRemoved).toBe(1)
})

test('within the watermark a key counts for less than the delay after its row, by the watermark of each row', () => {
  const tried = new Tried(within)
  expect(tried.add(['a', 100], ['a', 105, 95], ['a', 130, 109], ['a', 111, 110], ['a', 119, 119])).toEqual(['a', 'a'])
  // It is forgotten when all have come so far, which no row notices.
  tried.seen.expire(120)
  expect([tried.rows, tried.add(['a', 121, 120])]).toEqual([1, []])
  tried.seen.expire(121)
  expect([tried.rows, tried.add(['a', 121, 121], ['a', 120, 121])]).toEqual([0, ['a']])
  expect([tried.rows, tried.counters.lateRows]).toEqual([1, 1])
})

test('by the rule of Spark a key is forgotten between epochs, however late its rows come', () => {
  const tried = new Tried(bySpark)
  expect(tried.add(['a', 100], ['a', 500])).toEqual(['a'])
  tried.seen.expire(109)
  expect(tried.add(['a', 600])).toEqual([])
  tried.seen.expire(110)
  expect(tried.add(['a', 110], ['a', 111], ['a', 112])).toEqual(['a'])
  expect(tried.counters.lateRows).toBe(1)
})

test('a key that comes again after it was forgotten is one row of state', () => {
  const tried = new Tried(within, true)
  for (let i = 0; i < 50; i++) {
    expect(tried.add(['a', i * 100, i * 100])).toEqual(['a'])
    tried.seen.expire(i * 100 + 50)
  }
  expect(tried.rows).toBe(0)
  expect(tried.counters.stateRowsRemoved).toBe(50)
})

test('state does not grow with the keys that are forgotten', () => {
  for (const logged of [false, true]) {
    const tried = new Tried(within, logged)
    const bytes: number[] = []
    for (let n = 0; n < 60; n++) {
      const rows = Array.from({ length: 2000 }, (_, i): Row => [`key ${n} ${i}`, n * 20, n * 20])
      expect(tried.add(...rows)).toHaveLength(2000)
      tried.seen.expire(n * 20)
      if (logged) tried.written()
      expect(tried.rows).toBe(2000)
      bytes.push(tried.counters.stateBytes)
    }
    expect(bytes.at(-1)).toBe(bytes[20])
  }
})

test('what is written down is what is kept, with any number of tasks, as if nothing had happened', () => {
  const times = fc.integer({ min: 0, max: 60 })
  const frames = fc.array(
    fc.record({
      rows: fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'a key longer than a head', null), times), {
        maxLength: 12,
      }),
      step: fc.integer({ min: 0, max: 9 }),
      ends: fc.constantFrom('no', 'epoch', 'snapshot', 'restart'),
      tasks: fc.integer({ min: 1, max: 3 }),
    }),
    { maxLength: 8 },
  )
  fc.assert(
    fc.property(fc.constantFrom(forEver, byTime, within, bySpark), frames, (head, list) => {
      const steady = new Tried(head)
      let tasks = [new Tried(head, true)]
      let blocks: ReturnType<Tried['written']>[] = []
      const group = new GroupInterpreter(seenKeys(head), false, true)
      let watermark = 0
      for (const { rows, step, ends, tasks: count } of list) {
        const stamped = rows.map(([k, time]): Row => [k, watermark + time, watermark])
        const owner = ([k, time]: Row): number =>
          ownerOf(keyGroupOf(group.hash(head.keys.length === 2 ? [k, time] : [k])), tasks.length)
        const found = tasks.map((tried, task) => tried.add(...stamped.filter((row) => owner(row) === task)))
        expect(found.flat().map(String).sort()).toEqual(
          steady
            .add(...stamped)
            .map(String)
            .sort(),
        )
        watermark += step
        for (const tried of [...tasks, steady]) tried.seen.expire(watermark)
        if (ends === 'no') continue
        const written = tasks.map((tried) => tried.written(ends === 'snapshot'))
        blocks = ends === 'snapshot' ? written : [...blocks, ...written]
        if (ends !== 'restart') continue
        tasks = Array.from({ length: count }, (_, task) =>
          new Tried(head, true).restore(blocks, watermark, task, count),
        )
        expect(tasks.reduce((sum, tried) => sum + tried.rows, 0)).toBe(steady.rows)
      }
    }),
    { numRuns: Number(process.env['MILLRACE_RUNS'] ?? 100) },
  )
}, 60_000)
