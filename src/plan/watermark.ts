import { type BoundPlan, mapPlan, type ScanWatermark, withInputs } from './bound-plan.js'
import type { OptimizerRule } from './optimizer-rule.js'
import { belowProjection } from './slot-mapping.js'

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
    case 'userCode':
      // What the rows are is known behind it alone. A filter lets them through as they are, and does not decide what is late.
      if (plan.code.method !== 'filter') return { ...plan, watermark }
      return withInputs(plan, [stamped(plan.input, watermark)])
    case 'join':
      throw new Error('assertion failed: a watermark above a join')
    default:
      return withInputs(plan, [stamped(plan.input, watermark)])
  }
}
