import { MillraceError } from '../common/errors.js'
import type { Expression } from '../plan/expression.js'
import type { JoinType, LogicalPlan } from '../plan/logical-plan.js'
import { describe } from '../types/invalid-value.js'
import { Column } from './column.js'
import { unknownName } from './unknown-name.js'

/** What `join` is given: by what rows meet, and which come out; Spark's names for both. */

const joinTypes = {
  inner: 'inner',
  cross: 'cross',
  left: 'left',
  leftouter: 'left',
  right: 'right',
  rightouter: 'right',
  full: 'full',
  outer: 'full',
  fullouter: 'full',
  semi: 'leftSemi',
  leftsemi: 'leftSemi',
  anti: 'leftAnti',
  leftanti: 'leftAnti',
} as const satisfies Record<string, JoinType>

/** As Spark writes it: `left`, `left_outer`, `leftOuter` are one. */
export type JoinHow =
  | JoinType
  | 'outer'
  | 'leftOuter'
  | 'rightOuter'
  | 'fullOuter'
  | 'semi'
  | 'anti'
  | 'left_outer'
  | 'right_outer'
  | 'full_outer'
  | 'left_semi'
  | 'left_anti'

/** The plan of `left.join(right, on, how)`. */
export function joinOf(left: LogicalPlan, right: LogicalPlan, how: JoinHow | undefined, on: JoinOn): LogicalPlan {
  return { op: 'join', left, right, how: joinTypeOf(how ?? 'inner'), ...joinOnOf(on) }
}

export function joinTypeOf(how: string): JoinType {
  const known = Object.entries(joinTypes).find(([name]) => name === String(how).toLowerCase().replaceAll('_', ''))
  if (known !== undefined) return known[1]
  throw unknownName('UNKNOWN_JOIN_TYPE', `there is no join type '${String(how)}'`, String(how), [
    'inner',
    'left',
    'right',
    'full',
    'leftSemi',
    'leftAnti',
    'cross',
  ])
}

export type JoinOn = string | readonly string[] | Column<unknown, string> | undefined

/** A condition, or the names of columns that both sides have. */
export function joinOnOf(on: JoinOn): { readonly on?: Expression; readonly using?: readonly string[] } {
  if (on === undefined) return {}
  if (typeof on === 'string') return { using: [on] }
  if (on instanceof Column) return { on: on.expression }
  if (Array.isArray(on) && on.length > 0 && on.every((name) => typeof name === 'string')) return { using: on }
  throw new MillraceError('INVALID_ARGUMENT', 'a join is on columns that both sides have, or on a condition', {
    detail: `found ${describe(on)}`,
    hint: "join(users, 'userId'), join(users, ['country', 'userId']), join(users.as('u'), expr('c.userId = u.id'))",
  })
}

export function aliasOf(name: string): string {
  if (typeof name === 'string' && name !== '') return name
  throw new MillraceError('INVALID_ARGUMENT', 'as() takes a name', {
    detail: `found ${describe(name)}`,
    hint: "clicks.as('c')",
  })
}

export function notADataFrame(found: unknown, method: string): MillraceError {
  return new MillraceError('DATAFRAME_EXPECTED', `${method} takes another DataFrame`, {
    detail: `found ${describe(found)}`,
    hint: `clicks.${method}(users${method === 'join' ? ", 'userId'" : ''})`,
  })
}
