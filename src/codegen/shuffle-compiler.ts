import { codeGenerationAllowed } from '../common/function-source.js'
import { lazyModule } from '../common/lazy-module.js'
import { shuffleSchema } from '../operator/join.js'
import type { Grouping, StageOutput } from '../plan/physical-plan.js'
import { KEY_GROUPS } from '../state/hash.js'
import type { BlockBuilder } from '../types/block-builder.js'
import { BlockOutput } from './block-access.js'
import type { CodeValue } from './code-value.js'
import { type CompiledFunction, interpreted } from './compiled-function.js'
import { GroupCode } from './group-code.js'
import { compileRows, multipliesRows } from './row-compiler.js'
import type { PipelineSpec, RowsFunction } from './stage-functions.js'
import { asBytes } from './text-scratch.js'

/** Where code generation is forbidden. */
const interpreters = lazyModule(import.meta.url, './shuffle-interpreter.js', () => import('./shuffle-interpreter.js'))

type Shuffle = StageOutput & { readonly kind: 'shuffle' }

/** scan → filters and projections → each row, behind the hash of its key, into the builder of the task that owns its key group. */
export function compileToShuffle(
  spec: PipelineSpec,
  output: Shuffle,
): CompiledFunction<RowsFunction<readonly BlockBuilder[]>> {
  const grouping = groupingOf(output)
  const { stamp } = output
  const columnsFrom = stamp === undefined ? 1 : 2
  if (!codeGenerationAllowed()) return interpreted(interpreters().interpretShuffle(spec, output, grouping))
  return compileRows(spec, (source, level, evaluate) => {
    const group = new GroupCode(source, grouping, false, spec.ansi)
    return {
      before: () => source.line('const tasks = T.length;'),
      row: () => {
        const keys = output.keys.map((key) => asBytes(source, evaluate(key, level())))
        group.words(keys)
        group.hash(keys)
        // The builder is another for each row, so its columns are taken anew.
        source.line(`const O = T[((h >>> 25) * tasks / ${KEY_GROUPS}) | 0];`)
        if (multipliesRows(spec)) source.line('O.ensureRows(O.rows + 1);')
        const out = new BlockOutput(source, shuffleSchema(output.schema, stamp !== undefined), 'O')
        const columns = out.slots.slice(columnsFrom)
        for (const slot of columns) level().load(slot.index - columnsFrom)
        const watermark = stamp === undefined || stamp === 'record' ? undefined : evaluate(stamp, level())
        out.declare()
        out.store(0, { type: { kind: 'int' }, isNull: 'false', value: 'h' })
        if (stamp !== undefined)
          out.store(1, { type: { kind: 'double' }, isNull: 'false', value: stampText(watermark) })
        for (const slot of columns) out.store(slot.index, level().load(slot.index - columnsFrom))
        out.endRow()
        out.finish()
      },
      after: () => undefined,
    }
  })
}

/** Of a row's own time, which may be null; the record's is a local of the row loop. */
function stampText(time: CodeValue | undefined): string {
  if (time === undefined) return 'watermark'
  return time.isNull === 'false' ? time.value : `(${time.isNull} ? -Infinity : ${time.value})`
}

function groupingOf({ keys }: Shuffle): Grouping {
  return {
    keys: keys.map((value, i) => ({ name: `k${i}`, value })),
    aggregates: [],
    closesWindows: false,
    outputMode: 'append',
  }
}
