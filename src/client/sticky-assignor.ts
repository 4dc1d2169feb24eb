import {
  type AssignableMember,
  type Assignment,
  type AssignorInput,
  type PartitionAssignor,
  placeOf,
  sortedMembers,
  sortedPartitions,
  type TopicPartition,
} from './assignor.js'
import { assignUniformly } from './uniform-assignment.js'

/**
 * Kafka's `sticky` and `cooperative-sticky`: balance first, then as little as possible moves. Balanced means: of any two members either the counts
 * differ by one at most, or nothing of the fuller one's may go to the other. `sticky` is the eager variant (all stop, most
 * get back what they had), `cooperative-sticky` the one where only what moves is stopped.
 *
 * Where all members subscribe to the same it is done as Kafka does it (uniform-assignment.ts). Where they do not, in three steps: every member keeps what it owns and still subscribes to; what is free goes to the emptiest who may have it, the partition with the fewest
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
  const members = sortedMembers(input.members)
  const all = sortedPartitions(input)
  const ownedBy = claims(members, all)
  const mayKeep = (member: AssignableMember): TopicPartition[] => {
    const topics = new Set(member.topics)
    return (ownedBy.get(member.memberId) ?? []).filter((place) => topics.has(place.topic))
  }
  if (haveEqualTopics(members)) {
    const owning = members.map((member) => ({ memberId: member.memberId, owned: mayKeep(member) }))
    return assignUniformly(owning, (kept) => all.filter((place) => !kept.has(place)), all.length)
  }
  const shares: Share[] = members.map((member) => {
    const places = mayKeep(member)
    return { memberId: member.memberId, topics: new Set(member.topics), places, kept: places.length }
  })
  const kept = new Set(shares.flatMap((share) => share.places))
  const takersOf = takersByTopic(shares)
  const free = all.filter((place) => !kept.has(place))
  free.sort((a, b) => takersOf(a.topic).length - takersOf(b.topic).length)
  for (const place of free) emptiest(takersOf(place.topic)).places.push(place)
  balance(shares, takersOf)
  return new Map(shares.map((share) => [share.memberId, share.places]))
}

function haveEqualTopics(members: readonly AssignableMember[]): boolean {
  const first = new Set(members[0]?.topics)
  return members.every(({ topics }) => {
    const own = new Set(topics)
    return own.size === first.size && topics.every((topic) => first.has(topic))
  })
}

/** What each member owns of the partitions that there are. What two claim is nobody's, as with Kafka. */
function claims(
  members: readonly AssignableMember[],
  all: readonly TopicPartition[],
): ReadonlyMap<string, readonly TopicPartition[]> {
  const places = new Map(all.map((place) => [placeOf(place), place]))
  const owners = new Map<TopicPartition, string | undefined>()
  for (const { memberId, owned } of members) {
    for (const claim of owned) {
      const place = places.get(placeOf(claim))
      if (place === undefined) continue
      const isOther = owners.has(place) && owners.get(place) !== memberId
      owners.set(place, isOther ? undefined : memberId)
    }
  }
  const ownedBy = new Map<string, TopicPartition[]>()
  for (const [place, memberId] of owners) {
    if (memberId === undefined) continue
    const own = ownedBy.get(memberId)
    if (own === undefined) ownedBy.set(memberId, [place])
    else own.push(place)
  }
  return ownedBy
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
