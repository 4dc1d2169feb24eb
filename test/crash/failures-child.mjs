// Feeds a durable topic in which every tenth record is poison, and copies it by a query that makes dead letters of those, until it is killed; with `drain` it
// feeds no more and copies the rest. Every record must be a committed row or a committed dead letter, exactly once.
//   node failures-child.mjs DIR MODE run|drain
import { expr, Millrace, t } from '../../dist/index.js'

const [dir, mode, drain] = process.argv.slice(2)
const mill = await Millrace.open({ dir, workers: 2 })
const copy = mill.readStream.format('log').option('subscribe', 'in').option('startingOffsets', 'earliest')
const records = copy.option('maxOffsetsPerTrigger', '50').load()
// In the continuous mode by a function, whose rows wait for their next attempt through several epochs.
const good =
  mode === 'continuous'
    ? records.map(
        (row) => {
          const value = new TextDecoder().decode(row.value)
          if (value.startsWith('poison')) throw new TypeError(value)
          return { value }
        },
        t.struct({ value: t.string }),
      )
    : records
        .select(expr('cast(cast(value as string) as int)').alias('n'))
        .select(expr('cast(n as string)').alias('value'))
const query = await good.writeStream
  .queryName('copying')
  .format('log')
  .option('topic', 'out')
  .trigger(mode === 'continuous' ? { continuous: '5 ms' } : { processingTime: '1 ms' })
  .onError({ retry: { attempts: 2, backoff: '12 ms' }, then: 'dead-letter' })
  .start()
process.stdout.write('ready\n')
if (drain === 'drain') await query.drain()
else {
  const producer = mill.producer()
  const { partitionStates } = await mill.topics.describe('in')
  let n = partitionStates.reduce((sum, partition) => sum + partition.logEndOffset, 0) * 100
  for (;;) {
    const messages = []
    for (let i = 0; i < 10; i++, n++) messages.push({ key: `k${n}`, value: n % 10 === 3 ? `poison ${n}` : String(n) })
    await producer.send({ topic: 'in', messages })
    process.stdout.write(`sent ${n}\n`)
  }
}
await mill.close()
