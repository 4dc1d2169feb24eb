import { Millrace, type MillraceOptions, t } from 'millrace'
import type { ClickMessage } from './clicks.js'

/** The clicks as a typed topic of four partitions, and ways to fill it. */

export const Click = t.struct({
  userId: t.string,
  page: t.string,
  ts: t.timestamp,
  price: t.double,
  quantity: t.int,
  country: t.string,
  mobile: t.boolean,
})

export const TOPIC = 'clicks'
export const PARTITIONS = 4
/** Enough that nothing of a benchmark is spilled. */
export const MEMORY_BUDGET = 4 * 1024 ** 3

export async function openClicks(options: MillraceOptions): Promise<Millrace> {
  const mill = await Millrace.open({ memoryBudget: MEMORY_BUDGET, ...options })
  await mill.topics.create(TOPIC, { partitions: PARTITIONS, schema: Click })
  return mill
}

/** Sends the batches `rounds` times over, at most `inFlight` sends unacknowledged; resolves when all are acknowledged. */
export async function ingest(
  mill: Millrace,
  batches: readonly ClickMessage[][],
  rounds: number,
  inFlight = 8,
): Promise<number> {
  const producer = mill.producer()
  const pending: Promise<unknown>[] = []
  let records = 0
  for (let round = 0; round < rounds; round++) {
    for (const messages of batches) {
      pending.push(producer.send({ topic: TOPIC, messages }))
      records += messages.length
      if (pending.length >= inFlight) await pending.shift()
    }
  }
  await Promise.all(pending)
  return records
}
