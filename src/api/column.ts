import { parseIsoDate } from '../common/calendar.js'
import { MillraceError } from '../common/errors.js'
import type { Expression, LiteralValue } from '../plan/expression.js'
import { expressionText } from '../plan/expression-name.js'
import { decimal, types } from '../plan/type-rules.js'
import type { DataType } from '../types/data-type.js'
import { parseDdl } from '../types/ddl.js'

/**
 * An expression as users write it: `col('price').multiply(2).gt(5)`. A column holds plain frozen data and
 * nothing else; it means something only once a DataFrame puts it into its plan.
 */
export type ColumnValue = AnyColumn | string | number | bigint | boolean | Date | Uint8Array | null

/** A column of which nothing is known. */
export type AnyColumn = Column<unknown, string>

/** Never there at run time: what TypeScript knows of a column, the type of its values and its name (`string`: not known). */
declare const phantom: unique symbol

/** What `cast` takes: a name (`'int'`, `'decimal(10, 2)'`) or a type of `t`. */
export type CastTarget = string | { readonly type: DataType }

export class Column<T = unknown, N extends string = string> {
  declare readonly [phantom]: { readonly value: T; readonly name: N }
  readonly expression: Expression

  constructor(expression: Expression) {
    this.expression = Object.freeze(expression)
  }

  // Arithmetic

  plus(other: ColumnValue): Column {
    return this.#call('add', other)
  }
  minus(other: ColumnValue): Column {
    return this.#call('sub', other)
  }
  multiply(other: ColumnValue): Column {
    return this.#call('mul', other)
  }
  /** The exact quotient, a double (or a decimal of decimals), as Spark's `/`. */
  divide(other: ColumnValue): Column {
    return this.#call('div', other)
  }
  add(other: ColumnValue): Column {
    return this.plus(other)
  }
  sub(other: ColumnValue): Column {
    return this.minus(other)
  }
  mul(other: ColumnValue): Column {
    return this.multiply(other)
  }
  div(other: ColumnValue): Column {
    return this.divide(other)
  }
  /** The quotient of integers without its remainder. */
  intDiv(other: ColumnValue): Column {
    return this.#call('intDiv', other)
  }
  mod(other: ColumnValue): Column {
    return this.#call('mod', other)
  }
  negate(): Column {
    return this.#call('neg')
  }

  // Comparison. NaN is the greatest number and equals itself.

  eq(other: ColumnValue): Column<boolean | null> {
    return this.#call('eq', other)
  }
  neq(other: ColumnValue): Column<boolean | null> {
    return this.#call('neq', other)
  }
  lt(other: ColumnValue): Column<boolean | null> {
    return this.#call('lt', other)
  }
  lte(other: ColumnValue): Column<boolean | null> {
    return this.#call('lte', other)
  }
  gt(other: ColumnValue): Column<boolean | null> {
    return this.#call('gt', other)
  }
  gte(other: ColumnValue): Column<boolean | null> {
    return this.#call('gte', other)
  }
  /** Equal, or both null; never null itself. */
  eqNullSafe(other: ColumnValue): Column<boolean> {
    return this.#call('eqNullSafe', other)
  }
  /** Both ends included. */
  between(low: ColumnValue, high: ColumnValue): Column<boolean | null> {
    return this.#call('between', low, high)
  }
  isin(...values: readonly (ColumnValue | readonly ColumnValue[])[]): Column<boolean | null> {
    return this.#call('in', ...(values.flat() as ColumnValue[]))
  }

  // Logic, three-valued

  and(other: ColumnValue): Column<boolean | null> {
    return this.#call('and', other)
  }
  or(other: ColumnValue): Column<boolean | null> {
    return this.#call('or', other)
  }
  not(): Column<boolean | null> {
    return this.#call('not')
  }
  isNull(): Column<boolean> {
    return this.#call('isNull')
  }
  isNotNull(): Column<boolean> {
    return this.#call('isNotNull')
  }
  isNaN(): Column<boolean> {
    return this.#call('isNaN')
  }

  // Text

  /** `%` any text, `_` any character, `\` takes the next as it is. */
  like(pattern: string | AnyColumn): Column<boolean | null> {
    return this.#call('like', pattern)
  }
  rlike(pattern: string | AnyColumn): Column<boolean | null> {
    return this.#call('rlike', pattern)
  }
  ilike(pattern: string | AnyColumn): Column<boolean | null> {
    return this.#call('ilike', pattern)
  }
  startsWith(part: string | AnyColumn): Column<boolean | null> {
    return this.#call('startsWith', part)
  }
  endsWith(part: string | AnyColumn): Column<boolean | null> {
    return this.#call('endsWith', part)
  }
  contains(part: string | AnyColumn): Column<boolean | null> {
    return this.#call('contains', part)
  }
  /** From 1; a negative position counts from the end. */
  substr(position: number | AnyColumn, length: number | AnyColumn): Column<string | null> {
    return this.#call('substring', position, length)
  }

  // Names, types, order

