import { hasDataBehind, type ModeControl } from './mode-control.js'

/** How often a source that rings no bell is looked at. */
const POLL_MS = 10

export interface MicroBatchMode {
  /** 0: the next batch begins as soon as there is data. */
  readonly intervalMs: number
  /** Ends when everything that was there at the start is processed (availableNow). */
  readonly stopWhenCaughtUp?: boolean
}

/**
 * Micro-batch: at each tick the end offsets are fixed, written down, and read up to. Ticks stay on the grid of the start; a
 * batch that overran its tick is followed by the next at once; without data there is no batch, unless a timer expires.
 */
export async function runMicroBatches(control: ModeControl, mode: MicroBatchMode): Promise<void> {
  const { env, source } = control
  const { intervalMs } = mode
  const target = mode.stopWhenCaughtUp === true ? control.target() : undefined
  const polled = source.rings ? Number.POSITIVE_INFINITY : Math.max(POLL_MS, intervalMs)
  let due = env.monotonic()
  for (;;) {
    if (control.wish() === 'stop') return
    if (control.wish() === 'drain') {
      source.refresh()
      await control.runEpoch({ ends: source.latest(), final: true, open: false })
      return
    }
    const next = source.nextEnds(control.offsets())
    const ends = target === undefined ? next : next.map((end, i) => Math.min(end, target[i] as number))
    const hasData = hasDataBehind(control, ends)
    const timeMoved = control.hasTimeMoved()
    if (!hasData && !timeMoved && target !== undefined) return
    const dueIn = control.dueIn()
    const now = env.monotonic()
    if ((timeMoved || dueIn <= 0) && !hasData) {
      await control.runEpoch({ ends: control.offsets(), final: false, open: false })
    } else if (hasData && (intervalMs === 0 || now >= due || target !== undefined || control.isAwaited())) {
      if (intervalMs > 0) due += Math.max(1, Math.floor((now - due) / intervalMs) + 1) * intervalMs
      await control.runEpoch({ ends, final: false, open: false })
    } else {
      await control.idle(hasData ? due - now : Math.min(polled, dueIn), hasData)
    }
  }
}
