// Feeds a durable topic and writes it into files by a query, until it is killed; with `drain` it feeds no more and writes the rest. What is seen
// in the folder must be each record once.
//   node file-sink-child.mjs DIR MODE run|drain
import { Millrace } from '../../dist/index.js'

const [dir, mode, drain] = process.argv.slice(2)
const mill = await Millrace.open({ dir, workers: 2 })
const query = await mill.readStream
  .option('startingOffsets', 'earliest')
  .option('maxOffsetsPerTrigger', '50')
  .topic('in')
  .writeStream.queryName('writing')
  .format('json')
  .partitionBy('m')
  .options({ path: `${dir}/out`, rollAge: '150 ms' })
  .trigger(mode === 'continuous' ? { continuous: '2 ms' } : { processingTime: '1 ms' })
  .start()
process.stdout.write('ready\n')
if (drain === 'drain') await query.drain()
else {
  const producer = mill.producer()
  const { partitionStates } = await mill.topics.describe('in')
  let n = partitionStates.reduce((sum, partition) => sum + partition.logEndOffset, 0)
  for (;;) {
    const messages = []
    for (let i = 0; i < 10; i++, n++) messages.push({ value: { n, m: n % 3 } })
    await producer.send({ topic: 'in', messages })
    process.stdout.write(`sent ${n}\n`)
  }
}
await mill.close()
