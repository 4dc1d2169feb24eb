import { createHash, type Hash } from 'node:crypto'

/**
 * The events of Nexmark, an auction house: persons, auctions and bids in the published proportions and with the published hot keys, here from a seed, so that
 * a stream can be had again. Constants and shapes are those of nexmark/nexmark (GeneratorConfig and the generators of its model) with these differences:
 *
 *   - Bidders are numbered as persons are. The original adds the first id twice, so that some of its bidders are nobody.
 *   - `extra`, descriptions and item names are cut out of one random text, which costs less than a letter at a time; their lengths are drawn as there.
 *   - Event times go on by a tenth of a millisecond an event (10 000 events a second), whatever speed the events are read at.
 */
export interface Person {
  readonly id: number
  readonly name: string
  readonly emailAddress: string
  readonly creditCard: string
  readonly city: string
  readonly state: string
  readonly dateTime: number
  readonly extra: string
}

export interface Auction {
  readonly id: number
  readonly itemName: string
  readonly description: string
  readonly initialBid: number
  readonly reserve: number
  readonly dateTime: number
  readonly expires: number
  readonly seller: number
  readonly category: number
  readonly extra: string
}

export interface Bid {
  readonly auction: number
  readonly bidder: number
  readonly price: number
  readonly channel: string
  readonly url: string
  readonly dateTime: number
  readonly extra: string
}

/** Some events that follow one another, by kind, each kind in the order of its times. */
export interface EventChunk {
  readonly persons: readonly Person[]
  readonly auctions: readonly Auction[]
  readonly bids: readonly Bid[]
}

export const FIRST_TIME = Date.UTC(2026, 0, 1)
const EVENTS_PER_MS = 10

/** Of every 50 events the first is a person, the next three are auctions, the others bids. */
const PERSONS = 1
const AUCTIONS = 3
const CYCLE = 50

const FIRST_PERSON = 1000
const FIRST_AUCTION = 1000
const FIRST_CATEGORY = 10
const CATEGORIES = 5
const ACTIVE_PERSONS = 1000
const AUCTIONS_IN_FLIGHT = 100
/** Ids of so many that are not there yet are drawn too. */
const ID_LEAD = 10
/** A hot seller, bidder or auction is one of so many. */
const HOT_SPACING = 100
const HOT_SELLERS_RATIO = 4
const HOT_AUCTION_RATIO = 2
const HOT_BIDDERS_RATIO = 4
const HOT_CHANNELS_RATIO = 2
const CHANNELS = 10_000

const PERSON_BYTES = 200
const AUCTION_BYTES = 500
const BID_BYTES = 100

const firstNames = ['Peter', 'Paul', 'Luke', 'John', 'Saul', 'Vicky', 'Kate', 'Julie', 'Sarah', 'Deiter', 'Walter']
const lastNames = ['Shultz', 'Abrams', 'Spencer', 'White', 'Bartels', 'Walton', 'Smith', 'Jones', 'Noris']
const cities = [
  'Phoenix',
  'Los Angeles',
  'San Francisco',
  'Boise',
  'Portland',
  'Bend',
  'Redmond',
  'Seattle',
  'Kent',
].concat('Cheyenne')
const states = ['AZ', 'CA', 'ID', 'OR', 'WA', 'WY']
const hotChannels = ['Google', 'Facebook', 'Baidu', 'Apple']

/** Letters to cut strings from; longer than any of them. */
const TEXT_LENGTH = 1 << 16
const TEXT_ROOM = 1024

/** mulberry32: the same numbers on every machine. */
class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** Uniform in [0, 1). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let z = this.#state
    z = Math.imul(z ^ (z >>> 15), z | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296
  }

  /** 0 … bound − 1. */
  below(bound: number): number {
    return Math.floor(this.fraction() * bound)
  }

  /** In cents, from a dollar to a million, each order of magnitude as likely as another. */
  price(): number {
    return Math.round(10 ** (this.fraction() * 6) * 100)
  }
}

/** The bits of a 32-bit integer from the last to the first, as a number with a sign. */
function reversedBits(value: number): number {
  let bits = 0
  for (let i = 0; i < 32; i++) bits |= ((value >>> i) & 1) << (31 - i)
  return bits
}

