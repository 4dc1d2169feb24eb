import type { Auction, Bid, EventChunk, Person } from './events.js'

/**
 * What the queries must give, by loops of our own over the events as objects: no operator, no window and no join of the engine takes part. Each
 * gives the rows as arrays of values in the order of the query's columns; a window is its start.
 */
export interface AllEvents {
  readonly persons: readonly Person[]
  readonly auctions: readonly Auction[]
  readonly bids: readonly Bid[]
}

export type Value = string | number
export type ExpectedRow = readonly Value[]

const WINDOW_MS = 10_000
const SLIDE_MS = 2_000
const GAP_MS = 10_000

export function collectEvents(chunks: readonly EventChunk[]): AllEvents {
  return {
    persons: chunks.flatMap((chunk) => chunk.persons),
    auctions: chunks.flatMap((chunk) => chunk.auctions),
    bids: chunks.flatMap((chunk) => chunk.bids),
  }
}

const windowOf = (time: number): number => Math.floor(time / WINDOW_MS) * WINDOW_MS
const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10)
const minuteOf = (time: number): string => new Date(time).toISOString().slice(11, 16)

function groupsOf<E>(events: readonly E[], key: (event: E) => string): Map<string, E[]> {
  const groups = new Map<string, E[]>()
  for (const event of events) {
    const k = key(event)
    const group = groups.get(k)
    if (group === undefined) groups.set(k, [event])
    else group.push(event)
  }
  return groups
}

const greatest = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), -Infinity)
const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b), Infinity)
const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

const rankOf = ({ price }: Bid): number => (price < 10_000 ? 1 : price < 1_000_000 ? 2 : 3)

function ranked<V>(bids: readonly Bid[], value: (of: readonly Bid[]) => V): V[] {
  return [1, 2, 3].map((rank) => value(bids.filter((bid) => rankOf(bid) === rank)))
}

const counted = (bids: readonly Bid[]): Value[] => [bids.length, ...ranked(bids, (of) => of.length)]

function distinct(bids: readonly Bid[]): Value[] {
  const bidders = (of: readonly Bid[]): number => new Set(of.map((bid) => bid.bidder)).size
  const auctions = (of: readonly Bid[]): number => new Set(of.map((bid) => bid.auction)).size
  return [...counted(bids), bidders(bids), ...ranked(bids, bidders), auctions(bids), ...ranked(bids, auctions)]
}

/** Each auction that has them with the bids that came while it was open. */
function validBids({ auctions, bids }: AllEvents): { readonly auction: Auction; readonly bids: readonly Bid[] }[] {
  const byAuction = groupsOf(bids, (bid) => String(bid.auction))
  return auctions
    .map((auction) => ({
      auction,
      bids: (byAuction.get(String(auction.id)) ?? []).filter(
        ({ dateTime }) => dateTime >= auction.dateTime && dateTime <= auction.expires,
      ),
    }))
    .filter((pair) => pair.bids.length > 0)
}

/** The first of each group; who cannot be told apart by the order is by the columns, from the first on. */
function topOf(
  bids: readonly Bid[],
  key: (bid: Bid) => string,
  count: number,
  order: (a: Bid, b: Bid) => number,
): { readonly event: Bid; readonly rank: number }[] {
  const byColumns = (a: Bid, b: Bid): number =>
    a.auction - b.auction ||
    a.bidder - b.bidder ||
    a.price - b.price ||
    compareTexts(a.channel, b.channel) ||
    compareTexts(a.url, b.url) ||
    a.dateTime - b.dateTime ||
    compareTexts(a.extra, b.extra)
  return [...groupsOf(bids, key).values()].flatMap((of) =>
    [...of]
      .sort((a, b) => order(a, b) || byColumns(a, b))
      .slice(0, count)
      .map((event, i) => ({ event, rank: i + 1 })),
  )
}

/** All ASCII. */
const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The first of the highest. */
const better = (a: Bid, b: Bid): Bid => (b.price > a.price || (b.price === a.price && b.dateTime < a.dateTime) ? b : a)

