import { type GroupLayout, GroupTable } from '../state/group-table.js'

/** Memory of tables that wait for their next use. */
const POOL_BYTES = 16 << 20

/** Tables of one layout that come and go with windows and slices. */
export class TablePool {
  readonly #spare: GroupTable[] = []
  #bytes = 0

  constructor(private readonly layout: GroupLayout) {}

  /** An empty one. */
  take(): GroupTable {
    const table = this.#spare.pop()
    if (table === undefined) return new GroupTable(this.layout)
    this.#bytes -= table.byteSize()
    return table
  }

  give(table: GroupTable): void {
    table.reset()
    const bytes = table.byteSize()
    if (this.#bytes + bytes > POOL_BYTES) return
    this.#bytes += bytes
    this.#spare.push(table)
  }
}
