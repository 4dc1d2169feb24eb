import { compileEmit, compileEntries, compileKeep, compileLog, compileProbe } from '../codegen/join-compiler.js'
import { type EmitFunction, NO_ROW, PAIRS, STATE_OF_ROW } from '../codegen/join-functions.js'
import { groupLayout } from '../operator/aggregate.js'
import { joinStateSchema, keyGrouping, otherSide, sideNumber, sideRules } from '../operator/join.js'
import type { Join, JoinSideName } from '../plan/physical-plan.js'
import { GroupTable } from '../state/group-table.js'
import { keyGroupOf, ownerOf } from '../state/hash.js'
import { ROW_ALIVE, ROW_MATCHED, RowStore, SEGMENT_ROWS } from '../state/row-store.js'
import { type BlockRef, type BufferViews, blockRowCount } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'
import { valueReader } from '../types/block-reader.js'
import { columnSlots } from '../types/data-type.js'
import type { Counters } from './task.js'

/** Ids of rows of different tasks are different: a task's are its number more than a multiple of this. */
const TASKS_MAX = 4096
/** Keys without a row are dropped when they are half of a table of more than this. */
const KEYS_MIN = 4096

interface Side {
  readonly name: JoinSideName
  readonly store: RowStore
  readonly probe: ReturnType<typeof compileProbe>['run']
  readonly keep: ReturnType<typeof compileKeep>['run']
  /** Pairs of a frame of this side, and rows of this side without a match. */
  readonly emitPairs: EmitFunction
  readonly emitAlone: EmitFunction | undefined
}

type Emit = (write: (builder: BlockBuilder) => void) => void

/**
 * The rows that a join keeps on one task. Whoever comes looks for its matches among the rows of the other side that are there, and then stays itself until
 * the watermark says that no match can come any more: so every pair is found once, by the later of the two.
 */
export class JoinState {
  /** The watermark up to which rows have expired. */
  closedUntil = Number.NEGATIVE_INFINITY
  readonly #table: GroupTable
  readonly #sides: Readonly<Record<JoinSideName, Side>>
  readonly #pairs = new Int32Array(2 * PAIRS)
  #rows = new Int32Array(1024)
  #entries = new Int32Array(1024)
  #ids = new Float64Array(0)
  #nextId: number

  constructor(
    private readonly join: Join,
    private readonly ansi: boolean,
    private readonly logged: boolean,
    private readonly counters: Counters,
    private readonly task: number,
    private readonly tasks: number,
  ) {
    this.#table = new GroupTable(groupLayout(keyGrouping(join), false))
    this.#sides = { left: this.#side('left'), right: this.#side('right') }
    this.#nextId = task
  }

