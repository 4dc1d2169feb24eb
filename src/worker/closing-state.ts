import { compileMerge, compileResult, compileState } from '../codegen/stage-compiler.js'
import type { MergeFunction, ResultFunction, StateFunction } from '../codegen/stage-functions.js'
import { present } from '../common/assert.js'
import { groupLayout } from '../operator/aggregate.js'
import type { FinalAggregate } from '../plan/physical-plan.js'
import { CHANGED_FOR_EMIT, CHANGED_FOR_LOG, GroupTable, HEAD_NULLS } from '../state/group-table.js'
import { type BufferViews, blockRowCount } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'
import type { AggregateState } from './aggregate-state.js'
import type { Counters } from './task.js'
import { TimeBuckets } from './time-buckets.js'

/** A table of fewer groups is not worth making anew. */
const GROUPS_MIN = 1024

/**
 * Groups of which one key is the event time itself. All are in one table, since there may be one for each record; a group is over when the watermark
 * has passed its time. Groups that are over stay behind until they are half of the table, which is then made anew out of the others.
 */
export class ClosingState implements AggregateState {
  closedUntil = Number.NEGATIVE_INFINITY
  readonly #table: GroupTable
  readonly #merge: MergeFunction
  readonly #replace: MergeFunction
  readonly #writeState: StateFunction
  readonly #writeResult: ResultFunction
  readonly #marks: number
  readonly #key: number
  /** How far before the watermark's next millisecond a time has to be. */
  readonly #lead: number
  #times = new TimeBuckets()
  /** Entries of which the times are known. */
  #noted = 0
  #over = 0

  constructor(
    final: FinalAggregate,
    ansi: boolean,
    private readonly logged: boolean,
    private readonly counters: Counters,
  ) {
    const { grouping } = final
    const { key, lead } = present(grouping.closing, 'the key of event time')
    this.#key = key
    this.#lead = lead
    this.#table = new GroupTable(groupLayout(grouping, false))
    this.#merge = compileMerge(grouping, ansi, false).run
    this.#replace = compileMerge(grouping, ansi, true).run
    this.#writeState = compileState(grouping, false, ansi).run
    this.#writeResult = compileResult(final, ansi).run
    this.#marks = (grouping.outputMode === 'update' ? CHANGED_FOR_EMIT : 0) | (logged ? CHANGED_FOR_LOG : 0)
  }

  add(views: BufferViews, position: number): void {
    const rows = blockRowCount(views, position)
    this.counters.rowsIn += rows
    this.#merge(views, position, 0, rows, () => this.#table, this.#marks, 0, 1)
    // Only records of a partition that was idle come for a group that is over.
    this.counters.lateRows += this.#noteNew()
  }

  restore(views: BufferViews, position: number, task: number, tasks: number): void {
    this.#replace(views, position, 0, blockRowCount(views, position), () => this.#table, 0, task, tasks)
  }

  restored(closedUntil: number): void {
    this.#noteNew()
    this.closeWindows(closedUntil, undefined)
  }

  ensureGlobalGroup(): void {}

  emitChanged(builder: BlockBuilder): void {
    const table = this.#table
    const list = table.emitList.subarray(0, table.emitCount).filter((entry) => !this.#isOver(entry))
    this.counters.stateRowsUpdated += list.length
    this.#emit(list, builder)
    table.clearEmitList()
  }

  emitAll(builder: BlockBuilder): void {
    this.#emit(this.#open(), builder)
  }

  emitRest(builder: BlockBuilder): void {
    this.emitAll(builder)
  }

  closeWindows(watermark: number, builder: BlockBuilder | undefined): void {
    if (watermark <= this.closedUntil) return
    // The end of the input closes what is open and no more: a query that goes on later takes later groups.
    const until = watermark === Number.POSITIVE_INFINITY ? this.#lastTime() + 1 - this.#lead : watermark
    if (until <= this.closedUntil) return
    const over: number[] = []
    this.#times.take(until + this.#lead - 1, (entry) => {
      const time = this.#time(entry)
      if (time >= until + this.#lead) return time
      over.push(entry)
      return undefined
    })
    this.closedUntil = until
    this.#over += over.length
    this.counters.stateRowsRemoved += over.length
    if (builder !== undefined) this.#emit(Int32Array.from(over), builder)
    if (!this.logged) this.#makeAnew()
  }

  writeLog(builder: BlockBuilder, everything: boolean): void {
    const table = this.#table
    const changed = table.logList.subarray(0, table.logCount)
    const list = everything ? this.#open() : changed.filter((entry) => !this.#isOver(entry))
    builder.ensureRows(builder.rows + list.length)
    this.#writeState(table, list, 0, list.length, builder, 0, 0, 1)
    table.clearLogList()
    this.#makeAnew()
  }

  measure(): void {
    this.counters.stateRows = this.#table.size - this.#over
    this.counters.stateBytes = this.#table.byteSize() + this.#table.size * 16
  }

  #emit(list: Int32Array, builder: BlockBuilder): void {
    builder.ensureRows(builder.rows + list.length)
    this.#writeResult(this.#table, list, 0, list.length, builder, 0)
  }

  #open(): Int32Array {
    const list = new Int32Array(this.#table.size - this.#over)
    let count = 0
    for (let entry = 0; entry < this.#table.size; entry++) if (!this.#isOver(entry)) list[count++] = entry
    return list
  }

  /** Entries that came since the last call; returns how many of them are over already. */
  #noteNew(): number {
    const before = this.#over
    const { size } = this.#table
    for (let entry = this.#noted; entry < size; entry++) {
      if (this.#isOver(entry)) this.#over += 1
      else if (Number.isFinite(this.#time(entry))) this.#times.put(entry, this.#time(entry))
    }
    this.#noted = size
    return this.#over - before
  }

  #isOver(entry: number): boolean {
    return this.#time(entry) < this.closedUntil + this.#lead
  }

  /** A group whose time is null is never over. */
  #time(entry: number): number {
    const { heads, cells, places } = this.#table
    const nulls = heads[entry * places.headInts + HEAD_NULLS] as number
    if ((nulls & (1 << this.#key)) !== 0) return Number.POSITIVE_INFINITY
    return cells[entry * places.cellDoubles + (places.keyNumbers[this.#key] as number)] as number
  }

  #lastTime(): number {
    let last = Number.NEGATIVE_INFINITY
    for (let entry = 0; entry < this.#table.size; entry++) {
      const time = this.#time(entry)
      if (time > last && time !== Number.POSITIVE_INFINITY) last = time
    }
    return last
  }

  #makeAnew(): void {
    const table = this.#table
    if (table.size < GROUPS_MIN || this.#over * 2 < table.size || table.emitCount + table.logCount > 0) return
    table.retain((entry) => !this.#isOver(entry))
    this.#times = new TimeBuckets()
    this.#noted = 0
    this.#over = 0
    this.#noteNew()
  }
}
