import { compileCombine, compileLookup } from '../codegen/combine-compiler.js'
import { compileMerge, compileResult, compileState } from '../codegen/stage-compiler.js'
import type {
  CombineFunction,
  LookupFunction,
  MergeFunction,
  ResultFunction,
  StateFunction,
} from '../codegen/stage-functions.js'
import { groupLayout } from '../operator/aggregate.js'
import { firstWindow, lastWindow, type SlidingWindow } from '../plan/grouping-window.js'
import type { FinalAggregate } from '../plan/physical-plan.js'
import { CHANGED_FOR_EMIT, CHANGED_FOR_LOG, type GroupTable } from '../state/group-table.js'
import { type BufferViews, blockRowCount } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'
import type { AggregateState } from './aggregate-state.js'
import { type LateSlice, SliceSet } from './slice-set.js'
import { TablePool } from './table-pool.js'
import type { Counters } from './task.js'

/**
 * Sliding windows by slices: a record has changed one slice, and the windows that hold it are put together when they are emitted.
 * What was late for the first windows of its slice is kept apart from the rest of the slice until those windows are over.
 */
export class SlicedState implements AggregateState {
  closedUntil = Number.NEGATIVE_INFINITY
  readonly #slices: SliceSet
  /** Tables of slices, and of windows; apart, since a slice would hold on to the memory of a window. */
  readonly #pool: TablePool
  readonly #windowPool: TablePool
  readonly #merge: MergeFunction
  readonly #replace: MergeFunction
  readonly #writeState: StateFunction
  readonly #writeResult: ResultFunction
  readonly #combine: CombineFunction
  readonly #lookup: LookupFunction
  readonly #marks: number
  readonly #tableFor: (start: number, from: number) => GroupTable | undefined
  #found = new Int32Array(256)

  constructor(
    private readonly final: FinalAggregate,
    private readonly window: SlidingWindow,
    ansi: boolean,
    logged: boolean,
    private readonly counters: Counters,
  ) {
    const { grouping } = final
    this.#merge = compileMerge(grouping, ansi, false).run
    this.#replace = compileMerge(grouping, ansi, true).run
    this.#writeState = compileState(grouping, false, ansi).run
    this.#writeResult = compileResult(final, ansi).run
    this.#combine = compileCombine(grouping, ansi)
    this.#lookup = compileLookup(grouping, ansi)
    this.#pool = new TablePool(groupLayout(grouping, false))
    this.#windowPool = new TablePool(groupLayout(grouping, false))
    const log = logged ? CHANGED_FOR_LOG : 0
    this.#marks = (grouping.outputMode === 'update' ? CHANGED_FOR_EMIT : 0) | log
    this.#slices = new SliceSet(window, this.#combine, this.#pool, this.#windowPool, log)
    this.#tableFor = (start, from) => this.#open(start, from)
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
    this.closedUntil = closedUntil
    const closed = this.#lastClosed(closedUntil)
    this.#slices.forgetJoined(closed)
    this.#slices.drop(closed)
  }

  ensureGlobalGroup(): void {}

