import { type StructType, structType, topLevelSlots } from '../types/data-type.js'
import { inputSlots } from './bound-expression.js'
import { type BoundPlan, withInputs } from './bound-plan.js'
import type { BoundExpression } from './expression.js'
import { mapWindow, windowExpressions } from './grouping-window.js'
import { joinedSchema, keepsLeftOnly } from './join.js'
import type { OptimizerRule } from './optimizer-rule.js'
import { afterPruning, keptFields, topLevelOf } from './slot-mapping.js'

/** Which columns each node needs, from the result down to what a source decodes. */

/** Columns that nobody reads are not carried, and not decoded by the source. */
export const pruneColumns: OptimizerRule = {
  name: 'pruneColumns',
  apply: (plan) => prune(plan, allOf(plan.schema)).plan,
}

interface Pruned {
  readonly plan: BoundPlan
  /** Which fields of the node's former schema are left, in order. */
  readonly kept: readonly number[]
}

function prune(plan: BoundPlan, required: readonly number[]): Pruned {
  const need = (
    expressions: readonly BoundExpression[],
    input: BoundPlan,
    also: readonly number[] = [],
  ): readonly number[] => {
    const topOf = topLevelOf(input.schema)
    const fields = new Set(also)
    for (const e of expressions) for (const slot of inputSlots(e)) fields.add(topOf(slot).field)
    return [...fields].sort((a, b) => a - b)
  }
  switch (plan.op) {
    case 'scan': {
      const kept = plan.watermark === undefined ? required : need([plan.watermark.eventTime], plan, required)
      if (kept.length === plan.schema.fields.length) return { plan, kept }
      const move = afterPruning(plan.schema, kept)
      const watermark =
        plan.watermark === undefined
          ? {}
          : { watermark: { ...plan.watermark, eventTime: move(plan.watermark.eventTime) } }
      const fields = kept.map((i) => plan.fields[i] as number)
      return { plan: { ...plan, schema: keptFields(plan.schema, kept), fields, ...watermark }, kept }
    }
    case 'project': {
      const columns = required.map((i) => plan.columns[i] as BoundExpression)
      const below = prune(plan.input, need(columns, plan.input))
      const move = afterPruning(plan.input.schema, below.kept)
      const schema = keptFields(plan.schema, required)
      return { plan: { ...plan, input: below.plan, columns: columns.map(move), schema }, kept: required }
    }
    case 'filter': {
      const below = prune(plan.input, need([plan.condition], plan.input, required))
      const condition = afterPruning(plan.input.schema, below.kept)(plan.condition)
      return { plan: { ...plan, input: below.plan, condition, schema: below.plan.schema }, kept: below.kept }
    }
    case 'sort': {
      const below = prune(
        plan.input,
        need(
          plan.keys.map((k) => k.value),
          plan.input,
          required,
        ),
      )
      const move = afterPruning(plan.input.schema, below.kept)
      const keys = plan.keys.map((k) => ({ ...k, value: move(k.value) }))
      return { plan: { ...plan, input: below.plan, keys, schema: below.plan.schema }, kept: below.kept }
    }
    case 'deduplicate': {
      const { within } = plan
      const used = [...plan.keys, ...(within === undefined ? [] : [within.eventTime])]
      const below = prune(plan.input, need(used, plan.input, required))
      const move = afterPruning(plan.input.schema, below.kept)
      const moved = within === undefined ? {} : { within: { ...within, eventTime: move(within.eventTime) } }
      const schema = below.plan.schema
      return { plan: { ...plan, input: below.plan, keys: plan.keys.map(move), ...moved, schema }, kept: below.kept }
    }
    case 'explode': {
      const ofInput = plan.input.schema.fields.length
      const below = prune(
        plan.input,
        need(
          [plan.array],
          plan.input,
          required.filter((i) => i < ofInput),
        ),
      )
      const moved = { ...plan, array: afterPruning(plan.input.schema, below.kept)(plan.array) }
      return { plan: withInputs(moved, [below.plan]), kept: [...below.kept, ofInput, ofInput + 1] }
    }
    case 'transformWithState':
    case 'userCode': {
      // It may read any of its columns, and gives all that it was said to give.
      const below = prune(plan.input, allOf(plan.input.schema))
      return { plan: withInputs(plan, [below.plan]), kept: allOf(plan.schema) }
    }
    case 'limit':
    case 'watermark': {
      const below = prune(plan.input, required)
      return { plan: withInputs(plan, [below.plan]), kept: below.kept }
    }
    case 'join': {
      const leftCount = plan.left.schema.fields.length
      const both = structType([...plan.left.schema.fields, ...plan.right.schema.fields])
      const bothTop = topLevelOf(both)
      const inCondition = plan.condition === undefined ? [] : inputSlots(plan.condition).map((s) => bothTop(s).field)
      const ofBoth = [...required, ...inCondition]
      const left = prune(
        plan.left,
        need(
          plan.leftKeys,
          plan.left,
          ofBoth.filter((i) => i < leftCount),
        ),
      )
      const ofRight = ofBoth.filter((i) => i >= leftCount).map((i) => i - leftCount)
      const right = prune(plan.right, need(plan.rightKeys, plan.right, ofRight))
      const kept = [...left.kept, ...right.kept.map((i) => i + leftCount)]
      const moveLeft = afterPruning(plan.left.schema, left.kept)
      const moveRight = afterPruning(plan.right.schema, right.kept)
      const schema = joinedSchema(left.plan.schema, right.plan.schema, plan.how)
      return {
        plan: {
          ...plan,
          left: left.plan,
          right: right.plan,
          leftKeys: plan.leftKeys.map(moveLeft),
          rightKeys: plan.rightKeys.map(moveRight),
          ...(plan.condition === undefined ? {} : { condition: afterPruning(both, kept)(plan.condition) }),
          schema,
        },
        kept: keepsLeftOnly(plan.how) ? left.kept : kept,
      }
    }
    case 'union': {
      const schema = keptFields(plan.schema, required)
      // An input may have to keep more than is asked of it (for a filter), so it is projected to what the union hands on.
      const inputs = plan.inputs.map((input) => prune(projected(input, required), allOf(schema)).plan)
      return { plan: { ...plan, inputs, schema }, kept: required }
    }
    case 'aggregate': {
      const used = [
        ...plan.keys.map((k) => k.value),
        ...windowExpressions(plan.window),
        ...plan.aggregates.flatMap((a) => (a.arg === undefined ? [] : [a.arg])),
      ]
      const below = prune(plan.input, need(used, plan.input))
      const move = afterPruning(plan.input.schema, below.kept)
      const keys = plan.keys.map((k) => ({ ...k, value: move(k.value) }))
      const aggregates = plan.aggregates.map((a) => (a.arg === undefined ? a : { ...a, arg: move(a.arg) }))
      const window = plan.window === undefined ? {} : { window: mapWindow(plan.window, move) }
      return {
        plan: { ...plan, input: below.plan, keys, aggregates, ...window },
        kept: allOf(plan.schema),
      }
    }
  }
}

const allOf = (schema: StructType): readonly number[] => schema.fields.map((_, i) => i)

function projected(input: BoundPlan, fields: readonly number[]): BoundPlan {
  const slots = topLevelSlots(input.schema)
  const schema = keptFields(input.schema, fields)
  const columns = fields.map((i, at): BoundExpression => {
    const { type, nullable } = schema.fields[at] as StructType['fields'][number]
    return { kind: 'input', slot: slots[i] as number, type, nullable }
  })
  return { op: 'project', input, columns, schema }
}
