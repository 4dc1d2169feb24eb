// Two streams joined in time: every impression with its click, or alone once no click can come any more.
import { expr, Millrace, t } from 'millrace'

const mill = await Millrace.open()
await mill.topics.create('impressions', { schema: t.struct({ adId: t.string, shownAt: t.timestamp }) })
await mill.topics.create('clicks', { schema: t.struct({ adId: t.string, clickedAt: t.timestamp, price: t.double }) })

const noon = Date.UTC(2026, 0, 1, 12)
const minute = 60_000
const impressions = mill.readStream.topic('impressions').withWatermark('shownAt', '1 minute').as('i')
const clicks = mill.readStream.topic('clicks').withWatermark('clickedAt', '1 minute').as('c')
const query = await impressions
  .join(clicks, expr('i.adId = c.adId and c.clickedAt between i.shownAt and i.shownAt + interval 1 hour'), 'left')
  .select('i.adId', 'shownAt', 'clickedAt', 'price')
  .writeStream.format('console')
  .trigger({ continuous: '100 milliseconds' })
  .start()

const producer = mill.producer()
const shown = (adId, at) => ({ value: { adId, shownAt: noon + at * minute } })
const clicked = (adId, at, price) => ({ value: { adId, clickedAt: noon + at * minute, price } })
await producer.send({ topic: 'impressions', messages: [shown('shoes', 0), shown('hats', 5), shown('books', 10)] })
await producer.send({ topic: 'clicks', messages: [clicked('shoes', 20, 1.5), clicked('books', 90, 2)] })
await query.processAllAvailable()

// Time has gone on, on both sides: nobody can click on the first three any more.
await producer.send({ topic: 'impressions', messages: [shown('gloves', 180)] })
await producer.send({ topic: 'clicks', messages: [clicked('gloves', 181, 3)] })
await query.processAllAvailable()

await query.drain()
await mill.close()
