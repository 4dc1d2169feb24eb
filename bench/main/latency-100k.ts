import type { Bench } from '../lib/line.js'
import { runningCount } from '../lib/running-count.js'

/** Continuous mode at 100 000 records a second. */
const bench: Bench = {
  name: 'latency-100k',
  suite: 'latency',
  run: ({ quick }) => runningCount({ rate: 100_000, p50: 0.5, p99: 5 }, quick ? 3 : 20),
}

export default bench
