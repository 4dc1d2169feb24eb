// Feeds a durable topic and runs a windowed count over it, until it is killed; with DRAIN it feeds no more and runs to the
// end. What foreachBatch is given is appended to a file, an epoch a line; an epoch that is delivered again is a second line.
//   node query-child.mjs DIR OUTPUT MODE run|drain [WORKERS]
import { appendFileSync } from 'node:fs'
import { col, count, Millrace, sum, window } from '../../dist/index.js'

const [dir, output, mode, drain, workers = '2'] = process.argv.slice(2)
const mill = await Millrace.open({ dir, workers: Number(workers) })
const query = await mill.readStream
  .option('startingOffsets', 'earliest')
  .option('maxOffsetsPerTrigger', '700')
  .topic('events')
  .withWatermark('at', '2 seconds')
  .groupBy(window('at', '1 second'), col('user'))
  .agg({ n: count(), total: sum('value') })
  .writeStream.queryName('crashing')
  .outputMode('append')
  .option('idleTimeout', 'off')
  .foreachBatch(async (rows, epoch) => {
    appendFileSync(output, `${JSON.stringify({ epoch, rows: await rows.collect() })}\n`)
    process.stdout.write(`epoch ${epoch}\n`)
  })
  .trigger(mode === 'continuous' ? { continuous: '5 ms' } : { processingTime: '1 ms' })
  .start()
process.stdout.write('ready\n')
if (drain === 'drain') {
  await query.drain()
} else {
  const producer = mill.producer()
  const { partitionStates } = await mill.topics.describe('events')
  let n = partitionStates.reduce((sum, partition) => sum + partition.logEndOffset, 0)
  for (;;) {
    const messages = []
    for (let i = 0; i < 20; i++, n++) {
      messages.push({ key: `k${n % 23}`, value: { user: `u${n % 7}`, at: 1_700_000_000_000 + n * 7, value: n % 100 } })
    }
    await producer.send({ topic: 'events', messages })
  }
}
await mill.close()
