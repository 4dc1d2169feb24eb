import type { Bench } from '../lib/line.js'
import { LOG_TOPIC, logMessages, openLog } from '../lib/log-shapes.js'
import { check, interleave, rates } from '../lib/measure.js'

const VALUE_BYTES = 100

/**
 * A share group that works off a topic in memory: records acquired, handed out and accepted one by one by the end of their callbacks, and the state written down; and by whole
 * batches. Against a consumer group with the same callback, which commits one offset for all of them. When all is handled the group has nothing left, or the line is not printed.
 */
const bench: Bench = {
  name: 'log-share-group',
  suite: 'log',
  async run({ quick }) {
    const records = quick ? 200_000 : 1_000_000
    const mill = await openLog(1, { memoryBudget: 1024 ** 3 })
    const messages = logMessages(10_000, VALUE_BYTES)
    const producer = mill.producer()
    for (let sent = 0; sent < records; sent += messages.length) await producer.send({ topic: LOG_TOPIC, messages })
    let group = 0
    const all = records * VALUE_BYTES
    const handling = (): { each: (message: { value: unknown }) => void; done: Promise<void>; bytes: () => number } => {
      let bytes = 0
      let resolve = (): void => undefined
      const done = new Promise<void>((ended) => {
        resolve = ended
      })
      const each = (message: { value: unknown }): void => {
        bytes += (message.value as Buffer).length
        if (bytes === all) resolve()
      }
      return { each, done, bytes: () => bytes }
    }
    const consume = async (): Promise<void> => {
      const { each, done, bytes } = handling()
      const consumer = mill.consumer({ groupId: `bench-${group++}` })
      await consumer.subscribe({ topics: [LOG_TOPIC], fromBeginning: true })
      await consumer.run({ eachMessage: ({ message }) => each(message) })
      await done
      await consumer.disconnect()
      check(bytes() === all, `${bytes()} bytes`)
    }
    const share = async (by: 'message' | 'batch'): Promise<void> => {
      const { each, done, bytes } = handling()
      const groupId = `share-${group++}`
      const consumer = mill.shareConsumer({ groupId })
      await consumer.subscribe({ topics: [LOG_TOPIC], fromBeginning: true })
      await consumer.run(
        by === 'message'
          ? { eachMessage: ({ message }) => each(message) }
          : {
              eachBatch: ({ batch }) => {
                for (const message of batch.messages) each(message)
              },
            },
      )
      await done
      await consumer.disconnect()
      const { lag, partitions } = await mill.groups.describe(groupId)
      check(bytes() === all && lag === 0, `${bytes()} bytes, lag ${lag}`)
      check(partitions[0]?.committedOffset === records, `start offset ${partitions[0]?.committedOffset}`)
    }
    const repeats = { warmUp: 1, repeats: quick ? 3 : 5 }
    const single = await interleave(repeats, consume, () => share('message'))
    const batched = await interleave(repeats, consume, () => share('batch'))
    await mill.close()
    const limit = (group: Parameters<typeof rates>[1]) => ({
      what: 'a consumer group with eachMessage',
      value: rates(records, group).figure,
    })
    return [
      {
        what: 'acquire and accept 100 B by eachMessage, memory',
        ...rates(records, single.b),
        unit: 'records/s',
        limit: limit(single.a),
      },
      {
        what: 'acquire and accept 100 B by eachBatch, memory',
        ...rates(records, batched.b),
        unit: 'records/s',
        limit: limit(batched.a),
      },
    ]
  },
}

export default bench
