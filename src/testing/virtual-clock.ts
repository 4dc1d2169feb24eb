/**
 * A clock that stands until it is moved. Timers fire in the order of their times, those of one time in the order in which they were set, and
 * while one fires the clock shows its time: a program that is driven by this clock alone does the same things in the same order every time.
 */
export class VirtualClock {
  #now: number
  readonly #start: number
  #timers: { readonly at: number; readonly order: number; readonly callback: () => void }[] = []
  #order = 0

  /** `start`: epoch milliseconds; by default the first of January 2026. */
  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#start = start
    this.#now = start
  }

  /** Epoch milliseconds. */
  now(): number {
    return this.#now
  }

  /** Milliseconds since the clock was made, whatever `step` has done to the time of day. */
  monotonic(): number {
    return this.#monotonic
  }

  #monotonic = 0

  /** Calls `callback` once, when the clock has been moved by `ms`; the returned function cancels it. */
  timer(ms: number, callback: () => void): () => void {
    const timer = { at: this.#monotonic + Math.max(0, ms), order: this.#order++, callback }
    let i = this.#timers.length
    while (i > 0 && (this.#timers[i - 1] as typeof timer).at > timer.at) i -= 1
    this.#timers.splice(i, 0, timer)
    return () => {
      const at = this.#timers.indexOf(timer)
      if (at !== -1) this.#timers.splice(at, 1)
    }
  }

  /** How long until the next timer; undefined where none is set. */
  untilNext(): number | undefined {
    const next = this.#timers[0]
    return next === undefined ? undefined : next.at - this.#monotonic
  }

  /** Moves on by `ms`. What a timer sets for this time fires too. */
  advance(ms: number): void {
    const target = this.#monotonic + ms
    while (this.fireNext(target));
    this.#move(target)
  }

  /** Moves to the next timer, if it is due at `until` or before, and fires it; then promises can settle before the next one. */
  fireNext(until = Number.POSITIVE_INFINITY): boolean {
    const next = this.#timers[0]
    if (next === undefined || next.at > until) return false
    this.#timers.shift()
    this.#move(next.at)
    next.callback()
    return true
  }

  /** Somebody sets the time of day; timers and `monotonic` do not notice. */
  step(ms: number): void {
    this.#now += ms
  }

  /** Forgets all timers: the process that had set them is gone. */
  clear(): void {
    this.#timers = []
  }

  get startedAt(): number {
    return this.#start
  }

  #move(monotonic: number): void {
    this.#now += monotonic - this.#monotonic
    this.#monotonic = monotonic
  }
}
