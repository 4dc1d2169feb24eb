// A stream joined with rows that end: every click gets the name and the team of its user, as it comes.
import { col, Millrace, t } from 'millrace'

const mill = await Millrace.open()
await mill.topics.create('clicks', { schema: t.struct({ userId: t.string, page: t.string }) })

const users = mill.createDataFrame(
  [
    { userId: 'ann', team: 'blue' },
    { userId: 'bob', team: 'red' },
  ],
  t.struct({ userId: t.string, team: t.string }),
)
const query = await mill.readStream
  .topic('clicks')
  .join(users, 'userId', 'left')
  .groupBy(col('team'))
  .count()
  .writeStream.outputMode('complete')
  .format('console')
  .trigger({ continuous: '100 milliseconds' })
  .start()

const producer = mill.producer()
const click = (userId, page) => ({ key: userId, value: { userId, page } })
await producer.send({
  topic: 'clicks',
  messages: [click('ann', '/'), click('bob', '/'), click('zoe', '/'), click('ann', '/shoes')],
})

await query.drain()
await mill.close()