export class NexmarkEvents {
  readonly #chance: Chance
  /** Letters alone, and letters with a space for every thirteenth. */
  readonly #letters: string
  readonly #words: string
  readonly #hotUrls: readonly string[]
  readonly #channels: readonly { readonly channel: string; readonly url: string }[]
  /** Number of the event that comes next. */
  #next = 0

  constructor(seed = 42) {
    const chance = new Chance(seed)
    this.#chance = chance
    const text = (letter: () => number): string =>
      Buffer.from(Uint8Array.from({ length: TEXT_LENGTH }, letter)).toString('latin1')
    this.#letters = text(() => 97 + chance.below(26))
    this.#words = text(() => (chance.below(13) === 0 ? 32 : 97 + chance.below(26)))
    this.#hotUrls = hotChannels.map(() => this.#url())
    this.#channels = Array.from({ length: CHANNELS }, (_, i) => {
      const query = chance.below(10) > 0 ? `&channel_id=${Math.abs(reversedBits(i))}` : ''
      return { channel: flat(`channel-${i}`), url: flat(this.#url() + query) }
    })
  }

  /** The next `count` events. */
  take(count: number): EventChunk {
    const persons: Person[] = []
    const auctions: Auction[] = []
    const bids: Bid[] = []
    for (let i = 0; i < count; i++) {
      const n = this.#next++
      const place = n % CYCLE
      if (place < PERSONS) persons.push(this.#person(n))
      else if (place < PERSONS + AUCTIONS) auctions.push(this.#auction(n))
      else bids.push(this.#bid(n))
    }
    return { persons, auctions, bids }
  }

  #person(n: number): Person {
    const chance = this.#chance
    const id = FIRST_PERSON + lastPerson(n)
    const name = `${pick(chance, firstNames)} ${pick(chance, lastNames)}`
    const emailAddress = `${this.#word(7)}@${this.#word(5)}.com`
    const digits = (): string => String(1e4 + chance.below(1e4)).slice(1)
    const creditCard = `${digits()} ${digits()} ${digits()} ${digits()}`
    const city = pick(chance, cities)
    const state = pick(chance, states)
    const size = 16 + name.length + emailAddress.length + creditCard.length + city.length + state.length
    return {
      id,
      name,
      emailAddress,
      creditCard,
      city,
      state,
      dateTime: timeOf(n),
      extra: this.#extra(PERSON_BYTES - size),
    }
  }

  #auction(n: number): Auction {
    const chance = this.#chance
    const id = FIRST_AUCTION + lastAuction(n)
    const isHot = chance.below(HOT_SELLERS_RATIO) > 0
    const seller =
      FIRST_PERSON + (isHot ? Math.floor(lastPerson(n) / HOT_SPACING) * HOT_SPACING : this.#activePerson(n))
    const category = FIRST_CATEGORY + chance.below(CATEGORIES)
    const initialBid = chance.price()
    const dateTime = timeOf(n)
    const horizon = timeOf(n + Math.floor((AUCTIONS_IN_FLIGHT * CYCLE) / AUCTIONS)) - dateTime
    const expires = dateTime + 1 + chance.below(Math.max(horizon * 2, 1))
    const itemName = this.#word(20)
    const description = this.#word(100)
    const reserve = initialBid + chance.price()
    const extra = this.#extra(AUCTION_BYTES - (64 + itemName.length + description.length))
    return { id, itemName, description, initialBid, reserve, dateTime, expires, seller, category, extra }
  }

  #bid(n: number): Bid {
    const chance = this.#chance
    const last = lastAuction(n)
    const least = Math.max(last - AUCTIONS_IN_FLIGHT, 0)
    const auction =
      chance.below(HOT_AUCTION_RATIO) > 0
        ? Math.floor(last / HOT_SPACING) * HOT_SPACING
        : least + chance.below(last - least + 1 + ID_LEAD)
    const isHotBidder = chance.below(HOT_BIDDERS_RATIO) > 0
    const bidder = isHotBidder ? Math.floor(lastPerson(n) / HOT_SPACING) * HOT_SPACING + 1 : this.#activePerson(n)
    const price = chance.price()
    let channel: string
    let url: string
    if (chance.below(HOT_CHANNELS_RATIO) > 0) {
      const i = chance.below(hotChannels.length)
      channel = hotChannels[i] as string
      url = this.#hotUrls[i] as string
    } else {
      const other = pick(chance, this.#channels)
      channel = other.channel
      url = other.url
    }
    return {
      auction: FIRST_AUCTION + auction,
      bidder: FIRST_PERSON + bidder,
      price,
      channel,
      url,
      dateTime: timeOf(n),
      extra: this.#extra(BID_BYTES - (32 + channel.length + url.length)),
    }
  }

  /** Of those that came last, or of the few that come next. */
  #activePerson(n: number): number {
    const persons = lastPerson(n) + 1
    const active = Math.min(persons, ACTIVE_PERSONS)
    return persons - active + this.#chance.below(active + ID_LEAD)
  }

  /** Three letters at least, fewer than `longest`. */
  #word(longest: number): string {
    const length = 3 + this.#chance.below(longest - 3)
    const from = this.#chance.below(TEXT_LENGTH - TEXT_ROOM)
    return this.#words.slice(from, from + length).trim()
  }