export const expected: Readonly<Record<string, (events: AllEvents) => readonly ExpectedRow[]>> = {
  q0: ({ bids }) => bids.map((b) => [b.auction, b.bidder, b.price, b.dateTime, b.extra]),
  q1: ({ bids }) => bids.map((b) => [b.auction, b.bidder, 0.908 * b.price, b.dateTime, b.extra]),
  q2: ({ bids }) => bids.filter((b) => b.auction % 123 === 0).map((b) => [b.auction, b.price]),
  q3: ({ persons, auctions }) => {
    const byId = new Map(persons.map((p) => [p.id, p]))
    return auctions
      .filter((a) => a.category === 10)
      .flatMap((a) => {
        const seller = byId.get(a.seller)
        return seller !== undefined && ['OR', 'ID', 'CA'].includes(seller.state)
          ? [[seller.name, seller.city, seller.state, a.id]]
          : []
      })
  },
  q4: (events) => {
    const closed = validBids(events).map(({ auction, bids }) => ({
      category: auction.category,
      price: greatest(bids.map((b) => b.price)),
    }))
    return [...groupsOf(closed, (a) => String(a.category))].map(([category, of]) => [
      Number(category),
      total(of.map((a) => a.price)) / of.length,
    ])
  },
  q5: ({ bids }) => {
    const windows = new Map<number, Map<number, number>>()
    for (const { dateTime, auction } of bids) {
      const last = Math.floor(dateTime / SLIDE_MS) * SLIDE_MS
      for (let start = last; start > dateTime - WINDOW_MS; start -= SLIDE_MS) {
        const counts = windows.get(start) ?? new Map<number, number>()
        windows.set(start, counts)
        counts.set(auction, (counts.get(auction) ?? 0) + 1)
      }
    }
    return [...windows].flatMap(([start, counts]) => {
      const most = greatest([...counts.values()])
      return [...counts].filter(([, n]) => n === most).map(([auction, n]) => [start, auction, n])
    })
  },
  q7: ({ bids }) =>
    [...groupsOf(bids, (b) => String(windowOf(b.dateTime))).values()].flatMap((of) => {
      const highest = greatest(of.map((b) => b.price))
      return of.filter((b) => b.price === highest).map((b) => [b.auction, b.bidder, b.price, b.dateTime])
    }),
  q8: ({ persons, auctions }) => {
    const sellers = new Set(auctions.map((a) => `${a.seller}@${windowOf(a.dateTime)}`))
    return persons
      .filter((p) => sellers.has(`${p.id}@${windowOf(p.dateTime)}`))
      .map((p) => [p.id, p.name, windowOf(p.dateTime)])
  },
  q9: (events) =>
    validBids(events).map(({ auction, bids }) => {
      const winner = bids.reduce(better)
      return [auction.id, auction.category, winner.bidder, winner.price, winner.dateTime]
    }),
  q11: ({ bids }) =>
    [...groupsOf(bids, (b) => String(b.bidder))].flatMap(([bidder, of]) => {
      const rows: ExpectedRow[] = []
      let [start, last, n] = [0, -Infinity, 0]
      for (const { dateTime } of [...of].sort((a, b) => a.dateTime - b.dateTime)) {
        if (dateTime > last + GAP_MS) {
          if (n > 0) rows.push([start, Number(bidder), n])
          start = dateTime
          n = 0
        }
        last = dateTime
        n += 1
      }
      return [...rows, [start, Number(bidder), n]]
    }),
  q12: ({ bids }) =>
    [...groupsOf(bids, (b) => `${windowOf(b.dateTime)} ${b.bidder}`)].map(([key, of]) => [
      ...key.split(' ').map(Number),
      of.length,
    ]),
  q15: ({ bids }) => [...groupsOf(bids, (b) => dayOf(b.dateTime))].map(([day, of]) => [day, ...distinct(of)]),
  q16: ({ bids }) =>
    [...groupsOf(bids, (b) => `${b.channel} ${dayOf(b.dateTime)}`)].map(([key, of]) => [
      ...key.split(' '),
      ...distinct(of),
      of.map((b) => minuteOf(b.dateTime)).reduce((a, b) => (a > b ? a : b)),
    ]),
  q17: ({ bids }) =>
    [...groupsOf(bids, (b) => `${b.auction} ${dayOf(b.dateTime)}`)].map(([key, of]) => {
      const [auction, day] = key.split(' ') as [string, string]
      const prices = of.map((b) => b.price)
      const sum = total(prices)
      return [Number(auction), day, ...counted(of), least(prices), greatest(prices), sum / of.length, sum]
    }),
  q18: ({ bids }) =>
    topOf(
      bids,
      (b) => `${b.bidder} ${b.auction}`,
      1,
      (a, b) => b.dateTime - a.dateTime,
    ).map(({ event: b, rank }) => [b.bidder, b.auction, ...[b.price, b.channel, b.url, b.dateTime, b.extra, rank]]),
  q19: ({ bids }) =>
    topOf(
      bids,
      (b) => String(b.auction),
      10,
      (a, b) => b.price - a.price,
    ).map(({ event: b, rank }) => [b.auction, ...[b.bidder, b.price, b.channel, b.url, b.dateTime, b.extra, rank]]),
  q20: ({ auctions, bids }) => {
    const byId = new Map(auctions.filter((a) => a.category === 10).map((a) => [a.id, a]))
    return bids.flatMap((b) => {
      const a = byId.get(b.auction)
      if (a === undefined) return []
      const bid = [b.auction, b.bidder, b.price, b.channel, b.url, b.dateTime, b.extra]
      const auction = [a.itemName, a.description, a.initialBid, a.reserve, a.expires, a.seller, a.category]
      return [[...bid, ...auction, a.dateTime, a.extra]]
    })
  },
  q22: ({ bids }) => bids.map((b) => [b.auction, b.bidder, b.price, b.channel, ...b.url.split('/').slice(3, 6)]),
}

/** Null where the rows are the expected ones in any order; else what is wrong, in words. Doubles may differ in the last digits. */
export function difference(rows: readonly object[], wanted: readonly ExpectedRow[]): string | null {
  const found = rows.map((row) => rowText(Object.values(row).flatMap(flatValue))).sort()
  const sought = wanted.map(rowText).sort()
  if (found.length !== sought.length) return `${found.length} rows, expected ${sought.length}`
  const at = found.findIndex((text, i) => text !== sought[i])
  return at === -1 ? null : `found ${found[at]}, expected ${sought[at]}`
}

const rowText = (values: readonly Value[]): string =>
  values.map((v) => (typeof v === 'number' && !Number.isInteger(v) ? v.toPrecision(12) : String(v))).join(' | ')

/** Of a window its start, of another struct its fields. */
function flatValue(value: unknown): Value[] {
  if (typeof value === 'number' || typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return [String(value)]
  return 'start' in value && 'end' in value ? flatValue(value.start) : Object.values(value).flatMap(flatValue)
}
