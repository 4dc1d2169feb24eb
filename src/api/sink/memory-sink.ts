import type { HostSink } from '../../execution/session.js'
import type { OutputMode, PhysicalPlan } from '../../plan/physical-plan.js'
import type { BlockRef } from '../../types/block.js'
import { type Row, readRows } from '../../types/row-reader.js'
import { type GroupKey, groupKeyOf } from '../group-key.js'

/**
 * Holds what a query has committed, for `mill.table(name)`: all rows in append mode, the rows of the last
 * epoch in complete mode, the last row of each group in update mode. Rows show up an epoch at a time,
 * once it is committed, so that a reader never sees half of one.
 */
export class MemorySink implements HostSink {
  readonly #mode: OutputMode
  readonly #groupKey: GroupKey | undefined
  readonly #pending = new Map<number, Row[]>()
  readonly #groups = new Map<string, Row>()
  #rows: Row[] = []
  #epoch = -1

  constructor(readonly plan: PhysicalPlan) {
    this.#mode = plan.outputMode
    this.#groupKey = plan.outputMode === 'update' ? groupKeyOf(plan) : undefined
  }

  rows(block: BlockRef, epoch: number): void {
    const rows = readRows(this.plan.schema, block)
    const pending = this.#pending.get(epoch)
    if (pending === undefined) this.#pending.set(epoch, rows)
    else for (const row of rows) pending.push(row)
  }

  epoch(epoch: number): void {
    const rows = this.#pending.get(epoch) ?? []
    this.#pending.delete(epoch)
    // An epoch that is delivered again after a failure is already here.
    if (epoch <= this.#epoch) return
    this.#epoch = epoch
    if (this.#mode === 'complete') {
      this.#rows = rows
    } else if (this.#groupKey === undefined) {
      for (const row of rows) this.#rows.push(row)
    } else {
      for (const row of rows) this.#groups.set(this.#groupKey(row), row)
    }
  }

  forget(epoch: number): void {
    for (const pending of this.#pending.keys()) if (pending >= epoch) this.#pending.delete(pending)
  }

  /** The committed rows as they are now. */
  snapshot(): Row[] {
    return this.#groupKey === undefined ? [...this.#rows] : [...this.#groups.values()]
  }
}
