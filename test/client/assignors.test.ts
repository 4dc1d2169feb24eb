import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type AssignableMember,
  type Assignment,
  type AssignorInput,
  checkAssignment,
  type PartitionAssignor,
  placeOf,
  type TopicPartition,
} from '../../src/client/assignor.js'
import { chooseAssignor, resolveAssignors } from '../../src/client/assignors.js'
import { rangeAssignor } from '../../src/client/range-assignor.js'
import { roundRobinAssignor } from '../../src/client/round-robin-assignor.js'
import { cooperativeStickyAssignor, stickyAssignor } from '../../src/client/sticky-assignor.js'

/** `t0p1` for topic t0, partition 1, as in Kafka's class documentation. */
const text = (assignment: Assignment): Record<string, string[]> =>
  Object.fromEntries([...assignment].map(([id, places]) => [id, places.map((p) => `${p.topic}p${p.partition}`)]))

/** Assigns over and over: what each member got is what it owns the next time. */
class Group {
  #owned: Assignment = new Map()
  constructor(
    readonly assignor: PartitionAssignor,
    readonly partitions: Readonly<Record<string, number>>,
  ) {}

  assign(subscriptions: Readonly<Record<string, readonly string[]>>): Record<string, string[]> {
    const members = Object.entries(subscriptions).map(([memberId, topics]) => ({
      memberId,
      topics,
      owned: this.#owned.get(memberId) ?? [],
    }))
    this.#owned = this.assignor.assign({ members, partitions: new Map(Object.entries(this.partitions)) })
    return text(this.#owned)
  }
}

const sorted = (lists: Record<string, string[]>) =>
  Object.fromEntries(Object.entries(lists).map(([id, list]) => [id, [...list].sort()]))

describe("K-20: the examples of Kafka's documentation", () => {
  const two = { C0: ['t0', 't1'], C1: ['t0', 't1'] }
  const uneven = { C0: ['t0'], C1: ['t0', 't1'], C2: ['t0', 't1', 't2'] }
  const all = ['t0', 't1', 't2', 't3']

  it('RangeAssignor: two consumers, two topics of three partitions', () => {
    expect(new Group(rangeAssignor, { t0: 3, t1: 3 }).assign(two)).toEqual({
      C0: ['t0p0', 't0p1', 't1p0', 't1p1'],
      C1: ['t0p2', 't1p2'],
    })
  })

  it('RoundRobinAssignor: the same', () => {
    expect(new Group(roundRobinAssignor, { t0: 3, t1: 3 }).assign(two)).toEqual({
      C0: ['t0p0', 't0p2', 't1p1'],
      C1: ['t0p1', 't1p0', 't1p2'],
    })
  })

  it('RoundRobinAssignor: subscriptions that differ, and one member gone', () => {
    const group = new Group(roundRobinAssignor, { t0: 1, t1: 2, t2: 3 })
    expect(group.assign(uneven)).toEqual({ C0: ['t0p0'], C1: ['t1p0'], C2: ['t1p1', 't2p0', 't2p1', 't2p2'] })
    expect(group.assign({ C1: uneven.C1, C2: uneven.C2 })).toEqual({
      C1: ['t0p0', 't1p1'],
      C2: ['t1p0', 't2p0', 't2p1', 't2p2'],
    })
  })

  it('RoundRobinAssignor and StickyAssignor: four topics of two partitions, then one of three consumers goes', () => {
    const topics = { t0: 2, t1: 2, t2: 2, t3: 2 }
    const first = { C0: ['t0p0', 't1p1', 't3p0'], C1: ['t0p1', 't2p0', 't3p1'], C2: ['t1p0', 't2p1'] }
    const roundRobin = new Group(roundRobinAssignor, topics)
    expect(roundRobin.assign({ C0: all, C1: all, C2: all })).toEqual(first)
    expect(roundRobin.assign({ C0: all, C2: all })).toEqual({
      C0: ['t0p0', 't1p0', 't2p0', 't3p0'],
      C2: ['t0p1', 't1p1', 't2p1', 't3p1'],
    })
    for (const assignor of [stickyAssignor, cooperativeStickyAssignor]) {
      const sticky = new Group(assignor, topics)
      expect(sticky.assign({ C0: all, C1: all, C2: all })).toEqual(first)
      expect(sticky.assign({ C0: all, C2: all })).toEqual({
        C0: ['t0p0', 't1p1', 't3p0', 't2p0'],
        C2: ['t1p0', 't2p1', 't0p1', 't3p1'],
      })
    }
  })

  it('StickyAssignor: subscriptions that differ, and one member gone', () => {
    const group = new Group(stickyAssignor, { t0: 1, t1: 2, t2: 3 })
    expect(sorted(group.assign(uneven))).toEqual({ C0: ['t0p0'], C1: ['t1p0', 't1p1'], C2: ['t2p0', 't2p1', 't2p2'] })
    expect(group.assign({ C1: uneven.C1, C2: uneven.C2 })).toEqual({
      C1: ['t1p0', 't1p1', 't0p0'],
      C2: ['t2p0', 't2p1', 't2p2'],
    })
  })
})

const topicNames = ['a', 'b', 'c', 'd']
const inputs: fc.Arbitrary<AssignorInput> = fc
  .record({
    counts: fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 4, maxLength: 4 }),
    members: fc.uniqueArray(
      fc.record({
        memberId: fc.string({ minLength: 1, maxLength: 4 }),
        topics: fc.subarray(topicNames),
        // Claims that may be stale: partitions that are gone, that two claim, of topics that are not subscribed to.
        owned: fc.array(
          fc.record({ topic: fc.constantFrom(...topicNames), partition: fc.integer({ min: 0, max: 14 }) }),
          { maxLength: 10 },
        ),
      }),
      { minLength: 1, maxLength: 6, selector: (member) => member.memberId },
    ),
  })
  .map(({ counts, members }) => ({
    members,
    partitions: new Map(topicNames.map((topic, i) => [topic, counts[i] as number])),
  }))

