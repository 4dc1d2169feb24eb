import { Millrace } from 'millrace'
import { LOG_TOPIC } from './log-shapes.js'

/** A process that opens a log and reads all of it once, and tells how far its memory grew meanwhile. */
export interface ReadCost {
  readonly records: number
  readonly seconds: number
  /** Resident, after the engine was opened and before anything was read. */
  readonly idleBytes: number
  readonly peakBytes: number
}

const [dir = '', by = 'consumer', memoryBudget = '0', expected = '0'] = process.argv.slice(2)
const mill = await Millrace.open({ dir, workers: 1, memoryBudget: Number(memoryBudget) })
const idleBytes = process.memoryUsage.rss()
let peakBytes = idleBytes
const look = (): void => {
  peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
}
const timer = setInterval(look, 20)
const start = performance.now()
const records = by === 'query' ? await count() : await consume(Number(expected))
const seconds = (performance.now() - start) / 1000
look()
clearInterval(timer)
await mill.close()
const cost: ReadCost = { records, seconds, idleBytes, peakBytes }
process.send?.(cost)
process.disconnect()

async function count(): Promise<number> {
  return await mill.read.format('log').option('subscribe', LOG_TOPIC).load().count()
}

async function consume(all: number): Promise<number> {
  const consumer = mill.consumer({ groupId: 'bench' })
  await consumer.subscribe({ topics: [LOG_TOPIC], fromBeginning: true })
  let received = 0
  await new Promise<void>((resolve) => {
    void consumer.run({
      eachBatch: ({ batch }) => {
        look()
        for (const message of batch.messages) if ((message.value as Buffer).length > 0) received += 1
        if (received >= all) resolve()
      },
    })
  })
  await consumer.stop()
  return received
}
