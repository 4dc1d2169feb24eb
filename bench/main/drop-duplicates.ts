import { count, type Millrace, sum } from 'millrace'
import { BareDistinct } from '../lib/bare-distinct.js'
import { BareIngest } from '../lib/bare-ingest.js'
import { Click, ingest, openClicks, PARTITIONS, TOPIC } from '../lib/click-topic.js'
import { type ClickMessage, clickBatches } from '../lib/clicks.js'
import { nearly } from '../lib/expected.js'
import type { Bench } from '../lib/line.js'
import { check, interleave, measure, rates } from '../lib/measure.js'

/** The first click of each user, one worker, from a typed log: of four million clicks those of a million users. */
const BATCH_SIZE = 10_000
/** Coprime to the numbers of users, so that each comes again after all the others. */
const STEP = 7919

const firsts = (mill: Millrace, streaming: boolean) =>
  (streaming ? mill.readStream.option('startingOffsets', 'earliest') : mill.read)
    .topic(TOPIC, Click)
    .dropDuplicates('userId')
    .select('userId', 'price')

const bench: Bench = {
  name: 'drop-duplicates',
  suite: 'group',
  async run({ quick }) {
    const users = quick ? 250_000 : 1_000_000
    const records = users * 4
    const mill = await openClicks({ workers: 1 })
    const kernel = new BareIngest(PARTITIONS)
    // Ten thousand clicks at a time, since so many objects at once are what V8 would spend its time on.
    const [template = []] = clickBatches({ batches: 1, batchSize: BATCH_SIZE, users: 1 })
    const texts: string[] = []
    let revenue = 0
    for (let first = 0; first < records; first += BATCH_SIZE) {
      const batch = template.map((message, i): ClickMessage => {
        const user = Buffer.from(`user-${((first + i) * STEP) % users}`, 'latin1').toString('latin1')
        const price = ((first + i) % 9973) / 4
        if (first < users) revenue += price
        texts.push(user)
        return { key: user, value: { ...message.value, userId: user, price } }
      })
      await ingest(mill, [batch], 1)
      kernel.send(batch, Date.now())
    }
    const [totals] = await firsts(mill, false)
      .agg({ n: count(), s: sum('price') })
      .collect()
    check(totals?.n === users && nearly(Number(totals.s), revenue), `${totals?.n} users of ${users}`)

    const byHand = (): void => {
      const distinct = new BareDistinct(1 << 21)
      distinct.add(kernel.blocks)
      check(distinct.keys === users && nearly(distinct.sum, revenue), `bare loop found ${distinct.keys} users`)
    }
    const withSet = await measure({ warmUp: 0, repeats: 2 }, () => {
      const seen = new Set<string>()
      for (let i = 0; i < texts.length; i++) seen.add(texts[i] as string)
      check(seen.size === users, `${seen.size} users in a set`)
    })
    const { a: bare, b: ours } = await interleave({ warmUp: 1, repeats: quick ? 3 : 5 }, byHand, async () => {
      const query = await firsts(mill, true).writeStream.format('noop').trigger({ availableNow: true }).start()
      await query.awaitTermination()
    })
    await mill.close()
    return [
      {
        what: `dropDuplicates by a string key, ${users / 1e6} M keys of ${records / 1e6} M rows, one worker`,
        ...rates(records, ours),
        unit: 'records/s',
        limit: { what: 'bare loop', value: rates(records, bare).figure },
        notes: [
          `a Set of the strings alone ${(rates(records, withSet).figure / 1e6).toFixed(1)} M/s`,
          `start and end of the query included; ${ours.cpuSeconds.toFixed(3)} CPU s for ${records}`,
        ],
      },
    ]
  },
}

export default bench