  /** Fills an event up to its usual size, give or take a fifth; nothing where it has that already. */
  #extra(missing: number): string {
    if (missing <= 0) return ''
    const spread = Math.round(missing * 0.2)
    const length = missing - spread + (spread === 0 ? 0 : this.#chance.below(2 * spread))
    const from = this.#chance.below(TEXT_LENGTH - TEXT_ROOM)
    return this.#letters.slice(from, from + length)
  }

  #url(): string {
    const part = (): string => this.#word(5).replaceAll(' ', '_')
    return flat(`https://www.nexmark.com/${part()}/${part()}/${part()}/item.htm?query=1`)
  }
}

/** SHA-256 over the fields of all events, chunk by chunk: numbers as doubles, then the texts. Where the chunks were cut does count. */
export class StreamChecksum {
  readonly #hash: Hash = createHash('sha256')

  add({ persons, auctions, bids }: EventChunk): void {
    this.#fields(persons, 2, (p, to, at) => {
      to[at] = p.id
      to[at + 1] = p.dateTime
      return `${p.name}\n${p.emailAddress}\n${p.creditCard}\n${p.city}\n${p.state}\n${p.extra}\n`
    })
    this.#fields(auctions, 7, (a, to, at) => {
      to.set([a.id, a.initialBid, a.reserve, a.dateTime, a.expires, a.seller, a.category], at)
      return `${a.itemName}\n${a.description}\n${a.extra}\n`
    })
    this.#fields(bids, 4, (b, to, at) => {
      to[at] = b.auction
      to[at + 1] = b.bidder
      to[at + 2] = b.price
      to[at + 3] = b.dateTime
      return `${b.channel}\n${b.url}\n${b.extra}\n`
    })
  }

  digest(): string {
    return this.#hash.copy().digest('hex')
  }

  #fields<E>(events: readonly E[], numbers: number, write: (event: E, to: Float64Array, at: number) => string): void {
    const values = new Float64Array(events.length * numbers)
    let texts = ''
    for (let i = 0; i < events.length; i++) texts += write(events[i] as E, values, i * numbers)
    this.#hash.update(new Uint8Array(values.buffer)).update(texts, 'latin1')
  }
}

const pick = <T>(chance: Chance, from: readonly T[]): T => from[chance.below(from.length)] as T

/** A string of one piece: V8 keeps a concatenation as a tree until somebody reads it. */
const flat = (text: string): string => Buffer.from(text, 'latin1').toString('latin1')

const timeOf = (n: number): number => FIRST_TIME + Math.floor(n / EVENTS_PER_MS)

/** Of the persons up to event n, counted from 0. */
const lastPerson = (n: number): number => Math.floor(n / CYCLE) * PERSONS

/** Of the auctions up to event n, counted from 0; −1 before the first. */
function lastAuction(n: number): number {
  const place = n % CYCLE
  const cycle = Math.floor(n / CYCLE) - (place < PERSONS ? 1 : 0)
  const offset = place < PERSONS || place >= PERSONS + AUCTIONS ? AUCTIONS - 1 : place - PERSONS
  return cycle * AUCTIONS + offset
}
