import { present } from '../common/assert.js'
import type { Env } from '../common/env.js'
import { isOfRow } from '../dead-letter/failure-policy.js'
import type { UserCodeOperator } from '../plan/physical-plan.js'
import { stepName } from '../plan/user-code.js'
import type { BlockRef } from '../types/block.js'
import { compileRowsReader, type Row, type RowsReader } from '../types/row-reader.js'
import type { CallGate } from './call-gate.js'
import type { Attempts, FailureGuard } from './failure-guard.js'
import type { Heartbeat } from './heartbeat.js'
import { DROPPED, isThenable, UserAttempts } from './user-attempts.js'
import { notRows, userCodeFailed, userCodeFailedAgain, userCodeTimedOut } from './user-errors.js'
import type { Callable } from './user-function.js'
import { RowOutput, type TakeRows } from './user-output.js'

/** Row `row` of the block at hand has failed for good. */
export type RowGivenUp = (row: number, error: unknown, attempts?: Attempts) => void

/** What a failure policy needs around the calls. */
export interface GuardedCalls {
  readonly guard: FailureGuard
  /** Of the function, over all blocks of an input partition. */
  readonly gate: CallGate
  /** Some rows wait for their next attempt from now on. */
  readonly retrying: () => void
}

interface BatchGivenUp {
  readonly batch: number
  readonly of: Attempts
}

/**
 * One function of the user's, called for the rows of a block. As long as it gives values nothing waits; from its first promise on the rest of the
 * block's rows have some calls under way at a time. What comes out is in the order of the rows, whichever call was done first.
 */
export class UserOperator {
  readonly #step: string
  readonly #read: RowsReader
  readonly #output: RowOutput | undefined
  readonly #attempts: UserAttempts | undefined
  #sources: readonly number[] = []

  constructor(
    private readonly operator: UserCodeOperator,
    private readonly call: Callable,
    private readonly env: Env,
    private readonly heartbeat: Heartbeat,
    /** By which the engine knows the run. */
    private readonly owner: string,
    guarded?: GuardedCalls | undefined,
  ) {
    this.#step = stepName(operator.code)
    this.#read = compileRowsReader(operator.input)
    this.#output = operator.code.method === 'filter' ? undefined : new RowOutput(operator.schema)
    if (guarded === undefined) return
    const { method } = operator.code
    const { guard, gate, retrying } = guarded
    const calls = {
      // Rows that are made as they are asked for are made within the attempt.
      call: method === 'flatMap' ? (row: unknown): unknown => this.#spread(call(row)) : call,
      settled: (result: unknown): Promise<unknown> => this.#settled(result),
      gate,
      retrying,
      failed: (error: unknown): unknown =>
        guard.policy.then === 'fail' ? userCodeFailed(this.#step, error) : userCodeFailedAgain(this.#step, error),
    }
    this.#attempts = new UserAttempts(guard, calls, env, heartbeat)
  }

  /** Rows [0, rows) of the block; a promise where the function has given one. `take` may be called until the next run. */
  run(
    { views, position }: BlockRef,
    rows: number,
    place: string,
    take: TakeRows,
    failed: RowGivenUp = () => undefined,
  ): Promise<void> | undefined {
    const given: Row[] = []
    this.#read(views, position, 0, rows, given)
    const { method, timeoutMs } = this.operator.code
    this.heartbeat.begin(this.owner, this.#step, place, timeoutMs)
    const results = method === 'mapBatches' ? this.#batches(given, failed) : this.#each(given, failed)
    const finish = (all: readonly unknown[]): void => {
      if (method === 'filter') this.#keep(all, { views, position }, take)
      else this.#emit(all, rows, take, failed)
    }
    if (results instanceof Promise) return results.then(finish)
    finish(results)
    return undefined
  }

  /** Rows of the block have failed, and are to be tried again. */
  get isRetrying(): boolean {
    return this.#attempts?.isRetrying === true
  }

  /** Nothing is tried again. */
  close(): void {
    this.#attempts?.close()
  }

  /** As a plan calls it: `map(enrich)`. */
  get name(): string {
    return this.#step
  }

  /** Of row number `n` that has come out: the row that it was made of; undefined where there are several. By a failure policy. */
  sourceOf(n: number): number | undefined {
    const { method } = this.operator.code
    if (method === 'filter') return n
    const source = this.#sources[n]
    return method === 'mapBatches' || source === undefined ? undefined : source
  }

  /** What each row becomes, in order. */
  #each(rows: readonly Row[], failed: RowGivenUp): readonly unknown[] | Promise<readonly unknown[]> {
    return this.#attempts === undefined ? this.#once(rows) : this.#attempts.each(rows, failed)
  }

  #once(rows: readonly Row[]): readonly unknown[] | Promise<readonly unknown[]> {
    const results: unknown[] = new Array(rows.length)
    const { call, heartbeat } = this
    try {
      for (let i = 0; i < rows.length; i++) {
        heartbeat.enter(i)
        const result = call(rows[i])
        if (isThenable(result)) return this.#rest(rows, results, i, result)
        results[i] = result
      }
    } catch (error) {
      throw userCodeFailed(this.#step, error)
    } finally {
      heartbeat.leave()
    }
    return results
  }

  /** From row `first` on, which is under way, with so many calls at a time. */
  async #rest(
    rows: readonly Row[],
    results: unknown[],
    first: number,
    begun: PromiseLike<unknown>,
  ): Promise<readonly unknown[]> {
    let next = first
    let failed = false
    const line = async (started?: PromiseLike<unknown>): Promise<void> => {
      let under = started
      while (next < rows.length && !failed) {
        const i = next
        next += 1
        try {
          results[i] = await this.#settled(under ?? this.#begin(rows[i], i))
        } catch (error) {
          failed = true
          throw userCodeFailed(this.#step, error)
        }
        under = undefined
      }
    }
    const lines = [line(begun)]
    const { concurrency } = this.operator.code
    while (lines.length < Math.min(concurrency, rows.length - first)) lines.push(line())
    await Promise.all(lines)
    return results
  }

  /** A function that gives promises may loop before it gives one. */
  #begin(row: Row | readonly Row[] | undefined, i: number): unknown {
    this.heartbeat.enter(i)
    try {
      return this.call(row)
    } finally {
      // What else happens in this turn of the event loop is the user's as well: what was waited for behind promises.
      this.heartbeat.enter(-1)
    }
  }

