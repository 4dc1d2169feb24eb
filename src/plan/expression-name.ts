import { dateFromDays } from '../common/calendar.js'
import { formatDecimal } from '../common/decimal.js'
import { type DataType, typeName } from '../types/data-type.js'
import type { BoundExpression, Expression, LiteralValue } from './expression.js'

/** Expressions as text: the names of results that nobody named, and the trees of explain. As Spark prints them. */

const signs: Readonly<Record<string, string>> = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  intDiv: 'div',
  mod: '%',
  eq: '=',
  neq: '!=',
  lt: '<',
  lte: '<=',
  gt: '>',
  gte: '>=',
  eqNullSafe: '<=>',
  and: 'AND',
  or: 'OR',
  like: 'LIKE',
  rlike: 'RLIKE',
}

function callText(fn: string, args: readonly string[]): string {
  const sign = signs[fn]
  if (sign !== undefined && args.length === 2) return `(${args[0]} ${sign} ${args[1]})`
  if (fn === 'not') return `(NOT ${args[0]})`
  if (fn === 'neg') return `(- ${args[0]})`
  if (fn === 'isNull') return `(${args[0]} IS NULL)`
  if (fn === 'isNotNull') return `(${args[0]} IS NOT NULL)`
  if (fn === 'in') return `(${args[0]} IN (${args.slice(1).join(', ')}))`
  if (fn === 'between') return `((${args[0]} >= ${args[1]}) AND (${args[0]} <= ${args[2]}))`
  return `${fn}(${args.join(', ')})`
}

export function literalName(value: LiteralValue, type: DataType): string {
  if (value === null) return 'NULL'
  if (value instanceof Uint8Array) return `X'${Buffer.from(value).toString('hex').toUpperCase()}'`
  if (type.kind === 'timestamp' && typeof value === 'number') {
    const iso = Number.isFinite(value) && Math.abs(value) <= 8.64e15 ? new Date(value).toISOString() : String(value)
    return `TIMESTAMP '${iso.replace('T', ' ').replace(/(\.000)?Z$/, '')}'`
  }
  if (type.kind === 'date' && typeof value === 'number') {
    const { year, month, day } = dateFromDays(value)
    return `DATE '${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}'`
  }
  if (type.kind === 'decimal' && typeof value === 'bigint') return formatDecimal(value, type.scale)
  return String(value)
}

const castText = (arg: string, type: DataType, isTry: boolean): string =>
  `${isTry ? 'TRY_CAST' : 'CAST'}(${arg} AS ${typeName(type).toUpperCase()})`

function caseText(branches: readonly (readonly [string, string])[], otherwise: string | undefined): string {
  const parts = branches.map(([when, then]) => `WHEN ${when} THEN ${then}`)
  return `CASE ${parts.join(' ')}${otherwise === undefined ? '' : ` ELSE ${otherwise}`} END`
}

/** The SQL text of an expression as the user built it. */
export function expressionText(e: Expression): string {
  switch (e.kind) {
    case 'column':
      return e.name
    case 'literal':
      return literalName(e.value, e.type)
    case 'call':
      return callText(e.fn, e.args.map(expressionText))
    case 'cast':
      return castText(expressionText(e.arg), e.to, e.try === true)
    case 'case':
      return caseText(
        e.branches.map((b) => [expressionText(b.when), expressionText(b.then)]),
        e.otherwise === undefined ? undefined : expressionText(e.otherwise),
      )
    case 'lambda': {
      const names = e.parameters.length === 1 ? e.parameters[0] : `(${e.parameters.join(', ')})`
      return `${names} -> ${expressionText(e.body)}`
    }
    case 'alias':
      return `${expressionText(e.arg)} AS ${e.name}`
    case 'window':
      return 'window'
    case 'sessionWindow':
      return 'session_window'
    case 'aggregate':
      return `${e.fn}(${e.args.length === 0 ? '1' : e.args.map(expressionText).join(', ')})`
    case 'sort':
      return `${expressionText(e.arg)} ${e.descending ? 'DESC' : 'ASC'}${e.nullsFirst === undefined ? '' : ` NULLS ${e.nullsFirst ? 'FIRST' : 'LAST'}`}`
  }
}

/** The column name of a result: its alias, the last part of a path, the column under a cast, else its text. */
export function resultName(e: Expression): string {
  if (e.kind === 'alias') return e.name
  if (e.kind === 'column') return lastPart(e.name)
  if (e.kind === 'cast') {
    let inner: Expression = e.arg
    while (inner.kind === 'cast') inner = inner.arg
    if (inner.kind === 'column') return lastPart(inner.name)
  }
  return expressionText(e)
}

function lastPart(name: string): string {
  const parts = columnPath(name)
  return parts[parts.length - 1] ?? name
}

/** `a.b` is the field b of a; backticks keep a name together. */
export function columnPath(name: string): readonly string[] {
  const parts: string[] = []
  for (const [, quoted, plain] of name.matchAll(/`((?:[^`]|``)*)`(?:\.|$)|([^.]*)(?:\.|$)/g)) {
    if (quoted !== undefined) parts.push(quoted.replaceAll('``', '`'))
    else if (plain !== undefined && plain !== '') parts.push(plain)
  }
  return parts
}

/** A bound expression for explain; `names` are the slots' names. */
export function boundText(e: BoundExpression, names: readonly string[]): string {
  switch (e.kind) {
    case 'input':
      return `${names[e.slot] ?? '?'}#${e.slot}`
    case 'literal':
      return literalName(e.value, e.type)
    case 'field':
      return `${boundText(e.arg, names)}.${e.index}`
    case 'cast':
      return castText(boundText(e.arg, names), e.type, e.try === true)
    case 'case':
      return caseText(
        e.branches.map((b) => [boundText(b.when, names), boundText(b.then, names)]),
        e.otherwise === undefined ? undefined : boundText(e.otherwise, names),
      )
    case 'call':
      return callText(
        e.fn,
        e.args.map((arg) => boundText(arg, names)),
      )
  }
}
