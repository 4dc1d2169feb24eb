import { Millrace, t } from 'millrace'
import { MEMORY_BUDGET } from '../click-topic.js'
import { NexmarkEvents, StreamChecksum } from './events.js'

/**
 * The events in the log: a typed topic for each kind, as Nexmark's own runs over Kafka may have it and a user of this log would. One topic of all three would
 * need a column that tells them apart and three nullable structs, so that every query paid for columns of kinds that it does not read.
 * A query's speed counts all events, also those of the topics that it leaves out, as the peers' does whose storage is columns too.
 */
export const Person = t.struct({
  id: t.long,
  name: t.string,
  emailAddress: t.string,
  creditCard: t.string,
  city: t.string,
  state: t.string,
  dateTime: t.timestamp,
  extra: t.string,
})

export const Auction = t.struct({
  id: t.long,
  itemName: t.string,
  description: t.string,
  initialBid: t.long,
  reserve: t.long,
  dateTime: t.timestamp,
  expires: t.timestamp,
  seller: t.long,
  category: t.long,
  extra: t.string,
})

export const Bid = t.struct({
  auction: t.long,
  bidder: t.long,
  price: t.long,
  channel: t.string,
  url: t.string,
  dateTime: t.timestamp,
  extra: t.string,
})

export const PARTITIONS = 4
/** Events that are sent together: those of one kind among them go to one partition, the next to the next. */
export const CHUNK_EVENTS = 10_000

export async function openNexmark(workers: number): Promise<Millrace> {
  const mill = await Millrace.open({ memoryBudget: MEMORY_BUDGET, workers })
  await mill.topics.create('person', { partitions: PARTITIONS, schema: Person })
  await mill.topics.create('auction', { partitions: PARTITIONS, schema: Auction })
  await mill.topics.create('bid', { partitions: PARTITIONS, schema: Bid })
  return mill
}

/** Sends the first `events` of the stream; gives their checksum. */
export async function fillNexmark(mill: Millrace, events: number): Promise<string> {
  const stream = new NexmarkEvents()
  const checksum = new StreamChecksum()
  const producer = mill.producer()
  let pending: Promise<unknown>[] = []
  for (let sent = 0, round = 0; sent < events; sent += CHUNK_EVENTS, round++) {
    const chunk = stream.take(Math.min(CHUNK_EVENTS, events - sent))
    checksum.add(chunk)
    const partition = round % PARTITIONS
    const before = pending
    pending = [['person', chunk.persons] as const, ['auction', chunk.auctions] as const, ['bid', chunk.bids] as const]
      .filter(([, values]) => values.length > 0)
      .map(([topic, values]) => producer.send({ topic, messages: values.map((value) => ({ value, partition })) }))
    await Promise.all(before)
  }
  await Promise.all(pending)
  return checksum.digest()
}
