import { assert } from '../common/assert.js'
import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { failedAt, isOfRow } from '../dead-letter/failure-policy.js'
import { ROWS, TIMERS } from '../operator/transform-with-state.js'
import type { TransformWithState } from '../plan/physical-plan.js'
import { processorName } from '../plan/stateful-processor.js'
import { describe } from '../types/invalid-value.js'
import type { Row } from '../types/row-reader.js'
import { fieldFromUser, isFieldsObject, property } from '../types/user-value.js'
import type { FailureGuard } from './failure-guard.js'
import type { Heartbeat } from './heartbeat.js'
import type { KeyedState, KeyState } from './keyed-state.js'
import type { AtHand, StateHandle } from './state-handle.js'
import type { StatefulProcessor } from './stateful-processor.js'
import { notRows, userCodeFailed } from './user-errors.js'

/** One call of the processor. */
export type Call =
  | { readonly kind: 'rows'; readonly key: KeyState; readonly timeMs: number; readonly rows: readonly Row[] }
  | { readonly kind: 'timer'; readonly key: KeyState; readonly timeMs: number }
  | { readonly kind: 'initial'; readonly key: KeyState; readonly timeMs: number; readonly rows: readonly Row[] }

/** Values of a row of the result, as builders take them. */
export type ResultRow = readonly unknown[]

interface Attempt {
  readonly call: Call
  attempt: number
  readonly firstAt: number
  /** Each of its rows alone: which of them it has failed by. */
  readonly isPart: boolean
}

/**
 * The calls of a processor, one after the other. A call is whole or has not been: where it throws by a failure policy, the state and the timers of its
 * key are as they were before, and what it gave is gone. It is then tried again, and nothing else is done meanwhile, since what comes later for the key has to
 * come later. What fails for good is left out: of several rows each is given alone, to find those by which it fails.
 */
export class ProcessorCalls {
  readonly #step: string
  #again: Attempt | undefined
  #isDue = true
  /** In front of everything else: the rows of a call that has failed, one by one. */
  readonly #parts: Call[] = []

  constructor(
    private readonly head: TransformWithState,
    private readonly processor: StatefulProcessor,
    private readonly handle: StateHandle,
    private readonly state: KeyedState,
    private readonly env: Env,
    private readonly heartbeat: Heartbeat,
    private readonly owner: string,
    private readonly wake: () => void,
    private readonly guard: FailureGuard | undefined,
  ) {
    this.#step = processorName(head.processor)
  }

