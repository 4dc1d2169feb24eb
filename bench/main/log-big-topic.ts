import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Bench, Line } from '../lib/line.js'
import { LOG_TOPIC, logMessages, openLog, recordBytes } from '../lib/log-shapes.js'
import { check } from '../lib/measure.js'
import type { ReadCost } from '../lib/read-log.js'

const MEMORY_BUDGET = 128 * 1024 ** 2
/** MILLRACE_BENCH_GIB says otherwise. */
const GIBIBYTES = 3
const GIBIBYTES_QUICK = 0.25

/** Reads a topic that is far larger than the memory budget, with a consumer and with a query: how far the memory of the process grows. */
const bench: Bench = {
  name: 'log-big-topic',
  suite: 'log',
  async run({ quick, directory }) {
    const gibibytes = Number(process.env.MILLRACE_BENCH_GIB ?? (quick ? GIBIBYTES_QUICK : GIBIBYTES))
    const dir = join(directory, 'big')
    const records = await fill(dir, gibibytes * 1024 ** 3)
    const lines: Line[] = []
    for (const by of ['consumer', 'query'] as const) {
      const cost = await read(dir, by, records)
      check(cost.records === records, `${cost.records} records of ${records} were read by the ${by}`)
      const rate = records / cost.seconds
      lines.push({
        what: `memory while a ${by} reads ${gibibytes} GiB with a budget of ${MEMORY_BUDGET / 1024 ** 2} MiB, above idle`,
        figure: (cost.peakBytes - cost.idleBytes) / 1e6,
        unit: 'MB',
        required: { atMost: MEMORY_BUDGET / 1e6 },
        notes: [`${by}: ${(rate / 1e6).toFixed(2)} M records/s, peak ${(cost.peakBytes / 1e6).toFixed(0)} MB resident`],
      })
    }
    return lines
  },
}

export default bench

async function fill(dir: string, bytes: number): Promise<number> {
  const mill = await openLog(4, { dir, fsync: 'interval', memoryBudget: MEMORY_BUDGET })
  const messages = logMessages(10_000, 1024)
  const rounds = Math.ceil(bytes / messages.reduce((sum, message) => sum + recordBytes(message), 0))
  const producer = mill.producer()
  for (let round = 0; round < rounds; round++) await producer.send({ topic: LOG_TOPIC, messages })
  await mill.close()
  return rounds * messages.length
}

async function read(dir: string, by: 'consumer' | 'query', records: number): Promise<ReadCost> {
  const launch = fileURLToPath(new URL('../lib/launch.js', import.meta.url))
  const child = fork(launch, ['./read-log.ts', dir, by, String(MEMORY_BUDGET), String(records)], { execArgv: [] })
  const [cost] = (await once(child, 'message')) as [ReadCost]
  await once(child, 'exit')
  return cost
}
