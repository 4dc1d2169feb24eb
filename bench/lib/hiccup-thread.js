import { createHistogram } from 'node:perf_hooks'
import { parentPort, workerData } from 'node:worker_threads'

/** Thread of hiccup-meter.ts: sleeps a millisecond at a time and records by how much it was woken too late. */
const stop = new Int32Array(workerData.stop)
const late = createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 })

function meter() {
  while (Atomics.load(stop, 0) === 0) {
    const start = performance.now()
    Atomics.wait(stop, 0, 0, 1)
    const micros = Math.round((performance.now() - start - 1) * 1000)
    late.record(Math.min(60_000_000, Math.max(1, micros)))
  }
}

parentPort.postMessage('ready')
meter()
parentPort.postMessage({
  p50: late.percentile(50) / 1000,
  p99: late.percentile(99) / 1000,
  p999: late.percentile(99.9) / 1000,
  max: late.max / 1000,
})
