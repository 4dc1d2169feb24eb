/**
 * Open-loop load: record i is due at start + i / rate, whatever the system under test does. A stall does not
 * stop the clock; what fell due meanwhile is sent late and its latency counts from when it was due, so
 * that the stall shows in every record that it delayed (no coordinated omission).
 */
export interface Pace {
  /** Records per second. */
  readonly rate: number
  readonly seconds: number
  /** Smallest number of records in a send; 1 sends whatever is due at once. */
  readonly batch?: number
  /**
   * `spin`: looks again in every turn of the event loop, which costs a core and has no timer's grain.
   * `timer`: setTimeout, a grain of a millisecond, leaves the loop idle in between.
   */
  readonly wait: 'spin' | 'timer'
}

/** Calls `send(from, to)` with the records [from, to) that are due. `intended(i)` is on the clock of `performance.now()`. */
export async function pace(
  options: Pace,
  send: (from: number, to: number, intended: (index: number) => number) => void,
): Promise<{ readonly sent: number; readonly latestStartMs: number }> {
  const total = Math.floor(options.rate * options.seconds)
  const batch = options.batch ?? 1
  const interval = 1000 / options.rate
  const start = performance.now() + 5
  const intended = (index: number): number => start + index * interval
  let sent = 0
  let latestStartMs = 0
  await new Promise<void>((resolve, reject) => {
    const turn = (): void => {
      try {
        const now = performance.now()
        let due = Math.min(total, Math.floor((now - start) / interval) + 1)
        if (due < total) due -= (due - sent) % batch
        if (due > sent) {
          latestStartMs = Math.max(latestStartMs, now - intended(due - 1))
          send(sent, due, intended)
          sent = due
        }
        if (sent >= total) resolve()
        else if (options.wait === 'spin') setImmediate(turn)
        else setTimeout(turn, Math.max(0, intended(sent + batch - 1) - performance.now()))
      } catch (error) {
        reject(error)
      }
    }
    turn()
  })
  return { sent, latestStartMs }
}
