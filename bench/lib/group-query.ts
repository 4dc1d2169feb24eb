import { count, type Millrace, sum, window } from 'millrace'
import { Click, TOPIC } from './click-topic.js'
import type { ClickMessage } from './clicks.js'
import { groupsOf, nearly } from './expected.js'
import { check } from './measure.js'

/** Count and sum of price by user (10 000 of them) and tumbling window of an hour. */
export const WINDOW_MS = 3_600_000

const perUser = (mill: Millrace, streaming: boolean) =>
  (streaming ? mill.readStream.option('startingOffsets', 'earliest') : mill.read)
    .topic(TOPIC, Click)
    .groupBy(window('ts', '1 hour'), 'userId')
    .agg({ clicks: count(), revenue: sum('price') })

/** Everything that is stored, once through, to the noop sink. */
export async function runGroupQuery(mill: Millrace): Promise<void> {
  const query = await perUser(mill, true)
    .writeStream.outputMode('update')
    .format('noop')
    .trigger({ availableNow: true })
    .start()
  await query.awaitTermination()
}

export async function checkGroupQuery(
  mill: Millrace,
  batches: readonly ClickMessage[][],
  rounds: number,
): Promise<void> {
  const expected = groupsOf(batches, rounds, WINDOW_MS)
  const rows = await perUser(mill, false).collect()
  check(rows.length === expected.size, `${rows.length} groups of ${expected.size}`)
  for (const row of rows) {
    const group = expected.get(`${row.userId}@${row.window.start}`)
    check(
      group !== undefined && row.clicks === group.count && nearly(Number(row.revenue), group.sum),
      `user ${row.userId} has ${row.clicks} clicks of ${group?.count}`,
    )
  }
}
