import { compileFold } from '../codegen/combine-compiler.js'
import { compileMerge, compileResult, compileState } from '../codegen/stage-compiler.js'
import type {
  FoldFunction,
  MergeFunction,
  PlaceSession,
  ResultFunction,
  StateFunction,
} from '../codegen/stage-functions.js'
import { assert } from '../common/assert.js'
import { aggregateStateSchema, groupLayout } from '../operator/aggregate.js'
import type { FinalAggregate } from '../plan/physical-plan.js'
import { CHANGED_FOR_LOG, type GroupLayout } from '../state/group-table.js'
import { type BufferViews, blockRowCount } from '../types/block.js'
import { BlockBuilder } from '../types/block-builder.js'
import { BlockScratch } from '../types/block-scratch.js'
import type { AggregateState } from './aggregate-state.js'
import { SessionTable } from './session-table.js'
import type { Counters } from './task.js'

/**
 * Session windows. A session takes every record that touches it, and two that the same record touches become one. What a session may touch
 * depends on its records alone (codegen/window-code.ts): one that ended at or before a record's watermark never has that record, so it does not
 * matter whether it is still here when the record comes.
 *
 * In the changelog a row is a session as it was. A later row of the key that touches it is what became of it, since a session only grows.
 */
export class SessionState implements AggregateState {
  closedUntil = Number.NEGATIVE_INFINITY
  #sessions: SessionTable
  readonly #layout: GroupLayout
  readonly #merge: MergeFunction
  readonly #replace: MergeFunction
  readonly #fold: FoldFunction
  readonly #writeState: StateFunction
  readonly #writeResult: ResultFunction
  readonly #marks: number
  readonly #scratch: BlockBuilder
  readonly #block = new BlockScratch()
  readonly #place: PlaceSession
  readonly #placeAgain: PlaceSession

  constructor(
    private readonly final: FinalAggregate,
    ansi: boolean,
    private readonly logged: boolean,
    private readonly counters: Counters,
  ) {
    const { grouping } = final
    this.#merge = compileMerge(grouping, ansi, false).run
    this.#replace = compileMerge(grouping, ansi, true).run
    this.#fold = compileFold(grouping, ansi)
    this.#writeState = compileState(grouping, false, ansi).run
    this.#writeResult = compileResult(final, ansi).run
    this.#marks = logged ? CHANGED_FOR_LOG : 0
    this.#layout = groupLayout(grouping, false)
    this.#sessions = new SessionTable(this.#layout, this.#fold)
    this.#scratch = new BlockBuilder(aggregateStateSchema(grouping))
    this.#place = (entry, start, from, end) => {
      if (end <= this.closedUntil) return -1
      // Behind the global watermark are only the records of a partition that was idle: what has ended does not have them.
      return this.#sessions.place(entry, start, Math.max(from, this.closedUntil + 1), end, false)
    }
    this.#placeAgain = (entry, start, from, end) => this.#sessions.place(entry, start, from, end, true)
  }

  add(views: BufferViews, position: number): void {
    const rows = blockRowCount(views, position)
    this.counters.rowsIn += rows
    const { table } = this.#sessions
    const refused = this.#merge(views, position, 0, rows, () => table, this.#marks, 0, 1, this.#place)
    this.counters.lateRows += refused
  }

  restore(views: BufferViews, position: number, task: number, tasks: number): void {
    this.#take(views, position, task, tasks)
  }

  restored(closedUntil: number): void {
    this.closeWindows(closedUntil, undefined)
  }

  ensureGlobalGroup(): void {}

  emitChanged(): void {
    assert(false, 'sessions are refused in output mode update')
  }

  emitAll(builder: BlockBuilder): void {
    this.#emit(this.#sessions.all(), builder)
  }

  emitRest(builder: BlockBuilder): void {
    this.emitAll(builder)
  }

  closeWindows(watermark: number, builder: BlockBuilder | undefined): void {
    if (!this.final.grouping.closesWindows || watermark <= this.closedUntil) return
    // The end of the input closes what is open and no more: a query that goes on later takes later sessions.
    const until = watermark === Number.POSITIVE_INFINITY ? this.#sessions.lastEnd() : watermark
    if (until <= this.closedUntil) return
    this.closedUntil = until
    const ended = this.#sessions.endedBy(until)
    if (ended.length === 0) return
    if (builder !== undefined) this.#emit(Int32Array.from(ended), builder)
    this.counters.stateRowsRemoved += ended.length
    this.#sessions.remove(ended)
    if (!this.logged) this.#makeAnew()
  }

  writeLog(builder: BlockBuilder, everything: boolean): void {
    const { table } = this.#sessions
    const changed = everything ? this.#sessions.all() : table.logList.subarray(0, table.logCount)
    const list = changed.filter((entry) => this.#sessions.isSession(entry))
    builder.ensureRows(builder.rows + list.length)
    this.#writeState(table, list, 0, list.length, builder, 0, 0, 1)
    table.clearLogList()
    // Not before what has changed is written: a table that is made anew does not know.
    this.#makeAnew()
  }

  measure(): void {
    this.counters.stateRows = this.#sessions.sessions
    this.counters.stateBytes = this.#sessions.byteSize()
  }

  #emit(list: Int32Array, builder: BlockBuilder): void {
    builder.ensureRows(builder.rows + list.length)
    this.#writeResult(this.#sessions.table, list, 0, list.length, builder, 0)
  }

  #take(views: BufferViews, position: number, task: number, tasks: number): void {
    const { table } = this.#sessions
    const rows = blockRowCount(views, position)
    this.#replace(views, position, 0, rows, () => table, 0, task, tasks, this.#placeAgain)
  }

  /** Without the entries of sessions that are over. */
  #makeAnew(): void {
    if (!this.#sessions.sparse) return
    const list = this.#sessions.all()
    const scratch = this.#scratch
    scratch.ensureRows(list.length)
    this.#writeState(this.#sessions.table, list, 0, list.length, scratch, 0, 0, 1)
    this.#sessions = new SessionTable(this.#layout, this.#fold)
    const { views, position } = this.#block.encode(scratch)
    this.#take(views, position, 0, 1)
    scratch.reset()
  }
}
