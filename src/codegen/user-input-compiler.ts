import { codeGenerationAllowed } from '../common/function-source.js'
import { userInputSchema } from '../operator/user-code.js'
import type { UserCodeOperator } from '../plan/physical-plan.js'
import type { BlockBuilder } from '../types/block-builder.js'
import { topLevelSlots } from '../types/data-type.js'
import { BlockOutput } from './block-access.js'
import { interpretMatches } from './broadcast-interpreter.js'
import { type CompiledFunction, interpreted } from './compiled-function.js'
import { compileRows, multipliesRows } from './row-compiler.js'
import { interpretRows } from './row-interpreter.js'
import { isStamped, type PipelineSpec, type RowsFunction } from './stage-functions.js'

/**
 * The segment of a pipeline that ends in user code: its rows into a builder of userInputSchema(), which has the function's columns and behind them what
 * else has to be known of a row.
 */
export function compileUserInput(
  spec: PipelineSpec,
  operator: UserCodeOperator,
): CompiledFunction<RowsFunction<BlockBuilder>> {
  const schema = userInputSchema(operator, isStamped(spec))
  const [rowSlot, stampSlot] = topLevelSlots(schema).slice(operator.input.fields.length)
  if (!codeGenerationAllowed()) return interpreted(interpretUserInput(spec))
  return compileRows(spec, (source, level) => {
    const output = new BlockOutput(source, schema, 'T', multipliesRows(spec))
    return {
      before: () => output.declare(),
      row: () => {
        output.beginRow()
        for (const { index } of output.slots) {
          if (index === rowSlot) output.store(index, { type: { kind: 'int' }, isNull: 'false', value: 'r' })
          else if (index === stampSlot)
            output.store(index, { type: { kind: 'double' }, isNull: 'false', value: 'watermark' })
          else output.store(index, level().load(index))
        }
        output.endRow()
      },
      after: () => output.finish(),
    }
  })
}

/** The reference, and what runs where code generation is forbidden. */
export function interpretUserInput(spec: PipelineSpec): RowsFunction<BlockBuilder> {
  const stamped = isStamped(spec)
  return interpretRows<BlockBuilder>(
    spec,
    (level, columns) => (target, watermark, row) => {
      const values = columns.map((slot) => level.load(slot))
      target.append(stamped ? [...values, row, watermark] : [...values, row])
      return 'passed'
    },
    interpretMatches,
  )
}
