import { type BoundJoin, type BoundPlan, inputsOf, scansOf } from './bound-plan.js'
import type { JoinType } from './logical-plan.js'
import type { BroadcastJoin, JoinSideName } from './physical-plan.js'

/**
 * A stream joined with rows that end: nothing can come any more on the side that ends, so it is read to its end before the query begins, every task
 * gets a table of it, and the rows of the stream need not be kept, nor sent anywhere. Whether a row has a match is known as it comes.
 */

/** Whether rows of it never end. */
export function isEndless(plan: BoundPlan): boolean {
  return scansOf(plan).some((scan) => scan.source.streaming)
}

/** Nodes whose rows never end, inputs before what reads them. */
export function endlessNodes(plan: BoundPlan): readonly BoundPlan[] {
  return isEndless(plan) ? [...inputsOf(plan).flatMap(endlessNodes), plan] : []
}

/** What becomes of a row of the stream, where the other side is the table. */
const asLeftSide: Readonly<Partial<Record<JoinType, BroadcastJoin['how']>>> = {
  inner: 'inner',
  cross: 'inner',
  left: 'left',
  leftSemi: 'leftSemi',
  leftAnti: 'leftAnti',
}
const asRightSide: Readonly<Partial<Record<JoinType, BroadcastJoin['how']>>> = {
  inner: 'inner',
  cross: 'inner',
  right: 'left',
}

export interface BroadcastShape {
  /** The side that is made a table. */
  readonly table: JoinSideName
  readonly how: BroadcastJoin['how']
}

/** Undefined where both sides end or neither does, and where rows of the table itself would have to come out without a match: that is never known. */
export function broadcastShape(join: BoundJoin): BroadcastShape | undefined {
  const isLeftEndless = isEndless(join.left)
  if (isLeftEndless === isEndless(join.right)) return undefined
  const how = (isLeftEndless ? asLeftSide : asRightSide)[join.how]
  return how === undefined ? undefined : { table: isLeftEndless ? 'right' : 'left', how }
}
