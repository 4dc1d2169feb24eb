import { type StructType, typeName } from '../types/data-type.js'
import type { BoundExpression } from './expression.js'
import type { UserFunction } from './user-code.js'

/**
 * `groupBy(keys).transformWithState(processor, …)`: rows by key to a processor of the user's, which keeps state for each key and is told when its
 * timers expire. As Spark 4 has it; what differs is in docs/transform-with-state.md.
 *
 * The keys stand behind the columns of the input as columns of their own, so that whoever sends a row, whoever keeps it and whoever hands it out read
 * them at the same place: rows = the input's columns, then the keys. The processor is given the columns and the keys apart.
 */
export type TimeMode = 'none' | 'processing' | 'event'

/** What the user has said, apart from the keys and the initial state. */
export interface Processor {
  readonly fn: UserFunction
  /** Of the rows that it gives. */
  readonly schema: StructType
  readonly timeMode: TimeMode
  /**
   * Rows are handed out in the order of event time, each when the watermark has reached it: the same calls whatever the mode and the
   * cut of the input. Else as they come. Only with event time.
   */
  readonly ordered: boolean
  /** That the query must have; left out: either. */
  readonly outputMode?: 'append' | 'update'
  /** How long one call may take. */
  readonly timeoutMs: number
}

/** How it is called in plans, errors and letters. */
export function processorName({ fn }: Processor): string {
  return `transformWithState(${fn.name})`
}

/** Names of the hidden columns and of what is kept of the rows do not matter, their types do. */
export function transformSignature(
  {
    processor,
    columns,
    schema,
    keys,
  }: {
    readonly processor: Processor
    readonly columns: number
    readonly schema: StructType
    readonly keys: readonly BoundExpression[]
  },
  names: readonly string[],
): string {
  const by = keys.map(({ type, nullable }, i) => `${names[i]}:${typeName(type)}${nullable ? '?' : ''}`)
  // Rows that wait for the watermark are part of the state.
  const waiting = schema.fields.slice(0, columns).map((f) => `${f.name}:${typeName(f.type)}`)
  return `transformWithState by (${by.join(', ')}), time ${processor.timeMode}${processor.ordered ? `, rows (${waiting.join(', ')})` : ''}`
}
