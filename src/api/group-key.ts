import type { PhysicalPlan } from '../plan/physical-plan.js'
import type { Row } from '../types/row-reader.js'

/**
 * Which group a result row belongs to, as one string: in update mode the last row of each group counts.
 * Grouping has already made all NaN one value and minus zero zero, so equal keys have equal text.
 */
export type GroupKey = (row: Row) => string

/** Undefined where the rows of a plan are no groups: every row counts then. */
export function groupKeyOf(plan: PhysicalPlan): GroupKey | undefined {
  if (plan.groupingFields.length > 0) {
    const names = plan.groupingFields.map((index) => plan.schema.fields[index]?.name ?? '')
    return (row) => {
      let text = ''
      for (let i = 0; i < names.length; i += 1) text += keyText(row[names[i] as string])
      return text
    }
  }
  return isGlobalAggregate(plan) ? () => '' : undefined
}

/** An aggregate without keys has one group, which no field names. */
function isGlobalAggregate(plan: PhysicalPlan): boolean {
  return plan.stages.some(
    ({ head }) =>
      head?.op === 'finalAggregate' && head.grouping.keys.length === 0 && head.grouping.window === undefined,
  )
}

/** Unambiguous: a tag for the type, and a length where the text could hold anything. */
export function keyText(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return `s${value.length}:${value}`
    case 'number':
      return `n${value};`
    case 'bigint':
      return `i${value};`
    case 'boolean':
      return value ? 't' : 'f'
    default:
      if (value === null || value === undefined) return '0'
      if (value instanceof Uint8Array) return `b${Buffer.from(value).toString('hex')};`
      return `{${Object.values(value).map(keyText).join('')}}`
  }
}
