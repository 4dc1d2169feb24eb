import { join } from 'node:path'
import { count } from 'millrace'
import { openClicks, TOPIC } from '../lib/click-topic.js'
import { clickBatches } from '../lib/clicks.js'
import { appendAndSync } from '../lib/disk-limit.js'
import { LatencyHistogram } from '../lib/latency-histogram.js'
import type { Bench } from '../lib/line.js'
import { check } from '../lib/measure.js'

/** One trigger of a micro-batch query with a little data, everything on disk: from the acknowledged send to the committed epoch. */
const bench: Bench = {
  name: 'latency-micro-batch',
  suite: 'latency',
  async run({ quick, directory }) {
    const mill = await openClicks({ workers: 1, dir: join(directory, 'data') })
    const [messages = []] = clickBatches({ batches: 1, batchSize: 10, users: 10 })
    const producer = mill.producer()
    let rows = 0
    const query = await mill.readStream
      .topic(TOPIC)
      .groupBy('userId')
      .agg({ clicks: count() })
      .writeStream.outputMode('update')
      .option('checkpointLocation', join(directory, 'checkpoint'))
      .trigger({ processingTime: '0 seconds' })
      .foreachBatch(async (batch) => {
        rows += (await batch.collect()).length
      })
      .start()
    const triggers = new LatencyHistogram()
    const repeats = quick ? 60 : 400
    for (let i = -10; i < repeats; i++) {
      await producer.send({ topic: TOPIC, messages })
      const start = performance.now()
      await query.processAllAvailable()
      if (i >= 0) triggers.record(performance.now() - start)
    }
    await query.stop()
    await mill.close()
    const keys = new Set(messages.map((message) => message.key)).size
    check(rows >= keys, `${rows} rows for ${keys} keys`)
    return [
      {
        what: 'micro-batch, one trigger, checkpoint on disk, p50',
        figure: triggers.percentile(50),
        unit: 'ms',
        limit: { what: 'append of 4 KiB and fdatasync', value: appendAndSync(directory, 100) },
        required: { atMost: 10 },
        notes: [triggers.toString()],
      },
    ]
  },
}

export default bench
