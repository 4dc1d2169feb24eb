/**
 * The type of a column's values where it depends on a DataFrame that is not there yet: `sum('price')` is a number over
 * one schema and a bigint over another. Such a type is kept as a name with a rule, and resolved against the row
 * when the column is used (row-types.ts).
 */
declare const pending: unique symbol

interface Pending<Rule extends string, Source> {
  readonly [pending]: readonly [Rule, Source]
}

/** Of the column with this name. */
export type ValueOf<Name extends string> = Pending<'value', Name>
export type SumOf<Source> = Pending<'sum', Source>
export type AverageOf<Source> = Pending<'average', Source>
/** Of min and max. */
export type ExtremeOf<Source> = Pending<'extreme', Source>

/** What `T` is over rows of type `R`; `At` gives the type of a path in the row. */
export type PendingRule<T> =
  T extends Pending<infer Rule, infer Source> ? { readonly rule: Rule; readonly source: Source } : never

/** Decimals add up to decimals, which are strings in a row; what has no type yet stays unknown. */
export type SummedValue<V> = unknown extends V ? unknown : Summed<NonNullable<V>> | null
type Summed<V> = V extends bigint ? bigint : V extends number ? number : string

export type AveragedValue<V> = unknown extends V
  ? unknown
  : (NonNullable<V> extends number | bigint ? number : string) | null
export type ExtremeValue<V> = unknown extends V ? unknown : NonNullable<V> | null