const shuffled = (input: AssignorInput): AssignorInput => ({ ...input, members: [...input.members].reverse() })
const countsOf = (assignment: Assignment): number[] => [...assignment.values()].map((places) => places.length)

describe.each([rangeAssignor, roundRobinAssignor, stickyAssignor, cooperativeStickyAssignor])('$name', (assignor) => {
  it('assigns each partition that somebody subscribes to exactly once, to a subscriber', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        checkAssignment(assignor.name, input, assignor.assign(input))
      }),
    )
  })

  it('does not depend on the order of the members', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const unclaimed = { ...input, members: input.members.map((member) => ({ ...member, owned: [] })) }
        expect(text(assignor.assign(shuffled(unclaimed)))).toEqual(text(assignor.assign(unclaimed)))
      }),
    )
  })
})

describe.each([roundRobinAssignor, stickyAssignor])('$name with equal subscriptions', (assignor) => {
  it('gives counts that differ by one at most', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const equal = { ...input, members: input.members.map((member) => ({ ...member, topics: topicNames })) }
        const counts = countsOf(assignor.assign(equal))
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      }),
    )
  })
})

describe('range', () => {
  it('gives partitions of one number in two topics to one member, where counts and subscribers are equal', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 7 }), (partitions, count) => {
        const members: AssignableMember[] = Array.from({ length: count }, (_, i) => ({
          memberId: `m${i}`,
          topics: ['a', 'b'],
          owned: [],
        }))
        const input = { members, partitions: new Map(['a', 'b'].map((topic) => [topic, partitions])) }
        for (const places of rangeAssignor.assign(input).values()) {
          const numbers = (topic: string) => places.filter((p) => p.topic === topic).map((p) => p.partition)
          expect(numbers('a')).toEqual(numbers('b'))
        }
      }),
    )
  })
})