  /** A change of a slice is one of every window that holds it. Only the groups that changed are put together. */
  emitChanged(builder: BlockBuilder): void {
    const changed = [...this.#slices.all()].filter(({ table }) => table.emitCount > 0)
    if (changed.length === 0) return
    const open = firstWindow(this.window, this.closedUntil)
    const first = Math.max(
      open,
      changed.reduce((least, { from }) => Math.min(least, from), Number.POSITIVE_INFINITY),
    )
    const keys = this.#windowPool.take()
    for (const { table } of changed) this.#combine(table, table.emitList, 0, table.emitCount, keys, 0)
    const parts = this.#newSet()
    for (const { start, from, table } of this.#slices.all()) {
      if (lastWindow(this.window, start) < first) continue
      const count = this.#find(keys, null, keys.size, table)
      if (count > 0) this.#combine(table, this.#found, 0, count, parts.table(start, from), 0)
    }
    this.#windowPool.give(keys)
    this.#eachWindow(parts, first + this.window.sizeMs - 1, Number.POSITIVE_INFINITY, (window, groups) => {
      for (const part of changed) this.#markChanged(part, window, groups)
      this.counters.stateRowsUpdated += groups.emitCount
      builder.ensureRows(builder.rows + groups.emitCount)
      this.#writeResult(groups, groups.emitList, 0, groups.emitCount, builder, window)
    })
    for (const { table } of changed) table.clearEmitList()
  }

  emitAll(builder: BlockBuilder): void {
    const copy = this.#newSet()
    for (const { start, from, table } of this.#slices.all()) {
      this.#combine(table, null, 0, table.size, copy.table(start, from), 0)
    }
    this.#emitWindows(copy, this.closedUntil, Number.POSITIVE_INFINITY, builder)
  }

  emitRest(builder: BlockBuilder): void {
    this.#emitWindows(this.#slices, this.closedUntil, Number.POSITIVE_INFINITY, builder)
  }

  closeWindows(watermark: number, builder: BlockBuilder | undefined): void {
    if (!this.final.grouping.closesWindows || watermark <= this.closedUntil) return
    // The end of the input closes what is open and no more: a query that goes on later takes later windows.
    const until = watermark === Number.POSITIVE_INFINITY ? this.#lastEnd() : watermark
    if (builder !== undefined) this.#emitWindows(this.#slices, this.closedUntil, until, builder)
    if (until <= this.closedUntil) return
    this.closedUntil = until
    this.counters.stateRowsRemoved += this.#slices.drop(this.#lastClosed(until))
  }

  writeLog(builder: BlockBuilder, everything: boolean): void {
    for (const { start, from, table } of this.#slices.all()) {
      const count = everything ? table.size : table.logCount
      if (count > 0) {
        builder.ensureRows(builder.rows + count)
        this.#writeState(table, everything ? null : table.logList, 0, count, builder, start, 0, 1, from)
      }
      table.clearLogList()
    }
  }

  measure(): void {
    let rows = 0
    let bytes = 0
    for (const { table } of this.#slices.all()) {
      rows += table.size
      bytes += table.byteSize()
    }
    this.counters.stateRows = rows
    this.counters.stateBytes = bytes
  }

  #emitWindows(set: SliceSet, from: number, until: number, builder: BlockBuilder): void {
    this.#eachWindow(set, from, until, (window, groups) => {
      builder.ensureRows(builder.rows + groups.size)
      this.#writeResult(groups, null, 0, groups.size, builder, window)
    })
  }

  /** The windows that end behind `from`, up to `until`, one after the other with their groups. They are over for the set then. */
  #eachWindow(set: SliceSet, from: number, until: number, take: (window: number, groups: GroupTable) => void): void {
    const { sizeMs } = this.window
    let over = from
    for (;;) {
      const window = set.nextWindow(over)
      if (window === undefined || window + sizeMs > until) break
      const groups = this.#windowPool.take()
      set.collect(window, groups)
      take(window, groups)
      this.#windowPool.give(groups)
      over = window + sizeMs
      const dropped = set.drop(window)
      if (set === this.#slices) this.counters.stateRowsRemoved += dropped
    }
    if (set !== this.#slices) set.close()
  }

  #markChanged({ start, from, table }: LateSlice, window: number, groups: GroupTable): void {
    if (window < from || window > lastWindow(this.window, start)) return
    const count = this.#find(table, table.emitList, table.emitCount, groups)
    for (let i = 0; i < count; i++) groups.mark(this.#found[i] as number, CHANGED_FOR_EMIT)
  }

  /** Entries of `table` with the keys of the first `count` of `list`, into #found. */
  #find(keys: GroupTable, list: Int32Array | null, count: number, table: GroupTable): number {
    if (this.#found.length < count) this.#found = new Int32Array(count * 2)
    return this.#lookup(keys, list, 0, count, table, this.#found)
  }

  #newSet(): SliceSet {
    return new SliceSet(this.window, this.#combine, this.#pool, this.#windowPool, 0)
  }

  #open(start: number, from: number): GroupTable | undefined {
    const { window, closedUntil } = this
    if (lastWindow(window, start) + window.sizeMs <= closedUntil) return undefined
    // Behind the global watermark are only the records of a partition that was idle: they count in what is still open.
    return this.#slices.table(start, Math.max(from, firstWindow(window, closedUntil)))
  }

  #lastClosed(closedUntil: number): number {
    return firstWindow(this.window, closedUntil) - this.window.slideMs
  }

  /** Of the last window that has a slice. */
  #lastEnd(): number {
    const last = this.#slices.lastStart
    return last === undefined ? this.closedUntil : lastWindow(this.window, last) + this.window.sizeMs
  }
}
