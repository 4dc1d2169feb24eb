import type { LogicalPlan } from '../plan/logical-plan.js'
import type { BlockRef } from '../types/block.js'
import type { EngineContext } from './engine-context.js'
import type { PlanTables } from './memory-tables.js'
import { physicalPlan, tablesOf } from './planning.js'

/** How far a batch query has come. */
export interface BatchProgress {
  readonly inputRows: number
}

export interface BoundPlan {
  readonly plan: LogicalPlan
  readonly tables: PlanTables
}

let runs = 0

/** The blocks of a plan that is rows in memory and nothing more: no worker has anything to do about them. */
export function heldBlocks({ plan, tables }: BoundPlan): readonly BlockRef[] | undefined {
  if (plan.op !== 'scan' || plan.source.format !== 'memory' || plan.source.streaming) return undefined
  return tables.get(plan.source.tableId ?? '')?.blocks()
}

/** Runs a bounded query to its end. `take` gets each block of its result, valid during the call. */
export async function runBatch(
  context: EngineContext,
  { plan, tables }: BoundPlan,
  take: (block: BlockRef) => void,
  onProgress?: (progress: BatchProgress) => void,
): Promise<void> {
  runs += 1
  const handle = await context.session.start({
    name: `batch-${runs}`,
    plan: physicalPlan(plan, { ansi: context.ansi, outputMode: 'append', mode: 'batch' }),
    tables: tablesOf(tables),
    mode: { kind: 'batch' },
    sink: { kind: 'host', sink: { rows: take }, description: 'CollectSink' },
    options: {},
  })
  if (onProgress !== undefined) {
    handle.onAdvance((inputRows) => onProgress({ inputRows }))
    // The last word is the whole of it, however quickly it was read.
    handle.onProgress(({ numInputRows }) => onProgress({ inputRows: numInputRows }))
  }
  await handle.awaitTermination()
}
