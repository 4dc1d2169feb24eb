import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { interpretToBuilder } from '../../src/codegen/row-interpreter.js'
import { compileToBuilder } from '../../src/codegen/stage-compiler.js'
import { SOURCE_CELLS } from '../../src/codegen/stage-functions.js'
import { MillraceError } from '../../src/common/errors.js'
import type { NarrowOperator } from '../../src/plan/physical-plan.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { readValues } from '../../src/types/block-reader.js'
import { scalar, structType } from '../../src/types/data-type.js'
import { schema } from './expressions.js'
import { blockOf, input, mixedRows, operators, pipeline } from './stages.js'

const numRuns = Number(process.env['MILLRACE_RUNS'] ?? 80)
const eventTime = { eventTime: input(18), delayMs: 1000, column: 'n9', node: 0 }

describe.each([true, false])('with ansi %s', (ansi) => {
  test('a compiled pipeline gives the rows that the interpreter gives, or its error, and counts the same', () => {
    fc.assert(
      fc.property(
        operators(ansi),
        mixedRows(40),
        fc.boolean(),
        fc.constantFrom(undefined, eventTime, { ...eventTime, rule: 'spark' as const }),
        fc.boolean(),
        fc.nat(40),
        fc.nat(40),
        (list, data, shuffled, stamp, dropsLate, a, b) => {
          const late: NarrowOperator[] = stamp !== undefined && dropsLate ? [{ op: 'dropLate' }] : []
          const spec = pipeline(ansi, shuffled, [...late, ...list], stamp)
          const block = blockOf(data, shuffled)
          const from = Math.min(a, b, data.length)
          const to = Math.min(Math.max(a, b), data.length)
          const run = (rows: ReturnType<typeof interpretToBuilder>) => {
            const builder = new BlockBuilder(schema)
            const cells = new Float64Array(SOURCE_CELLS).fill(0)
            cells[0] = Number.NEGATIVE_INFINITY
            cells[4] = 0
            // In two steps: what a builder holds already stays.
            const half = (from + to) >> 1
            builder.ensureRows(to - from)
            rows(block.views, block.position, from, half, cells, builder)
            rows(block.views, block.position, half, to, cells, builder)
            return { rows: readValues(schema, builder.toBlock()), cells: [...cells] }
          }
          const outcome = (make: () => ReturnType<typeof interpretToBuilder>) => {
            try {
              return run(make())
            } catch (error) {
              if (!(error instanceof MillraceError)) throw error
              return { code: error.code, message: error.message }
            }
          }
          const code = compileToBuilder(spec, schema)
          expect(
            outcome(() => code.run),
            code.text,
          ).toStrictEqual(outcome(() => interpretToBuilder(spec)))
        },
      ),
      { numRuns },
    )
  }, 60_000)
})

test('a struct passes through a projection with its fields and its nulls', () => {
  const place = structType([
    { name: 'town', type: scalar('string'), nullable: true },
    { name: 'zip', type: scalar('int'), nullable: false },
  ])
  const from = structType([
    { name: 'a', type: scalar('int'), nullable: false },
    { name: 'place', type: place, nullable: true },
    { name: 'b', type: scalar('int'), nullable: false },
  ])
  const to = structType([
    { name: 'b', type: scalar('int'), nullable: false },
    { name: 'p', type: place, nullable: true },
    { name: 'zip', type: scalar('int'), nullable: true },
  ])
  const builder = new BlockBuilder(from)
  for (const row of [
    [1, ['Ulm', 89073], 10],
    [2, null, 20],
    [3, [null, 7], 30],
  ]) {
    builder.append(row)
  }
  const block = builder.toBlock()
  const columns = [
    { kind: 'input', slot: 4, type: scalar('int'), nullable: false },
    { kind: 'input', slot: 1, type: place, nullable: true },
    { kind: 'input', slot: 3, type: scalar('int'), nullable: true },
  ] as const
  const spec = { schema: from, operators: [{ op: 'project', columns, schema: to }], ansi: true } as const
  for (const rows of [compileToBuilder(spec, to).run, interpretToBuilder(spec)]) {
    const out = new BlockBuilder(to)
    out.ensureRows(3)
    rows(block.views, block.position, 0, 3, new Float64Array(SOURCE_CELLS), out)
    expect(readValues(to, out.toBlock())).toStrictEqual([
      [10, ['Ulm', 89073], 89073],
      [20, null, null],
      [30, [null, 7], 7],
    ])
  }
})
