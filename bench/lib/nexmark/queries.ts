import {
  avg,
  type Column,
  col,
  count,
  countDistinct,
  countIf,
  dateFormat,
  desc,
  expr,
  lit,
  type Millrace,
  max,
  min,
  type StreamingQuery,
  sessionWindow,
  splitPart,
  sum,
  toDate,
  when,
  window,
  windowTime,
} from 'millrace'
import { Auction, Bid, Person } from './topics.js'

/**
 * The queries of Nexmark. `how` says how one is run over the whole log: as a stream that stops at its end, in the output mode named, or,
 * where a stream cannot have it, as a query over bounded rows. Windows are of event time in q12 too, where the original takes the time of the
 * machine, of which no result can be checked.
 */
/** What is used of a DataFrame, whatever its rows. */
interface Frame {
  collect(): Promise<object[]>
  readonly writeStream: Writer
}

interface Writer {
  outputMode(mode: 'append' | 'update'): Writer
  format(sink: 'noop' | 'memory'): Writer
  queryName(name: string): Writer
  trigger(trigger: { readonly availableNow: true }): Writer
  start(): Promise<StreamingQuery>
}

export interface NexmarkQuery {
  readonly name: string
  readonly what: string
  readonly how: 'append' | 'update' | 'batch'
  readonly frame: (inputs: Inputs) => Frame

  /** Over more events it is not timed. */
  readonly eventsMax?: number
}

/** The values of a countDistinct are one value of its group, which travels between threads as a row of 2 MiB at the most. */
const DISTINCT_EVENTS_MAX = 250_000

export class Inputs {
  constructor(
    private readonly mill: Millrace,
    private readonly streaming: boolean,
  ) {}

  /** With Nexmark's watermark. */
  get persons() {
    return this.#read.topic('person', Person).withWatermark('dateTime', '4 seconds')
  }
  get auctions() {
    return this.#read.topic('auction', Auction).withWatermark('dateTime', '4 seconds')
  }
  get bids() {
    return this.#read.topic('bid', Bid).withWatermark('dateTime', '4 seconds')
  }

  get #read() {
    return this.streaming ? this.mill.readStream.option('startingOffsets', 'earliest') : this.mill.read
  }
}

const price = col('price')
const ranks = [price.lt(10_000), price.gte(10_000).and(price.lt(1_000_000)), price.gte(1_000_000)] as const

/** Bids in all and by rank; different bidders and auctions in all and by rank. */
const distinctCounts = () => ({
  bids: count(),
  rank1Bids: countIf(ranks[0]),
  rank2Bids: countIf(ranks[1]),
  rank3Bids: countIf(ranks[2]),
  bidders: countDistinct('bidder'),
  rank1Bidders: countDistinct(when(ranks[0], col('bidder'))),
  rank2Bidders: countDistinct(when(ranks[1], col('bidder'))),
  rank3Bidders: countDistinct(when(ranks[2], col('bidder'))),
  auctions: countDistinct('auction'),
  rank1Auctions: countDistinct(when(ranks[0], col('auction'))),
  rank2Auctions: countDistinct(when(ranks[1], col('auction'))),
  rank3Auctions: countDistinct(when(ranks[2], col('auction'))),
})

/** Bids on auctions that were open. */
const validBids = ({ auctions, bids }: Inputs) =>
  auctions
    .select('id', 'category', col('dateTime').as('opens'), 'expires')
    .join(
      bids.select('auction', 'bidder', 'price', 'dateTime'),
      expr('id = auction and dateTime between opens and expires'),
    )

const untyped = (name: string): Column => col(name) as Column

