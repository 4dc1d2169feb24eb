import { MillraceError } from '../common/errors.js'
import { columnSlots, type Field, type StructType, structType, topLevelSlots } from '../types/data-type.js'
import { bindColumn, bindCondition } from './binder.js'
import { conjuncts, inputSlots, replaceInputs } from './bound-expression.js'
import type { BoundJoin, BoundPlan } from './bound-plan.js'
import type { BoundExpression, Expression } from './expression.js'
import { call } from './function-spec.js'
import { bindCall } from './functions.js'
import type { JoinType } from './logical-plan.js'
import { type NamedExpression, project } from './projection.js'
import { isNested, types } from './type-rules.js'

export interface JoinOptions {
  readonly how: JoinType
  readonly on?: Expression
  /** Names of columns that both sides have: equal, and once in the result. */
  readonly using?: readonly string[]
  readonly ansi: boolean
}

/**
 * Two plans as one whose rows are pairs. What the condition says of equality becomes keys, by which rows of both sides meet; the
 * rest is looked at pair by pair.
 */
export function bindJoin(left: BoundPlan, right: BoundPlan, options: JoinOptions): BoundPlan {
  const both = structType([...left.schema.fields, ...right.schema.fields])
  const condition = conditionOf(left, right, both, options)
  if (condition === undefined && options.how !== 'cross') {
    throw new MillraceError('MISSING_JOIN_CONDITION', `join(…, '${options.how}') has no condition`, {
      detail: 'every row would be paired with every other',
      hint: "join(other, 'userId'), join(other, expr('l.id = r.id')), or crossJoin(other) where that is meant",
    })
  }
  const joined: BoundJoin = {
    op: 'join',
    left,
    right,
    how: options.how,
    ...splitCondition(condition, columnSlots(left.schema).length),
    schema: joinedSchema(left.schema, right.schema, options.how),
  }
  return options.using === undefined ? joined : merged(joined, options.using, options.ansi)
}

export const keepsLeftOnly = (how: JoinType): boolean => how === 'leftSemi' || how === 'leftAnti'
/** Rows of the left side (the right) come out with nulls where no other row matches. */
export const preservesLeft = (how: JoinType): boolean => how === 'left' || how === 'full'
export const preservesRight = (how: JoinType): boolean => how === 'right' || how === 'full'

export function joinedSchema(left: StructType, right: StructType, how: JoinType): StructType {
  if (keepsLeftOnly(how)) return left
  const optional = (fields: readonly Field[], isOptional: boolean): readonly Field[] =>
    isOptional ? fields.map((field) => ({ ...field, nullable: true })) : fields
  return structType([...optional(left.fields, preservesRight(how)), ...optional(right.fields, preservesLeft(how))])
}

function conditionOf(
  left: BoundPlan,
  right: BoundPlan,
  both: StructType,
  { on, using, ansi }: JoinOptions,
): BoundExpression | undefined {
  if (using === undefined) return on === undefined ? undefined : bindCondition(on, both, { ansi, place: 'a join' })
  const leftSlots = columnSlots(left.schema)
  return using
    .map((name) => {
      const right_ = shifted(bindColumn(name, columnSlots(right.schema)), leftSlots.length)
      return bindCall('eq', [bindColumn(name, leftSlots), right_], ansi)
    })
    .reduce<BoundExpression | undefined>((all, one) => (all === undefined ? one : both_(all, one)), undefined)
}

const both_ = (a: BoundExpression, b: BoundExpression): BoundExpression =>
  call('and', [a, b], types.boolean, a.nullable || b.nullable)

export const shifted = (e: BoundExpression, by: number): BoundExpression =>
  replaceInputs(e, (slot, input) => (input.kind === 'input' ? { ...input, slot: slot + by } : input))

