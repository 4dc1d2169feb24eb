import { type PipelineSpec, SOURCE_CELLS, SourceCell } from '../codegen/stage-functions.js'
import { assert, present } from '../common/assert.js'
import type { Env } from '../common/env.js'
import { lazyModule } from '../common/lazy-module.js'
import type { LaneFile } from '../connector/files/lane.js'
import type { InputPartition } from '../connector/input-partition.js'
import type { OriginalRecords } from '../connector/original-records.js'
import { hasUserCode, type ScanInput, type Stage, stampOf } from '../plan/physical-plan.js'
import type { FailureGuard } from './failure-guard.js'
import type { Flights } from './flights.js'
import { guarding } from './guarding.js'
import type { OutputPort } from './output-port.js'
import type { PartitionPosition } from './protocol.js'
import type { ScannedRows } from './row-origin.js'
import { RowsTarget } from './rows-target.js'
import { type Counters, newCounters, type Task } from './task.js'
import type { UserStage, UserSurroundings } from './user-pipeline.js'

/** By the first stage with a function of the user's. */
const userCode = lazyModule(import.meta.url, './user-code.js', () => import('./user-code.js'))

/** Rows of one step: long enough that a partial aggregate pays, short enough (a few ms) that other tasks get their turn. */
const STEP_ROWS = 262_144
/** Rows of an epoch whose end is known that are aggregated before they are handed on, so that windows close while a long one runs. */
const UNSENT_ROWS = 16 * STEP_ROWS
/** How often a task says how far it has come. */
const ADVANCE_MS = 200
/** Rows that a narrow stage collects before they leave. */
const BUILDER_ROWS = 16_384

/** Rows that go through the user's functions at a time: few enough that one block is no long wait for the others. */
const USER_ROWS = 1024

/** Pairs of rows with every row of a table that are made before what came out may leave. */
const CROSSED_PAIRS = 4 * BUILDER_ROWS

export interface ScannedPartition {
  readonly index: number
  readonly topic?: { readonly partition: { readonly topic: string; readonly partition: number } } | undefined
  readonly input: InputPartition
  readonly maxEventTime: number
  /** Where there is a failure policy that makes dead letters. */
  readonly originals?: OriginalRecords | undefined
}

export interface Goal {
  readonly ends: readonly number[] | null
  readonly barrier: number
  readonly final: boolean
  readonly snapshot: boolean
  readonly open: boolean
  readonly watermarks?: { readonly late: number; readonly evict: number }
}

interface Cursor {
  readonly index: number
  readonly name: string
  readonly input: InputPartition
  /** See SourceCell: the greatest event time so far, and counters. */
  readonly cells: Float64Array
  /** Monotonic time of the last row. */
  lastDataAt: number
  /** Where there is user code: blocks on their way through it. */
  readonly flights: Flights | undefined
  /** Where there is a failure policy: of the rows at hand. */
  readonly origin: ScannedRows | undefined
  readonly originals: OriginalRecords | undefined
}

/**
 * The first stage of a query on one worker: reads its input partitions up to the goal, runs the compiled
 * loop over every block, hands partial aggregates (or rows) on after each step, and ends epochs by barriers.
 * What it reads and in which order per partition depends on the log alone; how it is cut into steps does not
 * show in any result.
 */
export class ScanTask implements Task {
  readonly counters: Counters = newCounters()
  readonly #cursors: Cursor[]
  readonly #target: RowsTarget
  readonly #guard: FailureGuard | undefined
  readonly #user: UserStage | undefined
  #flightFailure: { readonly error: unknown } | undefined
  readonly #delayMs: number
  /** Of a block, after which it is looked whether there is room. */
  readonly #rowsAtATime: number
  /** By Spark's rule the watermark moves with the epochs alone. */
  readonly #isGiven: boolean
  #goal: Goal | undefined
  #watermark = Number.NEGATIVE_INFINITY
  #next = 0
  #passed = 0
  /** Rows that have come through since partial aggregates were last handed on. */
  #unsent = 0
  #toldAt: number

