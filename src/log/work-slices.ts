import type { Env } from '../common/env.js'

/** Turns of the event loop that a pause takes at most, where the environment cannot rest and no clock says how long it was. */
const PAUSE_TURNS_MAX = 500

/** Records of a batch between two looks at the clock: well below a slice, whatever a record costs. */
export const RECORDS_PER_LOOK = 64

/** A promise where the slice is over: the work goes on when it resolves. */
export type Breathe = () => Promise<void> | undefined

/** A slice that became long, behind a large batch, is not paid for with more than this. */
const PAUSE_MS_MAX = 5

/**
 * Long work on the engine thread, cut so that others there hardly wait for it. After each slice the thread rests for about as long as the
 * slice took: time enough for a group commit, which needs several of them and a sync between. What anybody waits at most is one slice; the
 * work itself takes twice as long. A record batch is no unit here: ten thousand small records are 15 ms of hashing.
 *
 *   if (slices.isOver) await slices.next()
 */
export class WorkSlices {
  readonly #env: Env
  readonly #sliceMs: number
  #began: number

  constructor(env: Env, sliceMs: number) {
    this.#env = env
    this.#sliceMs = sliceMs
    this.#began = env.monotonic()
  }

  get isOver(): boolean {
    return this.#env.monotonic() >= this.#began + this.#sliceMs
  }

  /** A thread that sleeps meanwhile is woken at once when there is a commit; one that turns its loop waits for a processor behind all others. */
  async next(): Promise<void> {
    const now = this.#env.monotonic()
    const pauseMs = Math.min(now - this.#began, PAUSE_MS_MAX)
    if (this.#env.rest !== undefined) await this.#env.rest(Math.max(1, pauseMs))
    else await this.#turns(now + pauseMs)
    this.#began = this.#env.monotonic()
  }

  async #turns(until: number): Promise<void> {
    for (let turn = 0; turn === 0 || (turn < PAUSE_TURNS_MAX && this.#env.monotonic() < until); turn++) {
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  }
}
