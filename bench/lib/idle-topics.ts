import { Millrace } from 'millrace'
import { coresUsed, pause } from './idle.js'

/** A process that opens an engine and tells what it costs while nobody uses it. */
export interface IdleCost {
  readonly openMs: number
  readonly topics: number
  readonly residentBytes: number
  readonly cores: number
}

const [dir = '', seconds = '1'] = process.argv.slice(2)
const start = performance.now()
const mill = await Millrace.open({ dir, workers: 1 })
const openMs = performance.now() - start
const topics = mill.topics.list().length
await pause(1000)
for (let i = 0; i < 3; i++) {
  globalThis.gc?.()
  await pause(100)
}
const residentBytes = process.memoryUsage.rss()
const cores = await coresUsed(Number(seconds) * 1000)
await mill.close()
const cost: IdleCost = { openMs, topics, residentBytes, cores }
process.send?.(cost)
process.disconnect()
