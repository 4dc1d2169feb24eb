import { MillraceError } from '../common/errors.js'
import type { Expression } from '../plan/expression.js'
import { describe } from '../types/invalid-value.js'
import type { Column } from './column.js'

/** Columns as methods are given them: a name, or an expression. */

export function expressionOf(column: string | Column<unknown, string>): Expression {
  if (typeof column === 'string') return columnNamed(column)
  return expressionOfColumn(column, "write 'price' or col('price').gt(0)")
}

/** The same where a text would be ambiguous: a column's name, or an expression in SQL. */
export function expressionOfColumn(column: Column<unknown, string>, hint: string): Expression {
  if (typeof column === 'object' && column !== null && 'expression' in column) return column.expression
  throw new MillraceError('COLUMN_EXPECTED', 'a column is expected: its name, or an expression', {
    detail: `found ${describe(column)}`,
    hint,
  })
}

export const valueHint = "withColumn('total', col('price').mul(2)); a constant is lit('x')"

export function columnNamed(name: string): Expression {
  return { kind: 'column', name }
}

export function named(name: string, arg: Expression): Expression {
  return { kind: 'alias', name, arg }
}
