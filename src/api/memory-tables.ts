import type { LogicalPlan } from '../plan/logical-plan.js'
import type { BlockRef } from '../types/block.js'
import type { StructType } from '../types/data-type.js'
import type { Row } from '../types/row-reader.js'
import { unknownName } from './unknown-name.js'

/** Rows in memory that a plan reads by an id: of createDataFrame, of foreachBatch, of a memory sink. */
export interface MemoryTable {
  readonly schema: StructType
  /** As it is now; a memory sink's grows. */
  blocks(): readonly BlockRef[]
}

/** The tables that a plan's scans name. A DataFrame carries its own, so that rows die with the last that reads them. */
export type PlanTables = ReadonlyMap<string, MemoryTable>

let made = 0

export function nextTableId(): string {
  made += 1
  return `rows-${made}`
}

/** A plan that reads these blocks. */
export function heldRows(
  schema: StructType,
  blocks: readonly BlockRef[],
): { readonly plan: LogicalPlan; readonly tables: PlanTables } {
  const tableId = nextTableId()
  return {
    plan: { op: 'scan', source: { format: 'memory', streaming: false, schema, tableId, options: {} } },
    tables: new Map([[tableId, { schema, blocks: () => blocks }]]),
  }
}

export interface NamedTable {
  readonly schema: StructType
  snapshot(): Row[]
}

const hintWhereNone = "a query makes one: df.writeStream.format('memory').queryName('seen').start()"

/** What `mill.table(name)` finds: the memory sinks by their query's name, also after the query has ended. */
export class NamedTables {
  readonly #tables = new Map<string, NamedTable>()

  set(name: string, table: NamedTable): void {
    this.#tables.set(name, table)
  }

  get(name: string): NamedTable {
    const table = this.#tables.get(name)
    if (table !== undefined) return table
    throw unknownName('UNKNOWN_TABLE', `there is no table '${name}'`, name, [...this.#tables.keys()], hintWhereNone)
  }
}
