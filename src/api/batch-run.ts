import { MillraceError } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import { runLocally, runsLocally } from '../execution/local-run.js'
import type { LogicalPlan } from '../plan/logical-plan.js'
import type { PhysicalPlan } from '../plan/physical-plan.js'
import { type BlockRef, blockByteLength, blockRowCount } from '../types/block.js'
import { copyBlock } from './copied-block.js'
import type { EngineContext } from './engine-context.js'
import type { FailureOptions } from './failure-options.js'
import type { PlanTables } from './memory-tables.js'
import { explainPlan, physicalPlan, tablesOf } from './planning.js'
import type { ExplainMode } from './streaming-query.js'

/** How far a batch query has come. */
export interface BatchProgress {
  readonly inputRows: number
}

export interface BatchOptions {
  readonly onProgress?: ((progress: BatchProgress) => void) | undefined
  /** What becomes of records that fail in the query; left out, the first ends it. See docs/failure-policy.md. */
  readonly onError?: FailureOptions | undefined
}

export interface RunOptions extends BatchOptions {
  /** Takes back what has been taken: a worker has died, and everything comes again. Left out: then the query fails. */
  readonly forget?: () => void
}

export interface BoundPlan {
  readonly plan: LogicalPlan
  readonly tables: PlanTables
}

type BlocksByTable = ReadonlyMap<string, readonly BlockRef[]>

/** Of the rows of one side of a join. */
const BROADCAST_BYTES_MAX = 512 << 20

const failing = lazyModule(import.meta.url, './failure-options.js', () => import('./failure-options.js'))

let runs = 0

/** The blocks of a plan that is rows in memory and nothing more: no worker has anything to do about them. */
function heldBlocks({ plan, tables }: BoundPlan): readonly BlockRef[] | undefined {
  if (plan.op !== 'scan' || plan.source.format !== 'memory' || plan.source.streaming) return undefined
  return tables.get(plan.source.tableId ?? '')?.blocks()
}

/** The text of `explain`. */
export function explained(context: EngineContext, { plan, tables }: BoundPlan, mode: ExplainMode): string {
  const planning = { ansi: context.ansi, outputMode: 'update', mode: 'batch' } as const
  return explainPlan(plan, mode, planning, (physical) => isRunLocally(context, physical, tables))
}

/** Whether an action on the plan would run in this thread, with the rows that its table has now. */
function isRunLocally({ localRowsMax }: EngineContext, physical: PhysicalPlan, tables: PlanTables): boolean {
  return runsLocally(physical, scannedBlocks(physical, tablesOf(tables)), localRowsMax)
}

function scannedBlocks(
  { stages }: PhysicalPlan,
  tables: ReadonlyMap<string, readonly BlockRef[]>,
): readonly BlockRef[] {
  const input = stages[0]?.input
  return input?.kind === 'scan' ? (tables.get(input.source.tableId ?? '') ?? []) : []
}

/** Runs a bounded query to its end. `take` gets each block of its result, valid during the call. */
export async function runBatch(
  context: EngineContext,
  { plan, tables }: BoundPlan,
  take: (block: BlockRef) => void,
  options: RunOptions = {},
): Promise<void> {
  const physical = physicalPlan(plan, { ansi: context.ansi, outputMode: 'append', mode: 'batch' })
  context.session.assertOpen()
  await runPlanned(context, physical, await withBroadcasts(context, physical, tablesOf(tables)), take, options)
}

/** The same where what is taken is only looked at: blocks of memory are given as they lie. */
export async function collectBlocks(
  context: EngineContext,
  bound: BoundPlan,
  take: (block: BlockRef) => void,
  forget: () => void,
): Promise<void> {
  const held = heldBlocks(bound)
  if (held === undefined) return await runBatch(context, bound, take, { forget })
  context.session.assertOpen()
  for (const block of held) take(block)
}

/**
 * The tables of a query, and beside them those of its broadcasts: each is read to its end here. Shared memory that the workers read; it is
 * there as long as the query is.
 */
export async function withBroadcasts(
  context: EngineContext,
  { broadcasts }: PhysicalPlan,
  tables: BlocksByTable,
  bytesMax = BROADCAST_BYTES_MAX,
): Promise<BlocksByTable> {
  const all = new Map(tables)
  for (const { table, plan } of broadcasts) {
    const blocks: BlockRef[] = []
    let bytes = 0
    const take = ({ views, position }: BlockRef): void => {
      bytes += blockByteLength(views, position)
      if (bytes > bytesMax) throw broadcastTooLarge(bytesMax)
      blocks.push(copyBlock({ views, position }))
    }
    const forget = (): void => {
      blocks.length = 0
      bytes = 0
    }
    await runPlanned(context, plan, await withBroadcasts(context, plan, tables), take, { forget })
    all.set(table, blocks)
  }
  return all
}

function broadcastTooLarge(bytesMax: number): MillraceError {
  return new MillraceError('BROADCAST_TOO_LARGE', 'the side of a join that ends is too large for a table in memory', {
    detail: `found more than ${Math.round(bytesMax / 1024)} KiB, and each worker would have to hold it`,
    hint: 'filter() and select() that side before the join, or write it to a topic and read both sides with mill.readStream',
  })
}

async function runPlanned(
  context: EngineContext,
  physical: PhysicalPlan,
  blocksByTable: BlocksByTable,
  take: (block: BlockRef) => void,
  { onProgress, onError, forget }: RunOptions,
): Promise<void> {
  const failures = onError === undefined ? undefined : failing().failurePolicy(onError)
  if (failures !== undefined) failing().checkLetters(failures, physical)
  runs += 1
  const name = `batch-${runs}`
  const blocks = scannedBlocks(physical, blocksByTable)
  if (failures === undefined && runsLocally(physical, blocks, context.localRowsMax)) {
    runLocally({ name, plan: physical, blocks }, take)
    onProgress?.({ inputRows: blocks.reduce((rows, { views, position }) => rows + blockRowCount(views, position), 0) })
    return
  }
  const handle = await context.session.start({
    name,
    plan: physical,
    tables: blocksByTable,
    mode: { kind: 'batch' },
    sink: {
      kind: 'host',
      sink: { rows: take, ...(forget === undefined ? {} : { forget }) },
      description: 'CollectSink',
    },
    options: {},
    failures,
  })
  if (onProgress !== undefined) {
    handle.onAdvance((inputRows) => onProgress({ inputRows }))
    // The last word is the whole of it, however quickly it was read.
    handle.onProgress(({ numInputRows }) => onProgress({ inputRows: numInputRows }))
  }
  await handle.awaitTermination()
}
