import { BareIngest } from '../lib/bare-ingest.js'
import { Click, ingest, openClicks, PARTITIONS, TOPIC } from '../lib/click-topic.js'
import { type ClickMessage, clickBatches } from '../lib/clicks.js'
import { nearly, totalsOf } from '../lib/expected.js'
import type { Bench } from '../lib/line.js'
import { check, interleave, rates } from '../lib/measure.js'

/** `producer.send` of arrays of 10 000 seven-field objects into a memory topic, against a bare loop that leaves the same bytes. */
const bench: Bench = {
  name: 'ingest-memory',
  suite: 'ingest',
  async run({ quick }) {
    const batches = clickBatches({ batches: 8, batchSize: 10_000, users: 10_000 })
    await checkStored(batches.slice(0, 2))

    const rounds = quick ? 12 : 25
    const records = rounds * batches.length * 10_000
    let bytes = 0
    const { a: bare, b: ours } = await interleave(
      { warmUp: 1, repeats: quick ? 3 : 5 },
      () => {
        const kernel = new BareIngest(PARTITIONS)
        for (let round = 0; round < rounds; round++) for (const batch of batches) kernel.send(batch, Date.now())
        bytes = kernel.bytes
      },
      async () => {
        const mill = await openClicks({ workers: 1 })
        const start = performance.now()
        await ingest(mill, batches, rounds)
        sending.push(performance.now() - start)
        await mill.close()
      },
    )
    const timed = sending.slice(1).sort((x, y) => x - y)
    const timing = {
      median: timed[timed.length >> 1] ?? ours.median,
      min: timed[0] ?? ours.min,
      max: timed.at(-1) ?? ours.max,
      cpuSeconds: ours.cpuSeconds,
    }
    return [
      {
        what: 'typed ingest, memory topic, 4 partitions',
        ...rates(records, timing),
        unit: 'records/s',
        limit: { what: 'bare loop', value: rates(records, bare).figure },
        required: { atLeast: 2e6, ofLimit: 0.6 },
        notes: [`${(bytes / records).toFixed(0)} bytes a record; ${timing.cpuSeconds.toFixed(2)} CPU s for ${records}`],
      },
    ]
  },
}

/** Milliseconds of each run without opening and closing. */
const sending: number[] = []

/** What was sent is there, once. */
async function checkStored(batches: readonly ClickMessage[][]): Promise<void> {
  const mill = await openClicks({ workers: 1 })
  const sent = await ingest(mill, batches, 1)
  const rows = await mill.read.topic(TOPIC, Click).collect()
  const expected = totalsOf(batches, 1, () => true)
  const sum = rows.reduce((total, row) => total + row.price * row.quantity, 0)
  check(rows.length === sent && nearly(sum, expected.sum), `${rows.length} rows of ${sent}, sum ${sum}`)
  await mill.close()
}

export default bench
