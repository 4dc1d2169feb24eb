import { compileMerge, compileResult, compileState } from '../codegen/stage-compiler.js'
import type { MergeFunction, ResultFunction, StateFunction } from '../codegen/stage-functions.js'
import { groupLayout, isGlobal } from '../operator/aggregate.js'
import type { TumblingWindow } from '../plan/grouping-window.js'
import type { FinalAggregate } from '../plan/physical-plan.js'
import { CHANGED_FOR_EMIT, CHANGED_FOR_LOG, GroupTable } from '../state/group-table.js'
import { type BufferViews, blockRowCount } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'
import type { AggregateState } from './aggregate-state.js'
import type { Counters } from './task.js'

/** Groups without a window, in one table, or of tumbling windows, in a table for each. */
export class GroupState implements AggregateState {
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
    private readonly window: TumblingWindow | undefined,
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

  add(views: BufferViews, position: number): void {
    const rows = blockRowCount(views, position)
    this.counters.rowsIn += rows
    this.counters.lateRows += this.#merge(views, position, 0, rows, this.#tableFor, this.#marks, 0, 1)
  }

  restore(views: BufferViews, position: number, task: number, tasks: number): void {
    this.#replace(views, position, 0, blockRowCount(views, position), this.#tableFor, 0, task, tasks)
  }

  restored(closedUntil: number): void {
    this.closeWindows(closedUntil, undefined)
  }

  ensureGlobalGroup(): void {
    if (!isGlobal(this.final.grouping)) return
    const table = this.#open(0) as GroupTable
    if (table.size > 0) return
    table.insert(0, 0)
    table.mark(0, this.#marks)
  }

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

  emitRest(builder: BlockBuilder): void {
    this.emitAll(builder)
  }

  closeWindows(watermark: number, builder: BlockBuilder | undefined): void {
    const window = this.window
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
    const window = this.window
    if (window !== undefined && windowStart + window.sizeMs <= this.closedUntil) return undefined
    const table = this.#spare.pop() ?? new GroupTable(groupLayout(this.final.grouping, false))
    this.#tables.set(windowStart, table)
    return table
  }
}
