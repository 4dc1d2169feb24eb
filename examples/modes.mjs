// One query in three modes over the same topic: the rows are the same.
//   node modes.mjs
import assert from 'node:assert/strict'
import { count, Millrace, sum, t, window } from 'millrace'

const mill = await Millrace.open()
const Click = t.struct({ userId: t.string, page: t.string, ts: t.timestamp, price: t.double })
await mill.topics.create('user-clicks', { partitions: 4, schema: Click })

const start = Date.UTC(2026, 0, 1)
await mill.producer().send({
  topic: 'user-clicks',
  messages: Array.from({ length: 10_000 }, (_, i) => ({
    key: `u${i % 100}`,
    value: { userId: `u${i % 100}`, page: `/page/${i % 7}`, ts: start + i * 60, price: (i % 50) / 2 },
  })),
})

const perPage = (clicks) =>
  clicks
    .withWatermark('ts', '10 seconds')
    .groupBy(window('ts', '1 minute'), 'page')
    .agg({ views: count(), revenue: sum('price') })

// Batch: the input is what is stored, and it ends.
const batch = await perPage(mill.read.topic('user-clicks')).collect()

// Micro-batch and continuous: the same over a stream; drain() treats the input as ended and closes all windows.
async function stream(name, trigger) {
  const query = await perPage(mill.readStream.option('startingOffsets', 'earliest').topic('user-clicks'))
    .writeStream.queryName(name)
    .outputMode('append')
    .format('memory')
    .trigger(trigger)
    .start()
  await query.processAllAvailable()
  await query.drain()
  return mill.table(name).collect()
}
const microBatch = await stream('micro_batch', { processingTime: '100 milliseconds' })
const continuous = await stream('continuous', { continuous: '100 milliseconds' })

const sorted = (rows) =>
  rows.map(({ window, page, views, revenue }) => `${window.start} ${page} ${views} ${revenue}`).sort()
assert.deepEqual(sorted(microBatch), sorted(batch))
assert.deepEqual(sorted(continuous), sorted(batch))
console.log(`${batch.length} rows, the same in batch, micro-batch and continuous mode`)
await mill.table('continuous').orderBy('window', 'page').show(5)
await mill.close()
