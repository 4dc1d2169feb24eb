import { callsUserCode, type PhysicalPlan } from './physical-plan.js'

/**
 * Small queries over rows in memory need no other thread: Spark's LocalTableScan. Where a bounded plan has nothing above such rows but filters,
 * projections, sorts and limits, and the rows are few, it is evaluated in the thread that asks. A few hundred rows
 * take less time there than the messages to another thread and back; many would hold up the event loop.
 */
export const LOCAL_ROWS_MAX = 1000
/** Of their blocks: few rows may still be large. */
export const LOCAL_BYTES_MAX = 1 << 20

/** Whether the plan is of that shape, however many rows there are. */
export function isLocalPlan({ streaming, stages }: PhysicalPlan): boolean {
  if (streaming) return false
  return stages.every((stage, id) => {
    const { input, head } = stage
    // Code of the user's runs on the workers alone, where it can do no harm to the program.
    if (callsUserCode(stage)) return false
    // A union has several scans; how their rows come together is the workers' matter.
    if (input.kind === 'scan') return id === 0 && input.source.format === 'memory'
    return input.from.length === 1 && input.from[0] === id - 1 && (head?.op === 'sort' || head?.op === 'limit')
  })
}
