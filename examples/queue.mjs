// Three workers take jobs out of one partition as out of a queue; a job that fails comes again, and becomes a dead letter when it has failed too often.
//   node queue.mjs
import { Millrace } from 'millrace'

const mill = await Millrace.open()
await mill.topics.create('jobs')
await mill.topics.create('dlq.jobs', { config: { 'errors.deadletterqueue.group.enable': 'true' } })
await mill.groups.alter('workers', {
  'share.auto.offset.reset': 'earliest',
  'share.delivery.count.limit': 3,
  'errors.deadletterqueue.topic.name': 'dlq.jobs',
  'errors.deadletterqueue.copy.record.enable': true,
})
await mill.producer().send({
  topic: 'jobs',
  messages: Array.from({ length: 30 }, (_, i) => ({ value: i === 13 ? 'broken job' : `job ${i}` })),
})

const done = new Map()
let tries = 0
const workers = await Promise.all(
  ['ada', 'ben', 'cleo'].map(async (clientId) => {
    const worker = mill.shareConsumer({ groupId: 'workers', clientId })
    worker.on('failed', ({ message, deliveryCount }) => {
      tries = deliveryCount
      console.log(`${clientId} failed at ${message.value}, delivery ${deliveryCount}`)
    })
    await worker.subscribe({ topics: ['jobs'] })
    await worker.run({
      eachMessage: async ({ message }) => {
        const job = message.value.toString()
        await new Promise((resolve) => setTimeout(resolve, 2))
        if (job === 'broken job') throw new Error('it cannot be done')
        done.set(job, clientId)
      },
    })
    return worker
  }),
)

// The queue's consumers are done when nothing is left that is not done with.
const deadLetters = mill.consumer()
await deadLetters.subscribe({ topics: ['dlq.jobs'], fromBeginning: true })
let letter
for await (const message of deadLetters) {
  letter = message
  break
}
while ((await mill.groups.describe('workers')).lag > 0) await new Promise((resolve) => setImmediate(resolve))
await Promise.all(workers.map((worker) => worker.disconnect()))

for (const worker of new Set(done.values())) {
  console.log(`${worker} did ${[...done.values()].filter((by) => by === worker).length} jobs`)
}
const { value, headers } = letter
console.log(`dead letter: ${value}, offset ${headers['__dlq.errors.offset']}: ${headers['__dlq.errors.message']}`)
if (done.size !== 29 || tries !== 3 || value.toString() !== 'broken job') process.exitCode = 1
await mill.close()
