import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { interpretMatches } from '../../src/codegen/broadcast-interpreter.js'
import type { Row } from '../../src/codegen/interpreter.js'
import { interpretToBuilder } from '../../src/codegen/row-interpreter.js'
import { compileToShuffle } from '../../src/codegen/shuffle-compiler.js'
import { compileToBuilder, compileToTable } from '../../src/codegen/stage-compiler.js'
import { SOURCE_CELLS } from '../../src/codegen/stage-functions.js'
import { interpretToTable } from '../../src/codegen/stage-interpreter.js'
import { MillraceError } from '../../src/common/errors.js'
import { groupLayout } from '../../src/operator/aggregate.js'
import { shuffleSchema } from '../../src/operator/join.js'
import type { BoundExpression } from '../../src/plan/expression.js'
import { bindCall } from '../../src/plan/functions.js'
import { joinedSchema, shifted } from '../../src/plan/join.js'
import type { BroadcastJoin, Grouping, NarrowOperator } from '../../src/plan/physical-plan.js'
import { GroupTable } from '../../src/state/group-table.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { readValues } from '../../src/types/block-reader.js'
import { columnSlots, scalar } from '../../src/types/data-type.js'
import { broadcastTable } from '../../src/worker/broadcast-table.js'
import { schema, slots } from './expressions.js'
import { blockOf, input, mixedRows, operators, pipeline } from './stages.js'

/** The generated code of a join with a table, in the middle of a pipeline, against the interpreted one and against trying every pair. */
const numRuns = Number(process.env['MILLRACE_RUNS'] ?? 15)

const comparable = slots.filter((slot) => !['array', 'map', 'struct', 'void'].includes(slot.type.kind))
const stamp = { eventTime: input(18), delayMs: 1000, column: 'n9', node: 0 }

interface Shape {
  readonly join: BroadcastJoin
  /** Behind the join, over its columns. */
  readonly behind: readonly NarrowOperator[]
}

const shapes: fc.Arbitrary<Shape> = fc
  .record({
    how: fc.constantFrom('inner', 'left', 'leftSemi', 'leftAnti'),
    tableFirst: fc.boolean(),
    keys: fc.uniqueArray(fc.constantFrom(...comparable.map((slot) => slot.index)), { maxLength: 3 }),
    compared: fc.option(fc.constantFrom(...comparable.map((slot) => slot.index)), { nil: undefined }),
    fn: fc.constantFrom('lte', 'neq', 'eqNullSafe'),
    filtered: fc.option(fc.constantFrom(...comparable.map((slot) => slot.index)), { nil: undefined }),
  })
  .map(({ how, tableFirst: asked, keys, compared, fn, filtered }): Shape => {
    const pairs = how === 'inner' || how === 'left'
    const tableFirst = asked && pairs
    const bound = keys.map(input)
    const joined = joinedSchema(schema, schema, tableFirst && how === 'left' ? 'right' : how)
    const condition =
      compared === undefined ? undefined : bindCall(fn, [input(compared), shifted(input(compared), slots.length)], true)
    const join: BroadcastJoin = {
      op: 'broadcastJoin',
      how,
      keys: bound,
      table: { name: 'other', schema, keys: bound },
      tableFirst,
      ...(condition === undefined ? {} : { condition }),
      schema: joined,
    }
    const last = columnSlots(joined)
    const at = filtered === undefined ? undefined : last[pairs ? filtered + slots.length : filtered]
    const kept: BoundExpression | undefined =
      at === undefined ? undefined : { kind: 'input', slot: at.index, type: at.type, nullable: at.nullable }
    return {
      join,
      behind: kept === undefined ? [] : [{ op: 'filter', condition: bindCall('isNotNull', [kept], true) }],
    }
  })

const outcomeOf = <T>(run: () => T) => {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    return { code: error.code, message: error.message }
  }
}

