import type { GroupTable } from '../state/group-table.js'
import type { RowStore } from '../state/row-store.js'
import type { BufferViews } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'

/** The functions that a join consists of, as join-compiler.ts generates them and join-interpreter.ts imitates them. */

/** In place of a row number of the block or of the store: none. */
export const NO_ROW = -1

/**
 * Rows [from, to) of a frame of one side against the store of the other. A match is written into `pairs` (row of the frame, row of the other store);
 * when that is full, and at the end, `flush` is called with the number of pairs. Rows to be kept go into `rows` and `entries` (entry · 2, + 1 where it
 * has a match); returns how many.
 */
export type ProbeFunction = (
  views: BufferViews,
  pos: number,
  from: number,
  to: number,
  T: GroupTable,
  other: RowStore,
  pairs: Int32Array,
  flush: (count: number) => void,
  rows: Int32Array,
  entries: Int32Array,
) => number

/** `count` pairs as result rows: (row of the frame, row of the other store). */
export type EmitFunction = (
  views: BufferViews | undefined,
  pos: number,
  pairs: Int32Array,
  count: number,
  store: RowStore,
  B: BlockBuilder,
) => void

/** Rows `rows[from … to)` of a block to the end of `B`; when each expires into the store, from row number `first` on. */
export type KeepFunction = (
  views: BufferViews,
  pos: number,
  rows: Int32Array,
  from: number,
  to: number,
  B: BlockBuilder,
  store: RowStore,
  first: number,
) => void

/** The entries of rows `rows[0 … count)` of a block of state, · 2. */
export type EntriesFunction = (
  views: BufferViews,
  pos: number,
  rows: Int32Array,
  count: number,
  T: GroupTable,
  entries: Int32Array,
) => void

/** Rows of the store as state rows. */
export type LogFunction = (
  rows: Int32Array,
  from: number,
  to: number,
  store: RowStore,
  T: GroupTable,
  B: BlockBuilder,
) => void

/** Where the columns of a side come from. */
export type ColumnsFrom = 'block' | 'store' | 'nowhere'

export const PAIRS = 4096
/** In the state column of a state row: the row itself, and not what has become of it. */
export const STATE_OF_ROW = 16
