import { present } from '../common/assert.js'
import type { Env } from '../common/env.js'
import type { UserCodeOperator } from '../plan/physical-plan.js'
import { stepName } from '../plan/user-code.js'
import type { BlockRef, BufferViews } from '../types/block.js'
import { BlockBuilder, ScratchFull } from '../types/block-builder.js'
import { BlockScratch } from '../types/block-scratch.js'
import { compileRowEncoder, type RowEncoder } from '../types/column-builder.js'
import type { StructType } from '../types/data-type.js'
import { compileRowsReader, type Row, type RowsReader } from '../types/row-reader.js'
import type { Heartbeat } from './heartbeat.js'
import { notRows, userCodeFailed, userCodeTimedOut } from './user-errors.js'
import type { Callable } from './user-function.js'

/** Rows [from, to) of a block, to whoever takes them next. */
export type TakeRows = (views: BufferViews, position: number, from: number, to: number) => void

/** What a row became that did not become anything. */
const DROPPED = Symbol('dropped')

/**
 * One function of the user's, called for the rows of a block. As long as it gives values nothing waits; from its first promise on the rest of the
 * block's rows have some calls under way at a time. What comes out is in the order of the rows, whichever call was done first.
 */
export class UserOperator {
  readonly #step: string
  readonly #read: RowsReader
  readonly #output: RowOutput | undefined

  constructor(
    private readonly operator: UserCodeOperator,
    private readonly call: Callable,
    private readonly env: Env,
    private readonly heartbeat: Heartbeat,
    /** By which the engine knows the run. */
    private readonly owner: string,
  ) {
    this.#step = stepName(operator.code)
    this.#read = compileRowsReader(operator.input)
    this.#output = operator.code.method === 'filter' ? undefined : new RowOutput(operator.schema)
  }

  /** Rows [0, rows) of the block; a promise where the function has given one. `take` may be called until the next run. */
  run({ views, position }: BlockRef, rows: number, place: string, take: TakeRows): Promise<void> | undefined {
    const given: Row[] = []
    this.#read(views, position, 0, rows, given)
    const { method, timeoutMs } = this.operator.code
    this.heartbeat.begin(this.owner, this.#step, place, timeoutMs)
    const results = method === 'mapBatches' ? this.#batches(given) : this.#each(given)
    const finish = (all: readonly unknown[]): void => {
      if (method === 'filter') this.#keep(all, { views, position }, take)
      else this.#emit(all, take)
    }
    if (results instanceof Promise) return results.then(finish)
    finish(results)
    return undefined
  }

  /** What each row becomes, in order. */
  #each(rows: readonly Row[]): readonly unknown[] | Promise<readonly unknown[]> {
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
  #begin(row: Row | undefined, i: number): unknown {
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

  #batches(rows: readonly Row[]): readonly unknown[] | Promise<readonly unknown[]> {
    const { batchRows } = this.operator.code
    const batches: Row[][] = []
    for (let from = 0; from < rows.length; from += batchRows) batches.push(rows.slice(from, from + batchRows))
    return this.#each(batches as unknown as readonly Row[])
  }

  /** The rows that stay are handed on where they lie, in runs. */
  #keep(results: readonly unknown[], { views, position }: BlockRef, take: TakeRows): void {
    let from = -1
    for (let i = 0; i <= results.length; i++) {
      const stays = i < results.length && results[i] !== DROPPED && Boolean(results[i])
      if (stays && from < 0) from = i
      if (stays || from < 0) continue
      take(views, position, from, i)
      from = -1
    }
  }

  #emit(results: readonly unknown[], take: TakeRows): void {
    const output = present(this.#output, 'the columns of what comes out')
    if (this.operator.code.method === 'map') {
      output.write(
        results.every((result) => result !== DROPPED) ? results : results.filter((one) => one !== DROPPED),
        take,
      )
      return
    }
    const rows: unknown[] = []
    for (const result of results) {
      if (result === DROPPED) continue
      if (!isIterable(result)) throw notRows(this.#step, result, 'rows')
      for (const row of result) rows.push(row)
    }
    output.write(rows, take)
  }
}

/** Rows of the user's as blocks, in memory that is used again. */
class RowOutput {
  readonly #encoder: RowEncoder
  readonly #builder: BlockBuilder
  readonly #scratch = new BlockScratch()
  #rows = new Int32Array(0)
  #parts = new Int32Array(0)

  constructor(schema: StructType) {
    this.#encoder = compileRowEncoder(schema)
    this.#builder = new BlockBuilder(schema)
    this.#builder.setParts(1)
  }

  write(rows: readonly unknown[], take: TakeRows): void {
    if (this.#rows.length < rows.length) {
      this.#rows = new Int32Array(rows.length).map((_, i) => i)
      this.#parts = new Int32Array(rows.length)
    }
    this.#write(rows, 0, rows.length, take)
  }

  #write(rows: readonly unknown[], from: number, to: number, take: TakeRows): void {
    if (from === to) return
    const builder = this.#builder
    const count = to - from
    builder.reset()
    builder.ensureRows(count)
    try {
      this.#encoder.encode(builder, rows, from, to, this.#rows.subarray(0, count), this.#parts.subarray(0, count))
    } catch (error) {
      if (!(error instanceof ScratchFull) || count === 1) throw error
      // Texts of that size are too much for one block.
      const middle = from + (count >> 1)
      this.#write(rows, from, middle, take)
      this.#write(rows, middle, to, take)
      return
    }
    builder.rows = count
    builder.selectPart(0)
    // The memory is used again by the next run, and not by another part of this one.
    const { views, position } = count === rows.length ? this.#scratch.encode(builder) : builder.toBlock()
    take(views, position, 0, count)
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, Symbol.iterator) === 'function'
}
