// Sends numbered records into a durable topic until it is killed. Every acknowledged send is reported on
// standard output, so that what was promised is known outside of the process that will not live.
//   node ingest-child.mjs DIR FIRST
import { Millrace, t } from '../../dist/index.js'

const [dir, first] = process.argv.slice(2)
const mill = await Millrace.open({ dir, workers: 1, fsync: 'never' })
const Item = t.struct({ n: t.long, text: t.string })
if (!mill.topics.list().some((topic) => topic.name === 'items')) {
  await mill.topics.create('items', { partitions: 3, schema: Item })
}
const producer = mill.producer()
process.stdout.write('ready\n')
let next = Number(first)
for (;;) {
  const from = next
  const messages = []
  for (let i = 0; i < 50; i++, next++) {
    messages.push({ key: `k${next % 11}`, value: { n: next, text: `record ${next}` } })
  }
  await producer.send({ topic: 'items', messages })
  process.stdout.write(`${from} ${next}\n`)
}