describe.each([true, false])('with ansi %s', (ansi) => {
  test('a compiled join with a table gives the rows that the interpreter gives, in every kind of output', () => {
    const before = operators(ansi)
    const stamps = fc.constantFrom(undefined, stamp, { ...stamp, rule: 'spark' as const })
    fc.assert(
      fc.property(shapes, before, mixedRows(40), mixedRows(30), stamps, (shape, first, data, other, watermark) => {
        const { join, behind } = shape
        const late: NarrowOperator[] = watermark === undefined ? [] : [{ op: 'dropLate' }]
        const tables = new Map([['other', broadcastTable(join, ansi, [blockOf(other, false)])]])
        const spec = { ...pipeline(ansi, false, [...late, ...first, join, ...behind], watermark), tables }
        const block = blockOf(data, false)
        const cells = () => Float64Array.from({ length: SOURCE_CELLS }, (_, i) => (i === 0 ? -Infinity : 0))
        const rowsOf = (rows: ReturnType<typeof interpretToBuilder>) => {
          const builder = new BlockBuilder(join.schema)
          const counted = cells()
          // Room for a row of each is made before; for what a join makes of them it is not.
          builder.ensureRows(data.length)
          rows(block.views, block.position, 0, data.length, counted, builder)
          return { rows: readValues(join.schema, builder.toBlock()), cells: [...counted] }
        }
        const code = compileToBuilder(spec, join.schema)
        expect(
          outcomeOf(() => rowsOf(code.run)),
          code.text,
        ).toStrictEqual(outcomeOf(() => rowsOf(interpretToBuilder(spec, interpretMatches))))

        const sizeOf = (rows: ReturnType<typeof interpretToTable>) => {
          const table = new GroupTable(groupLayout(counting, true))
          rows(block.views, block.position, 0, data.length, cells(), table)
          return [...table.cells.subarray(0, table.size)]
        }
        const toTable = compileToTable(spec, counting)
        expect(
          outcomeOf(() => sizeOf(toTable.run)),
          toTable.text,
        ).toStrictEqual(outcomeOf(() => sizeOf(interpretToTable(spec, counting))))

        const keys = join.keys.length > 0 && !join.tableFirst ? join.keys : []
        const shuffle = compileToShuffle(spec, { kind: 'shuffle', schema: join.schema, keys })
        const shuffled = outcomeOf(() => {
          const builder = new BlockBuilder(shuffleSchema(join.schema))
          builder.ensureRows(data.length)
          shuffle.run(block.views, block.position, 0, data.length, cells(), [builder])
          return readValues(shuffleSchema(join.schema), builder.toBlock()).map((row) => row.slice(1))
        })
        const expected = outcomeOf(() => rowsOf(code.run))
        expect(shuffled, shuffle.text).toStrictEqual('rows' in expected ? expected.rows : expected)
      }),
      { numRuns },
    )
  }, 60_000)
})

const counting: Grouping = {
  keys: [],
  aggregates: [{ fn: 'count', type: scalar('long'), nullable: false, name: 'n' }],
  closesWindows: false,
  outputMode: 'append',
}

/** Values as grouping compares them; a null is equal to nothing. */
const sameKey = (a: unknown, b: unknown): boolean =>
  a !== null && b !== null && (Object.is(a, b) || (a === 0 && b === 0) || String(a) === String(b))

test('the rows are those of trying every pair', () => {
  const keyed = comparable.filter((slot) => ['string', 'int', 'double', 'boolean'].includes(slot.type.kind))
  fc.assert(
    fc.property(
      fc.constantFrom(...keyed.map((slot) => slot.index)),
      fc.constantFrom('inner', 'left', 'leftSemi', 'leftAnti'),
      mixedRows(30),
      mixedRows(30),
      (key, how, data, other) => {
        const joined = joinedSchema(schema, schema, how)
        const side = { keys: [input(key)] }
        const join: BroadcastJoin = {
          op: 'broadcastJoin',
          how,
          ...side,
          table: { name: 'other', schema, ...side },
          tableFirst: false,
          schema: joined,
        }
        const tables = new Map([['other', broadcastTable(join, true, [blockOf(other, false)])]])
        const builder = new BlockBuilder(joined)
        builder.ensureRows(data.length)
        const block = blockOf(data, false)
        const { run } = compileToBuilder({ ...pipeline(true, false, [join], undefined), tables }, joined)
        run(block.views, block.position, 0, data.length, new Float64Array(SOURCE_CELLS), builder)
        const matches = (row: Row): number => other.filter((o) => sameKey(row[key], o[key])).length
        const expected = data.reduce((sum, row) => {
          const n = matches(row)
          if (how === 'leftSemi') return sum + (n > 0 ? 1 : 0)
          if (how === 'leftAnti') return sum + (n > 0 ? 0 : 1)
          return sum + (how === 'left' ? Math.max(1, n) : n)
        }, 0)
        expect(builder.rows).toBe(expected)
      },
    ),
    { numRuns: numRuns * 2 },
  )
})
