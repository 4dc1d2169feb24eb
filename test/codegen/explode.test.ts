import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { interpretToBuilder } from '../../src/codegen/row-interpreter.js'
import { compileToBuilder } from '../../src/codegen/stage-compiler.js'
import { SOURCE_CELLS } from '../../src/codegen/stage-functions.js'
import { MillraceError } from '../../src/common/errors.js'
import { explodedSchema } from '../../src/plan/bound-plan.js'
import type { BoundExpression } from '../../src/plan/expression.js'
import { call } from '../../src/plan/function-spec.js'
import { bindCall } from '../../src/plan/functions.js'
import type { NarrowOperator } from '../../src/plan/physical-plan.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { readValues } from '../../src/types/block-reader.js'
import { columnSlots, structType } from '../../src/types/data-type.js'
import { schema, slots } from './expressions.js'
import { blockOf, input, mixedRows, operators, pipeline } from './stages.js'

/** A row for each element of an array: generated code against the interpreted one, and both against flattening what the array holds. */
const numRuns = Number(process.env['MILLRACE_RUNS'] ?? 25)

const arrays = slots.filter((slot) => slot.type.kind === 'array').map((slot) => input(slot.index))
/** Of structs, one of its fields an array again. */
const structs = [0, 1].map((n): BoundExpression => {
  const parts = [input(6 + n), input(20 + n), input(30)]
  const type = structType(parts.map((part, i) => ({ name: `p${i}`, type: part.type, nullable: part.nullable })))
  return call('makeStruct', parts, { ...type, fields: type.fields.map((f) => ({ ...f, nullable: true })) }, false)
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
  const lists = [...arrays, bindCall('array', structs, ansi)]

  test('each row comes once for each element, with its place', () => {
    const shapes = fc.record({
      list: fc.constantFrom(...lists),
      before: operators(ansi),
      filtered: fc.constantFrom('nothing', 'place', 'element', 'row'),
      data: mixedRows(40),
    })
    fc.assert(
      fc.property(shapes, ({ list, before, filtered, data }) => {
        const names = { array: list, position: 'place', element: 'element' }
        const exploded = explodedSchema(names, schema)
        const own = columnSlots(exploded)
        const at = { place: slots.length, element: slots.length + 1, row: 3, nothing: -1 }[filtered]
        const kept = own[at]
        const value: BoundExpression | undefined = kept && { ...kept, kind: 'input', slot: kept.index }
        const condition = value && bindCall('isNotNull', [value], ansi)
        const behind: NarrowOperator[] = condition === undefined ? [] : [{ op: 'filter', condition }]
        const spec = pipeline(ansi, false, [...before, { op: 'explode', array: list, schema: exploded }, ...behind])
        const block = blockOf(data, false)
        const rowsOf = (run: ReturnType<typeof interpretToBuilder>) => {
          const builder = new BlockBuilder(exploded)
          builder.ensureRows(data.length)
          const cells = new Float64Array(SOURCE_CELLS)
          run(block.views, block.position, 0, data.length, cells, builder)
          return { rows: readValues(exploded, builder.toBlock()), passed: cells[3] }
        }
        const code = compileToBuilder(spec, exploded)
        const found = outcomeOf(() => rowsOf(code.run))
        expect(found, code.text).toStrictEqual(outcomeOf(() => rowsOf(interpretToBuilder(spec))))

        const slot = list.kind === 'input' ? list.slot : undefined
        if (slot === undefined || before.length > 0 || filtered !== 'nothing' || 'code' in found) return
        const flat = data.flatMap((row) =>
          ((row[slot] ?? []) as unknown as readonly unknown[]).map((element, i) => [i + 1, element]),
        )
        expect(found.rows.map((row) => row.slice(-2))).toEqual(flat)
      }),
      { numRuns },
    )
  }, 60_000)
})