  constructor(
    stage: Stage,
    ansi: boolean,
    partitions: readonly ScannedPartition[],
    physicalSlots: readonly number[] | undefined,
    private readonly outputs: readonly OutputPort[],
    private readonly env: Env,
    private readonly idleAfterMs: number,
    private readonly onBarrier: (epoch: number, positions: readonly PartitionPosition[]) => void,
    private readonly onAdvance: (rowsIn: number) => void,
    tables?: PipelineSpec['tables'],
    /** Where there is user code: its functions, and how to say that a promise of theirs was kept. */
    user?: UserSurroundings,
  ) {
    this.#guard = user?.guard
    const scan = stage.input as ScanInput
    assert(scan.kind === 'scan', `stage ${stage.id} scans`)
    const { watermark } = scan
    const slots = physicalSlots === undefined ? {} : { physicalSlots }
    if (hasUserCode(stage)) {
      const surroundings = present(user, 'the functions of user code')
      this.#user = userCode().userStage(stage, scan.schema, { ansi, surroundings, ...slots, watermark, tables })
    }
    const spec: PipelineSpec = this.#user?.last ?? {
      schema: scan.schema,
      ...slots,
      watermark,
      operators: stage.pipeline,
      ansi,
      tables,
    }
    this.#rowsAtATime = rowsAtATime(stage, tables)
    this.#target = new RowsTarget(stage, spec, outputs, this.#guard)
    this.#toldAt = env.monotonic()
    const stamp = stampOf(stage)
    this.#delayMs = stamp?.delayMs ?? Number.NaN
    this.#isGiven = stamp?.rule === 'spark'
    this.#cursors = partitions.map((partition) => this.#cursorOf(partition))
  }

  addFiles(index: number, files: readonly LaneFile[]): void {
    this.#cursors.find((cursor) => cursor.index === index)?.input.addFiles?.(files)
  }

  /** Between two epochs, or while it reads on: the partition is in the next barrier. */
  addPartition(partition: ScannedPartition): void {
    this.#cursors.push(this.#cursorOf(partition))
  }

  #cursorOf({ index, input, maxEventTime, topic, originals }: ScannedPartition): Cursor {
    const name = topic === undefined ? `input ${index}` : `${topic.partition.topic}-${topic.partition.partition}`
    const cells = new Float64Array(SOURCE_CELLS)
    cells[0] = maxEventTime
    const lastDataAt = this.env.monotonic()
    const guard = this.#guard
    const originOf = (): ScannedRows | undefined =>
      guard && new (guarding().ScannedRows)(name, topic?.partition, originals, input)
    const flights = this.#flightsOf(cells, originOf)
    return { index, name, input, cells, lastDataAt, flights, origin: originOf(), originals }
  }

  #flightsOf(cells: Float64Array, originOf: () => ScannedRows | undefined): Flights | undefined {
    const user = this.#user
    if (user === undefined) return undefined
    const { wake } = user.surroundings
    const gates = userCode().callGates(user)
    return new (userCode().Flights)({
      wake,
      onFailure: (error) => {
        this.#flightFailure = { error }
        wake()
      },
      newLane: () => ({
        pipeline: new (userCode().UserPipeline)(user, this.#target, cells, gates),
        origin: originOf(),
      }),
      cells,
    })
  }

  setGoal(goal: Goal): void {
    this.#goal = goal
    if (goal.watermarks === undefined) return
    for (const { cells } of this.#cursors) cells[SourceCell.lateBefore] = goal.watermarks.late
  }

  step(): boolean {
    if (!this.#drain() || this.#guard?.isFull === true) return false
    const landed = this.#land()
    const goal = this.#goal
    if (goal === undefined) return false
    if (goal.ends === null && goal.barrier >= 0) {
      // What is on its way is of this epoch, and nothing more is; what waits to be tried again is left to the next.
      if (this.#cursors.some(({ flights }) => mustWait(flights, goal.final))) return landed
      this.#endEpoch(goal)
      return true
    }
    const rows = this.#readSome(goal)
    this.#guard?.flush()
    if (rows > 0) this.#tellAdvance()
    const done = goal.ends !== null && this.#reached(goal.ends)
    // The watermark covers what was handed on and nothing more: it waits for partial aggregates that wait.
    if (done || this.#mustHandOn(goal)) {
      this.#handOn()
      this.#advanceWatermark(false)
    } else if (rows === 0 && goal.open) this.#advanceIdleWatermark()
    if (done && goal.barrier >= 0) {
      this.#endEpoch(goal)
      return true
    }
    if (rows > 0 || landed) this.#drain()
    return rows > 0 || landed
  }

  get isWaiting(): boolean {
    if (this.#isFlying) return true
    for (const { input } of this.#cursors) if (input.isWaiting === true) return true
    return false
  }

  get #isFlying(): boolean {
    for (const { flights } of this.#cursors) if (flights?.isEmpty === false) return true
    return false
  }

  /** What has come through user code since the last step. */
  #land(): boolean {
    if (this.#flightFailure !== undefined) throw this.#flightFailure.error
    let landed = false
    for (const cursor of this.#cursors) {
      const rows = cursor.flights?.land() ?? 0
      if (rows === 0) continue
      this.#landed(cursor, rows)
      landed = true
    }
    return landed
  }

  #landed(cursor: Cursor, rows: number): void {
    cursor.lastDataAt = -1
    this.#unsent += rows
  }

  /** Now and then, for whoever watches a long epoch. */
  #tellAdvance(): void {
    const now = this.env.monotonic()
    if (now - this.#toldAt < ADVANCE_MS) return
    this.#toldAt = now
    this.onAdvance(this.counters.rowsIn)
  }

  close(): void {
    for (const cursor of this.#cursors) {
      cursor.flights?.close()
      cursor.input.close()
      cursor.originals?.close()
    }
    this.#target.close()
  }

  #readSome(goal: Goal): number {
    const cursors = this.#cursors
    let rows = 0
    let quiet = 0
    // Round robin over the partitions, a block at a time, so that none runs far ahead of the others.
    while (rows < STEP_ROWS && quiet < cursors.length) {
      const cursor = cursors[this.#next] as Cursor
      this.#next = this.#next + 1 === cursors.length ? 0 : this.#next + 1
      const limit = goal.ends === null ? Number.POSITIVE_INFINITY : (goal.ends[cursor.index] as number)
      const read = this.#readBlock(cursor, limit)
      if (read === 0) quiet += 1
      else quiet = 0
      rows += read
      if (this.#target.table === undefined && this.#isFull()) break
      if (this.#guard?.isFull === true) break
    }
    this.counters.rowsIn += rows
    return rows
  }

  #isFull(): boolean {
    for (const { builder } of this.outputs) if (builder.rows >= BUILDER_ROWS) return true
    return false
  }

  #readBlock(cursor: Cursor, limit: number): number {
    const input = cursor.input
    let seen = input.offset
    if (seen >= limit || cursor.flights?.mayBegin === false) return 0
    while (!input.next(Math.min(limit, input.offset + this.#rowsAtATime))) {
      // Offsets that have no record may be more than are read at a time: behind them it goes on, and not with the next ring of the bell.
      const before = seen
      seen = input.offset
      if (seen === before || seen >= limit) return 0
    }
    const { views, position, from, to } = input
    if (input.begins === true && !this.#isGiven) {
      cursor.cells[0] = Number.NEGATIVE_INFINITY
      if (cursor.flights?.isEmpty === true) cursor.flights.landedEventTime = Number.NEGATIVE_INFINITY
    }
    try {
      if (cursor.flights !== undefined) {
        const rows = cursor.flights.begin(input, input.offset, placeOf(cursor))
        if (rows > 0) this.#landed(cursor, rows)
      } else {
        this.#target.take(views, position, from, to, cursor.cells, cursor.origin)
        this.#unsent += to - from
      }
    } finally {
      input.release()
    }
    cursor.lastDataAt = -1
    return to - from
  }

  /**
   * In an open epoch whatever was read is on its way before the next read. Where the epoch's end is known, nobody sees anything of it
   * before: partial aggregates are collected as long as there is room, so that a group travels once and not with every step.
   */
  #mustHandOn(goal: Goal): boolean {
    if (this.#unsent === 0) return false
    return goal.ends === null || this.#target.table === undefined || this.#unsent >= UNSENT_ROWS || this.#target.isHeavy
  }

  #handOn(): void {
    this.#unsent = 0
    this.#target.handOn()
  }

  #reached(ends: readonly number[]): boolean {
    if (this.#isFlying) return false
    for (const cursor of this.#cursors) {
      if (cursor.input.offset < present(ends[cursor.index], 'the end of an input partition')) return false
    }
    return true
  }

  /** The least watermark of the partitions that are not idle; it never goes back. */
  #advanceWatermark(final: boolean): void {
    if (Number.isNaN(this.#delayMs) || (this.#isGiven && !final)) return
    const now = this.env.monotonic()
    let least = Number.POSITIVE_INFINITY
    let waiting = false
    for (const cursor of this.#cursors) {
      if (cursor.lastDataAt < 0) cursor.lastDataAt = now
      const { flights } = cursor
      const isFlying = flights?.isEmpty === false
      if (!final && !isFlying && now - cursor.lastDataAt >= this.idleAfterMs && !cursor.input.hasNew()) continue
      waiting = true
      if (cursor.input.holdsTime === true) least = Number.NEGATIVE_INFINITY
      least = Math.min(least, (isFlying ? flights.landedEventTime : (cursor.cells[0] as number)) - this.#delayMs)
    }
    // All partitions idle: nothing says how far time has come. Without any partition this task holds nobody back.
    if (!waiting && this.#cursors.length > 0) return
    // What closes at the end of the input closes by the barrier; how far time has come before it is the same in every mode.
    if (final && this.#isGiven) least = Number.POSITIVE_INFINITY
    this.#tellWatermark(least)
  }

  #tellWatermark(watermark: number): void {
    if (watermark <= this.#watermark) return
    this.#watermark = watermark
    for (const output of this.outputs) output.setWatermark(watermark)
  }

  #advanceIdleWatermark(): void {
    if (this.idleAfterMs === Number.POSITIVE_INFINITY) return
    const before = this.#watermark
    this.#advanceWatermark(false)
    if (this.#watermark !== before) this.#drain()
  }

  #endEpoch(goal: Goal): void {
    this.#handOn()
    if (goal.watermarks !== undefined && !goal.final) this.#tellWatermark(goal.watermarks.evict)
    else this.#advanceWatermark(goal.final)
    this.#count()
    for (const output of this.outputs) output.setBarrier(goal.barrier, goal.final, goal.snapshot)
    this.#goal = goal.open ? { ends: null, barrier: -1, final: false, snapshot: false, open: true } : undefined
    const positions = this.#cursors.map(({ index, input, cells, flights }) => {
      const from = flights?.offset
      if (flights === undefined || from === undefined) {
        return { index, offset: input.offset, maxEventTime: cells[0] as number }
      }
      return { index, offset: from, maxEventTime: flights.landedEventTime }
    })
    this.onBarrier(goal.barrier, positions)
    this.#drain()
  }

  #count(): void {
    const counters = this.counters
    counters.lateRows = 0
    counters.nullEventTimes = 0
    this.#passed = 0
    for (const { cells } of this.#cursors) {
      counters.lateRows += cells[1] as number
      counters.nullEventTimes += cells[2] as number
      this.#passed += cells[3] as number
      counters.maxEventTime = Math.max(counters.maxEventTime, cells[0] as number)
    }
    counters.rowsOut = this.outputs.reduce((sum, output) => sum + output.rowsOut, 0)
  }

  #drain(): boolean {
    let empty = true
    for (const output of this.outputs) if (!output.drain()) empty = false
    return empty
  }
}

/** `all`: there is no next epoch to leave anything to. */
function mustWait(flights: Flights | undefined, all: boolean): boolean {
  return flights !== undefined && !flights.isEmpty && (all || !flights.isRetrying)
}

/** Without keys a row has every row of the table for a match: then a few are read, and what they became leaves before the next. */
function rowsAtATime({ pipeline }: Stage, tables: PipelineSpec['tables']): number {
  let most = Number.POSITIVE_INFINITY
  for (const operator of pipeline) {
    if (operator.op === 'userCode') most = Math.min(most, Math.max(USER_ROWS, operator.code.batchRows))
    if (operator.op !== 'broadcastJoin' || operator.keys.length > 0) continue
    most = Math.min(most, CROSSED_PAIRS) / Math.max(1, tables?.get(operator.table.name)?.rows.rows ?? 1)
  }
  return Math.max(1, Math.floor(most))
}

/** Of the block at hand, as the input partition is called: `clicks-3 from offset 512 on`. */
function placeOf({ name, input }: Cursor): string {
  return `${name} from offset ${input.offset} on`
}
