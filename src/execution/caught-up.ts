import type { MillraceError } from '../common/errors.js'

interface Waiting {
  readonly target: readonly number[]
  resolve(): void
  reject(error: unknown): void
}

/** Those who wait until a query has committed and delivered everything up to certain offsets. */
export class CaughtUp {
  readonly #waiting: Waiting[] = []

  get isAwaited(): boolean {
    return this.#waiting.length > 0
  }

  wait(target: readonly number[]): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ target, resolve, reject }))
  }

  /** Epochs are delivered up to `offsets`. */
  settle(offsets: readonly number[]): void {
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      const waiting = this.#waiting[i]
      if (waiting === undefined || waiting.target.some((end, p) => (offsets[p] as number) < end)) continue
      this.#waiting.splice(i, 1)
      waiting.resolve()
    }
  }

  /** The run is over; nothing more will come. */
  end(failure: MillraceError | undefined): void {
    for (const waiting of this.#waiting.splice(0)) {
      if (failure === undefined) waiting.resolve()
      else waiting.reject(failure)
    }
  }
}
