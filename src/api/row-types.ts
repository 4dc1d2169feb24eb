import type { Row } from '../types/row-reader.js'
import type { Column } from './column.js'
import type { AveragedValue, ExtremeValue, PendingRule, SummedValue } from './column-value.js'

/**
 * What TypeScript knows of a DataFrame's rows. Where the schema is known, a row is an object type and a name
 * that it does not have does not compile; where it is not, a row is `Row` and every name is taken until
 * the analyzer looks at it.
 */
export type ColumnName<R> = keyof R & string

/** A column, or a field inside a struct: `'window.start'`. */
export type ColumnPath<R> = string extends keyof R
  ? string
  : {
      [K in ColumnName<R>]: K | (IsStruct<R[K]> extends true ? `${K}.${ColumnPath<NonNullable<R[K]>>}` : never)
    }[ColumnName<R>]

/** Structs are object types of their own; Uint8Array is an interface, and has no index signature to match. */
type IsStruct<T> = NonNullable<T> extends Readonly<Record<string, unknown>> ? true : false

type NullOf<T> = null extends T ? null : never

export type ValueAt<R, P extends string> = P extends keyof R
  ? R[P]
  : P extends `${infer K}.${infer Rest}`
    ? K extends keyof R
      ? ValueAt<NonNullable<R[K]>, Rest> | NullOf<R[K]>
      : unknown
    : unknown

/** The type of a column's values over rows of type R: what was pending is known here. */
export type Resolved<R, T> = [PendingRule<T>] extends [never] ? T : ByRule<R, PendingRule<T>>
type ByRule<R, P> = P extends { readonly rule: infer Rule; readonly source: infer Source }
  ? Rule extends 'sum'
    ? SummedValue<SourceValue<R, Source>>
    : Rule extends 'average'
      ? AveragedValue<SourceValue<R, Source>>
      : Rule extends 'extreme'
        ? ExtremeValue<SourceValue<R, Source>>
        : SourceValue<R, Source>
  : unknown
type SourceValue<R, S> = S extends string ? ValueAt<R, S> : S extends Column<infer T, string> ? Resolved<R, T> : unknown

type LastName<P extends string> = P extends `${string}.${infer Rest}` ? LastName<Rest> : P

/** What `select` and `groupBy` take. */
export type ColumnLike<R> = ColumnPath<R> | Column<unknown, string>

/** One selected column as an object type. A column expression without a name could be called anything. */
type Selected<R, C> = C extends string
  ? { [K in LastName<C>]: ValueAt<R, C> }
  : C extends Column<infer T, infer N>
    ? string extends N
      ? Row
      : { [K in LastName<N>]: Resolved<R, T> }
    : Row

type Intersection<U> = (U extends unknown ? (x: U) => void : never) extends (x: infer I) => void ? I : never
export type Flat<T> = { [K in keyof T]: T[K] }

export type SelectedRow<R, C extends readonly unknown[]> = string extends keyof R
  ? Row
  : Flat<Intersection<{ [I in keyof C]: Selected<R, C[I]> }[number]>>

/** Named expressions, as `agg` and `withColumns` take them. */
export type NamedColumns = Readonly<Record<string, Column<unknown, string>>>
type ColumnType<C> = C extends Column<infer T, string> ? T : unknown
/** The keys' columns and the named ones, whose types are resolved against the rows that were grouped. */
export type AggregatedRow<R, K, A extends NamedColumns> = Flat<
  K & { -readonly [N in keyof A]: Resolved<R, ColumnType<A[N]>> }
>

export type WithColumn<R, N extends string, T> = string extends keyof R
  ? Row
  : Flat<Omit<R, N> & { [K in N]: Resolved<R, T> }>
export type Without<R, N extends string> = string extends keyof R ? Row : Flat<Omit<R, N>>

/** The columns that can be added up, for `groupBy(...).sum('price')`. Decimals are strings. */
export type NumericName<R> = string extends keyof R
  ? string
  : { [K in ColumnName<R>]: NonNullable<R[K]> extends number | bigint | string ? K : never }[ColumnName<R>]

/** The columns of `groupBy(...).sum('price')`: `sum(price)`. */
export type ShortcutRow<K, Fn extends string, Types> = Flat<
  K & { [P in keyof Types & string as `${Fn}(${P})`]: Types[P] }
>
/** The keys of a group, what else a row of it has, and its place. */
export type TopRow<R, K> = string extends keyof R ? Row : Flat<K & Omit<R, keyof K> & { rank: number }>

export type Sums<R, N extends string> = { [P in N]: SummedValue<ValueAt<R, P>> }
export type Averages<R, N extends string> = { [P in N]: AveragedValue<ValueAt<R, P>> }
export type Extremes<R, N extends string> = { [P in N]: ExtremeValue<ValueAt<R, P>> }

/** A row of a join. Of columns of one name the right side's type counts: such a row has to be selected from before it is looked at. */
export type JoinedRow<L, R, H extends string> = H extends
  | 'leftSemi'
  | 'left_semi'
  | 'semi'
  | 'leftAnti'
  | 'left_anti'
  | 'anti'
  ? L
  : H extends 'left' | 'leftOuter' | 'left_outer'
    ? Merged<L, OrNull<R>>
    : H extends 'right' | 'rightOuter' | 'right_outer'
      ? Merged<OrNull<L>, R>
      : H extends 'full' | 'outer' | 'fullOuter' | 'full_outer'
        ? Merged<OrNull<L>, OrNull<R>>
        : Merged<L, R>

type OrNull<T> = { [K in keyof T]: T[K] | null }
type Merged<L, R> = { [K in keyof L | keyof R]: K extends keyof R ? R[K] : K extends keyof L ? L[K] : never }

export type SumRow<R, K, N extends string> = ShortcutRow<K, 'sum', Sums<R, N>>
export type AvgRow<R, K, N extends string> = ShortcutRow<K, 'avg', Averages<R, N>>
export type MinRow<R, K, N extends string> = ShortcutRow<K, 'min', Extremes<R, N>>
export type MaxRow<R, K, N extends string> = ShortcutRow<K, 'max', Extremes<R, N>>
