// Carts become orders, exactly once: the orders, and how far the carts have been read, are committed together. Then one
// transaction is aborted, and one is left to a producer that takes its place.
//   node transactions.mjs
import { Millrace } from 'millrace'

const mill = await Millrace.open()
await mill.topics.create('carts', { partitions: 2 })
await mill.topics.create('orders', { partitions: 2 })

const input = mill.producer()
await input.send({
  topic: 'carts',
  messages: ['ada', 'bob', 'cy'].map((user) => ({ key: user, value: `cart of ${user}` })),
})

/** What a reader of this isolation finds in the topic now. */
async function read(topic, isolationLevel) {
  const rows = await mill.read
    .format('log')
    .option('subscribe', topic)
    .option('isolationLevel', isolationLevel)
    .load()
    .collect()
  return rows.map((row) => Buffer.from(row.value).toString()).sort()
}

const carts = await mill.read.format('log').option('subscribe', 'carts').load().collect()
const producer = mill.producer({ transactionalId: 'cart-to-order' })

const tx = await producer.transaction()
for (const cart of carts) {
  await tx.send({ topic: 'orders', messages: [{ key: cart.key, value: `order from ${Buffer.from(cart.value)}` }] })
}
const ends = new Map(carts.map((cart) => [cart.partition, cart.offset + 1]))
const partitions = [...ends].map(([partition, offset]) => ({ partition, offset: String(offset) }))
await tx.sendOffsets({ consumerGroupId: 'cart-to-order', topics: [{ topic: 'carts', partitions }] })
console.log('before the commit:', await read('orders', 'read_committed'))
await tx.commit()
console.log('after the commit: ', await read('orders', 'read_committed'))

const mistake = await producer.transaction()
await mistake.send({ topic: 'orders', messages: [{ value: 'a mistake' }] })
await mistake.abort()

const abandoned = await producer.transaction()
await abandoned.send({ topic: 'orders', messages: [{ value: 'abandoned' }] })
const heir = mill.producer({ transactionalId: 'cart-to-order' })
const next = await heir.transaction()
await next.send({ topic: 'orders', messages: [{ value: 'order of the heir' }] })
await next.commit()
await abandoned.commit().catch((error) => console.log('the one before:   ', error.code))

const committed = await read('orders', 'read_committed')
console.log('committed:        ', committed)
console.log('uncommitted too:  ', await read('orders', 'read_uncommitted'))
if (committed.length !== 4 || committed.includes('a mistake')) throw new Error('the transactions did not hold')
await mill.close()
