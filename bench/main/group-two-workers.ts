import { ingest, openClicks } from '../lib/click-topic.js'
import { clickBatches } from '../lib/clicks.js'
import { checkGroupQuery, runGroupQuery } from '../lib/group-query.js'
import type { Bench } from '../lib/line.js'
import { interleave, rates } from '../lib/measure.js'
import { memoryLimit } from '../lib/memory-limit.js'

/** What a second worker brings, beside what a second thread brings to a loop that is bound by memory. */
const bench: Bench = {
  name: 'group-two-workers',
  suite: 'group',
  async run({ quick }) {
    const batches = clickBatches({ batches: 8, batchSize: 10_000, users: 10_000 })
    const rounds = quick ? 25 : 75
    const records = rounds * batches.length * 10_000
    const updates = quick ? 4e6 : 16e6
    const before = await memoryLimit({ updates, repeats: 5 })
    const one = await openClicks({ workers: 1 })
    const two = await openClicks({ workers: 2 })
    await ingest(one, batches, rounds)
    await ingest(two, batches, rounds)
    await checkGroupQuery(two, batches, rounds)
    const { a, b } = await interleave(
      { warmUp: 2, repeats: quick ? 5 : 11 },
      () => runGroupQuery(one),
      () => runGroupQuery(two),
    )
    await one.close()
    await two.close()
    const after = await memoryLimit({ updates, repeats: 5 })
    return [
      {
        what: 'two workers against one, the same query',
        figure: a.median / b.median,
        unit: 'times',
        limit: { what: 'memory-bound loop on two threads', value: (before.gain + after.gain) / 2 },
        required: { atLeast: 1.5, ofLimit: 0.95 },
        notes: [
          `one worker ${(rates(records, a).figure / 1e6).toFixed(1)} M/s, two ${(rates(records, b).figure / 1e6).toFixed(1)} M/s`,
          `memory-bound loop gained ${before.gain.toFixed(2)} × before and ${after.gain.toFixed(2)} × after`,
        ],
      },
    ]
  },
}

export default bench
