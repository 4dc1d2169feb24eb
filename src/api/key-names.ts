import { MillraceError } from '../common/errors.js'
import { describe } from '../types/invalid-value.js'
import type { ColumnName } from './row-types.js'

/** The columns that make a key: name by name, or a list of names as PySpark takes it. */
export type NameOrList<R> = ColumnName<R> | readonly ColumnName<R>[]

/** The names of a key's columns; undefined where none is given: all columns. */
export function keyNames(given: readonly unknown[], method: string): readonly string[] | undefined {
  if (given.length === 0) return undefined
  const names = given.flat()
  const wrong = names.find((name) => typeof name !== 'string')
  if (names.length > 0 && wrong === undefined) return [...new Set(names as string[])]
  throw new MillraceError('INVALID_ARGUMENT', `${method} takes the names of columns`, {
    detail: names.length === 0 ? 'found an empty list' : `found ${describe(wrong)}`,
    hint: `${method}('user', 'page'), or without arguments for all columns`,
  })
}