export const queries: readonly NexmarkQuery[] = [
  {
    name: 'q0',
    what: 'pass through',
    how: 'append',
    frame: ({ bids }) => bids.select('auction', 'bidder', 'price', 'dateTime', 'extra'),
  },
  {
    name: 'q1',
    what: 'price in another currency',
    how: 'append',
    frame: ({ bids }) => bids.select('auction', 'bidder', lit(0.908).mul(price).as('price'), 'dateTime', 'extra'),
  },
  {
    name: 'q2',
    what: 'bids on one auction of 123',
    how: 'append',
    frame: ({ bids }) => bids.filter(col('auction').mod(123).eq(0)).select('auction', 'price'),
  },
  {
    name: 'q3',
    what: 'auctions of a category and their sellers in three states',
    how: 'append',
    frame: ({ auctions, persons }) =>
      auctions
        .filter(col('category').eq(10))
        .select(col('id').as('auction'), 'seller')
        .join(
          persons.filter(col('state').isin('OR', 'ID', 'CA')).select('id', 'name', 'city', 'state'),
          expr('seller = id'),
        )
        .select('name', 'city', 'state', 'auction'),
  },
  {
    name: 'q4',
    what: 'average closing price of each category',
    how: 'batch',
    frame: (inputs) =>
      validBids(inputs)
        .groupBy('id', 'category')
        .agg({ final: max('price') })
        .groupBy('category')
        .agg({ average: avg('final') }),
  },
  {
    name: 'q5',
    what: 'auctions with the most bids of 10 s, every 2 s',
    how: 'append',
    frame: ({ bids }) => {
      const counts = bids.groupBy(window('dateTime', '10 seconds', '2 seconds'), 'auction').agg({ bids: count() })
      // Each window again, now as the only key: its last moment is in no other window of 2 s.
      const most = counts.groupBy(window(windowTime('window'), '2 seconds')).agg({ most: max('bids') })
      return counts
        .as('c')
        .join(most.as('m'), expr('c.window.end = m.window.end and c.bids >= m.most'))
        .select(col('c.window'), col('c.auction'), col('c.bids'))
    },
  },
  {
    name: 'q7',
    what: 'highest bids of each 10 s',
    how: 'append',
    frame: ({ bids }) => {
      const highest = bids.groupBy(window('dateTime', '10 seconds')).agg({ highest: max('price') })
      return bids
        .select('auction', 'bidder', 'price', 'dateTime')
        .join(highest, expr('price = highest and dateTime >= window.start and dateTime < window.end'))
        .select('auction', 'bidder', 'price', 'dateTime')
    },
  },
  {
    name: 'q8',
    what: 'persons who open an auction within the 10 s in which they came',
    how: 'append',
    frame: ({ auctions, persons }) => {
      const come = persons.groupBy('id', 'name', window('dateTime', '10 seconds')).agg({ n: count() })
      const sellers = auctions.groupBy('seller', window('dateTime', '10 seconds')).agg({ n: count() })
      return come
        .as('p')
        .join(sellers.as('a'), expr('p.id = a.seller and p.window = a.window'))
        .select(col('p.id'), col('p.name'), col('p.window'))
    },
  },
  {
    name: 'q9',
    what: 'winning bid of each auction',
    how: 'update',
    frame: (inputs) =>
      validBids(inputs)
        .groupBy('id', 'category')
        .top(1, desc('price'), 'dateTime')
        .select('id', 'category', 'bidder', 'price', 'dateTime'),
  },
  {
    name: 'q11',
    what: 'bids of each session of a bidder, gap 10 s',
    how: 'append',
    frame: ({ bids }) => bids.groupBy(sessionWindow('dateTime', '10 seconds'), 'bidder').agg({ bids: count() }),
  },
  {
    name: 'q12',
    what: 'bids of each bidder and 10 s',
    how: 'append',
    frame: ({ bids }) => bids.groupBy(window('dateTime', '10 seconds'), 'bidder').agg({ bids: count() }),
  },
  {
    name: 'q15',
    what: 'bidders and auctions of each day, by rank of price',
    how: 'update',
    eventsMax: DISTINCT_EVENTS_MAX,
    frame: ({ bids }) => bids.groupBy(toDate('dateTime').as('day')).agg(distinctCounts()),
  },
  {
    name: 'q16',
    what: 'the same of each channel and day',
    how: 'update',
    eventsMax: DISTINCT_EVENTS_MAX,
    frame: ({ bids }) =>
      bids
        .groupBy('channel', toDate('dateTime').as('day'))
        .agg({ ...distinctCounts(), minute: max(dateFormat('dateTime', 'HH:mm')) }),
  },
  {
    name: 'q17',
    what: 'bids of each auction and day, by rank of price',
    how: 'update',
    frame: ({ bids }) =>
      bids.groupBy('auction', toDate('dateTime').as('day')).agg({
        bids: count(),
        rank1Bids: countIf(ranks[0]),
        rank2Bids: countIf(ranks[1]),
        rank3Bids: countIf(ranks[2]),
        lowest: min('price'),
        highest: max('price'),
        average: avg('price'),
        total: sum('price'),
      }),
  },
  {
    name: 'q18',
    what: 'last bid of each bidder on each auction',
    how: 'update',
    frame: ({ bids }) => bids.groupBy('bidder', 'auction').top(1, desc('dateTime')),
  },
  {
    name: 'q19',
    what: 'ten highest bids of each auction',
    how: 'update',
    frame: ({ bids }) => bids.groupBy('auction').top(10, desc('price')),
  },
  {
    name: 'q20',
    what: 'bids with their auction, of one category',
    how: 'append',
    frame: ({ auctions, bids }) =>
      bids
        .as('b')
        .join(auctions.filter(col('category').eq(10)).as('a'), expr('b.auction = a.id'))
        .select(
          ...['auction', 'bidder', 'price', 'channel', 'url', 'b.dateTime', 'b.extra'].map(untyped),
          ...['itemName', 'description', 'initialBid', 'reserve', 'expires', 'seller', 'category'].map(untyped),
          untyped('a.dateTime').as('opens'),
          untyped('a.extra').as('auctionExtra'),
        ),
  },
  {
    name: 'q22',
    what: 'directories of the url',
    how: 'append',
    frame: ({ bids }) =>
      bids.select(
        'auction',
        'bidder',
        'price',
        'channel',
        splitPart('url', '/', 4).as('dir1'),
        splitPart('url', '/', 5).as('dir2'),
        splitPart('url', '/', 6).as('dir3'),
      ),
  },
]
