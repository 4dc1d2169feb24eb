import type { ModeControl } from './mode-control.js'

/** Batch: one epoch, whose end is fixed at the start; the input ends, so every window closes. */
export async function runBatch(control: ModeControl): Promise<void> {
  await control.runEpoch({ ends: control.target(), final: true, open: false })
}