  async #settled(result: unknown): Promise<unknown> {
    if (!isThenable(result)) return result
    const { timeoutMs } = this.operator.code
    let cancel = (): void => undefined
    const late = new Promise<never>((_, reject) => {
      cancel = this.env.timer(timeoutMs, () => reject(userCodeTimedOut(this.#step, timeoutMs)))
    })
    try {
      return await Promise.race([result, late])
    } finally {
      cancel()
    }
  }

  #batches(rows: readonly Row[], failed: RowGivenUp): readonly unknown[] | Promise<readonly unknown[]> {
    const { batchRows } = this.operator.code
    const batches: Row[][] = []
    for (let from = 0; from < rows.length; from += batchRows) batches.push(rows.slice(from, from + batchRows))
    const attempts = this.#attempts
    if (attempts === undefined) return this.#once(batches as unknown as readonly Row[])
    // Which of its rows a batch has failed by is found by giving it each alone: how rows make batches is not the function's to say.
    const alone: BatchGivenUp[] = []
    const results = attempts.each(batches, (batch, _, of) => alone.push({ batch, of }))
    const split = (all: readonly unknown[]): readonly unknown[] | Promise<readonly unknown[]> =>
      alone.length === 0 ? all : this.#rowsAlone(all, batches, alone, failed)
    return results instanceof Promise ? results.then(split) : split(results)
  }

  async #rowsAlone(
    all: readonly unknown[],
    batches: readonly (readonly Row[])[],
    alone: readonly BatchGivenUp[],
    failed: RowGivenUp,
  ): Promise<readonly unknown[]> {
    const { batchRows } = this.operator.code
    const results = [...all]
    for (const { batch, of } of alone) {
      const rows: unknown[] = []
      let i = 0
      for (const row of batches[batch] ?? []) {
        try {
          rows.push(...(this.#spread(await this.#settled(this.#begin([row], i))) as unknown[]))
        } catch (error) {
          const { attempt, firstAt } = of
          const last = { attempt: attempt + 1, firstAt, lastAt: this.env.now() }
          failed(batch * batchRows + i, userCodeFailed(this.#step, error), last)
        }
        i += 1
      }
      results[batch] = rows
    }
    return results
  }

  /** Rows of a function that gives several, as an array. */
  #spread(result: unknown): unknown {
    if (isThenable(result)) return result.then((rows) => this.#spread(rows))
    if (!isIterable(result)) throw notRows(this.#step, result, 'rows')
    return Array.isArray(result) ? result : [...result]
  }

  /** The rows that stay are handed on where they lie, in runs. */
  #keep(results: readonly unknown[], { views, position }: BlockRef, take: TakeRows): void {
    let from = -1
    for (let i = 0; i <= results.length; i++) {
      const stays = i < results.length && results[i] !== DROPPED && Boolean(results[i])
      if (stays && from < 0) from = i
      if (stays || from < 0) continue
      take(views, position, from, i, 0)
      from = -1
    }
  }

  #emit(results: readonly unknown[], given: number, take: TakeRows, failed: RowGivenUp): void {
    const output = present(this.#output, 'the columns of what comes out')
    if (this.#attempts !== undefined) this.#emitKnown(results, given, output, take, failed)
    else if (this.operator.code.method === 'map') output.write(results, take)
    else {
      const rows: unknown[] = []
      for (const result of results) {
        if (!isIterable(result)) throw notRows(this.#step, result, 'rows')
        for (const row of result) rows.push(row)
      }
      output.write(rows, take)
    }
  }

  /** By a failure policy: what is not a row of the columns is left out, and it is known of the others what they were made of. */
  #emitKnown(results: readonly unknown[], given: number, output: RowOutput, take: TakeRows, failed: RowGivenUp): void {
    const { method, batchRows } = this.operator.code
    const rows: unknown[] = []
    const sources: number[] = []
    results.forEach((result, i) => {
      if (result === DROPPED) return
      const made = method === 'map' ? [result] : (this.#spread(result) as unknown[])
      for (const row of made) {
        rows.push(row)
        sources.push(method === 'mapBatches' ? i * batchRows : i)
      }
    })
    this.#sources = sources
    let isUnderWay = false
    try {
      output.write(rows, (...made) => {
        isUnderWay = true
        take(...made)
      })
      return
    } catch (error) {
      if (isUnderWay || !isOfRow(error)) throw error
    }
    const wrong = new Map<number, unknown>()
    rows.forEach((row, n) => {
      const source = sources[n] as number
      const error = wrong.has(source) ? undefined : output.faultOf(row)
      if (error !== undefined) wrong.set(source, error)
    })
    // A row of which one part cannot be is left out as a whole, and so is a batch.
    const parts = method === 'mapBatches' ? batchRows : 1
    for (const [source, error] of wrong) {
      for (let i = source; i < Math.min(source + parts, given); i++) failed(i, error)
    }
    this.#sources = sources.filter((source) => !wrong.has(source))
    output.write(
      rows.filter((_, n) => !wrong.has(sources[n] as number)),
      take,
    )
  }
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, Symbol.iterator) === 'function'
}
