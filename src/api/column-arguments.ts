import { MillraceError } from '../common/errors.js'
import type { AggregateName, Expression } from '../plan/expression.js'
import { parseExpression } from '../plan/sql-parser.js'
import { describe } from '../types/invalid-value.js'
import type { Column } from './column.js'
import type { NamedColumns } from './row-types.js'

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

export type Condition = Column<unknown, string> | string

/** Of a filter; a text is SQL. */
export function conditionOf(condition: Condition): Expression {
  if (typeof condition === 'string') return parseExpression(condition)
  return expressionOfColumn(condition, "filter(col('price').gt(0)), several with .and() and .or()")
}

/** The columns `names`, some of them replaced, and what is new behind them. As in Spark, every expression sees the columns as they were. */
export function replacedColumns(names: readonly string[], columns: NamedColumns): readonly Expression[] {
  const given = new Map(Object.entries(columns))
  const kept = names.map((name): Expression => {
    const replaced = given.get(name)
    given.delete(name)
    return replaced === undefined ? columnNamed(name) : named(name, expressionOfColumn(replaced, valueHint))
  })
  return [...kept, ...[...given].map(([name, column]) => named(name, expressionOfColumn(column, valueHint)))]
}

/** What `agg` is given. */
export function namedAggregates(aggregates: NamedColumns): readonly Expression[] {
  const names = typeof aggregates === 'object' && aggregates !== null ? Object.entries(aggregates) : []
  if (names.length === 0) {
    throw new MillraceError('MISSING_AGGREGATION', 'agg() needs at least one aggregate', {
      detail: 'found none',
      hint: 'agg({ n: count() })',
    })
  }
  return names.map(([name, column]) =>
    named(name, expressionOfColumn(column, "agg({ n: count(), total: sum('price') })")),
  )
}

/** What `groupBy(…).sum('price', 'tax')` and its like are given. */
export function shortcutAggregates(fn: AggregateName, names: readonly string[]): readonly Expression[] {
  return names.map((name) => named(`${fn}(${name})`, { kind: 'aggregate', fn, args: [columnNamed(name)] }))
}
