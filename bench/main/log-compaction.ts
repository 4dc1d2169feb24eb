import { join } from 'node:path'
import { Millrace } from 'millrace'
import { LatencyHistogram } from '../lib/latency-histogram.js'
import type { Bench } from '../lib/line.js'
import { logMessages } from '../lib/log-shapes.js'
import { check } from '../lib/measure.js'

const CALLERS = 16
const COMPACTED = 'state'
const COMMITTED = 'events'

/**
 * What compaction costs those who wait for group commits on the same engine: callers that each send one record and wait until it is on the
 * disk, while nothing else happens, and while a topic of large batches of small records is being compacted.
 */
const bench: Bench = {
  name: 'log-compaction',
  suite: 'log',
  async run({ quick, directory }) {
    const keys = quick ? 50_000 : 200_000
    const rounds = quick ? 6 : 20
    const mill = await Millrace.open({ dir: join(directory, 'log'), fsync: 'group', workers: 1 })
    await mill.topics.create(COMPACTED, { partitions: 1, config: { 'cleanup.policy': 'compact' } })
    await mill.topics.create(COMMITTED, { partitions: 1 })
    const producer = mill.producer()
    const messages = logMessages(10_000, 100)
    let id = 0
    for (let sent = 0; sent < keys * rounds; sent += messages.length) {
      for (const message of messages) message.key.write(`k${String(id++ % keys).padStart(9, '0')}`, 'latin1')
      await producer.send({ topic: COMPACTED, messages })
    }

    const send = commits(mill)
    await send(() => Promise.resolve(performance.now()), 500)
    const idle = await send(() => Promise.resolve(performance.now()), quick ? 1000 : 4000)
    let compactedMs = 0
    let kept = -1
    const busy = await send(async () => {
      const start = performance.now()
      const results = await mill.topics.compactNow(COMPACTED)
      kept = results.reduce((sum, result) => sum + result.recordsAfter, 0)
      compactedMs = performance.now() - start
    }, 0)
    check(kept === keys, `${kept} records after compaction, one for each of ${keys} keys was expected`)
    const stored = await mill.read.format('log').option('subscribe', COMPACTED).load().count()
    check(stored === keys, `${stored} records can be read, not ${keys}`)
    await mill.close()
    return [
      {
        what: `group commit while ${((keys * rounds) / 1e6).toFixed(1)} M records are compacted, p99 above an idle engine's`,
        figure: Math.max(0, busy.percentile(99) - idle.percentile(99)),
        unit: 'ms',
        required: { atMost: 5 },
        notes: [`idle: ${idle.toString()}`, `during compaction of ${compactedMs.toFixed(0)} ms: ${busy.toString()}`],
      },
    ]
  },
}

export default bench

/** Sends of one record by several callers until `work` is over and so many milliseconds are; how long they took. */
function commits(mill: Millrace): (work: () => Promise<unknown>, ms: number) => Promise<LatencyHistogram> {
  const producer = mill.producer()
  const [message] = logMessages(1, 100)
  return async (work, ms) => {
    const times = new LatencyHistogram()
    const until = performance.now() + ms
    let isOver = false
    const caller = async (): Promise<void> => {
      while (!isOver || performance.now() < until) {
        const start = performance.now()
        await producer.send({ topic: COMMITTED, messages: message === undefined ? [] : [message] })
        times.record(performance.now() - start)
      }
    }
    const callers = Array.from({ length: CALLERS }, caller)
    await work()
    isOver = true
    await Promise.all(callers)
    return times
  }
}
