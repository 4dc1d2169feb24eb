import { compileFirstRows } from '../codegen/duplicate-compiler.js'
import { DUPLICATE_CELLS, DuplicateCell, type FirstRowsFunction } from '../codegen/duplicate-functions.js'
import { compileMerge, compileState } from '../codegen/stage-compiler.js'
import type { StateFunction } from '../codegen/stage-functions.js'
import { groupLayout } from '../operator/aggregate.js'
import { FORGOTTEN, forgets, seenKeys } from '../operator/deduplicate.js'
import type { Deduplicate } from '../plan/physical-plan.js'
import { CHANGED_FOR_LOG, GroupTable } from '../state/group-table.js'
import { type BlockRef, type BufferViews, blockRowCount } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'
import type { Counters } from './task.js'

/** Entries whose times are looked at together. Keys come roughly in the order of their times, and are forgotten so. */
const SEGMENT_BITS = 12
/** A table of fewer entries is not worth making anew. */
const ENTRIES_MIN = 1 << SEGMENT_BITS

/**
 * The keys that one task of a deduplication has seen. One that is forgotten keeps its entry, with a mark in place of its time, until
 * these are half of the table, which is then made anew out of the others: so forgetting costs each key a constant, however many there are.
 */
export class SeenKeys {
  /** The watermark up to which keys are forgotten. */
  closedUntil = Number.NEGATIVE_INFINITY
  readonly #table: GroupTable
  readonly #firstRows: FirstRowsFunction
  readonly #writeState: StateFunction
  readonly #counts = new Float64Array(DUPLICATE_CELLS)
  #revived = new Int32Array(0)
  readonly #marks: number
  readonly #forgets: boolean
  /** What is at the watermark: is it late, is it forgotten? Where it is, everything before the next millisecond is. */
  readonly #lateLead: number
  readonly #expiryLead: number
  /** By segment of entries: none of them is forgotten before this. */
  #leasts: number[] = []
  /** How many entries `#leasts` tells of. */
  #noted = 0
  #forgotten = 0

  constructor(
    private readonly head: Deduplicate,
    private readonly ansi: boolean,
    private readonly logged: boolean,
    private readonly counters: Counters,
  ) {
    const grouping = seenKeys(head)
    this.#table = new GroupTable(groupLayout(grouping, false))
    this.#firstRows = compileFirstRows(head, ansi).run
    this.#writeState = compileState(grouping, false, ansi).run
    this.#marks = logged ? CHANGED_FOR_LOG : 0
    this.#forgets = forgets(head)
    // A key that rows are late by, such as a window, is over at its end by either rule.
    this.#lateLead = head.rule === 'spark' && head.lateByKey !== true ? 1 : 0
    // Within the watermark a key counts for less than the delay: at its end it is forgotten.
    this.#expiryLead = head.within === undefined ? this.#lateLead : 1
  }

  /** The rows of a frame whose keys are new, to the builder. */
  add(views: BufferViews, position: number, builder: BlockBuilder): void {
    const rows = blockRowCount(views, position)
    const before = builder.rows
    const { counters } = this
    const counts = this.#counts
    builder.ensureRows(before + rows)
    if (rows > this.#revived.length) this.#revived = new Int32Array(rows)
    const lateBefore = this.closedUntil + this.#lateLead
    this.#firstRows(views, position, 0, rows, this.#table, builder, this.#marks, lateBefore, counts, this.#revived)
    if (this.#forgets) this.#noteTimes(counts[DuplicateCell.revived] as number)
    counters.rowsIn += rows
    counters.lateRows += counts[DuplicateCell.late] as number
    counters.nullEventTimes += counts[DuplicateCell.nullEventTime] as number
    counters.stateRowsUpdated += builder.rows - before
  }

  /** The watermark has come so far. */
  expire(watermark: number): void {
    if (watermark <= this.closedUntil) return
    this.closedUntil = watermark
    if (!this.#forgets) return
    const passed = watermark + this.#expiryLead
    const before = this.#forgotten
    for (let s = 0; s < this.#leasts.length; s++) {
      if ((this.#leasts[s] as number) < passed) this.#leasts[s] = this.#forgetIn(s, passed)
    }
    this.counters.stateRowsRemoved += this.#forgotten - before
    if (!this.logged) this.#rebuild()
  }

  /** Marks those of a segment, and gives the least time of the others. */
  #forgetIn(segment: number, passed: number): number {
    const { cells, places, size } = this.#table
    const cell = places.numbers[0] as number
    const end = Math.min(size, (segment + 1) << SEGMENT_BITS)
    let least = Number.POSITIVE_INFINITY
    let forgotten = 0
    for (let e = segment << SEGMENT_BITS; e < end; e++) {
      const time = cells[e * places.cellDoubles + cell] as number
      if (time === FORGOTTEN) continue
      if (time < passed) {
        cells[e * places.cellDoubles + cell] = FORGOTTEN
        forgotten += 1
      } else if (time < least) least = time
    }
    this.#forgotten += forgotten
    return least
  }

  /** Of the entries that are new, and of the first `revived` of the list. One whose time was put off is found early, and left. */
  #noteTimes(revived: number): void {
    for (let i = 0; i < revived; i++) this.#noteTime(this.#revived[i] as number)
    this.#forgotten -= revived
    const { size } = this.#table
    for (let e = this.#noted; e < size; e++) if (!this.#noteTime(e)) this.#forgotten += 1
    this.#noted = size
  }

  /** False where the key is forgotten, as one of a checkpoint may be. */
  #noteTime(e: number): boolean {
    const { cells, places } = this.#table
    const time = cells[e * places.cellDoubles + (places.numbers[0] as number)] as number
    const s = e >> SEGMENT_BITS
    if (s === this.#leasts.length) this.#leasts.push(Number.POSITIVE_INFINITY)
    if (time === FORGOTTEN) return false
    if (time < (this.#leasts[s] as number)) this.#leasts[s] = time
    return true
  }

  /** No entry may stand on the list for the log. */
  #rebuild(): void {
    const table = this.#table
    if (table.size < ENTRIES_MIN || this.#forgotten * 2 < table.size) return
    const { cells, places } = table
    const cell = places.numbers[0] as number
    table.retain((e) => cells[e * places.cellDoubles + cell] !== FORGOTTEN)
    this.#forgotten = 0
    this.#noted = 0
    this.#leasts = []
    this.#noteTimes(0)
  }

  /** Keys of a checkpoint: of every task's those that this one owns. */
  restore(blocks: readonly BlockRef[], closedUntil: number, task: number, tasks: number): void {
    const replace = compileMerge(seenKeys(this.head), this.ansi, true).run
    for (const { views, position } of blocks) {
      replace(views, position, 0, blockRowCount(views, position), () => this.#table, 0, task, tasks)
    }
    if (this.#forgets) this.#noteTimes(0)
    // What was forgotten since it was written down is so again.
    this.expire(closedUntil)
    this.#rebuild()
  }

  /** Keys that are new since the last call, or all of them for a snapshot. */
  writeLog(builder: BlockBuilder, everything: boolean): void {
    const table = this.#table
    const count = everything ? table.size : table.logCount
    if (count > 0) {
      builder.ensureRows(builder.rows + count)
      this.#writeState(table, everything ? null : table.logList, 0, count, builder, 0, 0, 1)
    }
    table.clearLogList()
    this.#rebuild()
  }

  measure(): void {
    this.counters.stateRows = this.#table.size - this.#forgotten
    this.counters.stateBytes = this.#table.byteSize() + this.#leasts.length * 8
  }
}
