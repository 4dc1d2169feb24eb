import type { BlockBuilder } from '../types/block-builder.js'
import type { GroupTable } from './group-table.js'

/**
 * Rows by key that never change: what a broadcast join looks its matches up in. Since nothing of it is ever replaced, generated code may take
 * its arrays as constants, which makes an access three times cheaper.
 */
export interface LookupTable {
  /** The first cell of a key's entry is the number of its first row + 1. */
  readonly keys: GroupTable
  /** By row: the number of the next one with the same key + 1; 0 = none. */
  readonly next: Int32Array
  /** There is room for one more, so that row 0 may be read where there is no row. */
  readonly rows: BlockBuilder
}
