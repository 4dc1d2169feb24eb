import { compileToShuffle } from '../codegen/shuffle-compiler.js'
import { present } from '../common/assert.js'
import { shuffleSchema } from '../operator/join.js'
import { givenRows, keptAs, keptValue, keyType, ROWS, TIMERS, waitingRows } from '../operator/transform-with-state.js'
import type { TransformWithState } from '../plan/physical-plan.js'
import { type BlockRef, type BufferViews, blockRowCount } from '../types/block.js'
import { BlockBuilder } from '../types/block-builder.js'

import { compileRowsReader, type Row, type RowsReader } from '../types/row-reader.js'
import { KeyedState, KeyState } from './keyed-state.js'
import { type Call, ProcessorCalls, type ResultRow } from './processor-calls.js'
import { StateHandle } from './state-handle.js'
import type { StatefulProcessor } from './stateful-processor.js'
import type { Counters } from './task.js'
import { TimeQueue } from './time-queue.js'
import type { UserSurroundings } from './user-pipeline.js'

/** Calls after which others get their turn. */
const CALLS_AT_A_TIME = 1024

/**
 * The keys of transformWithState on one task, and what is to be done for them when.
 *
 * By event time in order: everything of a key happens by event time, whatever the order and the portions in which it came. A row waits in the state until the
 * watermark has reached its time; then timers and rows are taken from one agenda, the earliest first, at one time the timer before the rows (what is
 * later than the timer includes what is at it, as with the end of a window). While something is at hand its time is the time, and a timer can be registered for
 * later alone, so time never goes back. Since no row that is still to come and is not late is before the watermark, the calls for a key are the same in each mode, for
 * any cut of the input, any number of tasks, and through restarts; only how many rows of one time are in one call is not, nor the order of such rows of
 * different partitions.
 *
 * Otherwise rows are given as they come, and timers when event time (the watermark) or processing time has come to them.
 *
 * At the end of the input rows that wait are given and timers expire, whatever their time, in the same order. A timer that is registered by a timer behind the last row of its
 * key stays, or there would be no end of it. Processing time ends with nothing: timers that are not due stay.
 */
export class TransformState {
  /** The watermark that timers have expired by. */
  closedUntil = Number.NEGATIVE_INFINITY
  readonly #state: KeyedState
  readonly #handle: StateHandle
  readonly #calls: ProcessorCalls
  readonly #agenda = new TimeQueue<KeyState>()
  readonly #expiries = new TimeQueue<KeyState>()
  readonly #ready: Call[] = []
  /** Up to where the agenda is done. */
  #horizon = Number.NEGATIVE_INFINITY
  /** The input is over. */
  #isEnding = false
  #byTimer = false
  readonly #readInput: RowsReader
  readonly #names: readonly string[]
  readonly #eventTime: string | undefined
  readonly #ordered: boolean
  #out: ResultRow[] = []
  #toDeclare: Map<string, string | undefined>

