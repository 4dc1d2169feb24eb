import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import {
  type AssignableMember,
  type Assignment,
  type AssignorInput,
  checkAssignment,
  type PartitionAssignor,
  placeOf,
  type TopicPartition,
} from './assignor.js'
import { chooseAssignor } from './assignors.js'

/** What a group needs of a consumer that is in it. */
export interface GroupMember {
  readonly memberId: string
  readonly clientId: string
  readonly assignors: readonly PartitionAssignor[]
  /** How long its handlers are waited for when partitions are taken from it. */
  readonly rebalanceTimeoutMs: number
  /** Names of the topics that it subscribes to and that there are. */
  topics(): readonly string[]
  /** Stops what runs on these partitions and commits where it came to; nothing of them runs any more when it resolves. */
  revoke(places: readonly TopicPartition[]): Promise<void>
  /** All that it has from now on; resolves when it knows where each begins. */
  assign(places: readonly TopicPartition[], generation: number): Promise<void>
  /** It is out of the group, and hears why. */
  expelled(error: MillraceError): void
}

/** Kafka's names of the states of a group. */
export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable'

interface Membership {
  readonly member: GroupMember
  /** What it reads now. */
  held: readonly TopicPartition[]
  /** The generation since which it has read each of these without a break. */
  since: ReadonlyMap<string, number>
  /** What it was assigned last, which a sticky assignor would give it again. */
  last: readonly TopicPartition[]
  /** It knows what it has. */
  isAssigned: boolean
}

export interface GroupOptions {
  readonly id: string
  readonly env: Env
  /** Partitions of the topics that there are. */
  readonly partitionsOf: (topic: string) => number
}

/**
 * The members of one group and who reads what. A rebalance drains before it fences: first the partitions that move are taken from
 * who has them, which means that their handlers have ended and their offsets are committed, under the old generation; then the generation is
 * raised, and with it every commit of before is refused; then they are given out. A member whose handlers do not end
 * in time is expelled: its partitions move, and whatever it still commits is refused.
 *
 *   Empty ─ join ─▶ PreparingRebalance (partitions are revoked) ─▶ CompletingRebalance (generation + 1, assigned) ─▶ Stable
 *                       ▲                                                                                              │
 *                       └────────── a member joins, leaves, subscribes anew; topics come and go ◀──────────────────────┘
 */
export class Group {
  state: GroupState = 'Empty'
  generation = 0
  /** Of the assignor in force; empty where there are no members. */
  protocol = ''
  /** Where partitions without a committed offset begin, from the first assignment until the group is empty: later owners begin there too. */
  readonly startOffsets = new Map<string, number>()
  /** Epoch milliseconds since when there are no members. */
  emptySince: number
  readonly #options: GroupOptions
  readonly #members = new Map<string, Membership>()
  /** Commits that are being decided elsewhere: nothing is given out meanwhile. */
  readonly #held = new Set<Promise<void>>()
  #mustRebalance = false
  #rebalancing: Promise<void> | undefined

  constructor(options: GroupOptions) {
    this.#options = options
    this.emptySince = options.env.now()
  }

