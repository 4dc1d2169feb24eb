import { MillraceError } from '../common/errors.js'
import type { Expression } from '../plan/expression.js'
import { type AnyColumn, Column, type ColumnValue, toExpression } from './column.js'

/** How Spark's functions become calls: a string is the name of a column, where values stand they are literals. */
export type ColumnOrName = AnyColumn | string

export const toColumn = (value: ColumnOrName): Expression => {
  if (value instanceof Column) return value.expression
  if (typeof value === 'string' && value !== '') return { kind: 'column', name: value }
  throw new MillraceError('INVALID_COLUMN_NAME', 'a function needs a column, or the name of one', {
    detail: `found ${value === '' ? 'an empty text' : value === null ? 'null' : typeof value}`,
    hint: "upper('name') or upper(col('name')); a constant is lit('x')",
  })
}

export function call(fn: string, ...args: readonly Expression[]): Column {
  return new Column({ kind: 'call', fn, args })
}

export const unary =
  (fn: string) =>
  (value: ColumnOrName): Column =>
    call(fn, toColumn(value))

export const binary =
  (fn: string) =>
  (a: ColumnOrName, b: ColumnOrName): Column =>
    call(fn, toColumn(a), toColumn(b))

export const variadic =
  (fn: string) =>
  (...values: readonly ColumnOrName[]): Column =>
    call(fn, ...values.map(toColumn))

/** A column and plain values behind it. */
export const withValues =
  <V extends readonly (ColumnValue | undefined)[]>(fn: string) =>
  (value: ColumnOrName, ...rest: V): Column =>
    call(fn, toColumn(value), ...rest.filter((v) => v !== undefined).map(toExpression))

let depth = 0

/** A function of columns as a lambda. Its parameters are named by how deep it is nested, so none hides another. */
export function lambda(fn: (...parameters: Column[]) => AnyColumn, most: number): Expression {
  if (typeof fn !== 'function') {
    throw new MillraceError('INVALID_LAMBDA_FUNCTION_CALL', 'a function of columns was expected', {
      detail: `found ${typeof fn}`,
      hint: "transform('prices', (x) => x.mul(2))",
    })
  }
  const count = Math.min(Math.max(1, fn.length), most)
  depth += 1
  try {
    const parameters = Array.from({ length: count }, (_, i) => `lambda_${depth}_${i + 1}`)
    const body = fn(...parameters.map((name) => new Column({ kind: 'column', name })))
    if (!(body instanceof Column)) {
      throw new MillraceError('INVALID_LAMBDA_FUNCTION_CALL', 'a lambda gives a column', {
        detail: `it gave ${body === null ? 'null' : typeof body}`,
        hint: 'a constant is lit(3)',
      })
    }
    return { kind: 'lambda', parameters, body: body.expression }
  } finally {
    depth -= 1
  }
}

/** Options of a reader or writer of text, as Spark has them: a map of texts. */
export function optionsMap(options: Readonly<Record<string, string | boolean | number>>): Expression {
  const entries = Object.entries(options).flatMap(([name, value]) => [toExpression(name), toExpression(String(value))])
  return { kind: 'call', fn: 'map', args: entries }
}
