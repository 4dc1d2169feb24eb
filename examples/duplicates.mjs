// A producer that tries again sends some payments twice: each is taken once, and what is long over is forgotten.
import { Millrace, sum, t, window } from 'millrace'

const mill = await Millrace.open()
const Payment = t.struct({ paymentId: t.string, shop: t.string, at: t.timestamp, amount: t.double })
await mill.topics.create('payments', { schema: Payment })

const noon = Date.UTC(2026, 0, 1, 12)
const second = 1000
const once = mill.readStream
  .topic('payments', Payment)
  .withWatermark('at', '1 minute')
  .dropDuplicatesWithinWatermark('paymentId')
const query = await once
  .groupBy(window('at', '1 minute'), 'shop')
  .agg({ total: sum('amount') })
  .writeStream.format('console')
  .trigger({ continuous: '100 milliseconds' })
  .start()

const producer = mill.producer()
const paid = (paymentId, shop, at, amount) => ({
  key: paymentId,
  value: { paymentId, shop, at: noon + at * second, amount },
})
await producer.send({ topic: 'payments', messages: [paid('p1', 'books', 1, 10), paid('p2', 'hats', 2, 25)] })
// The acknowledgement got lost on the way: the same payments again, with the time of the second attempt.
await producer.send({ topic: 'payments', messages: [paid('p1', 'books', 3, 10), paid('p2', 'hats', 4, 25)] })
await producer.send({ topic: 'payments', messages: [paid('p3', 'books', 70, 7)] })
await query.processAllAvailable()
await query.drain()

// Of what is stored the same rows are the first, so a batch gives the same totals.
const stored = mill.read.topic('payments', Payment)
await stored
  .dropDuplicates('paymentId')
  .groupBy('shop')
  .agg({ total: sum('amount') })
  .orderBy('shop')
  .show()
await mill.close()
