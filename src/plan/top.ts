import { MillraceError } from '../common/errors.js'
import { columnSlots, type Field, structType, topLevelSlots } from '../types/data-type.js'
import { bindFold } from './aggregate-specs.js'
import { bindAggregation } from './aggregation.js'
import { type BoundExplode, type BoundPlan, explodedSchema } from './bound-plan.js'
import type { BoundAggregate, BoundExpression, Expression } from './expression.js'
import { boundText } from './expression-name.js'
import { call } from './function-spec.js'
import { type NamedExpression, project } from './projection.js'
import { bindSortKeys } from './sort-keys.js'

/** The column that `top` adds: the place in the order, from 1 on. */
export const RANK = 'rank'

/**
 * `groupBy(keys).top(count, order)`: the first rows of each group. An aggregation whose one value is the list of these rows, so that partial aggregates, windows, output
 * modes and checkpoints are what they are for every aggregation; behind it each list becomes rows again.
 *
 *   aggregate [keys], [topRows(order…, row)]  →  explode into rank and row  →  project keys, the row's other columns, rank
 */
export function bindTop(
  input: BoundPlan,
  keys: readonly Expression[],
  count: number,
  order: readonly Expression[],
  ansi: boolean,
): BoundPlan {
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new MillraceError('INVALID_LIMIT', `top(${count}) is no number of rows`, {
      detail: 'expected an integer from 1 on',
      hint: "groupBy('user').top(3, desc('price'))",
    })
  }
  const sort = bindSortKeys(order, input.schema, 'top', ansi)
  // With another aggregate in its place, which no user sees: keys and window are bound as in every grouping.
  const grouped = bindAggregation(input, keys, [{ kind: 'aggregate', fn: 'count', args: [] }], ansi)
  if (grouped.op !== 'aggregate') throw new Error('assertion failed: a grouping without an aggregation')
  const keyFields = grouped.schema.fields.slice(0, -1)
  const names = new Set(keyFields.map((field) => field.name))
  if (names.has(RANK) || input.schema.fields.some((field) => field.name === RANK)) {
    throw new MillraceError('COLUMN_ALREADY_EXISTS', `top() adds the column ${RANK}, and there is one already`, {
      detail: `columns: ${input.schema.fields.map((field) => field.name).join(', ')}`,
      hint: `name it otherwise before: withColumn('place', col('${RANK}')).drop('${RANK}')`,
    })
  }
  const slots = topLevelSlots(input.schema)
  const carried = input.schema.fields.flatMap((field, i): readonly (Field & { readonly value: BoundExpression })[] => {
    if (names.has(field.name)) return []
    const { type, nullable } = field
    return [{ ...field, value: { kind: 'input', slot: slots[i] as number, type, nullable } }]
  })
  const rowType = structType(carried.map(({ name, type, nullable }) => ({ name, type, nullable })))
  const row = call(
    'makeStruct',
    carried.map(({ value }) => value),
    rowType,
    false,
  )
  const fold = bindFold('topRows', [...sort.map(({ value }) => value), row], ansi)
  const paths = columnSlots(input.schema).map((slot) => slot.path.join('.'))
  // By names alone: the number of a slot depends on what else there is.
  const textOf = (e: BoundExpression): string => boundText(e, paths).replaceAll(/#\d+/g, '')
  const top: BoundAggregate = {
    fn: 'topRows',
    ...fold,
    name: 'top',
    top: {
      count,
      order: sort.map(({ value, descending, nullsFirst }) => ({ by: textOf(value), descending, nullsFirst })),
    },
  }
  const schema = structType([...keyFields, { name: top.name, type: top.type, nullable: false }])
  const aggregation: BoundPlan = { ...grouped, aggregates: [top], schema }
  const list = topLevelSlots(schema).at(-1) as number
  const explode = {
    op: 'explode',
    input: aggregation,
    array: { kind: 'input', slot: list, type: top.type, nullable: false },
    position: RANK,
    element: 'row',
  } as const
  const exploded: BoundExplode = { ...explode, schema: explodedSchema(explode, schema) }
  return project(exploded, columnsOf(exploded, keyFields, carried))
}

/** The keys, what else there is of the row, its rank. */
function columnsOf(
  { schema }: BoundExplode,
  keys: readonly Field[],
  carried: readonly Field[],
): readonly NamedExpression[] {
  const slots = topLevelSlots(schema)
  const rank = keys.length + 1
  const at = (field: number): number => slots[field] as number
  const column = ({ name, type, nullable }: Field, slot: number): NamedExpression => ({
    name,
    value: { kind: 'input', slot, type, nullable },
  })
  let next = at(rank + 1) + 1
  return [
    ...keys.map((key, i) => column(key, at(i))),
    ...carried.map((field) => {
      const slot = next
      next += slotCount(field)
      return { ...column(field, slot), ...(field.qualifier === undefined ? {} : { qualifier: field.qualifier }) }
    }),
    column(schema.fields[rank] as Field, at(rank)),
  ]
}

const slotCount = (field: Field): number => columnSlots(structType([field])).length
