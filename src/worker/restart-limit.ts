/** Deaths of one worker within {@link RESTART_SPAN_MS} after which it is not started again. */
export const DEATHS_MAX = 5
/** Short enough that deaths by single accidents never add up, long enough for a thread to load and die five times on a busy machine. */
export const RESTART_SPAN_MS = 30_000

/**
 * Whether a worker that died is started again. One that dies again and again (its file cannot be loaded, its memory
 * does not suffice) would otherwise be started for ever, and every query would wait or fail without saying why.
 */
export class RestartLimit {
  readonly #deaths = new Map<number, number[]>()

  /** Deaths count as long as nothing gets done in between. */
  forget(): void {
    if (this.#deaths.size > 0) this.#deaths.clear()
  }

  /** Notes a death of the worker in `slot`, at `now` (monotonic); false: it has died too often. */
  allows(slot: number, now: number): boolean {
    const recent = (this.#deaths.get(slot) ?? []).filter((at) => now - at < RESTART_SPAN_MS)
    recent.push(now)
    this.#deaths.set(slot, recent)
    return recent.length < DEATHS_MAX
  }
}
