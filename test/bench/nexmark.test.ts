import { describe, expect, test } from 'vitest'
import { NexmarkEvents, StreamChecksum } from '../../bench/lib/nexmark/events.js'
import { difference } from '../../bench/lib/nexmark/expected.js'

const EVENTS = 20_000
const chunk = new NexmarkEvents().take(EVENTS)

const share = (of: readonly boolean[]): number => of.filter(Boolean).length / of.length

describe('the events of Nexmark', () => {
  test('are the same for a seed, and others for another', () => {
    const digest = (seed?: number): string => {
      const checksum = new StreamChecksum()
      checksum.add(new NexmarkEvents(seed).take(EVENTS))
      return checksum.digest()
    }
    expect(digest()).toBe('9a5ebed1ac9333ad3e5175c64c9ecacc334464827fb7120194c42e3f0a44dc11')
    expect(digest(7)).not.toBe(digest())
  })

  test('do not depend on how many are taken at a time', () => {
    const events = new NexmarkEvents()
    const parts = [events.take(1), events.take(777), events.take(EVENTS - 778)]
    expect(parts.flatMap((part) => part.bids)).toEqual(chunk.bids)
    expect(parts.flatMap((part) => part.auctions)).toEqual(chunk.auctions)
    expect(parts.flatMap((part) => part.persons)).toEqual(chunk.persons)
  })

  test('are 1 person to 3 auctions to 46 bids', () => {
    const { persons, auctions, bids } = chunk
    expect([persons.length, auctions.length, bids.length]).toEqual([EVENTS / 50, (EVENTS * 3) / 50, (EVENTS * 46) / 50])
    expect(persons.map((person) => person.id)).toEqual(persons.map((_, i) => 1000 + i))
    expect(auctions.map((auction) => auction.id)).toEqual(auctions.map((_, i) => 1000 + i))
  })

  test('have hot sellers, bidders and auctions in the published shares', () => {
    // Who is not drawn as hot may still be the hot one, by a chance of some thousandths.
    expect(share(chunk.auctions.map((a) => a.seller % 100 === 0))).toBeCloseTo(3 / 4, 1)
    expect(share(chunk.bids.map((b) => b.bidder % 100 === 1))).toBeCloseTo(3 / 4, 1)
    expect(share(chunk.bids.map((b) => b.auction % 100 === 0))).toBeCloseTo(1 / 2, 1)
    expect(share(chunk.bids.map((b) => /^[A-Z]/.test(b.channel)))).toBeCloseTo(1 / 2, 1)
  })

  test('have the published sizes, on average', () => {
    const mean = (sizes: readonly number[]): number => sizes.reduce((a, b) => a + b, 0) / sizes.length
    const { persons, auctions } = chunk
    const personBytes = persons.map(
      (p) =>
        16 +
        p.name.length +
        p.emailAddress.length +
        p.creditCard.length +
        p.city.length +
        p.state.length +
        p.extra.length,
    )
    expect(mean(personBytes)).toBeGreaterThan(190)
    expect(mean(personBytes)).toBeLessThan(210)
    const auctionBytes = auctions.map((a) => 64 + a.itemName.length + a.description.length + a.extra.length)
    expect(mean(auctionBytes)).toBeGreaterThan(490)
    expect(mean(auctionBytes)).toBeLessThan(510)
  })
})

test('a row that is missing, or another, is a difference', () => {
  const rows = [
    { window: { start: 0, end: 10 }, n: 1 },
    { window: { start: 10, end: 20 }, n: 2 },
  ]
  expect(
    difference(rows, [
      [10, 2],
      [0, 1],
    ]),
  ).toBeNull()
  expect(difference(rows, [[10, 2]])).toBe('2 rows, expected 1')
  expect(
    difference(rows, [
      [10, 2],
      [0, 3],
    ]),
  ).toBe('found 0 | 1, expected 0 | 3')
})