describe('sticky', () => {
  it('is balanced: who has two more than another has nothing that the other may take', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const assignment = stickyAssignor.assign(input)
        const topicsOf = new Map(input.members.map((member) => [member.memberId, member.topics]))
        for (const places of assignment.values()) {
          for (const [other, others] of assignment) {
            if (places.length < others.length + 2) continue
            for (const place of places) expect(topicsOf.get(other)).not.toContain(place.topic)
          }
        }
      }),
    )
  })

  it('moves nothing where nothing has changed', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const first = stickyAssignor.assign(input)
        const members = input.members.map((member) => ({ ...member, owned: first.get(member.memberId) ?? [] }))
        expect(sorted(text(stickyAssignor.assign({ ...input, members })))).toEqual(sorted(text(first)))
      }),
    )
  })

  it('moves no more than balance needs when members with equal subscriptions come and go', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 6 }), {
          minLength: 2,
          maxLength: 5,
        }),
        (count, generations) => {
          const partitions = new Map([['a', count]])
          let owned: Assignment = new Map()
          for (const ids of generations) {
            const members = ids.map((id) => ({
              memberId: `m${id}`,
              topics: ['a'],
              owned: owned.get(`m${id}`) ?? [],
            }))
            const next = stickyAssignor.assign({ members, partitions })
            let kept = 0
            for (const [id, places] of next) {
              const before = new Set((owned.get(id) ?? []).map(placeOf))
              kept += places.filter((place: TopicPartition) => before.has(placeOf(place))).length
            }
            expect(kept).toBe(mostKept(members, count))
            owned = next
          }
        },
      ),
    )
  })
})

/** With equal subscriptions as many as `count % members` may have one more; the fullest are those that lose least by it. */
function mostKept(members: readonly AssignableMember[], count: number): number {
  const least = Math.floor(count / members.length)
  const full = [...members].map((member) => member.owned.length).sort((a, b) => b - a)
  return full.reduce((sum, own, i) => sum + Math.min(own, least + (i < count % members.length ? 1 : 0)), 0)
}

describe('the assignor of a group', () => {
  const lists = (...names: string[][]) => names.map((list) => resolveAssignors(list))

  it('is one that all members support, the one that most prefer', () => {
    expect(chooseAssignor(lists(['range', 'sticky'], ['sticky', 'range'], ['sticky', 'range']))?.name).toBe('sticky')
    expect(chooseAssignor(lists(['range', 'cooperative-sticky'], ['cooperative-sticky']))?.name).toBe(
      'cooperative-sticky',
    )
    expect(chooseAssignor(lists(['range'], ['sticky']))).toBeUndefined()
    expect(chooseAssignor(lists(['range', 'sticky'], ['sticky', 'range']))?.name).toBe('range')
    expect(resolveAssignors(undefined).map((a) => a.name)).toEqual(['cooperative-sticky'])
  })

  it('is known by name, or is one of the user; anything else is refused with words', () => {
    const own: PartitionAssignor = { name: 'own', protocol: 'eager', assign: () => new Map() }
    expect(resolveAssignors([own, 'range'])[0]).toBe(own)
    expect(() => resolveAssignors(['stiky'])).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_ASSIGNOR', hint: "did you mean 'sticky'?" }),
    )
    for (const wrong of [[], 'range', [7], [{ name: 'x', protocol: 'lazy', assign: () => new Map() }], [null]]) {
      expect(() => resolveAssignors(wrong)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    }
  })

  it('whose assignment cannot be is found out', () => {
    const input: AssignorInput = {
      members: [
        { memberId: 'm', topics: ['a'], owned: [] },
        { memberId: 'n', topics: [], owned: [] },
      ],
      partitions: new Map([['a', 2]]),
    }
    const [a0, a1, a2] = [0, 1, 2].map((partition) => ({ topic: 'a', partition }))
    checkAssignment('own', input, new Map([['m', [a0, a1]]]))
    for (const wrong of [
      {},
      new Map([['m', [a0]]]),
      new Map([['m', [a0, a1, a2]]]),
      new Map([['m', [a0, a0, a1]]]),
      new Map([
        ['m', [a0]],
        ['n', [a1]],
      ]),
      new Map([
        ['m', [a0, a1]],
        ['x', []],
      ]),
      new Map([['m', 'a']]),
    ]) {
      expect(() => checkAssignment('own', input, wrong)).toThrow(
        expect.objectContaining({ code: 'ASSIGNMENT_INVALID' }),
      )
    }
  })
})
