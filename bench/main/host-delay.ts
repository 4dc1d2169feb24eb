import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { col, count } from 'millrace'
import { openClicks, TOPIC } from '../lib/click-topic.js'
import { clickBatches } from '../lib/clicks.js'
import { describeHiccups, startHiccupMeter } from '../lib/hiccup-meter.js'
import { pause } from '../lib/idle.js'
import type { Bench } from '../lib/line.js'
import { check } from '../lib/measure.js'
import { pace } from '../lib/pacer.js'

/**
 * What sending costs the host: the delay of its event loop while it sends 100 000 records a second in calls of 1 000
 * into a disk topic and a continuous query runs over them, above the delay of the same loop when idle.
 */
const bench: Bench = {
  name: 'host-delay',
  suite: 'host',
  async run({ quick, directory }) {
    const seconds = quick ? 3 : 15
    const batches = clickBatches({ batches: 20, batchSize: 1000, users: 10_000 })
    const mill = await openClicks({ workers: 1, dir: join(directory, 'data'), fsync: 'interval' })
    const producer = mill.producer()
    let seen = 0
    const query = await mill.readStream
      .topic(TOPIC)
      .filter(col('price').gt(1))
      .groupBy('userId')
      .agg({ clicks: count() })
      .writeStream.outputMode('update')
      .format('noop')
      .trigger({ continuous: '1 second' })
      .start()
    await pause(500)

    const idle = await delays(() => pause(quick ? 1500 : 5000))
    const meter = await startHiccupMeter()
    const pending: Promise<void>[] = []
    let failure: unknown
    const busy = await delays(async () => {
      await pace({ rate: 100_000, seconds, batch: 1000, wait: 'timer' }, (from, to) => {
        for (let i = from; i < to; i += 1000) {
          const messages = batches[(i / 1000) % batches.length] ?? []
          seen += messages.length
          pending.push(
            producer.send({ topic: TOPIC, messages }).then(
              () => {},
              (error: unknown) => {
                failure = error
              },
            ),
          )
        }
      })
    })
    const hiccups = await meter.stop()
    await Promise.all(pending)
    if (failure !== undefined) throw failure
    await query.processAllAvailable()
    await query.stop()
    const stored = await mill.read.topic(TOPIC).count()
    check(stored === seen, `${stored} records of ${seen}`)
    await mill.close()
    return [
      {
        what: 'host event loop while sending 100,000/s, p99 above idle',
        figure: Math.max(0, busy.p99 - idle.p99),
        unit: 'ms',
        required: { atMost: 5 },
        notes: [
          `event loop p99 ${busy.p99.toFixed(2)} max ${busy.max.toFixed(2)} ms, idle p99 ${idle.p99.toFixed(2)} ms`,
          describeHiccups(hiccups),
        ],
      },
    ]
  },
}

async function delays(during: () => Promise<void>): Promise<{ readonly p99: number; readonly max: number }> {
  const monitor = monitorEventLoopDelay({ resolution: 1 })
  monitor.enable()
  await during()
  monitor.disable()
  return { p99: monitor.percentile(99) / 1e6, max: monitor.max / 1e6 }
}

export default bench
