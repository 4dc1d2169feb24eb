import {
  type Assignment,
  type AssignorInput,
  type PartitionAssignor,
  placeOf,
  sortedMembers,
  sortedPartitions,
  type TopicPartition,
} from './assignor.js'

/**
 * Kafka's `sticky` and `cooperative-sticky`: balance first, then as little as possible moves. Balanced means: of any two members either the counts
 * differ by one at most, or nothing of the fuller one's may go to the other. `sticky` is the eager variant (all stop, most
 * get back what they had), `cooperative-sticky` the one where only what moves is stopped.
 *
 * In three steps: every member keeps what it owns and still subscribes to; what is free goes to the emptiest who may have it, the partition with the fewest
 * takers first; then, as long as anybody has two more than somebody who may take one of them, the fullest such gives one.
 */
export const stickyAssignor: PartitionAssignor = {
  name: 'sticky',
  protocol: 'eager',
  assign: (input) => assign(input),
}

export const cooperativeStickyAssignor: PartitionAssignor = {
  name: 'cooperative-sticky',
  protocol: 'cooperative',
  assign: (input) => assign(input),
}

interface Share {
  readonly memberId: string
  readonly topics: ReadonlySet<string>
  readonly places: TopicPartition[]
  /** Places of the list that it has owned before; they come first in it. */
  kept: number
}

function assign(input: AssignorInput): Assignment {
  const shares: Share[] = sortedMembers(input.members).map((member) => ({
    memberId: member.memberId,
    topics: new Set(member.topics),
    places: [],
    kept: 0,
  }))
  const free = keepOwned(input, shares)
  const takersOf = takersByTopic(shares)
  free.sort((a, b) => takersOf(a.topic).length - takersOf(b.topic).length)
  for (const place of free) emptiest(takersOf(place.topic)).places.push(place)
  balance(shares, takersOf)
  return new Map(shares.map((share) => [share.memberId, share.places]))
}

/** Gives every member what it owns and may keep; returns the rest, in order. */
function keepOwned(input: AssignorInput, shares: readonly Share[]): TopicPartition[] {
  const free = new Map(sortedPartitions(input).map((place) => [placeOf(place), place]))
  const ownedBy = new Map(input.members.map((member) => [member.memberId, member.owned]))
  for (const share of shares) {
    for (const owned of ownedBy.get(share.memberId) ?? []) {
      const place = free.get(placeOf(owned))
      // Two who claim the same: who comes first keeps it.
      if (place === undefined || !share.topics.has(place.topic)) continue
      free.delete(placeOf(owned))
      share.places.push(place)
    }
    share.kept = share.places.length
  }
  return [...free.values()]
}

function takersByTopic(shares: readonly Share[]): (topic: string) => readonly Share[] {
  const known = new Map<string, readonly Share[]>()
  return (topic) => {
    let takers = known.get(topic)
    if (takers === undefined) {
      takers = shares.filter((share) => share.topics.has(topic))
      known.set(topic, takers)
    }
    return takers
  }
}

/** The first of the emptiest. */
function emptiest(takers: readonly Share[]): Share {
  let found = takers[0] as Share
  for (const taker of takers) if (taker.places.length < found.places.length) found = taker
  return found
}

/** Each move makes the sum of the squares of the counts smaller, so there is an end. */
function balance(shares: readonly Share[], takersOf: (topic: string) => readonly Share[]): void {
  for (;;) {
    const byCount = [...shares].sort((a, b) => b.places.length - a.places.length)
    const fewest = (byCount[byCount.length - 1] as Share).places.length
    if (!byCount.some((giver) => give(giver, takersOf, fewest))) return
  }
}

/** Moves one place of the giver's to the emptiest of those who may take one and have two fewer; false where there is none. */
function give(giver: Share, takersOf: (topic: string) => readonly Share[], fewest: number): boolean {
  let taker: Share | undefined
  let at = -1
  // What came last was not owned before: it has no state anywhere that a move would lose.
  for (let i = giver.places.length - 1; i >= 0; i--) {
    const candidate = emptiest(takersOf((giver.places[i] as TopicPartition).topic))
    if (candidate.places.length + 2 > giver.places.length) continue
    if (taker === undefined || candidate.places.length < taker.places.length) {
      taker = candidate
      at = i
    }
    if (taker !== undefined && (i === giver.kept || taker.places.length === fewest)) break
  }
  if (taker === undefined) return false
  taker.places.push(...giver.places.splice(at, 1))
  if (at < giver.kept) giver.kept -= 1
  return true
}
