import type { Env } from '../common/env.js'

/**
 * Long work on the engine thread, cut so that nobody else there waits for it: after each slice the event loop has a turn, in which
 * group commits, epochs and messages get theirs. What they wait at most is one slice and one record batch.
 *
 *   if (slices.isOver) await slices.next()
 */
export class WorkSlices {
  readonly #env: Env
  readonly #sliceMs: number
  #until: number

  constructor(env: Env, sliceMs: number) {
    this.#env = env
    this.#sliceMs = sliceMs
    this.#until = env.monotonic() + sliceMs
  }

  get isOver(): boolean {
    return this.#env.monotonic() >= this.#until
  }

  async next(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve))
    this.#until = this.#env.monotonic() + this.#sliceMs
  }
}
