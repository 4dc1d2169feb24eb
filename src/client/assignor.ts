import { MillraceError } from '../common/errors.js'
import { describe } from '../types/invalid-value.js'

/**
 * An assignor says which member of a group reads which partition. It is a pure function of the members, what they subscribe to and what
 * they own now, so that every group decides alike.
 */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface AssignableMember {
  readonly memberId: string
  /** Names of the topics that it subscribes to; only those that exist. */
  readonly topics: readonly string[]
  /** What it has been assigned last. */
  readonly owned: readonly TopicPartition[]
}

export interface AssignorInput {
  readonly members: readonly AssignableMember[]
  /** Number of partitions of each topic that somebody subscribes to. */
  readonly partitions: ReadonlyMap<string, number>
}

/** By member id. */
export type Assignment = ReadonlyMap<string, readonly TopicPartition[]>

export interface PartitionAssignor {
  readonly name: string
  /** `eager`: every member gives up everything before the new assignment; `cooperative`: only what moves. */
  readonly protocol: 'eager' | 'cooperative'
  assign(input: AssignorInput): Assignment
}

/** Members by their ids, as text is compared, so that the order does not depend on who came when. */
export function sortedMembers(members: readonly AssignableMember[]): readonly AssignableMember[] {
  return [...members].sort((a, b) => (a.memberId < b.memberId ? -1 : a.memberId > b.memberId ? 1 : 0))
}

/** All partitions that somebody subscribes to, by topic and number. */
export function sortedPartitions(input: AssignorInput): readonly TopicPartition[] {
  const topics = new Set(input.members.flatMap((member) => member.topics))
  const all: TopicPartition[] = []
  for (const topic of [...topics].sort()) {
    const count = input.partitions.get(topic) ?? 0
    for (let partition = 0; partition < count; partition++) all.push({ topic, partition })
  }
  return all
}

export function emptyAssignment(members: readonly AssignableMember[]): Map<string, TopicPartition[]> {
  return new Map(members.map((member) => [member.memberId, []]))
}

/** One text for a place, to look it up by. */
export function placeOf({ topic, partition }: TopicPartition): string {
  return `${partition}:${topic}`
}

/** Throws where a partition is assigned twice, to somebody who does not subscribe to it, or to nobody although somebody could have it. */
export function checkAssignment(name: string, input: AssignorInput, assignment: unknown): Assignment {
  if (!(assignment instanceof Map)) throw invalid(name, `found ${describe(assignment)}, expected a Map by member id`)
  const topicsOf = new Map(input.members.map((member) => [member.memberId, new Set(member.topics)]))
  const missing = new Map(sortedPartitions(input).map((place) => [placeOf(place), place]))
  for (const [memberId, places] of assignment as Map<string, unknown>) {
    const topics = topicsOf.get(memberId)
    if (topics === undefined) throw invalid(name, `found a member ${JSON.stringify(memberId)}, which the group has not`)
    if (!Array.isArray(places)) throw invalid(name, `found ${describe(places)} for ${memberId}, expected a list`)
    for (const place of places as TopicPartition[]) {
      const shown = `${place.topic}-${place.partition}`
      if (!topics.has(place.topic)) throw invalid(name, `${memberId} does not subscribe to ${shown}`)
      if (!missing.delete(placeOf(place))) throw invalid(name, `${shown} is assigned twice, or does not exist`)
    }
  }
  const [first] = missing.values()
  if (first !== undefined) throw invalid(name, `${first.topic}-${first.partition} is assigned to nobody`)
  return assignment as Assignment
}

function invalid(name: string, detail: string): MillraceError {
  return new MillraceError('ASSIGNMENT_INVALID', `assignor '${name}' has made an assignment that cannot be`, {
    detail,
    hint: 'each partition that a member subscribes to goes to one such member',
  })
}
