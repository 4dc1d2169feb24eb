import type { Env } from '../common/env.js'

/** Somebody who waits until something happens, of which others tell. */
export class Signal {
  #wake: (() => void) | undefined

  constructor(private readonly env: Env) {}

  wake(): void {
    this.#wake?.()
  }

  /** Until the next `wake`, at most `ms`. */
  wait(ms = Number.POSITIVE_INFINITY): Promise<void> {
    return new Promise((resolve) => {
      const cancel = Number.isFinite(ms) ? this.env.timer(Math.max(0, ms), () => this.#wake?.()) : undefined
      this.#wake = () => {
        this.#wake = undefined
        cancel?.()
        resolve()
      }
    })
  }
}
