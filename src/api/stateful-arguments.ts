import { parseDuration } from '../common/duration.js'
import { MillraceError } from '../common/errors.js'
import type { Expression } from '../plan/expression.js'
import type { LogicalPlan } from '../plan/logical-plan.js'
import type { Processor, TimeMode } from '../plan/stateful-processor.js'
import type { UserFunction } from '../plan/user-code.js'
import { describe } from '../types/invalid-value.js'
import type { StructSchema } from '../types/schema.js'
import type { ProcessorTools, StatefulProcessor } from '../worker/stateful-processor.js'
import { ModuleFunction } from './from-module.js'
import { inlineFunction } from './inline-function.js'
import type { PlanTables } from './memory-tables.js'
import { structOf } from './struct-of.js'

/** What `groupBy(…).transformWithState` is given. */

/** An object whose methods refer to nothing outside themselves, a function that makes one, or what a module exports: a class, a function, an object. */
export type ProcessorOf<R, K, O, S> =
  | StatefulProcessor<R, K, O, S>
  | ((tools: ProcessorTools) => StatefulProcessor<R, K, O, S>)
  | ModuleFunction

export interface TransformOptions<O extends object, I, Initial> {
  /** Of the rows that the processor gives. */
  readonly outputSchema: StructSchema<O, I>
  /** What timers go by. Default `'none'`: there are none. */
  readonly timeMode?: TimeMode
  /** With `timeMode: 'event'`: `'eventTime'` (default) hands rows out in the order of event time, each when the watermark has reached it; `'arrival'` at once. */
  readonly order?: 'eventTime' | 'arrival'
  /** The query's; left out, either will do. */
  readonly outputMode?: 'append' | 'update'
  /** Rows that end, grouped by keys of the same types: each is given to `handleInitialState` before the first row of the query. */
  readonly initialState?: Initial
  /** How long one call may take: `'30 seconds'`. Default 5 seconds. */
  readonly timeout?: string | number
}

/** What `groupBy` has made. */
export interface GroupedRows {
  readonly input: LogicalPlan
  readonly tables: PlanTables
  readonly keys: readonly Expression[]
}

const TIMEOUT_MS = 5000
const timeModes: readonly TimeMode[] = ['none', 'processing', 'event']
const methods = ['init', 'handleInputRows', 'handleExpiredTimer', 'handleInitialState', 'close']

/** `initial`: the rows of the option of that name. */
export function transformOf(
  rows: GroupedRows,
  processor: unknown,
  options: TransformOptions<object, unknown, unknown>,
  initial: unknown,
): readonly [plan: LogicalPlan, tables: PlanTables | undefined] {
  const { input, keys } = rows
  if (initial !== undefined && !isGrouped(initial)) throw notGrouped(initial)
  const plan: LogicalPlan = {
    op: 'transformWithState',
    input,
    keys,
    processor: processorOf(processor, options),
    ...(initial === undefined ? {} : { initial: { input: initial.input, keys: initial.keys } }),
  }
  return [plan, initial?.tables]
}

function isGrouped(given: unknown): given is GroupedRows {
  return typeof given === 'object' && given !== null && 'keys' in given && 'derive' in given
}

function notGrouped(given: unknown): MillraceError {
  return new MillraceError('INVALID_ARGUMENT', 'the initial state has to be grouped, as the rows are', {
    detail: `found ${describe(given)}`,
    hint: "initialState: mill.read…load().groupBy('user')",
  })
}

function processorOf(given: unknown, options: unknown): Processor {
  if (typeof options !== 'object' || options === null) {
    throw new MillraceError('INVALID_ARGUMENT', 'transformWithState() takes a processor and options', {
      detail: `found ${describe(options)} for the options`,
      hint: "transformWithState(processor, { outputSchema: t.struct({ n: t.long }), timeMode: 'event' })",
    })
  }
  const { outputSchema, timeMode, order, outputMode, timeout } = options as Partial<
    TransformOptions<object, unknown, unknown>
  >
  const timeoutMs = parseDuration(timeout ?? TIMEOUT_MS, 'a call of transformWithState')
  if (timeoutMs < 1 || timeoutMs > 2 ** 31 - 1) throw wrongOption('timeout', timeout, 'a duration from 1 ms on')
  const mode = oneOf('timeMode', timeMode ?? 'none', timeModes)
  const by = oneOf('order', order ?? (mode === 'event' ? 'eventTime' : 'arrival'), ['eventTime', 'arrival'])
  if (by === 'eventTime' && mode !== 'event') {
    throw wrongOption(
      'order',
      by,
      `'arrival' with timeMode '${mode}'; rows are put in order by the watermark of timeMode 'event'`,
    )
  }
  return {
    fn: processorFunction(given),
    schema: structOf(outputSchema),
    timeMode: mode,
    ordered: by === 'eventTime',
    ...(outputMode === undefined ? {} : { outputMode: oneOf('outputMode', outputMode, ['append', 'update']) }),
    timeoutMs,
  }
}

function oneOf<T extends string>(option: string, given: unknown, known: readonly T[]): T {
  const found = known.find((one) => one === given)
  if (found === undefined) throw wrongOption(option, given, known.map((one) => `'${one}'`).join(', '))
  return found
}

function wrongOption(option: string, given: unknown, expected: string): MillraceError {
  return new MillraceError('INVALID_OPTION', `transformWithState() cannot have ${option} ${String(given)}`, {
    detail: `expected ${expected}`,
    hint: 'leave it out for the default',
  })
}

function processorFunction(given: unknown): UserFunction {
  if (given instanceof ModuleFunction) return { kind: 'module', url: given.url, name: given.name }
  if (typeof given === 'function') {
    return { kind: 'inline', ...inlineFunction(given as () => unknown, 'transformWithState') }
  }
  const own = methods.filter((name) => isMethodOf(given, name))
  if (!own.includes('handleInputRows')) {
    throw new MillraceError('PROCESSOR_INVALID', 'transformWithState() takes a processor', {
      detail: `found ${describe(given)}${typeof given === 'object' && given !== null ? ' without a method handleInputRows' : ''}`,
      hint: "an object with handleInputRows(key, rows, timers), a function that gives one, or fromModule(import.meta.url, 'Sessions')",
    })
  }
  const other = Object.keys(given as object).find((name) => !methods.includes(name))
  if (other !== undefined) {
    throw new MillraceError(
      'USER_CODE_NOT_SELF_CONTAINED',
      `the processor's \`${other}\` would be missing on the workers`,
      {
        detail: `only its methods travel there: ${methods.join(', ')}`,
        hint: 'make it in init, or write a function that gives the processor: ({ t }) => { let total; return { init(handle) { … } } }',
      },
    )
  }
  const texts = own.map((name) => {
    const method = Reflect.get(given as object, name) as () => unknown
    return `${name}: ${inlineFunction(method, 'transformWithState').text}`
  })
  return { kind: 'inline', name: 'inline', text: `() => ({ ${texts.join(',\n')} })` }
}

function isMethodOf(given: unknown, name: string): boolean {
  return typeof given === 'object' && given !== null && typeof Reflect.get(given, name) === 'function'
}
