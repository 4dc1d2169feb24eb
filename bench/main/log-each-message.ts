import type { Bench } from '../lib/line.js'
import { LOG_TOPIC, logMessages, openLog } from '../lib/log-shapes.js'
import { check, interleave, rates } from '../lib/measure.js'

const VALUE_BYTES = 100

/** A consumer with an asynchronous eachMessage that looks at each value, against a loop that awaits an asynchronous function as often. */
const bench: Bench = {
  name: 'log-each-message',
  suite: 'log',
  async run({ quick }) {
    const records = quick ? 300_000 : 2_000_000
    const mill = await openLog(1, { memoryBudget: 1024 ** 3 })
    const messages = logMessages(10_000, VALUE_BYTES)
    const producer = mill.producer()
    for (let sent = 0; sent < records; sent += messages.length) await producer.send({ topic: LOG_TOPIC, messages })
    let group = 0
    const { a: bare, b: ours } = await interleave(
      { warmUp: 1, repeats: quick ? 3 : 5 },
      async () => {
        let bytes = 0
        const handler = async (value: Buffer): Promise<void> => {
          bytes += value.length
        }
        for (let i = 0; i < records; i++) await handler((messages[i % messages.length] as { value: Buffer }).value)
        check(bytes === records * VALUE_BYTES, `${bytes} bytes`)
      },
      async () => {
        const consumer = mill.consumer({ groupId: `bench-${group++}` })
        await consumer.subscribe({ topics: [LOG_TOPIC], fromBeginning: true })
        let bytes = 0
        await new Promise<void>((resolve, reject) => {
          const all = records * VALUE_BYTES
          const eachMessage = async ({ message }: { message: { value: unknown } }): Promise<void> => {
            bytes += (message.value as Buffer).length
            if (bytes === all) resolve()
          }
          consumer.run({ eachMessage }).catch(reject)
        })
        await consumer.disconnect()
        check(bytes === records * VALUE_BYTES, `${bytes} bytes of values`)
      },
    )
    await mill.close()
    return [
      {
        what: 'consume 100 B with eachMessage, memory',
        ...rates(records, ours),
        unit: 'records/s',
        limit: { what: 'awaiting an async function', value: rates(records, bare).figure },
        required: { atLeast: 1e6 },
      },
    ]
  },
}

export default bench