/** `l.a = r.b and l.c < r.d`: the pairs of keys, and what is left of the condition. */
export function splitCondition(
  condition: BoundExpression | undefined,
  leftSlots: number,
): Pick<BoundJoin, 'leftKeys' | 'rightKeys' | 'condition'> {
  const leftKeys: BoundExpression[] = []
  const rightKeys: BoundExpression[] = []
  let rest: BoundExpression | undefined
  for (const one of condition === undefined ? [] : conjuncts(condition)) {
    const [a, b] = one.kind === 'call' && one.fn === 'eq' ? one.args : []
    const sides = [a, b].map((e) => (e === undefined ? undefined : sideOf(e, leftSlots)))
    if (
      a === undefined ||
      b === undefined ||
      !isKey(a) ||
      !isKey(b) ||
      !sides.includes('left') ||
      !sides.includes('right')
    ) {
      rest = rest === undefined ? one : both_(rest, one)
      continue
    }
    const [own, other] = sides[0] === 'left' ? [a, b] : [b, a]
    leftKeys.push(...fieldsOf(own))
    rightKeys.push(...fieldsOf(shifted(other, -leftSlots)))
  }
  return { leftKeys, rightKeys, ...(rest === undefined ? {} : { condition: rest }) }
}

/** A struct of fields that are never null, such as a window, is equal where its fields are. */
function isKey({ kind, type }: BoundExpression): boolean {
  if (type.kind !== 'struct') return !isNested(type)
  return kind === 'input' && type.fields.every((field) => !field.nullable && !isNested(field.type))
}

function fieldsOf(key: BoundExpression): readonly BoundExpression[] {
  if (key.kind !== 'input' || key.type.kind !== 'struct') return [key]
  const { slot, type, nullable } = key
  return type.fields.map((field, i) => ({ kind: 'input', slot: slot + 1 + i, type: field.type, nullable }))
}

/** The side whose columns alone the expression reads. */
export function sideOf(e: BoundExpression, leftSlots: number): 'left' | 'right' | 'both' | 'none' {
  const slots = inputSlots(e)
  if (slots.length === 0) return 'none'
  const isLeft = slots.every((slot) => slot < leftSlots)
  return isLeft ? 'left' : slots.every((slot) => slot >= leftSlots) ? 'right' : 'both'
}

/** The columns that both sides share, once and first; then those of the left, then those of the right. */
function merged(join: BoundJoin, using: readonly string[], ansi: boolean): BoundPlan {
  const fieldsOf = (schema: StructType, from: number): readonly NamedExpression[] => {
    const tops = topLevelSlots(join.schema)
    return schema.fields.flatMap((field, i) => {
      if (using.includes(field.name)) return []
      const of = join.schema.fields[from + i] as Field
      const value: BoundExpression = {
        kind: 'input',
        slot: tops[from + i] as number,
        type: of.type,
        nullable: of.nullable,
      }
      return [{ name: field.name, value, ...(field.qualifier === undefined ? {} : { qualifier: field.qualifier }) }]
    })
  }
  const leftCount = join.left.schema.fields.length
  const slots = columnSlots(join.schema)
  const firstOfRight = columnSlots(join.left.schema).length
  const keys = using.map((name): NamedExpression => {
    const ofLeft = bindColumn(name, slots.slice(0, firstOfRight))
    if (keepsLeftOnly(join.how)) return { name, value: ofLeft }
    const right = bindColumn(name, columnSlots(join.right.schema))
    const ofRight: BoundExpression = {
      ...shifted(right, firstOfRight),
      nullable: right.nullable || preservesLeft(join.how),
    }
    if (join.how === 'full') return { name, value: bindCall('coalesce', [ofLeft, ofRight], ansi) }
    return { name, value: join.how === 'right' ? ofRight : ofLeft }
  })
  const rest = keepsLeftOnly(join.how) ? [] : fieldsOf(join.right.schema, leftCount)
  return project(join, [...keys, ...fieldsOf(join.left.schema, 0), ...rest])
}
