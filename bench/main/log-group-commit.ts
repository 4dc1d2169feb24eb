import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { appendAndSync } from '../lib/disk-limit.js'
import { LatencyHistogram } from '../lib/latency-histogram.js'
import type { Bench } from '../lib/line.js'
import { LOG_TOPIC, logMessages, openLog } from '../lib/log-shapes.js'
import { check, median } from '../lib/measure.js'

const CALLERS = 64

/**
 * Callers that each send one record, wait until it is on the disk, and send the next, with `fsync: 'group'`. Beside it
 * the same number of records written and synced by a bare loop, in groups as large as there are callers.
 */
const bench: Bench = {
  name: 'log-group-commit',
  suite: 'log',
  async run({ quick, directory }) {
    const sends = quick ? 40_000 : 400_000
    const repeats = quick ? 3 : 5
    const messages = logMessages(1000, 100)
    const figures: number[] = []
    const limits: number[] = []
    const times = new LatencyHistogram()
    for (let run = -1; run < repeats; run++) {
      const mill = await openLog(1, { dir: join(directory, `run-${run}`), fsync: 'group' })
      const producer = mill.producer()
      let next = 0
      const caller = async (): Promise<void> => {
        while (next < sends) {
          const i = next++
          const start = performance.now()
          await producer.send({ topic: LOG_TOPIC, messages: [messages[i % 1000] as (typeof messages)[number]] })
          if (run >= 0) times.record(performance.now() - start)
        }
      }
      const start = performance.now()
      await Promise.all(Array.from({ length: CALLERS }, caller))
      const seconds = (performance.now() - start) / 1000
      const stored = await mill.read.format('log').option('subscribe', LOG_TOPIC).load().count()
      check(stored === sends, `${stored} records of ${sends}`)
      await mill.close()
      if (run < 0) continue
      figures.push(sends / seconds)
      limits.push(bareGroups(directory, Math.ceil(sends / CALLERS)) * CALLERS)
    }
    return [
      {
        what: `durable sends of one record, ${CALLERS} callers waiting, fsync 'group'`,
        figure: median(figures),
        spread: { min: Math.min(...figures), max: Math.max(...figures) },
        unit: 'records/s',
        limit: { what: `write of ${CALLERS} records and fdatasync`, value: median(limits) },
        required: { atLeast: 50_000 },
        notes: [
          `a send: ${times.toString()}`,
          `append of 4 KiB and fdatasync p50 ${appendAndSync(directory, 100).toFixed(3)} ms`,
        ],
      },
    ]
  },
}

export default bench

/** Groups a second of a loop that writes a group and waits for it to be on the disk. */
function bareGroups(directory: string, groups: number): number {
  const path = join(directory, 'bare-groups')
  const group = Buffer.alloc(CALLERS * 118 + 61, 7)
  const fd = openSync(path, 'w')
  try {
    const start = performance.now()
    for (let i = 0; i < groups; i++) {
      writeSync(fd, group, 0, group.length, i * group.length)
      fdatasyncSync(fd)
    }
    return (groups * 1000) / (performance.now() - start)
  } finally {
    closeSync(fd)
    rmSync(path)
  }
}
