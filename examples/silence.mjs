// Users who have been silent for a minute of event time, by a timer of each. Ends by itself.
//   node silence.mjs
import { isMainThread } from 'node:worker_threads'
import { fromModule, Millrace, t } from 'millrace'

/** The workers import this module too, for the processor alone: what follows below runs where the program was started. */
export class Silence {
  init(handle) {
    this.last = handle.getValueState('last', t.timestamp)
  }

  handleInputRows(_key, rows, timers) {
    const before = this.last.get()
    if (before !== null) timers.deleteTimer(before + 60_000)
    const last = rows[rows.length - 1].ts
    this.last.update(last)
    timers.registerTimer(last + 60_000)
  }

  handleExpiredTimer(key, _timers, info) {
    const since = this.last.get()
    this.last.clear()
    return [{ user: key.user, since, noticed: info.getExpiryTimeInMs() }]
  }
}

async function main() {
  const mill = await Millrace.open()
  const Click = t.struct({ user: t.string, ts: t.timestamp })
  const Silent = t.struct({ user: t.string, since: t.timestamp, noticed: t.timestamp })
  await mill.topics.create('clicks', { partitions: 4, schema: Click })

  const query = await mill.readStream
    .option('startingOffsets', 'earliest')
    .topic('clicks')
    .withWatermark('ts', '10 seconds')
    .groupBy('user')
    .transformWithState(fromModule(import.meta.url, 'Silence'), { outputSchema: Silent, timeMode: 'event' })
    .writeStream.format('console')
    .option('idleTimeout', '100 milliseconds')
    .start()

  const producer = mill.producer()
  const click = (user, second) => ({ key: user, value: { user, ts: second * 1000 } })
  await producer.send({
    topic: 'clicks',
    messages: [click('ann', 0), click('bob', 5), click('ann', 50), click('bob', 90)],
  })
  await producer.send({ topic: 'clicks', messages: [click('ann', 100), click('bob', 200)] })
  await query.processAllAvailable()
  // The input is over: whoever is silent now is silent for good.
  await query.drain()
  await mill.close()
}

if (isMainThread) await main()
