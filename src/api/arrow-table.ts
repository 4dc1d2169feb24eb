import { MillraceError } from '../common/errors.js'
import type { BlockRef } from '../types/block.js'
import type { StructType } from '../types/data-type.js'

/** A Table of the package apache-arrow, as far as the types here name it: the package is the user's own. */
export interface ArrowTable {
  readonly numRows: number
  readonly numCols: number
  getChild(name: string): { readonly length: number; get(index: number): unknown; toArray(): unknown } | null
  get(index: number): unknown
  toArray(): unknown[]
}

export async function toArrowTable(schema: StructType, blocks: readonly BlockRef[]): Promise<ArrowTable> {
  try {
    await import('apache-arrow')
  } catch (error) {
    throw new MillraceError('MISSING_PACKAGE', 'toArrow() needs the package apache-arrow', {
      detail: 'it is not installed, and millrace does not bring it',
      hint: 'npm install apache-arrow@21',
      cause: error,
    })
  }
  const { arrowTable } = await import('./arrow-columns.js')
  return arrowTable(schema, blocks)
}
