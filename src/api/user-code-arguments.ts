import { parseDuration } from '../common/duration.js'
import { MillraceError } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import type { UserCode, UserFunction } from '../plan/user-code.js'
import type { StructType } from '../types/data-type.js'
import { describe } from '../types/invalid-value.js'
import { StructSchema } from '../types/schema.js'
import { ModuleFunction } from './from-module.js'
import { structOf } from './struct-of.js'

/** What `map`, `flatMap`, `filter` and `mapBatches` are given. */

/** A function: one that refers to nothing outside itself, or one of a module. */
export type UserFunctionOf<F extends (...given: never[]) => unknown> = F | ModuleFunction

/** A function of rows, written as a method, so that a DataFrame of some rows is one of less specific rows as well. */
type Taking<R, O> = { take(rows: R): O }['take']

/** What `flatMap` and `mapBatches` take from a function: rows, or a promise of them. */
type RowsOf<R> = Iterable<R> | PromiseLike<Iterable<R>>

/** What `map` takes: NoInfer, so that what a row has to be is said by the schema and not by the function. */
export type Mapper<R, I> = UserFunctionOf<Taking<R, NoInfer<I> | PromiseLike<NoInfer<I>>>>
export type RowsMaker<R, I> = UserFunctionOf<Taking<R, RowsOf<NoInfer<I>>>>

export interface UserCodeOptions {
  /** Calls of one input partition under way at a time, where the function is asynchronous. Default 16. */
  readonly concurrency?: number
  /** How long one call may take: `'30 seconds'`. Default 5 seconds. */
  readonly timeout?: string | number
  /** Of mapBatches: rows of a batch, at most. Default 1024. */
  readonly batchSize?: number
}

const CONCURRENCY = 16
const TIMEOUT_MS = 5000
const BATCH_ROWS = 1024
const BATCH_ROWS_MAX = 65_536

const parsing = lazyModule(import.meta.url, './inline-function.js', () => import('./inline-function.js'))

/** `given`: what came behind the function, a schema, options, or both. */
export function userCodeOf(method: UserCode['method'], fn: unknown, given: readonly unknown[]): UserCode {
  const [first, ...others] = given
  const hasSchema = isSchema(first)
  const options = (hasSchema ? others[0] : first) ?? {}
  if (typeof options !== 'object') {
    throw new MillraceError('SCHEMA_EXPECTED', `${method}() takes a function, the schema of its rows, and options`, {
      detail: `found ${describe(options)}`,
      hint: `${method}((row) => ({ twice: row.n * 2 }), t.struct({ twice: t.int }))`,
    })
  }
  const { concurrency = CONCURRENCY, timeout = TIMEOUT_MS, batchSize = BATCH_ROWS } = options as UserCodeOptions
  const timeoutMs = parseDuration(timeout, `a call of ${method}`)
  checkNumber(method, 'concurrency', concurrency, 10_000)
  checkNumber(method, 'batchSize', batchSize, BATCH_ROWS_MAX)
  checkNumber(method, 'timeout', timeoutMs, 2 ** 31 - 1)
  return {
    method,
    fn: functionOf(method, fn),
    ...(hasSchema ? { schema: structOf(first) } : {}),
    concurrency,
    timeoutMs,
    batchRows: batchSize,
  }
}

export function isUserFunction(given: unknown): boolean {
  return typeof given === 'function' || given instanceof ModuleFunction
}

function functionOf(method: string, fn: unknown): UserFunction {
  if (fn instanceof ModuleFunction) return { kind: 'module', url: fn.url, name: fn.name }
  if (typeof fn === 'function') return { kind: 'inline', ...parsing().inlineFunction(fn as () => unknown, method) }
  throw new MillraceError('FUNCTION_EXPECTED', `${method}() takes a function`, {
    detail: `found ${describe(fn)}`,
    hint: `${method}((row) => …), or ${method}(fromModule(import.meta.url, 'enrich'))`,
  })
}

function isSchema(given: unknown): given is StructSchema<unknown> | StructType {
  return given instanceof StructSchema || (typeof given === 'object' && given !== null && 'kind' in given)
}

function checkNumber(method: string, option: string, value: unknown, most: number): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return
  throw new MillraceError('INVALID_OPTION', `${method}() cannot have ${option} ${String(value)}`, {
    detail: `expected a whole number from 1 to ${most}`,
    hint: `leave it out for the default`,
  })
}
