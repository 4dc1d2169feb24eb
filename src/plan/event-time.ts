import { columnSlots, topLevelSlots } from '../types/data-type.js'
import { conjuncts, expressionKey } from './bound-expression.js'
import {
  type BoundAggregation,
  type BoundDeduplication,
  type BoundJoin,
  type BoundPlan,
  inputsOf,
} from './bound-plan.js'
import { broadcastShape } from './broadcast-join.js'
import type { BoundExpression } from './expression.js'
import { boundLiteral, call } from './function-spec.js'
import { keepsLeftOnly, shifted, sideOf } from './join.js'
import type { JoinSideName } from './physical-plan.js'
import { belowProjection } from './slot-mapping.js'
import { types } from './type-rules.js'

/** What the watermark says of a column: traced back to the event time of the scans, through windows and joins. All of optimized plans. */

/** Do the aggregation's groups close: is its window over the event time of the watermark, or that time itself a key? Of an optimized plan. */
export function closesWindows(aggregation: BoundAggregation): boolean {
  const { window, input } = aggregation
  if (window === undefined) return eventTimeKey(aggregation) !== undefined
  return eventTimeOffset(window.eventTime, input) === 0
}

/** Which key is the event time itself, where there is no window. */
export function eventTimeKey({ keys, window, input }: BoundAggregation): number | undefined {
  if (window !== undefined) return undefined
  const at = keys.findIndex(({ value }) => value.type.kind === 'timestamp' && eventTimeOffset(value, input) === 0)
  return at === -1 ? undefined : at
}

/**
 * By how many milliseconds the value is ahead of the rows' event time, of which the watermark of their inputs speaks: no row that is still to come
 * (and is not late) has an event time below the watermark. Undefined where the value says nothing about it.
 */
export function eventTimeOffset(e: BoundExpression, plan: BoundPlan): number | undefined {
  if (
    (plan.op === 'scan' || plan.op === 'userCode') &&
    plan.watermark !== undefined &&
    sameExpression(e, plan.watermark.eventTime)
  )
    return 0
  if (plan.op === 'project') return eventTimeOffset(belowProjection(plan.schema, plan.columns)(e), plan.input)
  if (e.kind === 'call' && e.fn === 'addInterval') {
    const [time, step] = e.args
    if (time === undefined || step?.kind !== 'literal' || typeof step.value !== 'number') return undefined
    const offset = eventTimeOffset(time, plan)
    return offset === undefined ? undefined : offset + step.value
  }
  // Null, or what it says.
  if (e.kind === 'case' && e.branches.length === 1 && e.otherwise === undefined)
    return eventTimeOffset((e.branches[0] as (typeof e.branches)[0]).then, plan)
  if (e.kind === 'call' && e.fn === 'windowStart') {
    const [time, size] = e.args
    const offset = time === undefined ? undefined : eventTimeOffset(time, plan)
    // A window begins less than its length before the times that are in it.
    return offset === undefined || size?.kind !== 'literal' ? undefined : offset + 1 - (size.value as number)
  }
  if (e.kind === 'call' && e.fn === 'windowTime') {
    const offset = eventTimeOffset(e.args[0] as BoundExpression, plan)
    return offset === undefined ? undefined : offset - 1
  }
  switch (plan.op) {
    case 'scan':
    case 'sort':
    case 'transformWithState':
      return undefined
    case 'userCode':
      // Only where rows go through as they are.
      return plan.code.method === 'filter' ? eventTimeOffset(e, plan.input) : undefined
    case 'union': {
      const offsets = plan.inputs.map((input) => eventTimeOffset(e, input))
      return offsets.every((offset) => offset === offsets[0]) ? offsets[0] : undefined
    }
    case 'aggregate':
      return windowOffset(e, plan)
    case 'join': {
      if (e.kind !== 'input') return undefined
      const leftSlots = columnSlots(plan.left.schema).length
      const [side, at]: [JoinSideName, number] = e.slot < leftSlots ? ['left', e.slot] : ['right', e.slot - leftSlots]
      const shape = broadcastShape(plan)
      // A row of the stream goes on as it comes; the table knows nothing of its time.
      if (shape === undefined ? joinLag(plan) === undefined : shape.table === side) return undefined
      return eventTimeOffset({ ...e, slot: at }, plan[side])
    }
    default:
      return eventTimeOffset(e, plan.input)
  }
}

/** The delay of the watermark that an event time is under; of several inputs the greatest. */
export function eventTimeDelay(e: BoundExpression, plan: BoundPlan): number {
  switch (plan.op) {
    case 'scan':
      return plan.watermark?.delayMs ?? 0
    case 'userCode':
      return plan.watermark?.delayMs ?? (plan.code.method === 'filter' ? eventTimeDelay(e, plan.input) : 0)
    case 'project':
      return eventTimeDelay(belowProjection(plan.schema, plan.columns)(e), plan.input)
    case 'aggregate': {
      const time = plan.window?.eventTime ?? plan.keys[eventTimeKey(plan) ?? -1]?.value
      return time === undefined ? 0 : eventTimeDelay(time, plan.input)
    }
    case 'join': {
      const leftSlots = columnSlots(plan.left.schema).length
      if (sideOf(e, leftSlots) === 'left') return eventTimeDelay(e, plan.left)
      return eventTimeDelay(shifted(e, -leftSlots), plan.right)
    }
    default:
      return Math.max(...inputsOf(plan).map((input) => eventTimeDelay(e, input)))
  }
}

