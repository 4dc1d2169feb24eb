// Two consumers of one group share a topic; one leaves, the other takes over behind what was committed.
//   node groups.mjs
import { Millrace } from 'millrace'

const mill = await Millrace.open()
await mill.topics.create('orders', { partitions: 4 })
const producer = mill.producer()
const sendOrders = (from, to) =>
  producer.send({
    topic: 'orders',
    messages: Array.from({ length: to - from }, (_, i) => ({
      key: `customer-${(from + i) % 10}`,
      value: `order ${from + i}`,
    })),
  })

const handled = new Map()
let waiting
const handledAll = (count) =>
  new Promise((resolve) => {
    waiting = { count, resolve }
  })

async function startConsumer(clientId) {
  const consumer = mill.consumer({ groupId: 'billing', clientId })
  await consumer.subscribe({ topics: ['orders'], fromBeginning: true })
  await consumer.run({
    partitionsConsumedConcurrently: 2,
    eachMessage: async ({ message, signal }) => {
      if (signal.aborted) throw signal.reason
      const order = message.value.toString()
      handled.set(order, [...(handled.get(order) ?? []), clientId])
      if (handled.size === waiting.count) waiting.resolve()
    },
  })
  return consumer
}

let all = handledAll(100)
const first = await startConsumer('first')
const second = await startConsumer('second')
for (const { clientId, assignment } of (await mill.groups.describe('billing')).members) {
  console.log(clientId, 'reads partitions', assignment.map((place) => place.partition).join(' '))
}
await sendOrders(0, 100)
await all

await second.disconnect()
all = handledAll(200)
await sendOrders(100, 200)
await all
// It commits what it has handled, and leaves.
await first.disconnect()

const { state, partitions, lag } = await mill.groups.describe('billing')
console.log(`the group is ${state}, committed ${partitions.map((p) => p.committedOffset).join(' ')}, lag ${lag}`)
const twice = [...handled.values()].filter((by) => by.length > 1).length
console.log(`${handled.size} orders handled, ${twice} of them twice`)
if (handled.size !== 200 || lag !== 0) process.exitCode = 1
await mill.close()
