import type { StructType } from '../types/data-type.js'

/**
 * Code of the user's that a query runs on its workers: what there is to do with it, and where it is found. Frozen data, as all of a plan: a function
 * travels by the address of its module, or as its text.
 */

export type UserFunction =
  /** What the module at `url` exports as `name`. */
  | { readonly kind: 'module'; readonly url: string; readonly name: string }
  /** Text of a function that refers to nothing outside itself: see api/inline-function.ts. */
  | { readonly kind: 'inline'; readonly text: string; readonly name: string }

export interface UserCode {
  /**
   * `map`: a row for each row. `flatMap`: any number of rows for each. `filter`: whether a row stays. `mapBatches`: rows for some rows that follow one
   * another.
   */
  readonly method: 'map' | 'flatMap' | 'filter' | 'mapBatches'
  readonly fn: UserFunction
  /** Of the rows it gives; left out where these have the columns of those it is given. */
  readonly schema?: StructType
  /** Rows (of mapBatches: batches) of one input partition that may be under way at a time, where the function gives promises. */
  readonly concurrency: number
  /** How long it may take over one row (of mapBatches: one batch). */
  readonly timeoutMs: number
  /** Of mapBatches: rows of a batch, at most. */
  readonly batchRows: number
}

/** How it is called in plans, errors and letters: `map(enrich)`. */
export function stepName({ method, fn }: UserCode): string {
  return `${method}(${fn.name})`
}
