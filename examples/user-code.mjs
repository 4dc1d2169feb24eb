// Functions of yours on the workers: an inline one that refers to nothing outside itself, and one of a module, which is this file. Run it with: node user-code.mjs
import { isMainThread } from 'node:worker_threads'
import { fromModule, Millrace, t } from 'millrace'

const Order = t.struct({ id: t.int, country: t.string, price: t.double })
const Priced = t.struct({ id: t.int, country: t.string, price: t.double, tax: t.double })

const rates = new Map([
  ['at', 0.2],
  ['ch', 0.081],
])

/** Each worker imports this file for it, and has its own `rates`. It may be asynchronous: order is kept. */
export async function withTax(order) {
  return { ...order, tax: order.price * (rates.get(order.country) ?? 0) }
}

// What a worker does not need stands here.
if (isMainThread) {
  const mill = await Millrace.open()
  await mill.topics.create('orders', { schema: Order })
  const query = await mill.readStream
    .topic('orders')
    .filter((order) => order.price > 0)
    .map(fromModule(import.meta.url, 'withTax'), Priced)
    .writeStream.format('console')
    .trigger({ continuous: '100 milliseconds' })
    .start()
  await mill.producer().send({
    topic: 'orders',
    messages: [
      { key: 'at', value: { id: 1, country: 'at', price: 10 } },
      { key: 'ch', value: { id: 2, country: 'ch', price: 100 } },
      { key: 'ch', value: { id: 3, country: 'ch', price: -5 } },
    ],
  })
  await query.drain()

  try {
    mill.readStream.topic('orders').map((order) => ({ ...order, tax: rates.get(order.country) }))
  } catch (error) {
    console.log(error.message) // `rates` is not defined inside the function …
  }
  await mill.close()
}
