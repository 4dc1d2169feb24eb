import type { Expression } from '../plan/expression.js'
import { type AnyColumn, type Column, type ColumnValue, literal, toExpression } from './column.js'
import { binary, type ColumnOrName, call, lambda, toColumn, unary, variadic, withValues } from './function-call.js'

/** Arrays, maps and structs. Positions of an array count from 1, except in `getItem` and `get`. */

export const array = variadic('array')
/** Keys and values in turn. */
export const createMap = variadic('map')
/** Its fields are named as the columns are: `struct('a', col('b').as('c'))`. */
export const struct = variadic('struct')
export function namedStruct(fields: Readonly<Record<string, AnyColumn>>): Column {
  return call('namedStruct', ...Object.entries(fields).flatMap(([name, c]) => [literal(name), c.expression]))
}

export const size = unary('size')
export const cardinality = size
export const arraySize = unary('arraySize')
export const elementAt = withValues<[key: ColumnValue]>('elementAt')
export const tryElementAt = withValues<[key: ColumnValue]>('tryElementAt')
/** From 0; null where there is no such element. */
export const get = withValues<[index: ColumnValue]>('get')
export const arrayContains = withValues<[value: ColumnValue]>('arrayContains')
/** 0 where it is not in the array. */
export const arrayPosition = withValues<[value: ColumnValue]>('arrayPosition')
export const arrayRemove = withValues<[value: ColumnValue]>('arrayRemove')
export const arrayAppend = withValues<[value: ColumnValue]>('arrayAppend')
export const arrayPrepend = withValues<[value: ColumnValue]>('arrayPrepend')
export const arrayInsert = withValues<[position: ColumnValue, value: ColumnValue]>('arrayInsert')
export const arrayDistinct = unary('arrayDistinct')
export const arrayCompact = unary('arrayCompact')
export const arrayMax = unary('arrayMax')
export const arrayMin = unary('arrayMin')
export const arrayUnion = binary('arrayUnion')
export const arrayIntersect = binary('arrayIntersect')
export const arrayExcept = binary('arrayExcept')
export const arraysOverlap = binary('arraysOverlap')
export const arraysZip = variadic('arraysZip')
export const arrayJoin = withValues<[delimiter: string | AnyColumn, forNull?: string | AnyColumn]>('arrayJoin')
export const arrayRepeat = withValues<[times: number | AnyColumn]>('arrayRepeat')
export const flatten = unary('flatten')
export const slice = withValues<[start: number | AnyColumn, length: number | AnyColumn]>('slice')
/** Nulls first where ascending, last where descending. */
export const sortArray = withValues<[ascending?: boolean]>('sortArray')
export const sequence = (from: ColumnOrName, to: ColumnOrName, step?: ColumnValue): Column =>
  call('sequence', toColumn(from), toColumn(to), ...(step === undefined ? [] : [toExpression(step)]))
/** The parts between the matches of a regular expression. */
export const split = withValues<[pattern: string | AnyColumn, limit?: number | AnyColumn]>('split')
export const sentences = unary('sentences')

export const mapKeys = unary('mapKeys')
export const mapValues = unary('mapValues')
export const mapEntries = unary('mapEntries')
export const mapConcat = variadic('mapConcat')
export const mapFromArrays = binary('mapFromArrays')
export const mapFromEntries = unary('mapFromEntries')
export const mapContainsKey = withValues<[key: ColumnValue]>('mapContainsKey')
export const strToMap = withValues<[pairDelimiter?: string, keyDelimiter?: string]>('strToMap')

// Functions that take a function of columns

type Of1 = (x: Column) => AnyColumn
type Of2 = (x: Column, y: Column) => AnyColumn
type Of3 = (x: Column, y: Column, z: Column) => AnyColumn

const higher = (fn: string, value: ColumnOrName, ...rest: readonly Expression[]): Column =>
  call(fn, toColumn(value), ...rest)

/** `transform('prices', (x) => x.mul(2))`; with two parameters the second is the index, from 0. */
export const transform = (value: ColumnOrName, fn: Of2): Column => higher('transform', value, lambda(fn, 2))
/** The elements for which it holds. (`DataFrame.filter` is about rows.) */
export const filter = (value: ColumnOrName, test: Of2): Column => higher('filter', value, lambda(test, 2))
export const exists = (value: ColumnOrName, test: Of1): Column => higher('exists', value, lambda(test, 1))
export const forall = (value: ColumnOrName, test: Of1): Column => higher('forall', value, lambda(test, 1))
/** One value out of an array: `aggregate('prices', lit(0.0), (sum, x) => sum.plus(x))`. */
export const aggregate = (value: ColumnOrName, start: ColumnValue, merge: Of2, finish?: Of1): Column =>
  higher(
    'aggregate',
    value,
    toExpression(start),
    lambda(merge, 2),
    ...(finish === undefined ? [] : [lambda(finish, 1)]),
  )
export const reduce = aggregate
export const zipWith = (a: ColumnOrName, b: ColumnOrName, fn: Of2): Column =>
  call('zipWith', toColumn(a), toColumn(b), lambda(fn, 2))
/** In the order of the elements, nulls last; or by a function that gives −1, 0 or 1. */
export const arraySort = (value: ColumnOrName, compare?: Of2): Column =>
  higher('arraySort', value, ...(compare === undefined ? [] : [lambda(compare, 2)]))
export const mapFilter = (value: ColumnOrName, test: Of2): Column => higher('mapFilter', value, lambda(test, 2))
export const transformKeys = (value: ColumnOrName, fn: Of2): Column => higher('transformKeys', value, lambda(fn, 2))
export const transformValues = (value: ColumnOrName, fn: Of2): Column => higher('transformValues', value, lambda(fn, 2))
export const mapZipWith = (a: ColumnOrName, b: ColumnOrName, fn: Of3): Column =>
  call('mapZipWith', toColumn(a), toColumn(b), lambda(fn, 3))
