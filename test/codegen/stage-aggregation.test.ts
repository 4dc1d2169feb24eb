import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { interpret, type Row } from '../../src/codegen/interpreter.js'
import { compileMerge, compileResult, compileState, compileToTable } from '../../src/codegen/stage-compiler.js'
import { type PipelineSpec, type RowsFunction, SOURCE_CELLS, SourceCell } from '../../src/codegen/stage-functions.js'
import {
  interpretMerge,
  interpretResult,
  interpretState,
  interpretToTable,
} from '../../src/codegen/stage-interpreter.js'
import type { Value } from '../../src/codegen/value.js'
import { MillraceError } from '../../src/common/errors.js'
import { aggregateStateSchema, groupLayout } from '../../src/operator/aggregate.js'
import { bindAggregate } from '../../src/plan/aggregation.js'
import type { AggregateName, BoundAggregate, BoundExpression } from '../../src/plan/expression.js'
import { boundLiteral } from '../../src/plan/function-spec.js'
import { bindCall } from '../../src/plan/functions.js'
import type { GroupingWindow } from '../../src/plan/grouping-window.js'
import type { FinalAggregate, Grouping } from '../../src/plan/physical-plan.js'
import { windowType } from '../../src/plan/window-value.js'
import { CHANGED_FOR_EMIT, CHANGED_FOR_LOG, GroupTable } from '../../src/state/group-table.js'
import { keyGroupOf, ownerOf } from '../../src/state/hash.js'
import { type BlockRef, blockRowCount } from '../../src/types/block.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { readValues } from '../../src/types/block-reader.js'
import { type Field, structType } from '../../src/types/data-type.js'
import { expectedOf, partKey, Reference } from './aggregate-reference.js'
import { schema, slots } from './expressions.js'
import { isNested, types } from './plan-parts.js'
import { blockOf, input, mix, mixedRows, pipeline } from './stages.js'

const numRuns = Number(process.env['MILLRACE_RUNS'] ?? 30)
const NULLABLE_TIME = 18
const TIME = 19

interface Engine {
  readonly toTable: (spec: PipelineSpec, grouping: Grouping, fixed: GroupTable | undefined) => RowsFunction<GroupTable>
  readonly state: typeof interpretState
  readonly merge: typeof interpretMerge
  readonly result: typeof interpretResult
}
const interpreter: Engine = {
  toTable: interpretToTable,
  state: interpretState,
  merge: interpretMerge,
  result: interpretResult,
}
const compiler: Engine = {
  toTable: (spec, grouping, fixed) => compileToTable(spec, grouping, fixed).run,
  state: (grouping, windowInKey, ansi) => compileState(grouping, windowInKey, ansi).run,
  merge: (grouping, ansi, replace) => compileMerge(grouping, ansi, replace).run,
  result: (final, ansi) => compileResult(final, ansi).run,
}

/** Keys: columns, and what is computed from columns that may be null (a null must be one group whatever lies behind it). */
const computedKeys = (ansi: boolean): fc.Arbitrary<BoundExpression> =>
  fc.constantFrom(
    bindCall('add', [input(14), boundLiteral(1, types.double)], ansi),
    bindCall('div', [input(14), boundLiteral(2, types.double)], false),
    bindCall('upper', [input(20)], ansi),
    bindCall('substring', [input(20), boundLiteral(1, types.int), boundLiteral(1, types.int)], ansi),
    bindCall('nullif', [input(10), input(11)], ansi),
    bindCall('isNull', [input(20)], ansi),
  )

const names = schema.fields.filter((f) => !isNested(f.type)).map((f) => f.name)
const keySlots = slots.filter((slot) => !isNested(slot.type)).map((slot) => slot.index)

function aggregates(ansi: boolean): fc.Arbitrary<readonly BoundAggregate[]> {
  const any = fc.tuple(fc.constantFrom<AggregateName>('count', 'min', 'max'), fc.constantFrom(...names))
  const numbers = fc.tuple(
    fc.constantFrom<AggregateName>('sum', 'avg'),
    fc.constantFrom(
      ...schema.fields.filter((f) => /byte|short|int|long|float|double|decimal/.test(f.type.kind)).map((f) => f.name),
    ),
  )
  const one = fc
    .oneof(any, numbers)
    .map(([fn, name]) =>
      bindAggregate({ kind: 'aggregate', fn, args: [{ kind: 'column', name }] }, schema, `${fn}(${name})`, ansi),
    )
  const all = bindAggregate({ kind: 'aggregate', fn: 'count', args: [] }, schema, 'count', ansi)
  return fc.array(fc.oneof({ weight: 5, arbitrary: one }, { weight: 1, arbitrary: fc.constant(all) }), {
    minLength: 1,
    maxLength: 4,
  })
}

