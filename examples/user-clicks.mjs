// A topic, a producer, and a query that prints what arrives. Ends by itself after the first rows.
//   node user-clicks.mjs
import { Millrace, t } from 'millrace'

const mill = await Millrace.open()
const Click = t.struct({ userId: t.string, page: t.string, ts: t.timestamp, price: t.double.nullable() })
await mill.topics.create('user-clicks', { partitions: 8, schema: Click })

const clicks = mill.readStream
  .format('log')
  .option('subscribe', 'user-clicks')
  .option('startingOffsets', 'earliest')
  .load()
const query = await clicks.writeStream.format('console').start()

const producer = mill.producer()
await producer.send({
  topic: 'user-clicks',
  messages: [
    { key: 'u1', value: { userId: 'u1', page: '/a', ts: Date.now(), price: 9.5 } },
    { key: 'u2', value: { userId: 'u2', page: '/b', ts: Date.now(), price: null } },
  ],
})
await query.processAllAvailable()
await mill.close()
