/**
 * Latencies in buckets of a fixed number, so that measuring allocates nothing: a growing list of samples
 * costs collections of 30 ms, which would then be what it measures. Buckets grow by an eighth of a power
 * of two at most 1/64 wide, so a percentile is right to 1.6 %; the greatest value is exact.
 *
 *   // bucket = octave of the microseconds * 64 + the six bits behind the leading one
 */
const SUB_BUCKETS = 64
const SUB_BITS = 6
const OCTAVES = 40

export class LatencyHistogram {
  readonly #counts = new Float64Array(OCTAVES * SUB_BUCKETS)
  #count = 0
  #maxMs = 0

  get count(): number {
    return this.#count
  }

  /** 0 where nothing was recorded. */
  get maxMs(): number {
    return this.#maxMs
  }

  record(ms: number): void {
    const value = Math.max(ms, 0)
    this.#count += 1
    if (value > this.#maxMs) this.#maxMs = value
    const index = bucketOf(value * 1000)
    this.#counts[index] = (this.#counts[index] as number) + 1
  }

  /** The latency that `percent` of all values do not exceed; NaN where there is none. */
  percentileMs(percent: number): number {
    if (this.#count === 0) return Number.NaN
    const rank = Math.max(1, Math.ceil((percent / 100) * this.#count))
    let seen = 0
    for (let i = 0; i < this.#counts.length; i += 1) {
      seen += this.#counts[i] as number
      if (seen >= rank) return Math.min(upperMicros(i) / 1000, this.#maxMs)
    }
    return this.#maxMs
  }
}

function bucketOf(micros: number): number {
  if (micros < SUB_BUCKETS) return Math.floor(micros)
  const octave = Math.floor(Math.log2(micros)) - SUB_BITS + 1
  if (octave >= OCTAVES) return OCTAVES * SUB_BUCKETS - 1
  return octave * SUB_BUCKETS + Math.floor(micros / 2 ** (octave - 1)) - SUB_BUCKETS
}

/** The end of a bucket. */
function upperMicros(index: number): number {
  if (index < SUB_BUCKETS) return index + 1
  const octave = Math.floor(index / SUB_BUCKETS)
  return (SUB_BUCKETS + (index % SUB_BUCKETS) + 1) * 2 ** (octave - 1)
}