interface Query {
  readonly grouping: Grouping
  readonly final: FinalAggregate
  readonly delayMs: number
}

function queries(ansi: boolean): fc.Arbitrary<Query> {
  const keys = fc.array(
    fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...keySlots).map(input) }, computedKeys(ansi)),
    {
      maxLength: 3,
    },
  )
  const window = fc.option(
    fc.record({
      time: fc.constantFrom(NULLABLE_TIME, TIME),
      sizeMs: fc.constantFrom(1, 1000, 3_600_000),
      start: fc.constantFrom(0, 0.5),
      // Of the length: tumbling; slides that divide it, and some that do not.
      slide: fc.constantFrom(1, 1, 1, 0.5, 0.3, 0.25, 0.7),
      closes: fc.boolean(),
      position: fc.nat(3),
    }),
    { nil: undefined, freq: 3 },
  )
  return fc.tuple(keys, window, aggregates(ansi), fc.constantFrom(0, 500, 5000)).map(([values, w, list, delayMs]) => {
    const grouping: Grouping = {
      keys: values.map((value, i) => ({ name: `key${i}`, value })),
      aggregates: list,
      closesWindows: w?.closes === true,
      outputMode: 'update',
      ...(w === undefined
        ? {}
        : {
            window: windowOf(w, Math.min(w.position, values.length)),
          }),
    }
    const fields: Field[] = grouping.keys.map(({ name, value }) => ({
      name,
      type: value.type,
      nullable: value.nullable,
    }))
    if (grouping.window !== undefined) {
      fields.splice(grouping.window.position, 0, { name: 'window', type: windowType, nullable: false })
    }
    list.forEach((a, i) => fields.push({ name: `a${i}`, type: a.type, nullable: a.nullable }))
    return { grouping, delayMs, final: { op: 'finalAggregate', grouping, schema: structType(fields) } }
  })
}

function windowOf(w: { time: number; sizeMs: number; start: number; slide: number }, position: number): GroupingWindow {
  const slideMs = Math.max(1, Math.floor(w.slide * w.sizeMs))
  const { sizeMs } = w
  const key = { name: 'window', position, eventTime: input(w.time) }
  const startMs = Math.floor(w.start * slideMs)
  if (slideMs === sizeMs) return { kind: 'tumbling', ...key, sizeMs, startMs }
  return { kind: 'sliding', ...key, sizeMs, slideMs, startMs }
}

/** Rows whose event times are near one another and mostly go forward. */
const timedRows: fc.Arbitrary<readonly Row[]> = fc
  .tuple(mixedRows(60), fc.nat(), fc.constantFrom(-3_000_000, 0, 1_709_210_096_789))
  .map(([rows, seed, origin]) =>
    rows.map((row, i) => {
      const time = origin + i * 400 + (mix(seed, i, 99) % 4000) - (mix(seed, i, 98) % 7 === 0 ? 9000 : 0)
      const timed = [...row]
      timed[TIME] = time
      timed[NULLABLE_TIME] = mix(seed, i, 97) % 6 === 0 ? null : time
      return timed
    }),
  )

interface Outcome {
  readonly rows: Map<string, unknown[]>
  readonly restored: Map<string, unknown[]>
  readonly emitted: Map<string, unknown[]>
  /** Every state row that was sent, for a comparison of the two engines. */
  readonly sent: unknown[][][]
  readonly late: number
  readonly nullEventTimes: number
}

