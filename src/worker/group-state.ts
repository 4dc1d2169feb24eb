import { compileMerge, compileResult, compileState } from '../codegen/stage-compiler.js'
import type { MergeFunction, ResultFunction, StateFunction } from '../codegen/stage-functions.js'
import { groupLayout, isGlobal } from '../operator/aggregate.js'
import type { FinalAggregate } from '../plan/physical-plan.js'
import { CHANGED_FOR_EMIT, CHANGED_FOR_LOG, GroupTable } from '../state/group-table.js'
import { type BufferViews, blockRowCount } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'
import type { Counters } from './task.js'

/**
 * The state of a final aggregate on one task: one table a window (or one in all), what changed since it
 * was last emitted, what changed since the last epoch, and how far windows are closed.
 */
export class GroupState {
  closedUntil = Number.NEGATIVE_INFINITY
  readonly #tables = new Map<number, GroupTable>()
  readonly #spare: GroupTable[] = []
  readonly #merge: MergeFunction
  readonly #replace: MergeFunction
  readonly #writeState: StateFunction
  readonly #writeResult: ResultFunction
  readonly #marks: number
  readonly #tableFor: (windowStart: number) => GroupTable | undefined

  constructor(
    private readonly final: FinalAggregate,
    ansi: boolean,
    logged: boolean,
    private readonly counters: Counters,
  ) {
    const grouping = final.grouping
    this.#merge = compileMerge(grouping, ansi, false).run
    this.#replace = compileMerge(grouping, ansi, true).run
    this.#writeState = compileState(grouping, false, ansi).run
    this.#writeResult = compileResult(final, ansi).run
    this.#marks = (grouping.outputMode === 'update' ? CHANGED_FOR_EMIT : 0) | (logged ? CHANGED_FOR_LOG : 0)
    this.#tableFor = (windowStart) => this.#open(windowStart)
  }

  /** Adds the partial aggregates of a block. */
  add(views: BufferViews, position: number): void {
    const rows = blockRowCount(views, position)
    this.counters.rowsIn += rows
    this.counters.lateRows += this.#merge(views, position, 0, rows, this.#tableFor, this.#marks, 0, 1)
  }

  /** Takes a block of the checkpoint over: only the key groups of this task. */
  restore(views: BufferViews, position: number, task: number, tasks: number): void {
    this.#replace(views, position, 0, blockRowCount(views, position), this.#tableFor, 0, task, tasks)
  }

  /** A grouping without keys has its one group even if no row ever came. */
  ensureGlobalGroup(): void {
    if (!isGlobal(this.final.grouping)) return
    const table = this.#open(0) as GroupTable
    if (table.size > 0) return
    table.insert(0, 0)
    table.mark(0, this.#marks)
  }

  /** Groups that changed since the last call, as result rows. */
  emitChanged(builder: BlockBuilder): void {
    for (const [windowStart, table] of this.#tables) {
      if (table.emitCount === 0) continue
      this.counters.stateRowsUpdated += table.emitCount
      builder.ensureRows(builder.rows + table.emitCount)
      this.#writeResult(table, table.emitList, 0, table.emitCount, builder, windowStart)
      table.clearEmitList()
    }
  }

  emitAll(builder: BlockBuilder): void {
    for (const [windowStart, table] of this.#tables) this.#emitTable(table, windowStart, builder)
  }

  /**
   * Windows that end at or before the watermark are over: with a builder (append) their rows leave, then the state goes.
   * A group that changed and was not yet emitted (update) must have been emitted before.
   */
  closeWindows(watermark: number, builder: BlockBuilder | undefined): void {
    const window = this.final.grouping.window
    if (window === undefined || !this.final.grouping.closesWindows || watermark <= this.closedUntil) return
    const over: number[] = []
    for (const windowStart of this.#tables.keys()) if (windowStart + window.sizeMs <= watermark) over.push(windowStart)
    over.sort((a, b) => a - b)
    // The end of the input closes what is open and no more: a query that goes on later takes later windows.
    const last = (over.at(-1) ?? Number.NEGATIVE_INFINITY) + window.sizeMs
    this.closedUntil = watermark === Number.POSITIVE_INFINITY ? Math.max(this.closedUntil, last) : watermark
    for (const windowStart of over) {
      const table = this.#tables.get(windowStart) as GroupTable
      if (builder !== undefined) this.#emitTable(table, windowStart, builder)
      this.counters.stateRowsRemoved += table.size
      this.#tables.delete(windowStart)
      if (this.#spare.length < 64 && table.capacity <= 65_536) {
        table.reset()
        this.#spare.push(table)
      }
    }
  }

  /** State rows that changed since the last call (or all, for a snapshot). */
  writeLog(builder: BlockBuilder, everything: boolean): void {
    for (const [windowStart, table] of this.#tables) {
      const count = everything ? table.size : table.logCount
      if (count > 0) {
        builder.ensureRows(builder.rows + count)
        this.#writeState(table, everything ? null : table.logList, 0, count, builder, windowStart, 0, 1)
      }
      table.clearLogList()
    }
  }

  measure(): void {
    let rows = 0
    let bytes = 0
    for (const table of this.#tables.values()) {
      rows += table.size
      bytes += table.byteSize()
    }
    this.counters.stateRows = rows
    this.counters.stateBytes = bytes
  }

  #emitTable(table: GroupTable, windowStart: number, builder: BlockBuilder): void {
    builder.ensureRows(builder.rows + table.size)
    this.#writeResult(table, null, 0, table.size, builder, windowStart)
  }

  #open(windowStart: number): GroupTable | undefined {
    const known = this.#tables.get(windowStart)
    if (known !== undefined) return known
    const window = this.final.grouping.window
    if (window !== undefined && windowStart + window.sizeMs <= this.closedUntil) return undefined
    const table = this.#spare.pop() ?? new GroupTable(groupLayout(this.final.grouping, false))
    this.#tables.set(windowStart, table)
    return table
  }
}
