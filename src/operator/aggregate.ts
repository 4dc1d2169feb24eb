import { foldStateType } from '../plan/aggregate-specs.js'
import type { BoundAggregate } from '../plan/expression.js'
import { isFold } from '../plan/function-names.js'
import type { Grouping } from '../plan/physical-plan.js'
import type { CellLayout, GroupLayout, KeyPart } from '../state/group-table.js'
import { type DataType, type Field, type StructType, scalar, structType } from '../types/data-type.js'

/**
 * What an aggregate keeps for a group, cell by cell, and how those cells lie in a block when they travel
 * from the partial to the final aggregate or into the changelog. Partial, merge and final of every
 * function are in codegen/group-code.ts and agree with this table:
 *
 *   count              n                        rows, or non-null arguments
 *   sum of integers    s (n)                    exact; beyond 2^53 is an overflow error, or null without ANSI
 *   sum of doubles     s c (n)                  Neumaier: sum and the error that it lost
 *   sum of bigint, decimal     b                boxed bigint, null = nothing yet
 *   avg                s c n, of decimal: b n
 *   min, max           m (n), of strings, binaries, bigint and decimal: b
 *   all others         b, a value of the type that plan/aggregate-specs.ts says
 *
 * (n) only where the argument can be null or the grouping has no key: there a group can exist without a value.
 */
export type CellRole = 'count' | 'sum' | 'error' | 'extreme' | 'boxed'

export interface AccumulatorCell extends CellLayout {
  readonly role: CellRole
  /** In a block. */
  readonly type: DataType
}

/** How the values of the aggregate are computed. */
export type AggregateForm =
  | 'count'
  | 'sumInteger'
  | 'sumDouble'
  | 'sumBoxed'
  | 'avgDouble'
  | 'avgBoxed'
  | 'extremeNumber'
  | 'extremeBoxed'
  | 'fold'

export function aggregateForm(aggregate: BoundAggregate): AggregateForm {
  const kind = aggregate.arg?.type.kind
  const boxed = kind === 'bigint' || kind === 'decimal'
  switch (aggregate.fn) {
    case 'count':
      return 'count'
    case 'sum':
      return boxed ? 'sumBoxed' : kind === 'double' || kind === 'float' ? 'sumDouble' : 'sumInteger'
    case 'avg':
      return kind === 'decimal' ? 'avgBoxed' : 'avgDouble'
    case 'min':
    case 'max':
      return boxed || kind === 'string' || kind === 'binary' ? 'extremeBoxed' : 'extremeNumber'
    default:
      return 'fold'
  }
}

/** Type in which decimals and bigints are summed up: of an average the sum has more digits before the point than the result. */
export function sumType(aggregate: BoundAggregate): DataType {
  const from = aggregate.arg?.type
  if (aggregate.fn !== 'avg' || from?.kind !== 'decimal') return aggregate.type
  return { kind: 'decimal', precision: Math.min(38, from.precision + 10), scale: from.scale }
}

const double = scalar('double')

export function accumulatorCells(aggregate: BoundAggregate, grouping: Grouping): readonly AccumulatorCell[] {
  const optional = aggregate.arg?.nullable === true || isGlobal(grouping)
  const number = (role: CellRole, initial: number): AccumulatorCell => ({ kind: 'number', role, initial, type: double })
  const count = optional ? [number('count', 0)] : []
  const boxed = (type: DataType): AccumulatorCell => ({ kind: 'boxed', role: 'boxed', initial: null, type })
  switch (aggregateForm(aggregate)) {
    case 'count':
      return [number('count', 0)]
    case 'sumInteger':
      return [number('sum', 0), ...count]
    case 'sumDouble':
      return [number('sum', 0), number('error', 0), ...count]
    case 'sumBoxed':
      return [boxed({ kind: 'decimal', precision: 38, scale: 0 })]
    case 'avgDouble':
      return [number('sum', 0), number('error', 0), number('count', 0)]
    case 'avgBoxed':
      return [boxed({ kind: 'decimal', precision: 38, scale: 0 }), number('count', 0)]
    case 'extremeNumber':
      return [number('extreme', initialExtreme(aggregate)), ...count]
    case 'extremeBoxed':
      return [boxed(aggregate.arg?.type ?? double)]
    case 'fold':
      return [boxed(isFold(aggregate.fn) ? foldStateType(aggregate.fn, aggregate.arg?.type ?? double) : double)]
  }
}

/** NaN is the greatest double: a minimum starts from it, a maximum from −∞. */
function initialExtreme(aggregate: BoundAggregate): number {
  return aggregate.fn === 'min' ? Number.NaN : Number.NEGATIVE_INFINITY
}

export function isGlobal(grouping: Grouping): boolean {
  return grouping.keys.length === 0 && grouping.window === undefined
}

export function keyPart(type: DataType): KeyPart {
  if (type.kind === 'string' || type.kind === 'binary') return 'bytes'
  return type.kind === 'bigint' || type.kind === 'decimal' ? 'boxed' : 'number'
}

/**
 * What time an entry is of, as its table keeps it: `partial` for tables of partial aggregates, where all windows are together; in those
 * of the final aggregate each window or slice has a table of its own.
 */
export function windowNumbers(grouping: Grouping, partial: boolean): number {
  switch (grouping.window?.kind) {
    case undefined:
      return 0
    case 'tumbling':
      return partial ? 1 : 0
    case 'sliding':
      return partial ? 2 : 0
    case 'session':
      return 3
  }
}

/** The names of those numbers in a block. */
const windowFields = ['window', 'from', 'end']

export function groupLayout(grouping: Grouping, partial: boolean): GroupLayout {
  return {
    keys: grouping.keys.map((key) => keyPart(key.value.type)),
    nullableKeys: grouping.keys.some((key) => key.value.nullable),
    windowNumbers: windowNumbers(grouping, partial),
    cells: grouping.aggregates.flatMap((aggregate) => accumulatorCells(aggregate, grouping)),
  }
}

/**
 * The rows of the exchange, of the changelog and of snapshots: hash of the key, the key, what time it is of (the start of
 * a window; of a slice its start and the first window that it counts in; of a session its start, from when on it takes records, and its end), every cell.
 */
export function aggregateStateSchema(grouping: Grouping): StructType {
  const fields: Field[] = [{ name: 'hash', type: scalar('int'), nullable: false }]
  grouping.keys.forEach((key, i) => {
    fields.push({ name: `k${i}`, type: key.value.type, nullable: key.value.nullable })
  })
  for (const name of windowFields.slice(0, windowNumbers(grouping, true)))
    fields.push({ name, type: scalar('timestamp'), nullable: false })
  grouping.aggregates
    .flatMap((aggregate) => accumulatorCells(aggregate, grouping))
    .forEach((cell, j) => {
      fields.push({ name: `a${j}`, type: cell.type, nullable: cell.kind === 'boxed' })
    })
  return structType(fields)
}
