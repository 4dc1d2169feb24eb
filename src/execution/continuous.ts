import { hasDataBehind, type ModeControl } from './mode-control.js'

/** How often a source that rings no bell is looked at. */
const POLL_MS = 100

/**
 * Continuous: the tasks read whatever comes; at each interval in which something came they are asked for a barrier, and
 * where they were when they sent it is the end of the epoch. So they are when a timer expires.
 */
export async function runContinuously(control: ModeControl, mode: { readonly intervalMs: number }): Promise<void> {
  const { env, source } = control
  control.runOpen()
  let due = env.monotonic() + mode.intervalMs
  for (;;) {
    const wish = control.wish()
    if (wish !== 'none') {
      source.refresh()
      const drain = wish === 'drain'
      await control.runEpoch({ ends: drain ? source.latest() : null, final: drain, open: false })
      return
    }
    const now = env.monotonic()
    const hasData = hasDataBehind(control, source.latest())
    const dueIn = control.dueIn()
    if ((hasData && (now >= due || control.isAwaited())) || dueIn <= 0) {
      due = now + mode.intervalMs
      await control.runEpoch({ ends: null, final: false, open: true })
    } else {
      const quiet = source.rings ? Number.POSITIVE_INFINITY : Math.min(mode.intervalMs, POLL_MS)
      await control.idle(Math.min(dueIn, hasData ? due - now : quiet), hasData)
    }
  }
}
