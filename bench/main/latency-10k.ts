import type { Bench } from '../lib/line.js'
import { runningCount } from '../lib/running-count.js'

/** Continuous mode at 10 000 records a second. */
const bench: Bench = {
  name: 'latency-10k',
  suite: 'latency',
  run: ({ quick }) => runningCount({ rate: 10_000, p50: 0.2, p99: 2 }, quick ? 3 : 20),
}

export default bench
