import { interpretToBuilder } from '../codegen/row-interpreter.js'
import { type PipelineSpec, SOURCE_CELLS } from '../codegen/stage-functions.js'
import { assert } from '../common/assert.js'
import { fromErrorShape, type MillraceError, toErrorShape } from '../common/errors.js'
import { physicalSlotsOf } from '../connector/physical-slots.js'
import { FRAME_PAYLOAD_BYTES_MAX } from '../exchange/channel.js'
import { isLocalPlan, LOCAL_BYTES_MAX } from '../plan/local-plan.js'
import type { PhysicalPlan, ScanInput, Stage } from '../plan/physical-plan.js'
import { type BlockRef, blockByteLength, blockRowCount } from '../types/block.js'
import { BlockBuilder } from '../types/block-builder.js'
import { BlockScratch } from '../types/block-scratch.js'
import { OrderedRows } from '../worker/ordered-rows.js'
import { rowTooLarge } from '../worker/output-port.js'
import { queryFailed, sinkError } from './query-errors.js'

/**
 * A small query over rows in memory, run where it is called: stage after stage over all rows at once, with the stage interpreter and the
 * ordering of the workers. Rows, their order and errors are those of the workers, which a test holds.
 */
export interface LocalRun {
  /** For errors. */
  readonly name: string
  readonly plan: PhysicalPlan
  readonly blocks: readonly BlockRef[]
}

/** Whether a plan over these blocks is run so. */
export function runsLocally(plan: PhysicalPlan, blocks: readonly BlockRef[], rowsMax: number): boolean {
  if (rowsMax === 0 || !isLocalPlan(plan)) return false
  let rows = 0
  let bytes = 0
  for (const { views, position } of blocks) {
    rows += blockRowCount(views, position)
    bytes += blockByteLength(views, position)
  }
  return rows <= rowsMax && bytes <= LOCAL_BYTES_MAX
}

/** `take` gets the result where there is any, as one block, valid during the call. */
export function runLocally(run: LocalRun, take: (block: BlockRef) => void): void {
  const rows = failingAs(run.name, asItIs, () => evaluate(run))
  for (const block of rows) failingAs(run.name, sinkError, () => take(block))
}

function evaluate({ plan, blocks }: LocalRun): readonly BlockRef[] {
  // One for all stages: by the time rows are laid down, the block that they were made of has been read.
  const scratch = new BlockScratch()
  const asBlocks = (rows: BlockBuilder): readonly BlockRef[] => (rows.rows === 0 ? [] : [scratch.encode(rows)])
  let rows = blocks
  for (const stage of plan.stages) {
    const ordered = inOrder(stage, plan.ansi, rows)
    if (ordered !== undefined) rows = asBlocks(ordered)
    const out = ordered !== undefined && stage.pipeline.length === 0 ? ordered : narrowed(stage, plan.ansi, rows)
    checkRowBytes(out)
    rows = asBlocks(out)
  }
  return rows
}

/** What the head of the stage makes of its input; undefined for the first, which has none. */
function inOrder({ head }: Stage, ansi: boolean, input: readonly BlockRef[]): BlockBuilder | undefined {
  if (head?.op !== 'sort' && head?.op !== 'limit') return undefined
  const ordered = new OrderedRows(head, ansi, (spec) => interpretToBuilder(spec))
  for (const { views, position } of input) ordered.take(views, position)
  const rows = new BlockBuilder(head.schema)
  ordered.emit(rows)
  return rows
}

/** Filters and projections of a stage. */
function narrowed(stage: Stage, ansi: boolean, input: readonly BlockRef[]): BlockBuilder {
  const { head, pipeline, output } = stage
  const scan = stage.input as ScanInput
  const physicalSlots = head === undefined ? physicalSlotsOf(scan) : undefined
  const spec: PipelineSpec = {
    schema: head?.schema ?? scan.schema,
    ...(physicalSlots === undefined ? {} : { physicalSlots }),
    watermark: head === undefined ? scan.watermark : undefined,
    operators: pipeline,
    ansi,
  }
  assert(
    output.kind === 'exchange' || output.kind === 'sink',
    `stage ${stage.id} of a local plan keeps its rows together`,
  )
  const rows = new BlockBuilder(output.schema)
  const run = interpretToBuilder(spec)
  const cells = new Float64Array(SOURCE_CELLS)
  cells[0] = Number.NEGATIVE_INFINITY
  for (const { views, position } of input) run(views, position, 0, blockRowCount(views, position), cells, rows)
  return rows
}

/** What could not travel between threads is refused here as well: a query does not begin to fail when its input grows. */
function checkRowBytes(rows: BlockBuilder): void {
  if (rows.byteLength() <= FRAME_PAYLOAD_BYTES_MAX) return
  for (let row = 0; row < rows.rows; row++) {
    const bytes = rows.byteLength(row, row + 1)
    if (bytes > FRAME_PAYLOAD_BYTES_MAX) throw rowTooLarge(bytes, FRAME_PAYLOAD_BYTES_MAX)
  }
}

/** Errors as they are once they have come from another thread. */
function failingAs<T>(query: string, words: (error: unknown) => unknown, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw arrived(queryFailed(query, arrived(words(error))))
  }
}

const asItIs = (error: unknown): unknown => error

function arrived(error: unknown): MillraceError {
  return fromErrorShape(toErrorShape(error))
}