  as<const M extends string>(name: M): Column<T, M> {
    const arg = this.expression.kind === 'alias' ? this.expression.arg : this.expression
    return new Column({ kind: 'alias', name, arg })
  }
  alias<const M extends string>(name: M): Column<T, M> {
    return this.as(name)
  }
  /** Field of a struct: `col('window').getField('start')`; of an array of structs the array of the field's values. */
  getField(name: string): Column {
    if (this.expression.kind === 'column') {
      return new Column({ kind: 'column', name: `${this.expression.name}.\`${name.replaceAll('`', '``')}\`` })
    }
    return this.#call('getItem', name)
  }
  /** Element of an array, from 0; value of a map; field of a struct. */
  getItem(key: ColumnValue): Column {
    return this.#call('getItem', key)
  }
  bitwiseAnd(other: ColumnValue): Column {
    return this.#call('bitAnd', other)
  }
  bitwiseOr(other: ColumnValue): Column {
    return this.#call('bitOr', other)
  }
  bitwiseXor(other: ColumnValue): Column {
    return this.#call('bitXor', other)
  }
  cast(to: CastTarget): Column<unknown, N> {
    return new Column({ kind: 'cast', to: castTarget(to), arg: this.expression })
  }
  /** Null where the cast would be an error. */
  tryCast(to: CastTarget): Column<unknown, N> {
    return new Column({ kind: 'cast', to: castTarget(to), arg: this.expression, try: true })
  }
  /** Nulls first. */
  asc(): Column<T, N> {
    return this.#sort(false)
  }
  /** Nulls last. */
  desc(): Column<T, N> {
    return this.#sort(true)
  }
  ascNullsLast(): Column<T, N> {
    return this.#sort(false, false)
  }
  descNullsFirst(): Column<T, N> {
    return this.#sort(true, true)
  }

  /** One more branch of a `when()`. */
  when(condition: AnyColumn, value: ColumnValue): Column {
    const e = this.#openCase('when')
    return new Column({ ...e, branches: [...e.branches, { when: condition.expression, then: toExpression(value) }] })
  }
  /** What a `when()` is where no branch holds; without it null. */
  otherwise(value: ColumnValue): Column {
    return new Column({ ...this.#openCase('otherwise'), otherwise: toExpression(value) })
  }

  /** As SQL, for people. */
  toString(): string {
    return expressionText(this.expression)
  }

  #openCase(method: string): Expression & { kind: 'case' } {
    if (this.expression.kind === 'case' && this.expression.otherwise === undefined) return this.expression
    throw new MillraceError('UNSUPPORTED_OPERATION', `.${method}() follows when()`, {
      detail: 'found a column that no when() began',
      hint: "when(col('x').gt(0), 'pos').when(col('x').lt(0), 'neg').otherwise('zero')",
    })
  }

  #call<R>(fn: string, ...args: readonly ColumnValue[]): Column<R> {
    return new Column({ kind: 'call', fn, args: [this.expression, ...args.map(toExpression)] })
  }

  #sort(descending: boolean, nullsFirst?: boolean): Column<T, N> {
    return new Column({
      kind: 'sort',
      arg: this.expression,
      descending,
      ...(nullsFirst === undefined ? {} : { nullsFirst }),
    })
  }
}

/** A value as an expression; a column as what it is. */
export function toExpression(value: ColumnValue): Expression {
  return value instanceof Column ? value.expression : literal(value)
}

const INT_MAX = 2 ** 31 - 1

/** The narrowest type that a JavaScript value surely is: 5 an int, 5e12 a long, 0.5 a double, 5n a bigint. */
export function literal(value: Exclude<ColumnValue, AnyColumn>): Expression {
  const of = (type: DataType, stored: LiteralValue): Expression => ({ kind: 'literal', value: stored, type })
  switch (typeof value) {
    case 'string':
      return of(types.string, value.replace(loneSurrogates, '\ufffd'))
    case 'boolean':
      return of(types.boolean, value)
    case 'bigint':
      if (BigInt.asIntN(64, value) === value) return of(types.bigint, value)
      if (String(value).replace('-', '').length <= 38) return of(decimal(38, 0), value)
      break
    case 'number':
      if (!Number.isSafeInteger(value) || Object.is(value, -0)) return of(types.double, value)
      return of(Math.abs(value) <= INT_MAX ? types.int : types.long, value)
    default:
      if (value === null) return of(types.void, null)
      if (value instanceof Uint8Array) return of(types.binary, Uint8Array.from(value))
      if (value instanceof Date && Number.isFinite(value.getTime())) return of(types.timestamp, value.getTime())
  }
  throw new MillraceError('UNSUPPORTED_LITERAL', `a query cannot hold the value ${String(value)}`, {
    detail: `found ${Array.isArray(value) ? 'an array' : typeof value}`,
    hint: 'literals are strings, numbers, bigints, booleans, dates, bytes and null',
  })
}

/** A string of a column is UTF-8, which has no such characters. */
const loneSurrogates = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

export function dateLiteral(iso: string): Expression {
  const days = parseIsoDate(iso)
  if (Number.isNaN(days)) {
    throw new MillraceError('UNSUPPORTED_LITERAL', `${JSON.stringify(iso)} is not a date`, {
      detail: 'expected a day that exists',
      hint: "write '2026-02-28'",
    })
  }
  return { kind: 'literal', value: days, type: types.date }
}

function castTarget(to: CastTarget): DataType {
  if (typeof to !== 'string') return to.type
  // Our own two names go first: in Spark's notation `long` is the exact type, as `bigint` is.
  const name = to.trim().toLowerCase()
  if (name === 'long') return types.long
  const type = parseDdl(`c ${to}`).fields[0]?.type
  if (type === undefined)
    throw new MillraceError('TYPE_INVALID', `${JSON.stringify(to)} is not a type`, {
      detail: 'expected the name of a scalar type, or a type of t',
      hint: "cast('int'), cast('decimal(10, 2)') or cast(t.int)",
    })
  return type
}
