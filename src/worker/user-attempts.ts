import type { Env } from '../common/env.js'
import type { CallGate } from './call-gate.js'
import type { Attempts, FailureGuard } from './failure-guard.js'
import type { Heartbeat } from './heartbeat.js'

/** What a row became that did not become anything. */
export const DROPPED = Symbol('dropped')

/** How a function of the user's is called. */
export interface UserCalls {
  readonly call: (argument: unknown) => unknown
  /** What it has given, once it is there; rejects where that takes too long. */
  readonly settled: (result: unknown) => Promise<unknown>
  readonly gate: CallGate
  /** Some wait for their next attempt from now on. */
  readonly retrying: () => void
  /** What it has thrown, with words around it. */
  readonly failed: (error: unknown) => unknown
}

/** A call has failed for good. */
export type CallFailed = (i: number, error: unknown, attempts: Attempts) => void

interface FailedCall {
  readonly i: number
  /** Of a block that waits, only those arguments are kept that are needed once more: there may be many such blocks. */
  readonly argument: unknown
  error: unknown
  attempt: number
  readonly firstAt: number
  lastAt: number
}

/**
 * Calls of the user's function by a failure policy. All of a block that have failed wait together and are tried again together, so that a block waits for each
 * attempt once, however many of its rows fail; other partitions go on meanwhile.
 */
export class UserAttempts {
  /** Calls of the block at hand have failed and are, or are to be, made again. */
  isRetrying = false
  #isClosed = false

  constructor(
    private readonly guard: FailureGuard,
    private readonly calls: UserCalls,
    private readonly env: Env,
    private readonly heartbeat: Heartbeat,
  ) {}

  /** What each argument becomes, in order; DROPPED where its call has failed for good. */
  each(given: readonly unknown[], failed: CallFailed): readonly unknown[] | Promise<readonly unknown[]> {
    const results: unknown[] = new Array(given.length)
    const failures: FailedCall[] = []
    const { call } = this.calls
    let i = 0
    while (i < given.length) {
      try {
        for (; i < given.length; i++) {
          this.heartbeat.enter(i)
          const result = call(given[i])
          if (isThenable(result)) return this.#promised(given, results, failures, i, result, failed)
          results[i] = result
        }
      } catch (error) {
        this.#note(failures, i, given[i], error)
        i += 1
      } finally {
        this.heartbeat.leave()
      }
    }
    return this.#rest(results, failures, failed)
  }

  /** From `first` on, which is under way. */
  async #promised(
    given: readonly unknown[],
    results: unknown[],
    failures: FailedCall[],
    first: number,
    begun: PromiseLike<unknown>,
    failed: CallFailed,
  ): Promise<readonly unknown[]> {
    const left = Array.from({ length: given.length - first }, (_, n) => first + n)
    await this.#inLines(left, async (i) => {
      try {
        results[i] = await this.calls.settled(i === first ? begun : this.#begin(given[i], i))
      } catch (error) {
        this.#note(failures, i, given[i], error)
      }
    })
    return await this.#rest(results, failures, failed)
  }

  /** The attempts after the first. */
  #rest(
    results: unknown[],
    failures: FailedCall[],
    failed: CallFailed,
  ): readonly unknown[] | Promise<readonly unknown[]> {
    const end = (left: readonly FailedCall[]): readonly unknown[] => {
      for (const { i, error, attempt, firstAt, lastAt } of [...left].sort((a, b) => a.i - b.i)) {
        results[i] = DROPPED
        failed(i, this.calls.failed(error), { attempt, firstAt, lastAt })
      }
      return results
    }
    if (failures.length === 0 || this.guard.policy.attempts === 1) return end(failures)
    this.isRetrying = true
    this.calls.retrying()
    return this.#again(results, failures).then((left) => {
      this.isRetrying = false
      return end(left)
    })
  }

  /** Nothing is called from now on. */
  close(): void {
    this.#isClosed = true
  }

  async #again(results: unknown[], failures: FailedCall[]): Promise<readonly FailedCall[]> {
    let left = failures
    for (let attempt = 2; attempt <= this.guard.policy.attempts && left.length > 0; attempt++) {
      await this.#wait(this.guard.backoff(attempt))
      // Whoever waited for it has gone.
      if (this.#isClosed) return await new Promise(() => undefined)
      this.guard.retries += left.length
      const still: FailedCall[] = []
      await this.#inLines(left, async (one) => {
        try {
          results[one.i] = await this.calls.settled(this.#begin(one.argument, one.i))
        } catch (error) {
          one.error = error
          one.attempt = attempt
          one.lastAt = this.guard.now()
          still.push(one)
        }
      })
      left = still
    }
    return left
  }

  /** So many at a time as the function may have under way. */
  async #inLines<T>(all: readonly T[], run: (one: T) => Promise<void>): Promise<void> {
    const { gate } = this.calls
    let next = 0
    const line = async (): Promise<void> => {
      while (next < all.length) {
        const one = all[next] as T
        next += 1
        await gate.enter()
        try {
          await run(one)
        } finally {
          gate.leave()
        }
      }
    }
    await Promise.all(Array.from({ length: Math.min(gate.most, all.length) }, line))
  }

  #begin(argument: unknown, i: number): unknown {
    this.heartbeat.enter(i)
    try {
      return this.calls.call(argument)
    } catch (error) {
      return Promise.reject(error as Error)
    } finally {
      // What else happens in this turn of the event loop is the user's as well: what was waited for behind promises.
      this.heartbeat.enter(-1)
    }
  }

  #note(failures: FailedCall[], i: number, argument: unknown, error: unknown): void {
    const now = this.guard.now()
    failures.push({ i, argument, error, attempt: 1, firstAt: now, lastAt: now })
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.env.timer(ms, () => resolve())
    })
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
