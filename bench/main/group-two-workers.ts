import { ingest, openClicks } from '../lib/click-topic.js'
import { clickBatches } from '../lib/clicks.js'
import { checkGroupQuery, runGroupQuery } from '../lib/group-query.js'
import type { Bench } from '../lib/line.js'
import { median } from '../lib/measure.js'
import { startMemoryLoop } from '../lib/memory-limit.js'

/** What a second worker brings, beside what a second thread brings to a loop that is bound by memory. */
const bench: Bench = {
  name: 'group-two-workers',
  suite: 'group',
  async run({ quick }) {
    const batches = clickBatches({ batches: 8, batchSize: 10_000, users: 10_000 })
    const rounds = quick ? 25 : 75
    const records = rounds * batches.length * 10_000
    const one = await openClicks({ workers: 1 })
    const two = await openClicks({ workers: 2 })
    await ingest(one, batches, rounds)
    await ingest(two, batches, rounds)
    await checkGroupQuery(two, batches, rounds)

    // All four in turn, so that a slow spell of the machine falls on the limit as well as on us.
    const loop = await startMemoryLoop(quick ? 4e6 : 8e6)
    const loops = { one: [] as number[], two: [] as number[] }
    const queries = { one: [] as number[], two: [] as number[] }
    const timed = async (run: () => Promise<void>): Promise<number> => {
      const start = performance.now()
      await run()
      return (records * 1000) / (performance.now() - start)
    }
    for (let i = -2; i < (quick ? 5 : 11); i++) {
      const turn = [
        loop.round(1),
        loop.round(2),
        await timed(() => runGroupQuery(one)),
        await timed(() => runGroupQuery(two)),
      ]
      if (i < 0) continue
      loops.one.push(turn[0] ?? 0)
      loops.two.push(turn[1] ?? 0)
      queries.one.push(turn[2] ?? 0)
      queries.two.push(turn[3] ?? 0)
    }
    await loop.stop()
    await one.close()
    await two.close()
    const [oneRate, twoRate] = [median(queries.one), median(queries.two)]
    const [oneLoop, twoLoop] = [median(loops.one), median(loops.two)]
    return [
      {
        what: 'two workers against one, the same query',
        figure: twoRate / oneRate,
        unit: 'times',
        limit: { what: 'memory-bound loop on two threads', value: twoLoop / oneLoop },
        required: { atLeast: 1.5, ofLimit: 0.95 },
        notes: [
          `one worker ${(oneRate / 1e6).toFixed(1)} M/s, two ${(twoRate / 1e6).toFixed(1)} M/s`,
          `memory-bound loop ${(oneLoop / 1e6).toFixed(1)} and ${(twoLoop / 1e6).toFixed(1)} M updates/s`,
        ],
      },
    ]
  },
}

export default bench
