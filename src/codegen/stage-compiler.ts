import { present } from '../common/assert.js'
import { codeGenerationAllowed, FunctionSource } from '../common/function-source.js'
import { lazyModule } from '../common/lazy-module.js'
import { aggregateStateSchema, windowNumbers } from '../operator/aggregate.js'
import type { FinalAggregate, Grouping } from '../plan/physical-plan.js'
import { type GroupTable, HEAD_KEY_HASH } from '../state/group-table.js'
import { KEY_GROUPS } from '../state/hash.js'
import type { BlockBuilder } from '../types/block-builder.js'
import type { StructType } from '../types/data-type.js'
import { BlockInput, BlockOutput } from './block-access.js'
import { type CompiledFunction, finish, interpreted } from './compiled-function.js'
import type { CodeValue } from './expression-compiler.js'
import { GroupCode } from './group-code.js'
import { compileRows, multipliesRows } from './row-compiler.js'
import {
  isStamped,
  type MergeFunction,
  type PipelineSpec,
  type ResultFunction,
  type RowsFunction,
  type StateFunction,
} from './stage-functions.js'
import { asBytes } from './text-scratch.js'
import { WindowCode } from './window-code.js'

/** Where code generation is forbidden. */
const interpreters = lazyModule(import.meta.url, './stage-interpreter.js', () => import('./stage-interpreter.js'))

/**
 * A stage becomes a handful of functions, each one loop over the rows of a block where it lies: scan,
 * filter, projection and the update of the partial aggregate are one loop (RowsFunction); merging
 * partial rows, writing state rows and writing result rows are one loop each.
 */

/** scan → filters and projections → rows appended to a builder of `schema`. */
export function compileToBuilder(spec: PipelineSpec, schema: StructType): CompiledFunction<RowsFunction<BlockBuilder>> {
  if (!codeGenerationAllowed()) return interpreted(interpreters().interpretToRows(spec))
  return compileRows(spec, (source, level) => {
    const output = new BlockOutput(source, schema, 'T', multipliesRows(spec))
    return {
      before: () => output.declare(),
      row: () => {
        output.beginRow()
        for (const slot of output.slots) output.store(slot.index, level().load(slot.index))
        output.endRow()
      },
      after: () => output.finish(),
    }
  })
}

/**
 * scan → filters and projections → update of the partial aggregate's table (the window is in its key). Given a table of fixed
 * capacity, the function is for that one only.
 */
export function compileToTable(
  spec: PipelineSpec,
  grouping: Grouping,
  fixed?: GroupTable,
): CompiledFunction<RowsFunction<GroupTable>> {
  if (!codeGenerationAllowed()) return interpreted(interpreters().interpretToTable(spec, grouping))
  return compileRows(
    spec,
    (source, level, evaluate) => {
      const group = new GroupCode(source, grouping, true, spec.ansi, fixed)
      const { window } = grouping
      const windows =
        window === undefined ? undefined : new WindowCode(source, window, grouping.closesWindows && isStamped(spec))
      return {
        before: () => {
          group.take(true)
          windows?.declare()
        },
        row: () => {
          if (window !== undefined) {
            const gap = window.kind === 'session' ? evaluate(window.gap, level()) : undefined
            windows?.row(evaluate(window.eventTime, level()), gap)
          }
          const keys = grouping.keys.map((key) => asBytes(source, evaluate(key.value, level())))
          const values = grouping.aggregates.map((a) => (a.arg === undefined ? undefined : evaluate(a.arg, level())))
          group.words(keys)
          group.hash(keys)
          group.findOrInsert(keys)
          grouping.aggregates.forEach((_, i) => group.update(i, values[i]))
        },
        after: () => undefined,
      }
    },
    fixed,
  )
}

/**
 * State rows of a block into the tables of their windows or slices, or to their sessions; returns how many rows came for what is closed.
 * `replace` takes a row as the group's new state (recovery) instead of adding it.
 */
