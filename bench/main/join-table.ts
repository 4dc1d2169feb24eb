import { col, type Millrace, t } from 'millrace'
import { Click, ingest, openClicks, TOPIC } from '../lib/click-topic.js'
import { type ClickMessage, clickBatches } from '../lib/clicks.js'
import { nearly } from '../lib/expected.js'
import type { Bench } from '../lib/line.js'
import { check, interleave, rates } from '../lib/measure.js'

/** A stream joined with a table of 10 000 rows by a string key, each record with one match in it; one worker, from a typed log into the noop sink. */
const USERS = 10_000
const User = t.struct({ userId: t.string, team: t.string, discount: t.double })

const users = Array.from({ length: USERS }, (_, i) => ({
  userId: `user-${i}`,
  team: `team ${i % 37}`,
  discount: (i % 10) / 10,
}))

const question = (mill: Millrace, streaming: boolean) =>
  (streaming ? mill.readStream.option('startingOffsets', 'earliest') : mill.read)
    .topic(TOPIC, Click)
    .join(mill.createDataFrame(users, User), 'userId')
    .select('team', col('price').mul(col('discount')).as('saved'))

/** By hand, over objects that are there already: a Map, and columns for the result. */
function bareLoop(batches: readonly ClickMessage[][], rounds: number): number {
  const byId = new Map(users.map((user) => [user.userId, user]))
  const teams = new Array<string>(16_384)
  const saved = new Float64Array(16_384)
  let sum = 0
  for (let round = 0; round < rounds; round++) {
    for (const batch of batches) {
      let out = 0
      for (const { value } of batch) {
        const user = byId.get(value.userId)
        if (user === undefined) continue
        teams[out] = user.team
        saved[out++] = value.price * user.discount
      }
      for (let i = 0; i < out; i++) sum += saved[i] as number
    }
  }
  return sum
}

const bench: Bench = {
  name: 'join-table',
  suite: 'join',
  async run({ quick }) {
    const batches = clickBatches({ batches: 8, batchSize: 10_000, users: USERS })
    const expected = bareLoop(batches, 1)
    const small = await openClicks({ workers: 1 })
    await ingest(small, batches, 1)
    const query = await question(small, true)
      .writeStream.format('memory')
      .queryName('joined')
      .trigger({ availableNow: true })
      .start()
    await query.awaitTermination()
    const rows = await small.table('joined').collect()
    const sum = rows.reduce((total, row) => total + Number(row['saved']), 0)
    check(rows.length === 80_000 && nearly(sum, expected), `${rows.length} rows, ${sum} and not ${expected}`)
    await small.close()

    const rounds = quick ? 15 : 50
    const records = rounds * batches.length * 10_000
    const mill = await openClicks({ workers: 1 })
    await ingest(mill, batches, rounds)
    const { a: bare, b: ours } = await interleave(
      { warmUp: 2, repeats: quick ? 5 : 9 },
      () => {
        const total = bareLoop(batches, rounds)
        check(nearly(total, expected * rounds), `bare loop has ${total}`)
      },
      async () => {
        const running = await question(mill, true).writeStream.format('noop').trigger({ availableNow: true }).start()
        await running.awaitTermination()
      },
    )
    await mill.close()
    return [
      {
        what: 'join with a table of 10 000 rows by a string key, one worker',
        ...rates(records, ours),
        unit: 'records/s',
        limit: { what: 'loop over objects with a Map', value: rates(records, bare).figure },
        notes: [
          `reading the table and start and end of the query included; ${ours.cpuSeconds.toFixed(3)} CPU s for ${records}`,
        ],
      },
    ]
  },
}

export default bench