  init(): void {
    this.heartbeat.begin(this.owner, this.#step, 'init', this.head.processor.timeoutMs)
    this.heartbeat.enter(0)
    try {
      this.processor.init?.(this.handle)
    } catch (error) {
      throw userCodeFailed(this.#step, error)
    } finally {
      this.heartbeat.leave()
    }
    this.handle.initialized()
  }

  close(): void {
    try {
      this.processor.close?.()
    } catch {
      // The task is over, and what it did is written down.
    }
  }

  /** A call is under way that has failed, and waits until it is tried again. */
  get isWaiting(): boolean {
    return this.#again !== undefined
  }

  /** What was begun, to its end. False where it has to wait. */
  resume(out: ResultRow[]): boolean {
    for (;;) {
      const again = this.#again
      if (again !== undefined) {
        if (!this.#isDue) return false
        this.#again = undefined
        this.#try(again, out)
        continue
      }
      const part = this.#parts.shift()
      if (part === undefined) return true
      this.#try(this.#first(part, true), out)
    }
  }

  /** False where it has failed, and is tried again later by `resume`. */
  run(call: Call, out: ResultRow[]): boolean {
    assert(this.#again === undefined && this.#parts.length === 0, 'one call at a time')
    if (call.kind === 'timer') {
      // Deleted since it was due.
      if (call.key.get(TIMERS, String(call.timeMs)) === undefined) return true
      this.state.remove(call.key, TIMERS, String(call.timeMs))
    } else if (this.head.processor.ordered && call.kind === 'rows') {
      this.state.remove(call.key, ROWS, String(call.timeMs))
    }
    this.#try(this.#first(call, false), out)
    return this.resume(out)
  }

  #first(call: Call, isPart: boolean): Attempt {
    return { call, attempt: 1, firstAt: this.env.now(), isPart }
  }

  #try(one: Attempt, out: ResultRow[]): void {
    const { call } = one
    const { guard, state } = this
    // An earlier call may have left nothing of it.
    state.add(call.key)
    if (guard === undefined) {
      try {
        out.push(...this.#call(call))
      } catch (error) {
        throw failedAt(userCodeFailed(this.#step, error), placeOf(call), 1)
      }
    } else {
      state.begin()
      try {
        const rows = this.#call(call)
        state.end()
        for (const row of rows) out.push(row)
      } catch (error) {
        state.takeBack()
        this.#failed(one, userCodeFailed(this.#step, error), guard)
        return
      }
    }
    state.forgetEmpty(call.key)
  }

  #failed(one: Attempt, error: MillraceError, guard: FailureGuard): void {
    const { call, attempt, firstAt } = one
    if (!isOfRow(error)) throw error
    if (attempt < guard.policy.attempts && !one.isPart) {
      one.attempt += 1
      this.#again = one
      this.#isDue = false
      guard.retries += 1
      this.env.timer(guard.backoff(one.attempt), () => {
        this.#isDue = true
        this.wake()
      })
      return
    }
    if (call.kind !== 'timer' && call.rows.length > 1) {
      for (const row of call.rows) this.#parts.push({ ...call, rows: [row] })
      return
    }
    const origin = {
      describe: () => placeOf(call),
      original: () =>
        guard.letterOf(call.kind === 'timer' ? { ...call.key.key, expiresAt: call.timeMs } : (call.rows[0] ?? {})),
    }
    guard.failed('transform', this.#step, error, origin, 0, { attempt, firstAt, lastAt: this.env.now() })
    this.state.forgetEmpty(call.key)
  }

  #call(call: Call): ResultRow[] {
    const { key } = call
    const at: AtHand = { key, timeMs: call.timeMs, processingMs: this.env.now() }
    const { handle, heartbeat, processor } = this
    heartbeat.begin(this.owner, this.#step, placeOf(call), this.head.processor.timeoutMs)
    heartbeat.enter(0)
    handle.begin(
      at.timeMs === Number.NEGATIVE_INFINITY || this.head.processor.timeMode === 'event'
        ? at
        : { ...at, timeMs: at.processingMs },
    )
    try {
      if (call.kind === 'initial') {
        for (const row of call.rows) processor.handleInitialState?.(key.key, row, handle)
        return []
      }
      const given =
        call.kind === 'rows'
          ? processor.handleInputRows(key.key, call.rows, handle)
          : processor.handleExpiredTimer?.(key.key, handle, { getExpiryTimeInMs: () => call.timeMs })
      return given === undefined || given === null ? [] : this.#rows(given)
    } finally {
      handle.end()
      heartbeat.leave()
    }
  }

  #rows(given: unknown): ResultRow[] {
    if (typeof given !== 'object' || given === null || typeof Reflect.get(given, Symbol.iterator) !== 'function') {
      throw notRows(this.#step, given, 'rows')
    }
    const { fields } = this.head.schema
    const rows: ResultRow[] = []
    for (const row of given as Iterable<unknown>) {
      if (!isFieldsObject(row)) {
        throw new MillraceError('USER_CODE_RESULT', `${this.#step} has given something else than a row`, {
          detail: `found ${describe(row)}`,
          hint: 'return an array of objects with the columns of outputSchema',
        })
      }
      rows.push(fields.map((field) => fieldFromUser(field, property(row, field.name), field.name)))
    }
    return rows
  }
}

function placeOf({ kind, key, timeMs }: Call): string {
  const text = JSON.stringify(key.key, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
  if (kind === 'timer') return `the timer for ${timeMs} of key ${text}`
  return kind === 'initial' ? `the initial state of key ${text}` : `a row of key ${text}`
}