/** A window leaves when the watermark has reached its end: those that are still to come end behind it, so their last millisecond is not before it. */
function windowOffset(e: BoundExpression, plan: BoundAggregation): number | undefined {
  if (e.kind !== 'input' || !closesWindows(plan)) return undefined
  if (plan.window === undefined) {
    const key = eventTimeKey(plan)
    return key !== undefined && e.slot === topLevelSlots(plan.schema)[key] ? 0 : undefined
  }
  const slot = topLevelSlots(plan.schema)[plan.window.position]
  if (slot === undefined) return undefined
  if (e.slot === slot + 2) return 1
  // A session says nothing of its start: it may have begun at any time.
  return e.slot === slot + 1 && plan.window.kind !== 'session' ? 1 - plan.window.sizeMs : undefined
}

const sameExpression = (a: BoundExpression, b: BoundExpression): boolean => expressionKey(a) === expressionKey(b)

/** Until when a row of each side can still find a match: the moments that the watermark of the other side has to pass. */
export interface JoinBounds {
  /** Over the rows of the left side: timestamps. The least of them counts; without any a row is kept for ever. */
  readonly left: readonly BoundExpression[]
  readonly right: readonly BoundExpression[]
}

/**
 * From conditions like `r.ts <= l.ts + interval 10 seconds`: whatever is still to come on the right has an event time of at least the
 * watermark W, so once l.ts + 10 s < W no row of the right can match that row of the left any more. In general, for each condition
 * `e <= f` of which e is the right side's event time (plus a constant c) and f is made of columns of the left, a row of the left is
 * done with when f − c < W; and the other way round. Of an optimized plan.
 */
export function joinBounds(join: BoundJoin): JoinBounds {
  const leftSlots = columnSlots(join.left.schema).length
  const left: BoundExpression[] = []
  const right: BoundExpression[] = []
  for (const { lesser, greater, strict } of [...inequalities(join, leftSlots)]) {
    const sides = `${sideOf(lesser, leftSlots)} <= ${sideOf(greater, leftSlots)}`
    if (sides === 'right <= left') {
      const c = eventTimeOffset(shifted(lesser, -leftSlots), join.right)
      if (c !== undefined) left.push(moved(greater, -c - strict))
    } else if (sides === 'left <= right') {
      const c = eventTimeOffset(lesser, join.left)
      if (c !== undefined) right.push(moved(shifted(greater, -leftSlots), -c - strict))
    }
  }
  return { left, right }
}

interface Inequality {
  readonly lesser: BoundExpression
  readonly greater: BoundExpression
  /** 1 where equal times do not match. */
  readonly strict: 0 | 1
}

function inequalities(join: BoundJoin, leftSlots: number): readonly Inequality[] {
  const found: Inequality[] = []
  const atMost = (lesser: BoundExpression | undefined, greater: BoundExpression | undefined, strict: 0 | 1): void => {
    if (lesser?.type.kind === 'timestamp' && greater?.type.kind === 'timestamp') found.push({ lesser, greater, strict })
  }
  join.leftKeys.forEach((key, i) => {
    const other = shifted(join.rightKeys[i] as BoundExpression, leftSlots)
    atMost(key, other, 0)
    atMost(other, key, 0)
  })
  for (const one of join.condition === undefined ? [] : conjuncts(join.condition)) {
    if (one.kind !== 'call') continue
    const [a, b] = one.args
    if (one.fn === 'lte' || one.fn === 'lt') atMost(a, b, one.fn === 'lt' ? 1 : 0)
    if (one.fn === 'gte' || one.fn === 'gt') atMost(b, a, one.fn === 'gt' ? 1 : 0)
    if (one.fn === 'eq') {
      atMost(a, b, 0)
      atMost(b, a, 0)
    }
  }
  return found
}

function moved(time: BoundExpression, ms: number): BoundExpression {
  if (ms === 0) return time
  return call('addInterval', [time, boundLiteral(ms, types.dayTimeInterval)], types.timestamp, time.nullable)
}

/** The moments that the watermark has to pass until no row of a key can come any more: the key's own times. Of an optimized plan. */
export function keyExpiries({ keys, input }: BoundDeduplication): readonly BoundExpression[] {
  return keys.flatMap((key) => {
    const offset = key.type.kind === 'timestamp' ? eventTimeOffset(key, input) : undefined
    return offset === undefined ? [] : [moved(key, -offset)]
  })
}

/**
 * How far the event times of the pairs that a join still makes may be behind the watermark of its inputs: as long as rows wait for a match.
 * Undefined where that is not known: behind such a join time does not go on.
 */
export function joinLag(join: BoundJoin): number | undefined {
  const { left, right } = joinBounds(join)
  const waits = [longestWait(left, join.left), keepsLeftOnly(join.how) ? 0 : longestWait(right, join.right)]
  const [a, b] = waits
  return a === undefined || b === undefined ? undefined : Math.max(0, a, b)
}

function longestWait(expiresAt: readonly BoundExpression[], side: BoundPlan): number | undefined {
  const offsets = expiresAt.map((e) => eventTimeOffset(e, side)).filter((offset) => offset !== undefined)
  return offsets.length === 0 ? undefined : Math.min(...offsets)
}
