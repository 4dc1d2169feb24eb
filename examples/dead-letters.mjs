// Records that fail become dead letters, and the others go on. Run it with: node dead-letters.mjs
import { expr, Millrace } from 'millrace'

const mill = await Millrace.open()
await mill.topics.create('readings', { partitions: 2 })
await mill.topics.create('celsius')
await mill.producer().send({
  topic: 'readings',
  messages: ['21.5', '19', 'sensor broken', '23.25', ''].map((value, i) => ({ key: `sensor-${i}`, value })),
})

const query = await mill.readStream
  .format('log')
  .option('subscribe', 'readings')
  .option('startingOffsets', 'earliest')
  .load()
  .select('key', expr('cast(cast(value as string) as double)').alias('celsius'))
  .select('key', expr('cast(celsius as string)').alias('value'))
  .writeStream.queryName('to-celsius')
  .format('log')
  .option('topic', 'celsius')
  .trigger({ availableNow: true })
  .onError({ then: 'dead-letter', stopAbove: '50%' })
  .start()
await query.awaitTermination()
console.log(query.lastProgress.failures)

await mill.read
  .format('log')
  .option('subscribe', 'celsius')
  .load()
  .select(expr('cast(value as string)').alias('celsius'))
  .show()

const letters = mill.consumer({ groupId: 'look', isolationLevel: 'read_committed' })
await letters.subscribe({ topics: ['readings.dlq'], fromBeginning: true })
await new Promise((resolve) => {
  let seen = 0
  letters.run({
    eachMessage: async ({ message: { key, value, headers } }) => {
      console.log(
        `${key}: '${value}' at ${headers['__dlq.errors.partition']}/${headers['__dlq.errors.offset']}: ${headers['__dlq.errors.message']}`,
      )
      seen += 1
      if (seen === 2) resolve()
    },
  })
})
await mill.close()
