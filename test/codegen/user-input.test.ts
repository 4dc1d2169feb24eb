import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isStamped, SOURCE_CELLS } from '../../src/codegen/stage-functions.js'
import { compileUserInput, interpretUserInput } from '../../src/codegen/user-input-compiler.js'
import { MillraceError } from '../../src/common/errors.js'
import { userInputSchema } from '../../src/operator/user-code.js'
import type { UserCodeOperator } from '../../src/plan/physical-plan.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { readValues } from '../../src/types/block-reader.js'
import { schema } from './expressions.js'
import { blockOf, input, mixedRows, operators, pipeline } from './stages.js'

const numRuns = Number(process.env['MILLRACE_RUNS'] ?? 40)
const eventTime = { eventTime: input(18), delayMs: 1000, column: 'n9', node: 0 }
const operator: UserCodeOperator = {
  op: 'userCode',
  code: {
    method: 'map',
    fn: { kind: 'inline', text: '(row) => row', name: 'same' },
    concurrency: 1,
    timeoutMs: 1,
    batchRows: 1,
  },
  input: schema,
  schema,
}

describe.each([true, false])('with ansi %s', (ansi) => {
  test('the rows for a function, their numbers and stamps are those of the interpreter; of a row that fails nothing stays', () => {
    fc.assert(
      fc.property(operators(ansi), mixedRows(30), fc.constantFrom(undefined, eventTime), (list, data, stamp) => {
        const spec = { ...pipeline(ansi, false, list, stamp), namesFailing: true }
        const block = blockOf(data, false)
        const of = userInputSchema(operator, isStamped(spec))
        const outcome = (make: () => ReturnType<typeof interpretUserInput>) => {
          const builder = new BlockBuilder(of)
          const cells = new Float64Array(SOURCE_CELLS)
          cells[0] = Number.NEGATIVE_INFINITY
          try {
            builder.ensureRows(data.length)
            make()(block.views, block.position, 0, data.length, cells, builder)
            return { rows: readValues(of, builder.toBlock()), cells: [...cells] }
          } catch (error) {
            if (!(error instanceof MillraceError)) throw error
            builder.dropBegun()
            const rows = readValues(of, builder.toBlock())
            return { code: error.code, message: error.message, rows, cells: [...cells] }
          }
        }
        const code = compileUserInput(spec, operator)
        expect(
          outcome(() => code.run),
          code.text,
        ).toStrictEqual(outcome(() => interpretUserInput(spec)))
      }),
      { numRuns },
    )
  })
})