  #side(name: JoinSideName): Side {
    const { join, ansi } = this
    const { pairs, preserved } = sideRules(join, name)
    const own = name === 'left' ? 'block' : 'store'
    const other = name === 'left' ? 'store' : 'block'
    const alone =
      name === 'left' ? ({ left: 'store', right: 'nowhere' } as const) : ({ left: 'nowhere', right: 'store' } as const)
    return {
      name,
      store: new RowStore(join[name].schema, sideNumber(name), join[name].expiresAt.length > 0, this.logged),
      probe: compileProbe(join, name, ansi).run,
      keep: compileKeep(join, name, false, ansi).run,
      emitPairs: compileEmit(join, pairs ? { left: own, right: other } : { left: own, right: 'nowhere' }).run,
      emitAlone: preserved ? compileEmit(join, alone).run : undefined,
    }
  }

  /** A frame of one side. */
  add(side: JoinSideName, views: BufferViews, position: number, emit: Emit): void {
    const rows = blockRowCount(views, position)
    this.counters.rowsIn += rows
    this.#ensure(rows)
    const own = this.#sides[side]
    const { store } = this.#sides[otherSide(side)]
    const pairs = this.#pairs
    const flush = (count: number): void => {
      emit((builder) => {
        builder.ensureRows(builder.rows + count)
        own.emitPairs(views, position, pairs, count, store, builder)
      })
    }
    const kept = own.probe(views, position, 0, rows, this.#table, store, pairs, flush, this.#rows, this.#entries)
    this.counters.stateRowsUpdated += kept
    this.#keep(own, own.keep, views, position, kept, this.#newIds(kept))
  }

  /** Rows for which no match can come any more leave, those that never had one to the output where they are asked for. */
  expire(watermark: number, emit: Emit): void {
    if (watermark <= this.closedUntil) return
    this.closedUntil = watermark
    for (const side of [this.#sides.left, this.#sides.right]) {
      if (this.join[side.name].expiresAt.length === 0) continue
      const unmatched: number[] | undefined = side.emitAlone === undefined ? undefined : []
      this.counters.stateRowsRemoved += side.store.expire(this.#table, watermark, unmatched)
      if (unmatched !== undefined) this.#emitAlone(side, Int32Array.from(unmatched), emit)
      if (!this.logged) side.store.reclaim()
    }
    this.#dropKeys()
  }

  /** The input is over: whoever has no match gets none. What is kept stays, for a query that goes on later. */
  finish(emit: Emit): void {
    for (const side of [this.#sides.left, this.#sides.right]) {
      if (side.emitAlone === undefined) continue
      const { store } = side
      const unmatched = store.rows().filter((row) => ((store.states[row] as number) & ROW_MATCHED) === 0)
      this.#emitAlone(side, unmatched, emit)
      // They have come out; they may still be the match of a row to come, and nothing else.
      for (const row of unmatched) store.match(row)
    }
  }

  #emitAlone({ emitAlone, store }: Side, rows: Int32Array, emit: Emit): void {
    for (let from = 0; from < rows.length; from += PAIRS) {
      const count = Math.min(PAIRS, rows.length - from)
      for (let i = 0; i < count; i++) {
        this.#pairs[2 * i] = NO_ROW
        this.#pairs[2 * i + 1] = rows[from + i] as number
      }
      emit((builder) => {
        builder.ensureRows(builder.rows + count)
        emitAlone?.(undefined, 0, this.#pairs, count, store, builder)
      })
    }
  }

  /** The rows `#rows[0 … count)` of a block into the store, a segment at a time. */
  #keep(
    side: Side,
    keep: Side['keep'],
    views: BufferViews,
    position: number,
    count: number,
    ids: Float64Array | undefined,
  ): void {
    const { store } = side
    for (let from = 0; from < count; ) {
      const builder = store.tail()
      const first = store.nextRow
      const to = Math.min(count, from + SEGMENT_ROWS - builder.rows)
      store.ensure(first + to - from)
      builder.ensureRows(builder.rows + to - from)
      keep(views, position, this.#rows, from, to, builder, store, first)
      store.link(this.#table, first, to - from, this.#entries, from, ids)
      from = to
    }
  }

  /** Names of rows in the checkpoint; where there is none they need no name. */
  #newIds(count: number): Float64Array | undefined {
    if (!this.logged) return undefined
    if (this.#ids.length < count) this.#ids = new Float64Array(count)
    for (let i = 0; i < count; i++) this.#ids[i] = this.#nextId + i * TASKS_MAX
    this.#nextId += count * TASKS_MAX
    return this.#ids
  }

  /** The state of a checkpoint: of every task's rows those that this one owns. */
  restore(blocks: readonly BlockRef[], closedUntil: number): void {
    const slots = columnSlots(joinStateSchema(this.join))
    const [hash, side, state, id] = [0, 1, 2, 3].map((slot) => valueReader(slots, slot))
    const column = (read: typeof hash, { views, position }: BlockRef, r: number): number =>
      (read as NonNullable<typeof hash>)(views, position, r) as number
    const became = new Map<number, number>()
    let greatest = 0
    for (const block of blocks) {
      for (let r = 0; r < blockRowCount(block.views, block.position); r++) {
        greatest = Math.max(greatest, column(id, block, r))
        const s = column(state, block, r)
        if ((s & STATE_OF_ROW) === 0) became.set(column(id, block, r), s)
      }
    }
    this.#nextId = (Math.floor(greatest / TASKS_MAX) + 1) * TASKS_MAX + this.task
    for (const own of [this.#sides.left, this.#sides.right]) {
      const keep = compileKeep(this.join, own.name, true, this.ansi).run
      const entries = compileEntries(this.join, own.name, this.ansi).run
      for (const block of blocks) {
        const rows = blockRowCount(block.views, block.position)
        this.#ensure(rows)
        let count = 0
        const matched: number[] = []
        const ids: number[] = []
        for (let r = 0; r < rows; r++) {
          const s = column(state, block, r)
          if ((s & STATE_OF_ROW) === 0 || column(side, block, r) !== sideNumber(own.name)) continue
          if (ownerOf(keyGroupOf(column(hash, block, r)), this.tasks) !== this.task) continue
          const now = became.get(column(id, block, r)) ?? s
          if ((now & ROW_ALIVE) === 0) continue
          matched.push((now & ROW_MATCHED) === 0 ? 0 : 1)
          ids.push(column(id, block, r))
          this.#rows[count++] = r
        }
        entries(block.views, block.position, this.#rows, count, this.#table, this.#entries)
        for (let i = 0; i < count; i++) this.#entries[i] = (this.#entries[i] as number) | (matched[i] as number)
        this.#keep(own, keep, block.views, block.position, count, this.logged ? Float64Array.from(ids) : undefined)
      }
      // They are written down already, under these ids.
      own.store.takeChanges()
    }
    // What has expired since it was written down has come out then.
    this.expire(closedUntil, () => undefined)
  }

  /** Rows that came or changed since the last call (or all, for a snapshot). */
  writeLog(builder: BlockBuilder, everything: boolean): void {
    for (const { name, store } of [this.#sides.left, this.#sides.right]) {
      const { fresh, changedIds, changedStates } = store.takeChanges()
      const rows = everything ? store.rows() : fresh
      builder.ensureRows(builder.rows + rows.length)
      compileLog(this.join, name).run(rows, 0, rows.length, store, this.#table, builder)
      if (!everything) changedIds.forEach((id, i) => builder.append([0, sideNumber(name), changedStates[i], id]))
      store.reclaim()
    }
  }

  measure(): void {
    const { left, right } = this.#sides
    this.counters.stateRows = left.store.size + right.store.size
    this.counters.stateBytes = this.#table.byteSize() + left.store.byteSize() + right.store.byteSize()
  }

  #ensure(rows: number): void {
    if (rows <= this.#rows.length) return
    this.#rows = new Int32Array(rows)
    this.#entries = new Int32Array(rows)
  }

  #dropKeys(): void {
    const table = this.#table
    if (table.size < KEYS_MIN) return
    const [left, right] = table.places.numbers as readonly [number, number]
    const { cellDoubles } = table.places
    const isUsed = (e: number): boolean =>
      table.cells[e * cellDoubles + left] !== 0 || table.cells[e * cellDoubles + right] !== 0
    let used = 0
    for (let e = 0; e < table.size; e++) if (isUsed(e)) used += 1
    if (used * 2 > table.size) return
    const moved = table.retain(isUsed)
    for (const { store } of [this.#sides.left, this.#sides.right]) store.moveEntries(moved)
  }
}
