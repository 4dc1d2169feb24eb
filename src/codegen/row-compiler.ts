import { FunctionSource } from '../common/function-source.js'
import { lazyModule } from '../common/lazy-module.js'
import { BlockInput } from './block-access.js'
import { BroadcastCode } from './broadcast-code.js'
import { type CompiledFunction, finish } from './compiled-function.js'
import { type Evaluate, evaluator, type Level, projected } from './row-level.js'
import { type PipelineSpec, type RowsFunction, SourceCell } from './stage-functions.js'

const exploding = lazyModule(import.meta.url, './explode-code.js', () => import('./explode-code.js'))

/**
 * The loop over the rows of a block in which a stage's scan, filters, projections and joins with tables are one: what it ends in, a table or
 * a builder, is the terminal's. An operator is code at the level of the row, or inside the loop over the matches of a row.
 */

export interface Terminal {
  before(): void
  /** Once for each row that comes through; may stand inside loops over matches. */
  row(): void
  after(): void
}

/** A row may become several: who makes room for rows before the loop does not know how many. */
export function multipliesRows({ operators }: Pick<PipelineSpec, 'operators'>): boolean {
  return operators.some(
    (one) => one.op === 'explode' || (one.op === 'broadcastJoin' && (one.how === 'inner' || one.how === 'left')),
  )
}

export function compileRows<Target>(
  spec: PipelineSpec,
  makeTerminal: (source: FunctionSource, level: () => Level, evaluate: Evaluate) => Terminal,
  owner?: object,
): CompiledFunction<RowsFunction<Target>> {
  const source = new FunctionSource()
  const evaluate = evaluator(source, spec.ansi)
  BlockInput.declareViews(source)
  const input = new BlockInput(source, source.section(), spec.schema, spec.physicalSlots)
  let level: Level = { schema: spec.schema, load: (slot) => input.load(slot) }
  const terminal = makeTerminal(source, () => level, evaluate)
  const joins = spec.operators.map((operator, i) => {
    return operator.op === 'broadcastJoin' ? new BroadcastCode(source, operator, i, spec, evaluate) : undefined
  })
  source.line(`let maxEventTime = S[0], late = 0, nullEventTime = 0, passed = 0;`)
  terminal.before()
  const finishRows = (): void => {
    source.line('S[0] = maxEventTime; S[1] += late; S[2] += nullEventTime; S[3] += passed;')
    terminal.after()
  }
  eachRow(source, spec, finishRows, () => {
    const stamp = spec.watermark
    const isSpark = stamp?.rule === 'spark'
    const scanned = level
    let isStamped = false
    const stampRow = (): void => {
      if (stamp === undefined || isStamped) return
      isStamped = true
      const time = evaluate(stamp.eventTime, scanned)
      source.line(`const watermark = ${isSpark ? 'S[4]' : `maxEventTime - ${stamp.delayMs}`};`)
      const known = time.isNull === 'false' ? '' : `!${time.isNull} && `
      source.line(`if (${known}${time.value} > maxEventTime) maxEventTime = ${time.value};`)
      if (spec.operators.some((operator) => operator.op === 'dropLate')) {
        if (known !== '') source.line(`if (${time.isNull}) { nullEventTime++; continue; }`)
        source.line(`if (${time.value} ${isSpark ? '<=' : '<'} watermark) { late++; continue; }`)
      }
    }
    if (spec.stampSlot !== undefined) source.line(`const watermark = ${input.load(spec.stampSlot).value};`)
    if (!isSpark) stampRow()
    const from = (first: number): void => {
      for (let i = first; i < spec.operators.length; i++) {
        const operator = spec.operators[i]
        if (operator?.op === 'filter') {
          const condition = evaluate(operator.condition, level)
          const fails =
            condition.isNull === 'false' ? `!${condition.value}` : `${condition.isNull} || !${condition.value}`
          source.line(`if (${fails}) continue;`)
        } else if (operator?.op === 'project') {
          level = projected(source, operator.columns, operator.schema, level, evaluate)
        } else if (operator?.op === 'explode') {
          stampRow()
          exploding().eachElement(source, operator, level, evaluate, (exploded) => {
            level = exploded
            from(i + 1)
          })
          return
        } else if (operator?.op === 'broadcastJoin') {
          // A row is stamped once, and not with each match.
          stampRow()
          joins[i]?.each(level, (joined) => {
            level = joined
            from(i + 1)
          })
          return
        }
      }
      // Spark moves filters below the watermark: what they drop does not move it.
      stampRow()
      source.line('passed++;')
      terminal.row()
    }
    from(0)
  })
  finishRows()
  // A function with a table in it must not outlive it.
  const table = joins.map((join) => join?.table).find((one) => one !== undefined)
  return finish(source, 'rows', ['views', 'pos', 'from', 'to', 'S', 'T'], table ?? owner)
}

/** The loop over the rows. Where a row's failing is to be survived, the rows before it are finished, and nothing that it has counted stays. */
function eachRow(source: FunctionSource, spec: PipelineSpec, finishRows: () => void, body: () => void): void {
  if (spec.namesFailing !== true) {
    source.block('for (let r = from; r < to; r++)', body)
    return
  }
  source.line('let r = from, timeBefore = maxEventTime, passedBefore = 0;')
  source.block('try', () =>
    source.block('for (; r < to; r++)', () => {
      if (spec.watermark !== undefined) source.line('timeBefore = maxEventTime;')
      source.line('passedBefore = passed;')
      body()
    }),
  )
  source.block('catch (error)', () => {
    source.line('maxEventTime = timeBefore; passed = passedBefore;')
    finishRows()
    source.line(`S[${SourceCell.row}] = r; throw error;`)
  })
}
