import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GroupInterpreter } from '../../src/codegen/group-interpreter.js'
import type { Row } from '../../src/codegen/interpreter.js'
import { compileEmit, compileEntries, compileKeep, compileLog, compileProbe } from '../../src/codegen/join-compiler.js'
import { NO_ROW, PAIRS } from '../../src/codegen/join-functions.js'
import {
  interpretEmit,
  interpretEntries,
  interpretKeep,
  interpretLog,
  interpretProbe,
} from '../../src/codegen/join-interpreter.js'
import { compileToShuffle } from '../../src/codegen/shuffle-compiler.js'
import { SOURCE_CELLS } from '../../src/codegen/stage-functions.js'
import { groupLayout } from '../../src/operator/aggregate.js'
import {
  joinStateSchema,
  keyGrouping,
  otherSide,
  shuffleSchema,
  sideNumber,
  sideRules,
} from '../../src/operator/join.js'
import { bindCall } from '../../src/plan/functions.js'
import { joinedSchema, shifted } from '../../src/plan/join.js'
import type { Join, JoinSideName } from '../../src/plan/physical-plan.js'
import { GroupTable } from '../../src/state/group-table.js'
import { keyGroupOf, ownerOf } from '../../src/state/hash.js'
import { RowStore } from '../../src/state/row-store.js'
import { blockRowCount } from '../../src/types/block.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { readValues } from '../../src/types/block-reader.js'
import { schema, slots } from './expressions.js'
import { blockOf, input, mixedRows, pipeline } from './stages.js'

/** The generated functions of a join against the interpreted ones: same pairs, same rows kept, same rows written down. */
const numRuns = Number(process.env['MILLRACE_RUNS'] ?? 25)

const compiled = {
  probe: (join: Join, side: JoinSideName) => compileProbe(join, side, true).run,
  emit: (join: Join, from: Parameters<typeof compileEmit>[1]) => compileEmit(join, from).run,
  keep: (join: Join, side: JoinSideName, restoring: boolean) => compileKeep(join, side, restoring, true).run,
  entries: (join: Join, side: JoinSideName) => compileEntries(join, side, true).run,
  log: (join: Join, side: JoinSideName) => compileLog(join, side).run,
}
const interpreted: typeof compiled = {
  probe: (join, side) => interpretProbe(join, side, true),
  emit: interpretEmit,
  keep: (join, side, restoring) => interpretKeep(join, side, restoring, true),
  entries: (join, side) => interpretEntries(join, side, true),
  log: interpretLog,
}

const hows = ['inner', 'left', 'right', 'full', 'leftSemi', 'leftAnti'] as const
const comparable = slots.filter((slot) => !['array', 'map', 'struct', 'void'].includes(slot.type.kind))
const times = slots.filter((slot) => slot.type.kind === 'timestamp')

const joins: fc.Arbitrary<Join> = fc
  .record({
    how: fc.constantFrom(...hows),
    keys: fc.uniqueArray(fc.constantFrom(...comparable.map((slot) => slot.index)), { maxLength: 3 }),
    compared: fc.option(fc.constantFrom(...comparable.map((slot) => slot.index)), { nil: undefined }),
    fn: fc.constantFrom('lte', 'neq', 'eqNullSafe'),
    expiring: fc.boolean(),
  })
  .map(({ how, keys, compared, fn, expiring }): Join => {
    const bound = keys.map(input)
    const expiresAt = expiring ? times.slice(0, 2).map((slot) => input(slot.index)) : []
    const side = { schema, keys: bound, expiresAt }
    const condition =
      compared === undefined ? undefined : bindCall(fn, [input(compared), shifted(input(compared), slots.length)], true)
    return {
      op: 'join',
      how,
      left: side,
      right: side,
      ...(condition === undefined ? {} : { condition }),
      schema: joinedSchema(schema, schema, how),
    }
  })

type Frame = readonly [side: JoinSideName, rows: readonly Row[]]

function hashed(join: Join, side: JoinSideName, rows: readonly Row[]): BlockBuilder {
  const group = new GroupInterpreter(keyGrouping(join), false, true)
  const builder = new BlockBuilder(shuffleSchema(schema))
  for (const row of rows) {
    const keys = join[side].keys.map((key) => (key.kind === 'input' ? (row[key.slot] ?? null) : null))
    builder.append([group.hash(keys), ...row])
  }
  return builder
}