/** Scan tasks → partial tables → state rows by key group → final tables → result rows, with everything cut at random. */
function run(
  engine: Engine,
  query: Query,
  ansi: boolean,
  data: readonly Row[],
  shuffled: boolean,
  seed: number,
): Outcome {
  const { grouping, final, delayMs } = query
  const partitions = 1 + (mix(seed, 0, 1) % 3)
  const tasks = 1 + (mix(seed, 0, 2) % 3)
  const time = grouping.window?.eventTime ?? input(TIME)
  const spec = pipeline(ansi, shuffled, [], { eventTime: time, delayMs, column: 'ts', node: 0 })
  // Tables of fixed capacity are emptied whenever they are full, in the middle of a block.
  const fixed = mix(seed, 0, 8) % 2 === 0
  const writePartial = engine.state(grouping, true, ansi)
  const stateSchema = aggregateStateSchema(grouping)
  const inbox: BlockRef[][] = Array.from({ length: tasks }, () => [])
  const sent: unknown[][][] = []
  let late = 0
  let nullEventTimes = 0
  for (let p = 0; p < partitions; p++) {
    const rows = data.filter((_, i) => i % partitions === p)
    const block = blockOf(rows, shuffled)
    const cells = new Float64Array(SOURCE_CELLS)
    cells[SourceCell.maxEventTime] = Number.NEGATIVE_INFINITY
    let at = 0
    const handOn = (): void => {
      for (let target = 0; target < tasks; target++) {
        const builder = new BlockBuilder(stateSchema)
        builder.ensureRows(table.size)
        writePartial(table, null, 0, table.size, builder, 0, target, tasks)
        if (builder.rows === 0) continue
        const state = builder.toBlock()
        sent.push(readValues(stateSchema, state))
        // Between partitions the order of arrival is anybody's.
        inbox[target]?.splice(mix(seed, at, p) % ((inbox[target]?.length ?? 0) + 1), 0, state)
      }
      table.reset()
    }
    const layout = groupLayout(grouping, true)
    const table: GroupTable = fixed ? new GroupTable(layout, 4, handOn) : new GroupTable(layout, 2)
    const toTable = engine.toTable(spec, grouping, fixed ? table : undefined)
    while (at < rows.length) {
      const to = Math.min(rows.length, at + 1 + (mix(seed, at, 3) % 20))
      toTable(block.views, block.position, at, to, cells, table)
      at = to
      if (at === rows.length || mix(seed, at, 4) % 3 === 0) handOn()
    }
    late += cells[SourceCell.late] as number
    nullEventTimes += cells[SourceCell.nullEventTime] as number
  }

  const rows = new Map<string, unknown[]>()
  const emitted = new Map<string, unknown[]>()
  const changelog: BlockRef[] = []
  const merge = engine.merge(grouping, ansi, false)
  const writeState = engine.state(grouping, false, ansi)
  const writeResult = engine.result(final, ansi)
  const collect = (
    table: GroupTable,
    list: Int32Array | null,
    count: number,
    { window, from }: Part,
    into: Map<string, unknown[]>,
  ) => {
    const builder = new BlockBuilder(final.schema)
    builder.ensureRows(count)
    writeResult(table, list, 0, count, builder, window)
    for (const row of readValues(final.schema, builder.toBlock())) into.set(keyOfResult(grouping, row, from), row)
  }
  const opener = () => {
    const tables = new Map<string, Part & { readonly table: GroupTable }>()
    const open = (window: number, from: number): GroupTable => {
      const part = tables.get(`${window} ${from}`) ?? {
        window,
        from,
        table: new GroupTable(groupLayout(grouping, false), 2),
      }
      tables.set(`${window} ${from}`, part)
      return part.table
    }
    return { tables, open }
  }
  for (let task = 0; task < tasks; task++) {
    const { tables, open } = opener()
    inbox[task]?.forEach((block, i) => {
      const count = blockRowCount(block.views, block.position)
      const marks = CHANGED_FOR_EMIT | CHANGED_FOR_LOG
      expect(merge(block.views, block.position, 0, count, open, marks, 0, 1)).toBe(0)
      if (mix(seed, i, 6) % 2 === 0) return
      for (const part of tables.values()) {
        const { table, window, from } = part
        const builder = new BlockBuilder(stateSchema)
        builder.ensureRows(table.logCount)
        writeState(table, table.logList, 0, table.logCount, builder, window, 0, 1, from)
        table.clearLogList()
        changelog.push(builder.toBlock())
        collect(table, table.emitList, table.emitCount, part, emitted)
        table.clearEmitList()
      }
    })
    for (const part of tables.values()) {
      const { table, window, from } = part
      const builder = new BlockBuilder(stateSchema)
      builder.ensureRows(table.logCount)
      writeState(table, table.logList, 0, table.logCount, builder, window, 0, 1, from)
      changelog.push(builder.toBlock())
      collect(table, table.emitList, table.emitCount, part, emitted)
      collect(table, null, table.size, part, rows)
      for (let e = 0; e < table.size; e++) {
        const hash = table.heads[e * table.places.headInts + 1] as number
        expect(ownerOf(keyGroupOf(hash), tasks)).toBe(task)
      }
    }
  }

  // Recovery with another number of tasks: every task reads the whole changelog and takes what it owns.
  const restored = new Map<string, unknown[]>()
  const replace = engine.merge(grouping, ansi, true)
  const others = 1 + (mix(seed, 0, 7) % 4)
  for (let task = 0; task < others; task++) {
    const { tables, open } = opener()
    for (const block of changelog) {
      replace(block.views, block.position, 0, blockRowCount(block.views, block.position), open, 0, task, others)
    }
    for (const part of tables.values()) {
      const { table } = part
      expect([table.emitCount, table.logCount]).toEqual([0, 0])
      collect(table, null, table.size, part, restored)
    }
  }
  return { rows, restored, emitted, sent, late, nullEventTimes }
}

