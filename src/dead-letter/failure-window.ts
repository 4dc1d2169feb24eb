/** Records within the window below which nothing is judged: one of three is no trend. */
const ROWS_MIN = 100
/** Of a window: so many parts are kept apart, and fall out of it one by one. */
const PARTS = 60

interface Part {
  readonly at: number
  rows: number
  failed: number
}

/** How many records were read and how many of them have failed, over the last while. Told the time, and never asking for it. */
export class FailureWindow {
  readonly #parts: Part[] = []
  #rows = 0
  #failed = 0

  constructor(private readonly windowMs: number) {}

  add(nowMs: number, rows: number, failed: number): void {
    this.#rows += rows
    this.#failed += failed
    const last = this.#parts.at(-1)
    if (last !== undefined && nowMs - last.at < this.windowMs / PARTS) {
      last.rows += rows
      last.failed += failed
    } else this.#parts.push({ at: nowMs, rows, failed })
    while (this.#parts.length > 1 && nowMs - (this.#parts[0] as Part).at >= this.windowMs) {
      const gone = this.#parts.shift() as Part
      this.#rows -= gone.rows
      this.#failed -= gone.failed
    }
  }

  get rows(): number {
    return this.#rows
  }

  get failed(): number {
    return this.#failed
  }

  /** Whether more than this share has failed. `all`: there is nothing to come that could change it, so few records count as well. */
  isAbove(share: number, all = false): boolean {
    if (this.#failed === 0 || (!all && this.#rows < ROWS_MIN)) return false
    return this.#failed > share * this.#rows
  }
}
