import { BareIngest } from '../lib/bare-ingest.js'
import { BareGroup } from '../lib/bare-scan.js'
import { ingest, openClicks, PARTITIONS } from '../lib/click-topic.js'
import { clickBatches } from '../lib/clicks.js'
import { checkGroupQuery, runGroupQuery, WINDOW_MS } from '../lib/group-query.js'
import type { Bench } from '../lib/line.js'
import { check, interleave, measure, rates } from '../lib/measure.js'

/** Tumbling count and sum by a string key with 10 000 values, one worker, from a typed log. */
const bench: Bench = {
  name: 'group-tumbling',
  suite: 'group',
  async run({ quick }) {
    const batches = clickBatches({ batches: 8, batchSize: 10_000, users: 10_000 })
    const rounds = quick ? 25 : 75
    const records = rounds * batches.length * 10_000
    const mill = await openClicks({ workers: 1 })
    await ingest(mill, batches, rounds)
    await checkGroupQuery(mill, batches, rounds)

    const kernel = new BareIngest(PARTITIONS)
    for (let round = 0; round < rounds; round++) for (const batch of batches) kernel.send(batch, Date.now())
    const bareRun = (storedHash: boolean): void => {
      const group = new BareGroup(1 << 15)
      group.add(kernel.blocks, WINDOW_MS, storedHash)
      let rows = 0
      for (const entry of group.entries()) rows += entry.count
      check(rows === records, `bare loop counted ${rows} of ${records}`)
    }
    const stored = await measure({ warmUp: 1, repeats: 3 }, () => bareRun(true))
    const { a: bare, b: ours } = await interleave(
      { warmUp: 2, repeats: quick ? 5 : 9 },
      () => bareRun(false),
      () => runGroupQuery(mill),
    )
    await mill.close()
    return [
      {
        what: 'tumbling count + sum by string key, 10 000 keys, one worker',
        ...rates(records, ours),
        unit: 'records/s',
        limit: { what: 'bare loop', value: rates(records, bare).figure },
        required: { atLeast: 15e6 },
        notes: [
          `bare loop with the hash stored at ingest ${(rates(records, stored).figure / 1e6).toFixed(1)} M/s`,
          `start and end of the query included; ${ours.cpuSeconds.toFixed(3)} CPU s for ${records}`,
        ],
      },
    ]
  },
}

export default bench
