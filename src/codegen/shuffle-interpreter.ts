import type { Grouping, StageOutput } from '../plan/physical-plan.js'
import { keyGroupOf, ownerOf } from '../state/hash.js'
import type { BlockBuilder } from '../types/block-builder.js'
import { interpretMatches } from './broadcast-interpreter.js'
import { GroupInterpreter } from './group-interpreter.js'
import { evaluator, interpretRows, type RowLevel, type TakeRow } from './row-interpreter.js'
import type { PipelineSpec, RowsFunction } from './stage-functions.js'

/** What shuffle-compiler.ts generates, interpreted. */
export function interpretShuffle(
  spec: PipelineSpec,
  output: StageOutput & { readonly kind: 'shuffle' },
  grouping: Grouping,
): RowsFunction<readonly BlockBuilder[]> {
  const group = new GroupInterpreter(grouping, false, spec.ansi)
  const toOwner = (row: RowLevel, columns: readonly number[]): TakeRow<readonly BlockBuilder[]> => {
    const keys = output.keys.map((key) => evaluator(key, row, spec))
    const { stamp } = output
    const timeOf = stamp === undefined || stamp === 'record' ? undefined : evaluator(stamp, row, spec)
    return (targets, watermark) => {
      const h = group.hash(keys.map((key) => key()))
      const time = timeOf === undefined ? watermark : (timeOf() ?? Number.NEGATIVE_INFINITY)
      const stamps = stamp === undefined ? [] : [time]
      targets[ownerOf(keyGroupOf(h), targets.length)]?.append([h, ...stamps, ...columns.map((slot) => row.load(slot))])
      return 'passed'
    }
  }
  return interpretRows(spec, toOwner, interpretMatches)
}
