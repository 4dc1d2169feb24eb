import type { Env } from '../common/env.js'

/** Turns of the event loop that a pause takes at most, where no clock says how long it was. */
const PAUSE_TURNS_MAX = 500

/** A slice that became long, behind a large batch, is not paid for with more than this. */
const PAUSE_MS_MAX = 5

/**
 * Long work on the engine thread, cut so that others there hardly wait for it. After each slice the event loop has turns for about as long as the
 * slice took: time enough for a group commit, which needs several of them and a sync between. What anybody waits at most is one slice and
 * one record batch; the work itself takes twice as long.
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

  async next(): Promise<void> {
    const now = this.#env.monotonic()
    const until = now + Math.min(now - this.#began, PAUSE_MS_MAX)
    for (let turn = 0; turn === 0 || (turn < PAUSE_TURNS_MAX && this.#env.monotonic() < until); turn++) {
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    this.#began = this.#env.monotonic()
  }
}
