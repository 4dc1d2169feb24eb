import { join } from 'node:path'
import { appendAndSync } from '../lib/disk-limit.js'
import type { Bench, Line } from '../lib/line.js'
import { logLatency } from '../lib/log-latency.js'
import { logMessages } from '../lib/log-shapes.js'

/** A sync for each batch: no disk does ten thousand a second. */
const rateOf = (fsync: string): number => (fsync === 'always' ? 500 : 10_000)

/** Publish and end to end of records of 100 B, in memory and in each fsync mode, on one partition and on sixteen. */
const bench: Bench = {
  name: 'log-latency',
  suite: 'log',
  async run({ quick, directory, log }) {
    const messages = logMessages(1000, 100)
    const seconds = quick ? 2 : 15
    const lines: Line[] = []
    for (const partitions of quick ? [1] : [1, 16]) {
      for (const fsync of ['memory', 'never', 'interval', 'group', 'always'] as const) {
        const name = `${rateOf(fsync).toLocaleString('en')}/s of 100 B, ${partitions} partition${partitions === 1 ? '' : 's'}, ${fsync === 'memory' ? 'memory' : `fsync '${fsync}'`}`
        lines.push(
          ...(await logLatency({
            name,
            dir: fsync === 'memory' ? undefined : join(directory, `${fsync}-${partitions}`),
            fsync: fsync === 'memory' ? 'never' : fsync,
            partitions,
            messages,
            rate: rateOf(fsync),
            seconds,
          })),
        )
      }
    }
    log(`append of 4 KiB and fdatasync p50 ${appendAndSync(directory, 200).toFixed(3)} ms`)
    return lines
  },
}

export default bench
