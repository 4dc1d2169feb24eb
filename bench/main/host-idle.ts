import { join } from 'node:path'
import { count } from 'millrace'
import { ingest, openClicks, TOPIC } from '../lib/click-topic.js'
import { clickBatches } from '../lib/clicks.js'
import { coresUsed } from '../lib/idle.js'
import type { Bench } from '../lib/line.js'

/** A continuous query that has read everything and waits for more: what the whole process takes of a core. */
const bench: Bench = {
  name: 'host-idle',
  suite: 'host',
  async run({ quick, directory }) {
    const mill = await openClicks({ dir: join(directory, 'data') })
    const bare = await coresUsed(quick ? 1000 : 3000)
    const query = await mill.readStream
      .topic(TOPIC)
      .groupBy('userId')
      .agg({ clicks: count() })
      .writeStream.outputMode('update')
      .format('noop')
      .option('checkpointLocation', join(directory, 'checkpoint'))
      .trigger({ continuous: '1 second' })
      .start()
    await ingest(mill, clickBatches({ batches: 2, batchSize: 1000, users: 100 }), 1)
    await query.processAllAvailable()
    // V8 shrinks the heap of every thread that has become quiet, some 8 to 40 s later and once: a few hundred milliseconds in all, which
    // come with any start and not with a query that waits.
    const settling = await coresUsed(quick ? 500 : 45_000)
    const cores = await coresUsed(quick ? 3000 : 15_000)
    await query.stop()
    await mill.close()
    return [
      {
        what: 'an idle continuous query',
        figure: cores * 100,
        unit: '% of a core',
        required: { atMost: 1 },
        notes: [
          `open without a query ${(bare * 100).toFixed(2)} % of a core, in which workers boot`,
          `while V8 shrinks the heaps of what has started ${(settling * 100).toFixed(2)} %`,
        ],
      },
    ]
  },
}

export default bench
