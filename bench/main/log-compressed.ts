import { join } from 'node:path'
import { sequentialWrite } from '../lib/disk-limit.js'
import type { Bench, Line } from '../lib/line.js'
import { LOG_TOPIC, logMessages, openLog, recordBytes } from '../lib/log-shapes.js'
import { check, median } from '../lib/measure.js'

/** One producer with sends of 10 000 records of 1 KiB that compress to about half, with each codec, until the system has all of it. */
const bench: Bench = {
  name: 'log-compressed',
  suite: 'log',
  async run({ quick, directory }) {
    const messages = logMessages(10_000, 1024)
    const bytes = messages.reduce((sum, message) => sum + recordBytes(message), 0) / messages.length
    const records = quick ? 20_000 : 200_000
    const lines: Line[] = []
    for (const compression of ['none', 'gzip', 'snappy', 'lz4'] as const) {
      const figures: number[] = []
      const limits: number[] = []
      for (let run = -1; run < (quick ? 1 : 3); run++) {
        const mill = await openLog(1, { dir: join(directory, `${compression}${run}`), fsync: 'interval' })
        const producer = mill.producer({ compression })
        const start = performance.now()
        for (let sent = 0; sent < records; sent += messages.length) await producer.send({ topic: LOG_TOPIC, messages })
        const seconds = (performance.now() - start) / 1000
        const stored = await mill.read.format('log').option('subscribe', LOG_TOPIC).load().count()
        check(stored === records, `${stored} records of ${records}`)
        await mill.close()
        if (run < 0) continue
        figures.push(records / seconds)
        limits.push(sequentialWrite(directory, Math.ceil((records * bytes) / (1 << 20))) / bytes)
      }
      lines.push({
        what: `produce 1 KiB with ${compression}, fsync 'interval'`,
        figure: median(figures),
        spread: { min: Math.min(...figures), max: Math.max(...figures) },
        unit: 'records/s',
        limit: { what: 'sequential write, not compressed', value: median(limits) },
      })
    }
    return lines
  },
}

export default bench