export function compileMerge(grouping: Grouping, ansi: boolean, replace: boolean): CompiledFunction<MergeFunction> {
  if (!codeGenerationAllowed()) return interpreted(interpreters().interpretMerge(grouping, ansi, replace))
  const source = new FunctionSource()
  BlockInput.declareViews(source)
  const input = new BlockInput(source, source.section(), aggregateStateSchema(grouping), undefined)
  const row = stateRow(input, grouping)
  const group = new GroupCode(source, grouping, false, ansi)
  const { window } = grouping
  // Tumbling windows and slices have tables of their own; sessions are told apart in one.
  const split = window !== undefined && window.kind !== 'session'
  source.line(`let refused = 0, T = ${split ? 'undefined' : 'tableFor(0, 0)'}, known = false;`)
  if (split) source.line('let current = NaN, currentFrom = NaN;')
  // The locals exist before there is a table: they are filled when the first row asks for one.
  source.line(`let ${group.localNames().join(', ')};`)
  source.block('for (let r = from; r < to; r++)', () => {
    if (split) {
      const ws = row.window(0)
      const wf = window.kind === 'sliding' ? row.window(1) : '0'
      source.block(`if (${ws} !== current${window.kind === 'sliding' ? ` || ${wf} !== currentFrom` : ''})`, () => {
        source.line(`current = ${ws}; currentFrom = ${wf}; T = tableFor(current, currentFrom); known = false;`)
      })
      source.line('if (T === undefined) { refused++; continue; }')
    }
    source.block('if (!known)', () => {
      source.line('known = true;')
      group.take(false)
    })
    source.line(`const h = ${row.hash()};`)
    source.line(`if (tasks > 1 && ((h >>> 25) * tasks / ${KEY_GROUPS} | 0) !== target) continue;`)
    const keys = row.keys()
    const cells = group.layout.cells.map((_, j) => row.cell(j))
    group.words(keys)
    group.findOrInsert(keys)
    if (window?.kind === 'session') {
      source.line(`e = place(e, ${row.window(0)}, ${row.window(1)}, ${row.window(2)});`)
      source.line('if (e < 0) { refused++; continue; }')
      group.take(false)
      source.line(`d = e * ${group.cellDoubles};`)
    }
    const cell = (j: number): CodeValue => present(cells[j], `cell ${j}`)
    if (replace) group.replace(cell)
    else group.merge(cell)
    source.line('if ((flags[e] & marks) !== marks) T.mark(e, marks);')
  })
  source.line('return refused;')
  return finish(source, 'merge', ['views', 'pos', 'from', 'to', 'tableFor', 'marks', 'target', 'tasks', 'place'])
}

/** A state row's columns as the inputs of a merge: hash, keys, the window's numbers, cells. */
function stateRow(input: BlockInput, grouping: Grouping) {
  const keyCount = grouping.keys.length
  const windowSlots = windowNumbers(grouping, true)
  return {
    hash: () => input.load(0).value,
    keys: () => grouping.keys.map((_, i) => input.load(1 + i)),
    window: (k: number) => input.load(1 + keyCount + k).value,
    cell: (j: number) => input.load(1 + keyCount + windowSlots + j),
  }
}

export function compileState(grouping: Grouping, partial: boolean, ansi: boolean): CompiledFunction<StateFunction> {
  if (!codeGenerationAllowed()) return interpreted(interpreters().interpretState(grouping, partial, ansi))
  const source = new FunctionSource()
  const group = new GroupCode(source, grouping, partial, ansi)
  const output = new BlockOutput(source, aggregateStateSchema(grouping), 'B')
  group.take(true)
  output.declare()
  source.block('for (let i = from; i < to; i++)', () => {
    source.line('const e = list === null ? i : list[i];')
    group.locate()
    source.line(
      `if (tasks > 1 && (((heads[q + ${HEAD_KEY_HASH}] >>> 25) * tasks / ${KEY_GROUPS}) | 0) !== target) continue;`,
    )
    group.storeState(output, ['windowStart', 'countsFrom'])
    output.endRow()
  })
  output.finish()
  return finish(source, 'state', ['T', 'list', 'from', 'to', 'B', 'windowStart', 'target', 'tasks', 'countsFrom'])
}

export function compileResult(final: FinalAggregate, ansi: boolean): CompiledFunction<ResultFunction> {
  if (!codeGenerationAllowed()) return interpreted(interpreters().interpretResult(final, ansi))
  const source = new FunctionSource()
  const group = new GroupCode(source, final.grouping, false, ansi)
  const output = new BlockOutput(source, final.schema, 'B')
  group.take(true)
  output.declare()
  source.block('for (let i = from; i < to; i++)', () => {
    source.line('const e = list === null ? i : list[i];')
    group.locate()
    group.storeResult(output, final, 'windowStart')
    output.endRow()
  })
  output.finish()
  return finish(source, 'result', ['T', 'list', 'from', 'to', 'B', 'windowStart'])
}
