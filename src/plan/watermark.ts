import { expressionKey } from './bound-expression.js'
import { type BoundAggregation, type BoundPlan, mapPlan, type ScanWatermark, withInputs } from './bound-plan.js'
import type { BoundExpression } from './expression.js'
import type { OptimizerRule } from './optimizer-rule.js'
import { belowProjection } from './slot-mapping.js'

/** Where event time comes from: the watermark goes down to the scans, and what groups by time is traced back to it. */

/**
 * The watermark belongs to the scan: records are stamped before any filter, so that filters do not decide
 * what is late. The event time is expressed over the scan's columns by putting projections in place.
 */
export const hoistWatermark: OptimizerRule = {
  name: 'hoistWatermark',
  apply: (plan) => {
    let found = 0
    return mapPlan(plan, (node) => {
      if (node.op !== 'watermark') return node
      const { eventTime, column, delayMs } = node
      const stamp = { eventTime, column, delayMs, node: found }
      found += 1
      return stamped(node.input, stamp)
    })
  },
}

/** The analyzer has seen to it that nothing but narrow operators and unions is in between. */
function stamped(plan: BoundPlan, watermark: ScanWatermark): BoundPlan {
  switch (plan.op) {
    case 'scan':
      return { ...plan, watermark }
    case 'project': {
      const eventTime = belowProjection(plan.schema, plan.columns)(watermark.eventTime)
      return withInputs(plan, [stamped(plan.input, { ...watermark, eventTime })])
    }
    case 'union':
      return withInputs(
        plan,
        plan.inputs.map((input) => stamped(input, watermark)),
      )
    default:
      return withInputs(plan, [stamped(plan.input, watermark)])
  }
}

/** Do the aggregation's windows close: is its window over the event time of the watermark? Of an optimized plan. */
export function closesWindows({ window, input }: BoundAggregation): boolean {
  return window !== undefined && isEventTime(window.eventTime, input)
}

/** Whether the value is the event time on which the scans below have their watermark, of whichever of them a row comes from. */
function isEventTime(e: BoundExpression, plan: BoundPlan): boolean {
  switch (plan.op) {
    case 'scan':
      return plan.watermark !== undefined && expressionKey(e) === expressionKey(plan.watermark.eventTime)
    case 'project':
      return isEventTime(belowProjection(plan.schema, plan.columns)(e), plan.input)
    case 'union':
      return plan.inputs.every((input) => isEventTime(e, input))
    case 'aggregate':
    case 'sort':
      return false
    default:
      return isEventTime(e, plan.input)
  }
}