  constructor(
    private readonly head: TransformWithState,
    private readonly ansi: boolean,
    readonly logged: boolean,
    private readonly counters: Counters,
    processor: StatefulProcessor,
    readonly around: UserSurroundings,
  ) {
    const rowsType = waitingRows(head)
    this.#state = new KeyedState(logged, (rows) => keptValue('rows', rowsType, rows))
    const { timeMode, ordered } = head.processor
    this.#ordered = ordered
    this.#handle = new StateHandle(
      this.#state,
      `transformWithState(${head.processor.fn.name})`,
      timeMode,
      (key, time) => this.#onTimer(key, time),
      (key, until) => this.#expiries.put(until, key),
    )
    const { env, heartbeat, run, wake, guard } = around
    this.#calls = new ProcessorCalls(head, processor, this.#handle, this.#state, env, heartbeat(), run, wake, guard)
    this.#readInput = compileRowsReader(shuffleSchema(head.input))
    this.#names = givenRows(head.input, head.columns).fields.map(({ name }) => name)
    this.#eventTime = head.eventTime === undefined ? undefined : present(this.#names[head.eventTime], 'the event time')
    this.#calls.init()
    this.#toDeclare = new Map(this.#handle.declared)
  }

  /** Rows of a frame. */
  add(views: BufferViews, position: number): void {
    const rows: Row[] = []
    this.#readInput(views, position, 0, blockRowCount(views, position), rows)
    this.counters.rowsIn += rows.length
    const together = new Map<KeyState, Row[]>()
    for (const read of rows) {
      const row = pick(read, this.#names)
      if (this.#ordered) this.#wait(read, row)
      else {
        const key = this.#keyOf(read, this.head)
        const own = together.get(key)
        if (own === undefined) together.set(key, [row])
        else own.push(row)
      }
    }
    for (const [key, own] of together) this.#ready.push({ kind: 'rows', key, timeMs: this.#now, rows: own })
  }

  /** Until the watermark has reached its time. */
  #wait(read: Row, row: Row): void {
    const time = row[this.#eventTime as string] as number | null
    if (time === null) {
      this.counters.nullEventTimes += 1
      return
    }
    // Only records of a partition that was idle come for what is over.
    if (time < this.#horizon) {
      this.counters.lateRows += 1
      return
    }
    const key = this.#keyOf(read, this.head)
    const place = String(time)
    const known = key.get(ROWS, place)
    if (known === undefined) this.#agenda.put(time, key)
    if (known?.rows !== undefined) {
      known.rows.push(row)
      this.#state.set(key, ROWS, place, known)
    } else this.#state.set(key, ROWS, place, { bytes: noBytes, until: 0, rows: [row] })
  }

  /** The watermark, or by processing time the clock, has come so far. */
  advance(time: number): void {
    if (time <= this.#horizon) return
    this.#horizon = time
    if (this.head.processor.timeMode === 'event') this.closedUntil = time
  }

  /** The input is over. By processing time that means nothing. */
  end(): void {
    this.#isEnding = this.head.processor.timeMode === 'event'
  }

  get #now(): number {
    return this.head.processor.timeMode === 'event' ? this.#horizon : 0
  }

  /** Does what is to be done by now, or some of it. True where nothing is left. */
  work(): boolean {
    if (!this.#calls.resume(this.#out)) return false
    for (let n = 0; n < CALLS_AT_A_TIME; n++) {
      const call = this.#next()
      if (call === undefined) return true
      this.#byTimer = call.kind === 'timer'
      if (!this.#calls.run(call, this.#out)) return false
    }
    return false
  }

  /** A call has failed, and is tried again later. */
  get isWaiting(): boolean {
    return this.#calls.isWaiting
  }

  /** What came out since the last time. */
  takeOut(): readonly ResultRow[] {
    const out = this.#out
    if (out.length > 0) this.#out = []
    return out
  }

  #readyAt = 0

  #next(): Call | undefined {
    for (;;) {
      if (this.#readyAt < this.#ready.length) {
        const call = this.#ready[this.#readyAt++] as Call
        return call
      }
      this.#ready.length = 0
      this.#readyAt = 0
      const { first: time } = this.#agenda
      if (time === Number.POSITIVE_INFINITY || (time > this.#horizon && !this.#isEnding)) return undefined
      const key = this.#agenda.take() as KeyState
      if (!this.#state.isKnown(key)) continue
      const place = String(time)
      if (key.get(TIMERS, place) !== undefined) this.#ready.push({ kind: 'timer', key, timeMs: time })
      const waiting = key.get(ROWS, place)?.rows
      if (waiting !== undefined) this.#ready.push({ kind: 'rows', key, timeMs: time, rows: waiting })
    }
  }

  #onTimer(key: KeyState, time: number): void {
    const isEndless = this.#isEnding && this.#byTimer && !this.#waitsBehind(key, time)
    if (!isEndless) this.#agenda.put(time, key)
  }

  /** Whether a row of the key is still to come at that time or later. */
  #waitsBehind(key: KeyState, time: number): boolean {
    for (const place of key.parts.get(ROWS)?.keys() ?? []) if (Number(place) >= time) return true
    return false
  }

  /** Of a row as it was read: behind its columns stand the keys. */
  #keyOf(
    read: Row,
    { columns, input, keyNames }: Pick<TransformWithState, 'columns' | 'input' | 'keyNames'>,
  ): KeyState {
    let id = ''
    for (let i = 0; i < keyNames.length; i++) id += textOf(read[input.fields[columns + i]?.name as string])
    const known = this.#state.find(id)
    if (known !== undefined) return known
    const values: Row = {}
    keyNames.forEach((name, i) => {
      const value = read[input.fields[columns + i]?.name as string]
      values[name] = Object.is(value, -0) ? 0 : value
    })
    const type = keyType(this.head)
    const encoded = keptValue('key', type, values)
    const key = new KeyState(id, read['__hash'] as number, Object.freeze(values), encoded)
    this.#state.add(key)
    return key
  }

  /** State of a checkpoint: of every task's the keys that this one owns. */
  restore(blocks: readonly BlockRef[], closedUntil: number, task: number, tasks: number): void {
    const type = keyType(this.head)
    const rowsType = waitingRows(this.head)
    const keyOf = (hash: number, encoded: Uint8Array): KeyState => {
      const key = keptAs(type, encoded) as Row
      const id = this.head.keyNames.map((name) => textOf(key[name])).join('')
      const known = this.#state.find(id)
      if (known !== undefined) return known
      const made = new KeyState(id, hash, Object.freeze(key), encoded)
      this.#state.add(made)
      return made
    }
    const rowsOf = (bytes: Uint8Array): Row[] => keptAs(rowsType, bytes) as Row[]
    const before = this.#state.restore(blocks, task, tasks, keyOf, rowsOf, ROWS)
    const dropped = this.#handle.compare(before)
    const declared = this.#handle.declared
    this.#toDeclare = new Map([...declared].filter(([name, what]) => before.get(name) !== what))
    for (const name of dropped) if (!declared.has(name)) this.#toDeclare.set(name, undefined)
    for (const key of [...this.#state.all()]) {
      for (const name of dropped) this.#state.clear(key, name)
      for (const [name, part] of key.parts) {
        for (const [place, { until }] of part) {
          if (name === TIMERS || name === ROWS) this.#agenda.put(Number(place), key)
          else if (until > 0) this.#expiries.put(until, key)
        }
      }
      this.#state.forgetEmpty(key)
    }
    if (this.head.processor.timeMode === 'event') this.advance(closedUntil)
  }

  /** The rows that the query begins with: once in its life. Of a table that every task has, those of the keys that this one owns. */
  begin(blocks: readonly BlockRef[], task: number, tasks: number): void {
    const initial = present(this.head.initial, 'an initial state')
    const { schema, keys, columns } = initial
    const builders = Array.from({ length: tasks }, () => new BlockBuilder(shuffleSchema(schema)))
    const spec = { schema, operators: [], ansi: this.ansi }
    const run = compileToShuffle(spec, { kind: 'shuffle', schema, keys }).run
    const names = givenRows(schema, columns).fields.map(({ name }) => name)
    const read = compileRowsReader(shuffleSchema(schema))
    const cells = new Float64Array(8)
    for (const { views, position } of blocks) {
      const count = blockRowCount(views, position)
      for (const builder of builders) {
        builder.reset()
        builder.ensureRows(count)
      }
      run(views, position, 0, count, cells, builders)
      const own = present(builders[task], `task ${task}`)
      if (own.rows === 0) continue
      const rows: Row[] = []
      const block = own.toBlock()
      read(block.views, block.position, 0, own.rows, rows)
      for (const row of rows) {
        const key = this.#keyOf(row, { columns, input: schema, keyNames: this.head.keyNames })
        this.#ready.push({ kind: 'initial', key, timeMs: Number.NEGATIVE_INFINITY, rows: [pick(row, names)] })
      }
    }
  }

  /** What has outlived its time goes. */
  expire(nowMs: number): void {
    while (this.#expiries.first <= nowMs) {
      const key = this.#expiries.take() as KeyState
      if (!this.#state.isKnown(key)) continue
      for (const [name, part] of key.parts) {
        for (const [place, { until }] of [...part])
          if (until > 0 && until <= nowMs) this.#state.remove(key, name, place)
      }
      this.#state.forgetEmpty(key)
    }
  }

  writeLog(builder: BlockBuilder, everything: boolean): void {
    this.#state.writeLog(builder, everything, everything ? this.#handle.declared : this.#toDeclare)
    this.#toDeclare = new Map()
  }

  measure(): void {
    const { counters } = this
    counters.stateRows = this.#state.size
    counters.stateBytes = this.#state.byteSize
    counters.stateRowsUpdated = this.#state.updated
    counters.stateRowsRemoved = this.#state.removed
    counters.dueAt = this.head.processor.timeMode === 'processing' ? this.#agenda.first : Number.POSITIVE_INFINITY
  }

  close(): void {
    this.#calls.close()
  }
}

const noBytes = new Uint8Array(0)

function pick(row: Row, names: readonly string[]): Row {
  const own: Row = {}
  for (const name of names) own[name] = row[name]
  return own
}

/** Of one part of a key; no two different keys have the same texts one behind the other. */
function textOf(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return `s${value.length}:${value}`
    case 'number':
      // −0 is 0, and every NaN the same.
      return `n${value === 0 ? 0 : value};`
    case 'boolean':
    case 'bigint':
      return `${typeof value === 'bigint' ? 'i' : 'b'}${value};`
    default: {
      if (value === null || value === undefined) return '-'
      const bytes = value as Uint8Array
      return `x${bytes.length}:${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')}`
    }
  }
}