  get members(): readonly { readonly member: GroupMember; readonly held: readonly TopicPartition[] }[] {
    return [...this.#members.values()]
  }

  /** Resolves when the member has its first assignment. */
  async join(member: GroupMember): Promise<void> {
    const others = [...this.#members.values()].map((other) => other.member.assignors)
    if (chooseAssignor([...others, member.assignors]) === undefined) {
      throw new MillraceError(
        'INCONSISTENT_GROUP_PROTOCOL',
        `the members of group ${this.#options.id} have no assignor in common`,
        {
          detail: `this one has ${namesOf(member.assignors)}, the others have ${others.map(namesOf).join('; ')}`,
          hint: 'give all consumers of a group the same partitionAssigners',
        },
      )
    }
    this.#members.set(member.memberId, { member, held: [], since: new Map(), last: [], isAssigned: false })
    await this.rebalance()
  }

  /** The member has stopped and committed; it is gone at once, and the others are told in time. */
  leave(memberId: string): void {
    if (!this.#members.delete(memberId)) return
    if (this.#members.size === 0) this.#becomeEmpty()
    if (this.#members.size > 0 || this.#rebalancing !== undefined) void this.rebalance()
  }

  /** Topics or subscriptions have changed, or members. Resolves when all that changed before the call is in force. */
  rebalance(): Promise<void> {
    this.#mustRebalance = true
    this.#rebalancing ??= this.#run().finally(() => {
      this.#rebalancing = undefined
    })
    return this.#rebalancing
  }

  /** Refuses a commit of who is not a member, of another generation than the present one, or of a partition that somebody else has. */
  checkCommit(memberId: string, generation: number, places: readonly TopicPartition[]): void {
    const membership = this.#members.get(memberId)
    const { id } = this.#options
    if (membership === undefined) {
      const detail = `the group is at generation ${this.generation} and has ${this.#members.size} members`
      throw unknownMember(memberId, id, detail)
    }
    if (generation !== this.generation) throw illegalGeneration(id, generation, this.generation)
    const held = new Set(membership.held.map(placeOf))
    for (const place of places) {
      if (held.has(placeOf(place))) continue
      throw new MillraceError('NOT_ASSIGNED', `${place.topic}-${place.partition} is not assigned to ${memberId}`, {
        detail: `it has ${membership.held.map((p) => `${p.topic}-${p.partition}`).join(', ') || 'nothing'}`,
        hint: 'a member commits for the partitions that it reads; use mill.groups.resetOffsets for others',
      })
    }
  }

  /**
   * For a commit that was begun in `generation` and may have been overtaken by a rebalance: refuses what has moved since, also where it has come back. What
   * the member has kept all the time is its own.
   */
  checkKept(memberId: string, generation: number, places: readonly TopicPartition[]): void {
    const since = this.#members.get(memberId)?.since
    this.checkCommit(memberId, since === undefined ? generation : this.generation, places)
    for (const place of places) {
      if ((since?.get(placeOf(place)) ?? 0) > generation) {
        throw illegalGeneration(this.#options.id, generation, this.generation)
      }
    }
  }

  /** The same for a commit that is decided elsewhere: until the returned function is called no partition of the group is given out. */
  hold(memberId: string, generation: number, places: readonly TopicPartition[]): () => void {
    this.checkKept(memberId, generation, places)
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    this.#held.add(held)
    return () => {
      this.#held.delete(held)
      release()
    }
  }

  async #run(): Promise<void> {
    // Who joins in the same turn is there from the start, and nothing is given out only to be taken back.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#mustRebalance) {
      this.#mustRebalance = false
      try {
        await this.#rebalance()
      } catch (error) {
        this.#failAll(error)
      }
    }
  }

  async #rebalance(): Promise<void> {
    let isDrained = false
    let target: Assignment = new Map()
    this.state = 'PreparingRebalance'
    // Members may go while others drain: then it is decided anew, for those that are left.
    while (!isDrained) {
      this.#mustRebalance = false
      if (this.#members.size === 0) {
        this.#becomeEmpty()
        return
      }
      const assignor = this.#assignor()
      const input = this.#input()
      target = checkAssignment(assignor.name, input, assignor.assign(input))
      this.protocol = assignor.name
      if (this.#isInForce(target)) {
        this.state = 'Stable'
        return
      }
      await this.#drain(this.#revocations(assignor, target))
      while (this.#held.size > 0) await Promise.all(this.#held)
      isDrained = !this.#mustRebalance
    }
    this.generation += 1
    this.state = 'CompletingRebalance'
    await Promise.all(
      [...this.#members.values()].map(async (membership) => {
        const places = target.get(membership.member.memberId) ?? []
        const { since } = membership
        membership.held = places
        membership.since = new Map(
          places.map((place) => [placeOf(place), since.get(placeOf(place)) ?? this.generation]),
        )
        membership.last = places
        membership.isAssigned = true
        await membership.member
          .assign(places, this.generation)
          .catch((error: unknown) => this.#expel(membership, error))
      }),
    )
    if (!this.#mustRebalance) this.state = 'Stable'
  }

  /** Everybody has what the target says, and nobody is new. */
  #isInForce(target: Assignment): boolean {
    for (const { member, held, isAssigned } of this.#members.values()) {
      const next = target.get(member.memberId) ?? []
      if (!isAssigned || next.length !== held.length) return false
      const known = new Set(held.map(placeOf))
      if (!next.every((place) => known.has(placeOf(place)))) return false
    }
    return true
  }

  /** What is taken from whom. An eager assignor stops everybody. */
  #revocations(assignor: PartitionAssignor, target: Assignment): Map<Membership, readonly TopicPartition[]> {
    const revocations = new Map<Membership, readonly TopicPartition[]>()
    for (const membership of this.#members.values()) {
      const next = new Set((target.get(membership.member.memberId) ?? []).map(placeOf))
      const lost = membership.held.filter((place) => !next.has(placeOf(place)))
      if (lost.length > 0) revocations.set(membership, lost)
    }
    if (assignor.protocol === 'cooperative') return revocations
    return new Map([...this.#members.values()].filter((m) => m.held.length > 0).map((m) => [m, m.held]))
  }

  async #drain(revocations: ReadonlyMap<Membership, readonly TopicPartition[]>): Promise<void> {
    await Promise.all(
      [...revocations].map(async ([membership, places]) => {
        const { member } = membership
        let cancel = (): void => undefined
        const late = new Promise<'late'>((resolve) => {
          cancel = this.#options.env.timer(member.rebalanceTimeoutMs, () => resolve('late'))
        })
        try {
          if ((await Promise.race([member.revoke(places), late])) === 'late')
            throw tooSlow(this.#options.id, member, places)
          const gone = new Set(places.map(placeOf))
          membership.held = membership.held.filter((place) => !gone.has(placeOf(place)))
          membership.since = new Map([...membership.since].filter(([place]) => !gone.has(place)))
        } catch (error) {
          this.#expel(membership, error)
        } finally {
          cancel()
        }
      }),
    )
  }

  #expel({ member }: Membership, error: unknown): void {
    if (!this.#members.delete(member.memberId)) return
    this.#mustRebalance = true
    member.expelled(
      error instanceof MillraceError
        ? error
        : new MillraceError('REBALANCE_FAILED', `a member of group ${this.#options.id} could not rebalance`, {
            detail: String(error),
            hint: 'the member has stopped; mend what the detail names and let it join again',
            cause: error,
          }),
    )
  }

  /** The assignor itself has failed: nobody can know what is theirs. */
  #failAll(error: unknown): void {
    for (const membership of [...this.#members.values()]) this.#expel(membership, error)
  }

  #assignor(): PartitionAssignor {
    const chosen = chooseAssignor([...this.#members.values()].map(({ member }) => member.assignors))
    if (chosen === undefined) throw new Error('assertion failed: members without a common assignor were let in')
    return chosen
  }

  #input(): AssignorInput {
    const members: AssignableMember[] = []
    const partitions = new Map<string, number>()
    for (const { member, last } of this.#members.values()) {
      const topics = member.topics()
      for (const topic of topics) partitions.set(topic, this.#options.partitionsOf(topic))
      members.push({ memberId: member.memberId, topics, owned: last })
    }
    return { members, partitions }
  }

  #becomeEmpty(): void {
    this.state = 'Empty'
    this.protocol = ''
    this.generation += 1
    this.startOffsets.clear()
    this.emptySince = this.#options.env.now()
  }
}

export function unknownMember(memberId: string, group: string, detail: string): MillraceError {
  return new MillraceError('UNKNOWN_MEMBER_ID', `${memberId} is not a member of group ${group}`, {
    detail,
    hint: 'it has left, or was expelled since its handlers did not end in time; run() the consumer again',
  })
}

function illegalGeneration(group: string, generation: number, present: number): MillraceError {
  return new MillraceError('ILLEGAL_GENERATION', `a commit of generation ${generation} of group ${group} is refused`, {
    detail: `the group is at generation ${present}`,
    hint: 'the partitions have been assigned anew meanwhile',
  })
}

const namesOf = (assignors: readonly PartitionAssignor[]): string => assignors.map((a) => a.name).join(', ')

function tooSlow(group: string, member: GroupMember, places: readonly TopicPartition[]): MillraceError {
  return new MillraceError(
    'REBALANCE_TIMEOUT',
    `handlers of ${member.memberId} have not ended in time; it is out of group ${group}`,
    {
      detail: `${places.map((p) => `${p.topic}-${p.partition}`).join(', ')} had to move, and was waited for ${member.rebalanceTimeoutMs} ms`,
      hint: 'let handlers heed the AbortSignal that they get, or set a longer rebalanceTimeout',
    },
  )
}
