import type { NarrowOperator, ScanInput } from '../plan/physical-plan.js'
import type { GroupTable } from '../state/group-table.js'
import type { BufferViews } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'
import type { StructType } from '../types/data-type.js'

/** The functions that a stage consists of, as stage-compiler.ts generates them and stage-interpreter.ts imitates them. */

/** What the scan of one input partition remembers between blocks, and counts. */
export const SourceCell = { maxEventTime: 0, late: 1, nullEventTime: 2, passed: 3 } as const
export const SOURCE_CELLS = 4

/** Rows [from, to) of the block at `pos` into the table or the builder `target`. */
export type RowsFunction<Target> = (
  views: BufferViews,
  pos: number,
  from: number,
  to: number,
  source: Float64Array,
  target: Target,
) => void

export interface PipelineSpec {
  /** Of the block that is read. */
  readonly schema: StructType
  /** Physical slot in the block for each slot of `schema`, where they differ. */
  readonly physicalSlots?: readonly number[]
  readonly watermark?: ScanInput['watermark']
  readonly operators: readonly NarrowOperator[]
  readonly ansi: boolean
}

/** Finds the table of a window (0 where there is none); undefined where the window is closed already. */
export type TableFor = (windowStart: number) => GroupTable | undefined

export type MergeFunction = (
  views: BufferViews,
  pos: number,
  from: number,
  to: number,
  tableFor: TableFor,
  /** CHANGED_FOR_… flags to set on every group touched. */
  marks: number,
  /** Only rows whose key group `target` of `tasks` owns are taken. */
  target: number,
  tasks: number,
) => number

/** Entries [from, to) of `list` (of the table itself where it is null) that `target` of `tasks` owns, as state rows. */
export type StateFunction = (
  T: GroupTable,
  list: Int32Array | null,
  from: number,
  to: number,
  B: BlockBuilder,
  windowStart: number,
  target: number,
  tasks: number,
) => void

/** Entries [from, to) of `list` (of the table itself where it is null) as rows of the final aggregate. */
export type ResultFunction = (
  T: GroupTable,
  list: Int32Array | null,
  from: number,
  to: number,
  B: BlockBuilder,
  windowStart: number,
) => void
