import { col, type Millrace } from 'millrace'
import { BareIngest } from '../lib/bare-ingest.js'
import { bareFilterProject } from '../lib/bare-scan.js'
import { Click, ingest, openClicks, PARTITIONS, TOPIC } from '../lib/click-topic.js'
import { clickBatches } from '../lib/clicks.js'
import { nearly, totalsOf } from '../lib/expected.js'
import type { Bench } from '../lib/line.js'
import { check, interleave, rates } from '../lib/measure.js'

/** Filter and projection of half of the rows into the noop sink, one worker, from a typed log. */
const THRESHOLD = 50

const question = (mill: Millrace, streaming: boolean) =>
  (streaming ? mill.readStream.option('startingOffsets', 'earliest') : mill.read)
    .topic(TOPIC, Click)
    .filter(col('price').gt(THRESHOLD))
    .select('userId', col('price').mul(col('quantity')).as('total'))

const bench: Bench = {
  name: 'scan-filter',
  suite: 'scan',
  async run({ quick }) {
    const batches = clickBatches({ batches: 8, batchSize: 10_000, users: 10_000 })
    const small = await openClicks({ workers: 1 })
    await ingest(small, batches, 1)
    const rows = await question(small, false).collect()
    const expected = totalsOf(batches, 1, (price) => price > THRESHOLD)
    const sum = rows.reduce((total, row) => total + Number(row.total), 0)
    check(rows.length === expected.count && nearly(sum, expected.sum), `${rows.length} rows of ${expected.count}`)
    await small.close()

    const rounds = quick ? 25 : 75
    const records = rounds * batches.length * 10_000
    const mill = await openClicks({ workers: 1 })
    await ingest(mill, batches, rounds)
    const kernel = new BareIngest(PARTITIONS)
    for (let round = 0; round < rounds; round++) for (const batch of batches) kernel.send(batch, Date.now())
    const { a: bare, b: ours } = await interleave(
      { warmUp: 2, repeats: quick ? 5 : 9 },
      () => {
        const kept = bareFilterProject(kernel.blocks, THRESHOLD)
        check(kept === expected.count * rounds, `bare loop kept ${kept}`)
      },
      async () => {
        const query = await question(mill, true).writeStream.format('noop').trigger({ availableNow: true }).start()
        await query.awaitTermination()
      },
    )
    await mill.close()
    return [
      {
        what: 'filter + project + noop, one worker',
        ...rates(records, ours),
        unit: 'records/s',
        limit: { what: 'bare loop', value: rates(records, bare).figure },
        required: { atLeast: 20e6 },
        notes: [`start and end of the query included; ${ours.cpuSeconds.toFixed(3)} CPU s for ${records}`],
      },
    ]
  },
}

export default bench
