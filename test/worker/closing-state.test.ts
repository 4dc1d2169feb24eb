import { expect, test } from 'vitest'
import { GroupInterpreter } from '../../src/codegen/group-interpreter.js'
import { aggregateStateSchema } from '../../src/operator/aggregate.js'
import type { FinalAggregate } from '../../src/plan/physical-plan.js'
import { types } from '../../src/plan/type-rules.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { readValues } from '../../src/types/block-reader.js'
import { structType } from '../../src/types/data-type.js'
import { ClosingState } from '../../src/worker/closing-state.js'
import { newCounters } from '../../src/worker/task.js'

const ts = { kind: 'input', slot: 0, type: types.timestamp, nullable: true } as const
const key = { kind: 'input', slot: 1, type: types.string, nullable: false } as const

function finalOf(outputMode: 'append' | 'update', lead: 0 | 1 = 0): FinalAggregate {
  return {
    op: 'finalAggregate',
    grouping: {
      keys: [
        { name: 'ts', value: ts },
        { name: 'key', value: key },
      ],
      aggregates: [{ fn: 'count', type: types.long, nullable: false, name: 'n' }],
      closesWindows: true,
      closing: { key: 0, lead },
      outputMode,
    },
    schema: structType([
      { name: 'ts', type: types.timestamp, nullable: true },
      { name: 'key', type: types.string, nullable: false },
      { name: 'n', type: types.long, nullable: false },
    ]),
  }
}

type Counted = readonly [ts: number | null, key: string, n: number]

class Tried {
  readonly counters = newCounters()
  readonly state: ClosingState

  constructor(
    private readonly final: FinalAggregate,
    logged = false,
  ) {
    this.state = new ClosingState(final, true, logged, this.counters)
  }

  add(...rows: readonly Counted[]): void {
    const group = new GroupInterpreter(this.final.grouping, false, true)
    const frame = new BlockBuilder(aggregateStateSchema(this.final.grouping))
    for (const [time, k, n] of rows) frame.append([group.hash([time, k]), time, k, n])
    const { views, position } = frame.toBlock()
    this.state.add(views, position)
  }

  rows(write: (builder: BlockBuilder) => void): (readonly unknown[])[] {
    const builder = new BlockBuilder(this.final.schema)
    write(builder)
    return readValues(this.final.schema, builder.toBlock()).map((row) => [...row])
  }

  close(watermark: number): (readonly unknown[])[] {
    return this.rows((builder) => this.state.closeWindows(watermark, builder))
  }

  written(everything = false) {
    const builder = new BlockBuilder(aggregateStateSchema(this.final.grouping))
    this.state.writeLog(builder, everything)
    return builder.toBlock()
  }

  get size(): number {
    this.state.measure()
    return this.counters.stateRows
  }
}

test('a group leaves once, when the watermark is behind its time', () => {
  const tried = new Tried(finalOf('append'))
  tried.add([5, 'a', 1], [6, 'a', 2], [5, 'a', 3], [null, 'a', 9])
  expect(tried.close(5)).toEqual([])
  expect(tried.close(6)).toEqual([[5, 'a', 4]])
  tried.add([6, 'a', 1], [5, 'b', 1], [7, 'c', 1])
  expect([tried.size, tried.counters.lateRows]).toEqual([3, 1])
  expect(tried.close(Number.POSITIVE_INFINITY)).toEqual([
    [6, 'a', 3],
    [7, 'c', 1],
  ])
  expect(tried.state.closedUntil).toBe(8)
  expect(tried.rows((builder) => tried.state.emitRest(builder))).toEqual([[null, 'a', 9]])
})

test('by the rule of Spark it does when the watermark is at its time', () => {
  const tried = new Tried(finalOf('append', 1))
  tried.add([5, 'a', 1], [6, 'a', 1])
  expect(tried.close(5)).toEqual([[5, 'a', 1]])
  expect(tried.close(Number.POSITIVE_INFINITY)).toEqual([[6, 'a', 1]])
})

test('in update mode a group that is over is not given again', () => {
  const tried = new Tried(finalOf('update'))
  const changed = () => tried.rows((builder) => tried.state.emitChanged(builder))
  tried.add([5, 'a', 1], [6, 'a', 1])
  expect(changed()).toHaveLength(2)
  tried.state.closeWindows(6, undefined)
  tried.add([5, 'a', 1], [6, 'a', 1], [4, 'b', 1])
  expect(changed()).toEqual([[6, 'a', 2]])
})

test('state does not grow with the groups that are over, and a checkpoint has the others', () => {
  for (const logged of [false, true]) {
    const tried = new Tried(finalOf('append'), logged)
    const bytes: number[] = []
    let blocks: ReturnType<Tried['written']>[] = []
    for (let n = 0; n < 40; n++) {
      tried.add(...Array.from({ length: 900 }, (_, i): Counted => [n * 10 + (i % 10), `key ${i}`, 1]))
      expect(tried.close(n * 10 + 5)).toHaveLength(n === 0 ? 450 : 900)
      if (logged) blocks = n % 7 === 0 ? [tried.written(true)] : [...blocks, tried.written()]
      expect(tried.size).toBe(450)
      bytes.push(tried.counters.stateBytes)
    }
    expect(Math.max(...bytes.slice(20))).toBe(Math.max(...bytes.slice(8, 20)))
    if (!logged) continue
    const again = [0, 1, 2].map((task) => {
      const one = new Tried(finalOf('append'), true)
      for (const { views, position } of blocks) one.state.restore(views, position, task, 3)
      one.state.restored(tried.state.closedUntil)
      return one
    })
    expect(again.reduce((sum, one) => sum + one.size, 0)).toBe(450)
    expect(
      again
        .flatMap((one) => one.close(1e6))
        .map(String)
        .sort(),
    ).toEqual(tried.close(1e6).map(String).sort())
  }
})
