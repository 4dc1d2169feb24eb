import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

/**
 * Latencies in fixed memory (a growing array of samples would itself cause the collections that it then
 * measures). Buckets of three significant figures, in microseconds.
 */
export class LatencyHistogram {
  readonly #histogram: RecordableHistogram = createHistogram({ lowest: 1, highest: 600_000_000, figures: 3 })

  record(ms: number): void {
    const micros = Math.round(ms * 1000)
    this.#histogram.record(Math.min(600_000_000, Math.max(1, micros)))
  }

  get count(): number {
    return this.#histogram.count
  }

  /** Milliseconds; 50, 99, 99.9 … */
  percentile(p: number): number {
    return this.#histogram.percentile(p) / 1000
  }

  get max(): number {
    return this.#histogram.max / 1000
  }

  toString(): string {
    const at = (p: number): string => this.percentile(p).toFixed(3)
    return `p50 ${at(50)} p99 ${at(99)} p99.9 ${at(99.9)} max ${this.max.toFixed(3)} ms of ${this.count}`
  }
}