function run(make: typeof compiled, join: Join, frames: readonly Frame[]) {
  const table = new GroupTable(groupLayout(keyGrouping(join), false))
  const expires = join.left.expiresAt.length > 0
  const stores = {
    left: new RowStore(schema, 0, expires, true),
    right: new RowStore(schema, 1, expires, true),
  }
  const out = new BlockBuilder(join.schema)
  const pairs = new Int32Array(2 * PAIRS)
  const rows = new Int32Array(100)
  const entries = new Int32Array(100)
  let id = 1
  const keepIn = (
    side: JoinSideName,
    keep: ReturnType<typeof compiled.keep>,
    block: ReturnType<BlockBuilder['toBlock']>,
    kept: number,
    ids: Float64Array,
  ) => {
    const store = stores[side]
    const builder = store.tail()
    const first = store.nextRow
    store.ensure(first + kept)
    builder.ensureRows(builder.rows + kept)
    keep(block.views, block.position, rows, 0, kept, builder, store, first)
    store.link(table, first, kept, entries, 0, ids)
  }
  for (const [side, data] of frames) {
    const block = hashed(join, side, data).toBlock()
    const other = stores[otherSide(side)]
    const own = side === 'left' ? ('block' as const) : ('store' as const)
    const theirs = side === 'left' ? ('store' as const) : ('block' as const)
    const right = sideRules(join, side).pairs ? theirs : 'nowhere'
    const emit = make.emit(join, { left: own, right })
    const flush = (count: number): void => {
      out.ensureRows(out.rows + count)
      emit(block.views, block.position, pairs, count, other, out)
    }
    const count = blockRowCount(block.views, block.position)
    const kept = make.probe(join, side)(block.views, 0, 0, count, table, other, pairs, flush, rows, entries)
    keepIn(
      side,
      make.keep(join, side, false),
      block,
      kept,
      Float64Array.from({ length: kept }, () => id++),
    )
  }
  const log = new BlockBuilder(joinStateSchema(join))
  for (const side of ['left', 'right'] as const) {
    const all = stores[side].rows()
    log.ensureRows(log.rows + all.length)
    make.log(join, side)(all, 0, all.length, stores[side], table, log)
    if (sideRules(join, side).preserved) {
      const alone = make.emit(
        join,
        side === 'left' ? { left: 'store', right: 'nowhere' } : { left: 'nowhere', right: 'store' },
      )
      for (const [i, row] of all.entries()) pairs.set([NO_ROW, row], 2 * i)
      out.ensureRows(out.rows + all.length)
      alone(undefined, 0, pairs, all.length, stores[side], out)
    }
  }
  // What was written down, read into the same stores again, is there twice under the same entries.
  const state = log.toBlock()
  const told = readValues(joinStateSchema(join), state)
  for (const side of ['left', 'right'] as const) {
    let count = 0
    told.forEach((row, r) => {
      if (row[1] === sideNumber(side)) rows[count++] = r
    })
    make.entries(join, side)(state.views, state.position, rows, count, table, entries)
    keepIn(
      side,
      make.keep(join, side, true),
      state,
      count,
      Float64Array.from({ length: count }, () => id++),
    )
  }
  const again = new BlockBuilder(joinStateSchema(join))
  for (const side of ['left', 'right'] as const) {
    const all = stores[side].rows()
    again.ensureRows(again.rows + all.length)
    make.log(join, side)(all, 0, all.length, stores[side], table, again)
  }
  return {
    out: readValues(join.schema, out.toBlock()),
    told,
    again: readValues(joinStateSchema(join), again.toBlock()),
    keys: table.size,
    expiry: expires ? [...stores.left.expiresAt.subarray(0, stores.left.size)] : [],
  }
}

test('a compiled join pairs, keeps and writes down the rows that the interpreter does', () => {
  const frames = fc.array(fc.tuple(fc.constantFrom<JoinSideName>('left', 'right'), mixedRows(12)), { maxLength: 6 })
  fc.assert(
    fc.property(joins, frames, (join, list) => {
      expect(run(compiled, join, list)).toStrictEqual(run(interpreted, join, list))
    }),
    { numRuns },
  )
}, 60_000)

test('a shuffle gives every row to the task that owns its key group, with the hash that the tables have', () => {
  fc.assert(
    fc.property(joins, mixedRows(30), fc.integer({ min: 1, max: 5 }), fc.boolean(), (join, data, tasks, shuffled) => {
      const builders = Array.from({ length: tasks }, () => new BlockBuilder(shuffleSchema(schema)))
      for (const builder of builders) builder.ensureRows(data.length)
      const spec = pipeline(true, shuffled, [])
      const output = { kind: 'shuffle' as const, schema, keys: join.left.keys }
      const block = blockOf(data, shuffled)
      const cells = new Float64Array(SOURCE_CELLS)
      compileToShuffle(spec, output).run(block.views, block.position, 0, data.length, cells, builders)
      const expected = hashed(join, 'left', data)
      const rows = readValues(shuffleSchema(schema), expected.toBlock())
      builders.forEach((builder, task) => {
        const own = rows.filter(([h]) => ownerOf(keyGroupOf(h as number), tasks) === task)
        expect(readValues(shuffleSchema(schema), builder.toBlock())).toStrictEqual(own)
      })
    }),
    { numRuns },
  )
}, 60_000)
