import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Millrace } from 'millrace'
import type { IdleCost } from '../lib/idle-topics.js'
import type { Bench } from '../lib/line.js'
import { check, median } from '../lib/measure.js'

const TOPICS = 1000

/** A thousand topics on disk that nobody uses: what an engine over them costs beside one without any, each in a process of its own. */
const bench: Bench = {
  name: 'log-idle-topics',
  suite: 'log',
  async run({ quick, directory }) {
    const full = join(directory, 'full')
    const empty = join(directory, 'empty')
    await (await Millrace.open({ dir: empty, workers: 1 })).close()
    const mill = await Millrace.open({ dir: full, workers: 1 })
    for (let i = 0; i < TOPICS; i++) await mill.topics.create(`topic-${i}`, { partitions: 1 })
    const producer = mill.producer()
    const sends = Array.from({ length: TOPICS }, (_, i) =>
      producer.send({ topic: `topic-${i}`, messages: [{ value: 'one' }] }),
    )
    await Promise.all(sends)
    await mill.close()
    const costs: IdleCost[] = []
    const above: number[] = []
    for (let i = 0; i < 3; i++) {
      const without = await idle(empty, 0.1)
      const cost = await idle(full, quick ? 1 : 5)
      check(cost.topics === TOPICS, `${cost.topics} topics of ${TOPICS}`)
      costs.push(cost)
      above.push((cost.residentBytes - without.residentBytes) / 1e6)
    }
    return [
      {
        what: `${TOPICS} idle topics, memory above an engine without any`,
        figure: median(above),
        spread: { min: Math.min(...above), max: Math.max(...above) },
        unit: 'MB',
        required: { atMost: 50 },
        notes: [`opened in ${median(costs.map((cost) => cost.openMs)).toFixed(0)} ms`],
      },
      {
        what: `${TOPICS} idle topics, CPU`,
        figure: median(costs.map((cost) => cost.cores)) * 100,
        unit: '% of a core',
        required: { atMost: 1 },
      },
    ]
  },
}

export default bench

async function idle(dir: string, seconds: number): Promise<IdleCost> {
  const launch = fileURLToPath(new URL('../lib/launch.js', import.meta.url))
  const child = fork(launch, ['./idle-topics.ts', dir, String(seconds)], { execArgv: ['--expose-gc'] })
  const [cost] = (await once(child, 'message')) as [IdleCost]
  await once(child, 'exit')
  return cost
}
