import { type Millrace, t } from 'millrace'
import { Click, ingest, openClicks, TOPIC } from '../lib/click-topic.js'
import { clickBatches } from '../lib/clicks.js'
import { nearly, totalsOf } from '../lib/expected.js'
import type { Bench } from '../lib/line.js'
import { check, interleave, rates } from '../lib/measure.js'

/** An inline function for every row into the noop sink, one worker, from a typed log; beside it the bare loop that does the same to objects in memory. */
const Total = t.struct({ userId: t.string, total: t.double })

const priced = (mill: Millrace, streaming: boolean) =>
  (streaming ? mill.readStream.option('startingOffsets', 'earliest') : mill.read)
    .topic(TOPIC, Click)
    .map((row) => ({ userId: row.userId, total: row.price * row.quantity }), Total)

const bench: Bench = {
  name: 'map-inline',
  suite: 'scan',
  async run({ quick }) {
    const batches = clickBatches({ batches: 8, batchSize: 10_000, users: 10_000 })
    const rounds = quick ? 5 : 15
    const records = rounds * batches.length * 10_000
    const mill = await openClicks({ workers: 1 })
    await ingest(mill, batches, rounds)
    const expected = totalsOf(batches, rounds, () => true)
    const rows = await priced(mill, false).collect()
    const sum = rows.reduce((total, row) => total + row.total, 0)
    check(rows.length === expected.count && nearly(sum, expected.sum), `${rows.length} rows of ${expected.count}`)

    const objects = await mill.read.topic(TOPIC, Click).select('userId', 'price', 'quantity').collect()
    const { a: bare, b: ours } = await interleave(
      { warmUp: 2, repeats: quick ? 5 : 9 },
      () => {
        const made: { userId: string; total: number }[] = []
        for (const row of objects) made.push({ userId: row.userId, total: row.price * row.quantity })
        check(made.length === records, `the bare loop made ${made.length}`)
      },
      async () => {
        const query = await priced(mill, true).writeStream.format('noop').trigger({ availableNow: true }).start()
        await query.awaitTermination()
      },
    )
    await mill.close()
    return [
      {
        what: 'map with an inline function + noop, one worker',
        ...rates(records, ours),
        unit: 'records/s',
        limit: { what: 'bare loop over objects', value: rates(records, bare).figure },
        notes: ['the loop has its objects already: it neither reads columns nor writes them'],
      },
    ]
  },
}

export default bench