/** What a table of the final aggregate is of. */
interface Part {
  readonly window: number
  readonly from: number
}

function keyOfResult(grouping: Grouping, row: readonly unknown[], from: number): string {
  const keys = row.slice(0, grouping.keys.length + (grouping.window === undefined ? 0 : 1))
  const window = grouping.window === undefined ? undefined : (keys.splice(grouping.window.position, 1)[0] as number[])
  if (window !== undefined && grouping.window?.kind !== 'session')
    expect((window[1] as number) - (window[0] as number)).toBe(grouping.window?.sizeMs)
  return partKey(keys as (Value | null)[], window?.[0], from)
}

function outcome(work: () => Outcome): Outcome | string {
  try {
    return work()
  } catch (error) {
    if (error instanceof MillraceError) return error.code
    throw error
  }
}

describe.each([true, false])('with ansi %s', (ansi) => {
  test('partial, exchanged, merged and restored: the groups are those of a Map', () => {
    fc.assert(
      fc.property(queries(ansi), timedRows, fc.boolean(), fc.nat(), (query, data, shuffled, seed) => {
        const { grouping, final } = query
        const compiled = outcome(() => run(compiler, query, ansi, data, shuffled, seed))
        const interpreted = outcome(() => run(interpreter, query, ansi, data, shuffled, seed))
        expect(compiled).toStrictEqual(interpreted)

        const partitions = 1 + (mix(seed, 0, 1) % 3)
        const reference = new Reference(grouping, query.delayMs)
        const keys = grouping.keys.map(({ value }) => interpret(value, { ansi }))
        const args = grouping.aggregates.map(({ arg }) => (arg === undefined ? undefined : interpret(arg, { ansi })))
        const time = interpret(grouping.window?.eventTime ?? input(TIME), { ansi })
        data.forEach((row, i) => {
          reference.add(
            i % partitions,
            time(row) as number | null,
            keys.map((key) => key(row)),
            args.map((arg) => arg?.(row) ?? null),
          )
        })
        const expected = [...reference.groups].map(([key, group]) => ({
          key,
          list: grouping.aggregates.map((a, i) => expectedOf(a, group.values[i] ?? [], group.rows)),
        }))
        if (typeof compiled === 'string') {
          expect(ansi).toBe(true)
          expect(expected.some(({ list }) => list.some((e) => e.mayOverflow))).toBe(true)
          return
        }
        expect([compiled.late, compiled.nullEventTimes]).toEqual([reference.late, reference.nullEventTimes])
        expect([...compiled.rows.keys()].sort()).toEqual(expected.map(({ key }) => key).sort())
        const first = final.schema.fields.length - grouping.aggregates.length
        for (const { key, list } of expected) {
          const row = compiled.rows.get(key) as unknown[]
          list.forEach((e, i) => {
            const value = row[first + i]
            const right = e.matches(value) || (!ansi && e.mayOverflow && value === null)
            if (!right) expect.fail(`${grouping.aggregates[i]?.name} of group ${key} is ${String(value)}`)
            if (e.mustOverflow) expect(value).toBeNull()
          })
        }
        expect(compiled.restored).toStrictEqual(compiled.rows)
        expect(compiled.emitted).toStrictEqual(compiled.rows)
      }),
      { numRuns },
    )
  }, 60_000)
})
