import type { GroupTable } from '../state/group-table.js'
import type { BufferViews } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'

/** What drops duplicates, as duplicate-compiler.ts generates it and duplicate-interpreter.ts imitates it. */

/** What a call counts: rows that were late, rows without an event time, forgotten keys whose entries have a time again. */
export const DuplicateCell = { late: 0, nullEventTime: 1, revived: 2 } as const
export const DUPLICATE_CELLS = 3

/** Rows [from, to) of a frame: those whose key is new to the table go to the builder, which has room for all of them. */
export type FirstRowsFunction = (
  views: BufferViews,
  pos: number,
  from: number,
  to: number,
  T: GroupTable,
  B: BlockBuilder,
  /** CHANGED_FOR_… flags to set on every key that is new. */
  marks: number,
  /** Rows of a time before this are late: of their key, or where keys count within the watermark, of their event time. */
  lateBefore: number,
  /** See DuplicateCell: set, not added to. */
  counts: Float64Array,
  /** Takes the entries of the forgotten keys that are there again; as many as there are rows. */
  revived: Int32Array,
) => void
