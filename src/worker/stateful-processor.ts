import { MillraceError } from '../common/errors.js'
import type { Processor } from '../plan/stateful-processor.js'
import type { UserFunction } from '../plan/user-code.js'
import { describe } from '../types/invalid-value.js'
import type { Row } from '../types/row-reader.js'
import { t } from '../types/schema.js'
import { importModule } from './module-import.js'
import type { StatefulProcessorHandle, Timers } from './state-handle.js'
import { exportOf, userFunction } from './user-function.js'

/** A processor of the user's on this thread: what it was written as, made into one of its own for each task. */
export interface StatefulProcessor<R = Row, K = Row, O = unknown, S = Row> {
  /** Once for each task, before the first row: names the states. */
  init?(handle: StatefulProcessorHandle): void
  /** Rows of one key. Gives rows of the result, or nothing. */
  handleInputRows(key: K, rows: readonly R[], timers: Timers): Iterable<O> | undefined | void
  handleExpiredTimer?(key: K, timers: Timers, info: ExpiredTimerInfo): Iterable<O> | undefined | void
  /** Each row of the initial state, once in the life of the query. */
  handleInitialState?(key: K, row: S, timers: Timers): void
  /** The task ends. */
  close?(): void
}

export interface ExpiredTimerInfo {
  getExpiryTimeInMs(): number
}

/** What a function that makes a processor is given. */
export interface ProcessorTools {
  readonly t: typeof t
}

/** Makes the processor of one task. */
export type ProcessorMaker = () => StatefulProcessor

/** A promise where a module has to be loaded. */
export function processorMaker(processor: Processor): ProcessorMaker | Promise<ProcessorMaker> {
  const { fn } = processor
  if (fn.kind === 'module') return moduleMaker(fn)
  const made = userFunction(fn)
  if (made instanceof Promise) throw new Error('assertion failed: an inline function has a module')
  return makerOf(made, fn.name)
}

async function moduleMaker(fn: UserFunction & { readonly kind: 'module' }): Promise<ProcessorMaker> {
  const module = await importModule(fn.url)
  const found = exportOf(module, fn.name)
  if (found === undefined || found === null) {
    throw new MillraceError('USER_FUNCTION_NOT_FOUND', `${fn.url} exports no processor ${fn.name}`, {
      detail: `its exports: ${Object.keys(module).join(', ') || 'none'}`,
      hint: `export class ${fn.name} { handleInputRows(key, rows, timers) { … } }`,
    })
  }
  return makerOf(found, fn.name)
}

/** A class, a function that gives a processor, or a processor. */
function makerOf(found: unknown, name: string): ProcessorMaker {
  if (typeof found === 'function') {
    const make = found as ((tools: ProcessorTools) => unknown) & (new (tools: ProcessorTools) => unknown)
    const isClass = /^class\b/.test(Function.prototype.toString.call(found))
    return () => checked(isClass ? new make({ t }) : make({ t }), name)
  }
  checked(found, name)
  // Tasks of one thread share what the module exports: each gets an object of its own, for what `init` puts into `this`.
  return () => checked(Object.create(found as object), name)
}

function checked(found: unknown, name: string): StatefulProcessor {
  const methods = ['init', 'handleExpiredTimer', 'handleInitialState', 'close']
  const isObject = typeof found === 'object' && found !== null
  const of = (method: string): unknown => (isObject ? Reflect.get(found, method) : undefined)
  const wrong = methods.find((method) => of(method) !== undefined && typeof of(method) !== 'function')
  if (typeof of('handleInputRows') === 'function' && wrong === undefined) return found as StatefulProcessor
  throw new MillraceError('PROCESSOR_INVALID', `${name} is no processor of transformWithState`, {
    detail: !isObject
      ? `found ${describe(found)}, expected an object with handleInputRows`
      : wrong === undefined
        ? `it has no handleInputRows; it has ${Object.keys(found).join(', ') || 'nothing'}`
        : `its ${wrong} is ${describe(of(wrong))}`,
    hint: '{ init(handle) { … }, handleInputRows(key, rows, timers) { … } }, a class of such, or a function that gives one',
  })
}
