// Feeds a durable topic and copies it into another one by a query, until it is killed; with `drain` it feeds no more and
// copies the rest. Every record of the one topic must be committed in the other one exactly once.
//   node log-sink-child.mjs DIR MODE run|drain
import { Millrace } from '../../dist/index.js'

const [dir, mode, drain] = process.argv.slice(2)
const mill = await Millrace.open({ dir, workers: 2 })
const copy = mill.readStream.option('startingOffsets', 'earliest').option('maxOffsetsPerTrigger', '50').topic('in')
const query = await copy.writeStream
  .queryName('copying')
  .format('log')
  .option('topic', 'out')
  .outputMode('append')
  .trigger(mode === 'continuous' ? { continuous: '5 ms' } : { processingTime: '1 ms' })
  .start()
process.stdout.write('ready\n')
if (drain === 'drain') {
  await query.drain()
} else {
  const producer = mill.producer({ transactionalId: 'feeder' })
  const { partitionStates } = await mill.topics.describe('in')
  let n = partitionStates.reduce((sum, partition) => sum + partition.logEndOffset, 0) * 100
  for (;;) {
    const tx = await producer.transaction()
    const from = n
    const messages = []
    for (let i = 0; i < 10; i++, n++) messages.push({ key: `k${n % 23}`, value: { n } })
    await tx.send({ topic: 'in', messages })
    if ((from / 10) % 4 === 3) await tx.abort()
    else {
      await tx.commit()
      process.stdout.write(`committed ${from} ${n}\n`)
    }
  }
}
await mill.close()
