import { join } from 'node:path'
import { BareIngest } from '../lib/bare-ingest.js'
import { ingest, openClicks, PARTITIONS, TOPIC } from '../lib/click-topic.js'
import { clickBatches } from '../lib/clicks.js'
import { appendAndSync, sequentialWrite } from '../lib/disk-limit.js'
import type { Bench } from '../lib/line.js'
import { check, median } from '../lib/measure.js'

/** The same into a disk topic with `fsync: 'interval'`: acknowledged means handed to the operating system. */
const bench: Bench = {
  name: 'ingest-disk',
  suite: 'ingest',
  async run({ quick, directory }) {
    const batches = clickBatches({ batches: 8, batchSize: 10_000, users: 10_000 })
    const kernel = new BareIngest(PARTITIONS)
    for (const batch of batches) kernel.send(batch, Date.now())
    const bytesPerRecord = kernel.bytes / (batches.length * 10_000)

    const rounds = quick ? 12 : 40
    const repeats = quick ? 3 : 5
    const records = rounds * batches.length * 10_000
    const sending: number[] = []
    const writes: number[] = []
    const cpu = process.cpuUsage()
    for (let i = 0; i <= repeats; i++) {
      writes.push(sequentialWrite(directory, Math.ceil((records * bytesPerRecord) / (1 << 20))))
      const dir = join(directory, `run-${i}`)
      const mill = await openClicks({ workers: 1, dir, fsync: 'interval' })
      const start = performance.now()
      await ingest(mill, batches, rounds)
      if (i > 0) sending.push(performance.now() - start)
      if (i === 0) {
        const count = await mill.read.topic(TOPIC).count()
        check(count === records, `${count} rows of ${records}`)
      }
      await mill.close()
    }
    const used = process.cpuUsage(cpu)
    const write = median(writes)
    const rate = (ms: number): number => (records * 1000) / ms
    return [
      {
        what: "typed ingest, disk topic, fsync 'interval'",
        figure: rate(median(sending)),
        spread: { min: rate(Math.max(...sending)), max: rate(Math.min(...sending)) },
        unit: 'records/s',
        limit: { what: 'sequential write', value: write / bytesPerRecord },
        required: { atLeast: 2e6, ofLimit: 0.6, either: true },
        notes: [
          `sequential write ${(write / 1e6).toFixed(0)} MB/s; append of 4 KiB and fdatasync p50 ${appendAndSync(directory, 100).toFixed(2)} ms`,
          `${((used.user + used.system) / 1e6).toFixed(1)} CPU s in all`,
        ],
      },
    ]
  },
}

export default bench
