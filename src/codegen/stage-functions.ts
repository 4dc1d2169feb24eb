import type { NarrowOperator, ScanInput } from '../plan/physical-plan.js'
import type { GroupTable } from '../state/group-table.js'
import type { LookupTable } from '../state/lookup-table.js'
import type { BufferViews } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'
import type { StructType } from '../types/data-type.js'

/** The functions that a stage consists of, as stage-compiler.ts generates them and stage-interpreter.ts imitates them. */

/** What the scan of one input partition remembers between blocks, and counts. */
export const SourceCell = { maxEventTime: 0, late: 1, nullEventTime: 2, passed: 3, lateBefore: 4, row: 5 } as const
export const SOURCE_CELLS = 6

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
  /** Where rows were stamped before they came here: the slot of the block that holds each row's stamp. */
  readonly stampSlot?: number | undefined
  readonly operators: readonly NarrowOperator[]
  readonly ansi: boolean
  /**
   * For who goes on behind a row that fails: its number is left in the cell `row`, the rows before it are in the target, and nothing that it has counted is in
   * the cells. What it has begun lies behind the last row of the builder, see BlockBuilder.dropBegun. Where a row may become several, some of these may be in.
   */
  readonly namesFailing?: boolean | undefined
  /** Of its broadcast joins, by name. Left out where only the text of the code is wanted. */
  readonly tables?: ReadonlyMap<string, LookupTable> | undefined
}

/** Whether each row has a watermark of its own. */
export function isStamped({ watermark, stampSlot }: PipelineSpec): boolean {
  return watermark !== undefined || stampSlot !== undefined
}

/**
 * Finds the table of a window, or of a slice's records that count from a window on (0 where there is none); undefined where that is
 * closed already.
 */
export type TableFor = (start: number, countsFrom: number) => GroupTable | undefined

/**
 * The entry of the session that touches [from, end], of the key that `entry` has, made where there is none; -1 where it is over
 * already. May replace the table's columns.
 */
export type PlaceSession = (entry: number, start: number, from: number, end: number) => number

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
  /** Where sessions are grouped. */
  place?: PlaceSession,
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
  /** Of a slice's table. */
  countsFrom?: number,
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

/** Entries [from, to) of `list` (of the table itself where it is null) of `A` into the groups of `T`, marked there with `marks`. */
export type CombineFunction = (
  A: GroupTable,
  list: Int32Array | null,
  from: number,
  to: number,
  T: GroupTable,
  marks: number,
) => void

/** For entries [from, to) of `list` of `A`: the entries of the same keys in `T`, where there are any, into `out`; returns how many. */
export type LookupFunction = (
  A: GroupTable,
  list: Int32Array | null,
  from: number,
  to: number,
  T: GroupTable,
  out: Int32Array,
) => number

/** Adds the cells of entry `ae` to those of entry `e` of the same table. */
export type FoldFunction = (T: GroupTable, ae: number, e: number) => void
