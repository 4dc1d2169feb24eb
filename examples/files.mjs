// Clicks, as they come, into JSON files by day; and the files of a folder as a table and as a stream.
import { readdirSync } from 'node:fs'
import { count, Millrace, t } from 'millrace'

const dir = './millrace-files'
const Click = t.struct({ page: t.string, day: t.date })
const mill = await Millrace.open({ dir: `${dir}/data` })
if (!mill.topics.list().some(({ name }) => name === 'clicks'))
  await mill.topics.create('clicks', { partitions: 2, schema: Click })

// Exactly once, whatever happens to this process: run it again and again, or kill it in between.
const writing = await mill.readStream
  .option('startingOffsets', 'earliest')
  .topic('clicks')
  .writeStream.queryName('to-files')
  .format('json')
  .partitionBy('day')
  .trigger({ continuous: '10 ms' })
  .start(`${dir}/clicks`)

const producer = mill.producer()
for (let i = 0; i < 1000; i++) {
  producer.write('clicks', { value: { page: `/${i % 3}`, day: i % 2 === 0 ? '2026-02-27' : '2026-02-28' } })
}
await producer.flush()
await writing.processAllAvailable()
console.log(readdirSync(`${dir}/clicks`, { recursive: true }).filter((name) => /part-[^/]*$/.test(name)))

const clicks = mill.read.schema(Click).json(`${dir}/clicks`)
await clicks.groupBy('day', 'page').agg({ clicks: count() }).orderBy('day', 'page').show()
await mill.close()
