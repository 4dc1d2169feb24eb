import { describe, expect, it } from 'vitest'
import {
  type AssignableMember,
  type Assignment,
  checkAssignment,
  type PartitionAssignor,
  placeOf,
  type TopicPartition,
} from '../../src/client/assignor.js'
import { rangeAssignor } from '../../src/client/range-assignor.js'
import { roundRobinAssignor } from '../../src/client/round-robin-assignor.js'
import { cooperativeStickyAssignor, stickyAssignor } from '../../src/client/sticky-assignor.js'

/**
 * K-20: the cases by which Kafka's own assignors are tested, with their numbers: who reads what. `a:0,2 b:1` are partitions 0 and 2 of topic a and
 * partition 1 of topic b. Racks, user data and instance ids of static members are of a network, and there are none here.
 */
type Lists = Readonly<Record<string, string>>

const read = (list: string): TopicPartition[] =>
  list
    .split(' ')
    .filter((part) => part !== '')
    .flatMap((part) => {
      const [topic, numbers] = part.split(':') as [string, string]
      return numbers.split(',').map((number) => ({ topic, partition: Number(number) }))
    })

const shown = (places: readonly TopicPartition[]): string => {
  const byTopic = new Map<string, number[]>()
  for (const { topic, partition } of places) byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition])
  return [...byTopic]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([topic, numbers]) => `${topic}:${numbers.sort((a, b) => a - b).join(',')}`)
    .join(' ')
}

const lists = (assignment: Assignment): Lists =>
  Object.fromEntries([...assignment].map(([memberId, places]) => [memberId, shown(places)]))

/** Members by their ids: what they subscribe to, and what they own. */
type Members = Readonly<Record<string, readonly [topics: string, owned?: string]>>

function assign(assignor: PartitionAssignor, partitions: Readonly<Record<string, number>>, given: Members): Assignment {
  const members: AssignableMember[] = Object.entries(given).map(([memberId, [topics, owned]]) => ({
    memberId,
    topics: topics.split(' ').filter((topic) => topic !== '' && topic in partitions),
    owned: read(owned ?? ''),
  }))
  const input = { members, partitions: new Map(Object.entries(partitions)) }
  return checkAssignment(assignor.name, input, assignor.assign(input))
}

const owning = (assignment: Assignment, topics: Readonly<Record<string, string>>): Members =>
  Object.fromEntries(Object.entries(topics).map(([id, of]) => [id, [of, shown(assignment.get(id) ?? [])] as const]))

const isFullyBalanced = (assignment: Assignment): boolean => {
  const counts = [...assignment.values()].map((places) => places.length)
  return Math.max(...counts) - Math.min(...counts) <= 1
}

/** Kafka's rule: who has fewer than another may take nothing of what that one has. */
function expectBalance(assignment: Assignment, members: Members): void {
  for (const [id, places] of assignment) {
    for (const [other, others] of assignment) {
      if (others.length < places.length + 2) continue
      const topics = new Set(members[id]?.[0].split(' '))
      for (const place of others) expect(topics, `${id} could take of ${other}`).not.toContain(place.topic)
    }
  }
}

describe.each([rangeAssignor, roundRobinAssignor, stickyAssignor, cooperativeStickyAssignor])(
  'K-20 $name, with one member or one topic',
  (assignor) => {
    const cases: readonly [rule: string, partitions: Readonly<Record<string, number>>, members: Members, Lists][] = [
      ['no topic: nothing', {}, { m: [''] }, { m: '' }],
      ['a topic that there is not: nothing', {}, { m: ['a'] }, { m: '' }],
      ['one member has all', { a: 3 }, { m: ['a'] }, { m: 'a:0,1,2' }],
      ['only what is subscribed to', { a: 3, other: 3 }, { m: ['a'] }, { m: 'a:0,1,2' }],
      ['several topics of one member', { a: 1, b: 2 }, { m: ['a b'] }, { m: 'a:0 b:0,1' }],
      ['two members, one partition', { a: 1 }, { m1: ['a'], m2: ['a'] }, { m1: 'a:0', m2: '' }],
      ['two members, two partitions', { a: 2 }, { m1: ['a'], m2: ['a'] }, { m1: 'a:0', m2: 'a:1' }],
    ]
    it.each(cases)('%s', (_, partitions, members, expected) => {
      expect(lists(assign(assignor, partitions, members))).toEqual(expected)
    })
  },
)

const mixed: Members = { m1: ['a'], m2: ['a b'], m3: ['a'] }

describe('K-20 range', () => {
  const three = (topics: string, last = topics): Members => ({ m1: [topics], m2: [topics], m3: [last] })
  const cases: readonly [rule: string, partitions: Readonly<Record<string, number>>, members: Members, Lists][] = [
    ['mixed subscriptions', { a: 3, b: 2 }, mixed, { m1: 'a:0', m2: 'a:1 b:0,1', m3: 'a:2' }],
    ['two topics of three', { a: 3, b: 3 }, { m1: ['a b'], m2: ['a b'] }, { m1: 'a:0,1 b:0,1', m2: 'a:2 b:2' }],
    [
      'more members than partitions of one topic',
      { a: 5, b: 4 },
      { m1: ['a b'], m2: ['a b'], m3: ['a b'], m4: ['a b'] },
      { m1: 'a:0,1 b:0', m2: 'a:2 b:1', m3: 'a:3 b:2', m4: 'a:4 b:3' },
    ],
    [
      'equal subscriptions',
      { a: 6, b: 7, c: 2 },
      three('a b c'),
      { m1: 'a:0,1 b:0,1,2 c:0', m2: 'a:2,3 b:3,4 c:1', m3: 'a:4,5 b:5,6' },
    ],
    [
      'unequal subscriptions',
      { a: 6, b: 7, c: 2 },
      three('a b c', 'a c'),
      { m1: 'a:0,1 b:0,1,2,3 c:0', m2: 'a:2,3 b:4,5,6 c:1', m3: 'a:4,5' },
    ],
    [
      'equal numbers of partitions go together',
      { a: 5, b: 5, c: 5 },
      three('a b c'),
      { m1: 'a:0,1 b:0,1 c:0,1', m2: 'a:2,3 b:2,3 c:2,3', m3: 'a:4 b:4 c:4' },
    ],
    [
      'and where one does not subscribe, those with the same subscribers',
      { a: 5, b: 5, c: 5 },
      three('a b c', 'a c'),
      { m1: 'a:0,1 b:0,1,2 c:0,1', m2: 'a:2,3 b:3,4 c:2,3', m3: 'a:4 c:4' },
    ],
    [
      'two pairs of topics with subscribers of their own',
      { a: 6, b: 6, c: 2, d: 2 },
      { m1: ['a b'], m2: ['a b'], m3: ['c d'], m4: ['c d'] },
      { m1: 'a:0,1,2 b:0,1,2', m2: 'a:3,4,5 b:3,4,5', m3: 'c:0 d:0', m4: 'c:1 d:1' },
    ],
    [
      'the same with everybody subscribed to all',
      { a: 6, b: 6, c: 2, d: 2 },
      { m1: ['a b c d'], m2: ['a b c d'], m3: ['a b c d'], m4: ['a b c d'] },
      { m1: 'a:0,1 b:0,1 c:0 d:0', m2: 'a:2,3 b:2,3 c:1 d:1', m3: 'a:4 b:4', m4: 'a:5 b:5' },
    ],
    [
      'three pairs of topics, and topics that there are not',
      { a: 6, b: 6, c: 2, d: 2, e: 4, f: 4 },
      three('a b c d e f g h i'),
      { m1: 'a:0,1 b:0,1 c:0 d:0 e:0,1 f:0,1', m2: 'a:2,3 b:2,3 c:1 d:1 e:2 f:2', m3: 'a:4,5 b:4,5 e:3 f:3' },
    ],
  ]
  it.each(cases)('%s', (_, partitions, members, expected) => {
    expect(lists(assign(rangeAssignor, partitions, members))).toEqual(expected)
  })
})

describe('K-20 roundrobin', () => {
  const cases: readonly [rule: string, partitions: Readonly<Record<string, number>>, members: Members, Lists][] = [
    ['mixed subscriptions', { a: 3, b: 2 }, mixed, { m1: 'a:0', m2: 'a:1 b:0,1', m3: 'a:2' }],
    ['two topics of three', { a: 3, b: 3 }, { m1: ['a b'], m2: ['a b'] }, { m1: 'a:0,2 b:1', m2: 'a:1 b:0,2' }],
    [
      'four members',
      { a: 3, b: 3 },
      { m1: ['a b'], m2: ['a b'], m3: ['a b'], m4: ['a b'] },
      { m1: 'a:0 b:1', m2: 'a:1 b:2', m3: 'a:2', m4: 'b:0' },
    ],
    [
      'a case that it handles poorly',
      { a: 2, b: 1, c: 2, d: 1, e: 2 },
      { m1: ['a b c d e'], m2: ['a c e'], m3: ['a c e'], m4: ['a b c d e'] },
      { m1: 'a:0 c:0 e:0', m2: 'a:1 c:1 e:1', m3: '', m4: 'b:0 d:0' },
    ],
  ]
  it.each(cases)('%s', (_, partitions, members, expected) => {
    expect(lists(assign(roundRobinAssignor, partitions, members))).toEqual(expected)
  })
})

describe.each([stickyAssignor, cooperativeStickyAssignor])('K-20 $name', (assignor) => {
  const cases: readonly [rule: string, partitions: Readonly<Record<string, number>>, members: Members, Lists][] = [
    ['mixed subscriptions', { a: 3, b: 2 }, mixed, { m1: 'a:0,2', m2: 'b:0,1', m3: 'a:1' }],
    ['two topics of three', { a: 3, b: 3 }, { m1: ['a b'], m2: ['a b'] }, { m1: 'a:0,2 b:1', m2: 'a:1 b:0,2' }],
    ['who owns what is not subscribed to keeps the rest', { a: 2 }, { m: ['a', 'a:0,1 other:0,1'] }, { m: 'a:0,1' }],
    [
      'who has the least may have one more',
      { a: 2, b: 3 },
      { m1: ['a b', 'a:0 b:1'], m2: ['a b', 'a:1 b:2'] },
      { m1: 'a:0 b:0,1', m2: 'a:1 b:2' },
    ],
    [
      'more have one more than there can be: the first keep it',
      { a: 2, b: 2 },
      { m1: ['a b', 'a:0 b:0'], m2: ['a b', 'a:1 b:1'], m3: ['a b'] },
      // With Kafka it is who comes first in a hash map of the names; here, in the order of the names.
      { m1: 'a:0 b:0', m2: 'a:1', m3: 'b:1' },
    ],
    [
      'all have less than the least',
      { a: 2, b: 3 },
      { m1: ['a b', 'a:0'], m2: ['a b', 'a:1'], m3: ['a b'] },
      { m1: 'a:0 b:1', m2: 'a:1 b:2', m3: 'b:0' },
    ],
    [
      'a member that has all it may have is passed over',
      { a: 4 },
      { m1: ['a', 'a:0,1'], m2: ['a', 'a:2'], m3: ['a'] },
      { m1: 'a:0,1', m2: 'a:2', m3: 'a:3' },
    ],
    [
      'a partition that two claim is given to neither: the rest divides',
      { a: 3 },
      { m1: ['a', 'a:0,1'], m2: ['a', 'a:0,2'], m3: ['a'] },
      { m1: 'a:1', m2: 'a:2', m3: 'a:0' },
    ],
    [
      'a partition that two claim is given to neither: the rest does not divide',
      { a: 4 },
      { m1: ['a', 'a:0,1'], m2: ['a', 'a:0,2'], m3: ['a'] },
      { m1: 'a:1,3', m2: 'a:2', m3: 'a:0' },
    ],
    [
      'a member without anything gets what is free, and takes nothing away',
      { a: 3, b: 3, c: 3, d: 3 },
      { m1: ['a b c d'], m2: ['a b c d', 'a:0 b:0 c:0'], m3: ['a b c d', 'd:2 c:2 b:1'], m4: ['a b c d', 'd:1 a:1,2'] },
      { m1: 'b:2 c:1 d:0', m2: 'a:0 b:0 c:0', m3: 'b:1 c:2 d:2', m4: 'a:1,2 d:1' },
    ],
    [
      'what there is of three topics, one of which there is not',
      { a: 1, c: 4 },
      { m: ['a b c'] },
      { m: 'a:0 c:0,1,2,3' },
    ],
    ['a topic that is gone leaves nothing', {}, { m: ['a', 'a:0,1,2'] }, { m: '' }],
  ]
  it.each(cases)('%s', (_, partitions, members, expected) => {
    const assignment = assign(assignor, partitions, members)
    expect(lists(assignment)).toEqual(expected)
    expectBalance(assignment, members)
  })

  it('a member comes and takes one, the other goes and leaves all', () => {
    const one = assign(assignor, { a: 3 }, { m1: ['a'] })
    expect(lists(one)).toEqual({ m1: 'a:0,1,2' })
    const two = assign(assignor, { a: 3 }, owning(one, { m1: 'a', m2: 'a' }))
    expect(lists(two)).toEqual({ m1: 'a:0,1', m2: 'a:2' })
    expect(lists(assign(assignor, { a: 3 }, owning(two, { m2: 'a' })))).toEqual({ m2: 'a:0,1,2' })
  })

  it('two members come, two go', () => {
    const partitions = { a: 3, b: 4 }
    const two = assign(assignor, partitions, { m1: ['a b'], m2: ['a b'] })
    expect(lists(two)).toEqual({ m1: 'a:0,2 b:1,3', m2: 'a:1 b:0,2' })
    const four = assign(assignor, partitions, owning(two, { m1: 'a b', m2: 'a b', m3: 'a b', m4: 'a b' }))
    expect(lists(four)).toEqual({ m1: 'a:0,2', m2: 'a:1 b:0', m3: 'b:1,3', m4: 'b:2' })
    expect(lists(assign(assignor, partitions, owning(four, { m3: 'a b', m4: 'a b' })))).toEqual({
      m3: 'a:0 b:0,1,3',
      m4: 'a:1,2 b:2',
    })
  })

  it('what round-robin does poorly it balances: two for each of four', () => {
    const members: Members = { m1: ['a b c d e'], m2: ['a c e'], m3: ['a c e'], m4: ['a b c d e'] }
    const assignment = assign(assignor, { a: 2, b: 1, c: 2, d: 1, e: 2 }, members)
    expect([...assignment.values()].map((places) => places.length)).toEqual([2, 2, 2, 2])
  })

  it('a topic comes and another goes: everybody keeps what there still is', () => {
    const first = assign(assignor, { a: 3 }, { m1: ['a'], m2: ['a'] })
    const second = assign(assignor, { a: 3, b: 3 }, owning(first, { m1: 'a b', m2: 'a b' }))
    expect([...second.values()].map((places) => places.length)).toEqual([3, 3])
    expectKept(first, second)
    const third = assign(assignor, { b: 3 }, owning(second, { m1: 'b', m2: 'b' }))
    expect(isFullyBalanced(third)).toBe(true)
    for (const [id, places] of third) expect(second.get(id)).toEqual(expect.arrayContaining([...places]))
  })

  it('the first of four members of three partitions goes: the others keep theirs', () => {
    const all = { m1: 'a', m2: 'a', m3: 'a', m4: 'a' }
    const first = assign(assignor, { a: 3 }, owning(new Map(), all))
    const { m1: _, ...left } = all
    const second = assign(assignor, { a: 3 }, owning(first, left))
    expect([...second.values()].map((places) => places.length)).toEqual([1, 1, 1])
    expectKept(first, second)
  })

  it('nineteen members, each of one topic more than the one before; the tenth goes', () => {
    const numbers = Array.from({ length: 19 }, (_, i) => i + 1)
    const topic = (i: number) => `t${String(i).padStart(2, '0')}`
    const partitions = Object.fromEntries(numbers.map((i) => [topic(i), i]))
    const topicsOf = Object.fromEntries(
      numbers.map((i) => [`m${String(i).padStart(2, '0')}`, numbers.slice(0, i).map(topic).join(' ')]),
    )
    const first = assign(assignor, partitions, owning(new Map(), topicsOf))
    expectBalance(first, owning(first, topicsOf))
    const { m10: _, ...left } = topicsOf
    const members = owning(first, left)
    const second = assign(assignor, partitions, members)
    expectBalance(second, members)
    expectKept(first, second)
  })

  it('fourteen topics, eight members with the same subscriptions; one goes', () => {
    const numbers = Array.from({ length: 14 }, (_, i) => i + 1)
    const partitions = Object.fromEntries(numbers.map((i) => [`t${String(i).padStart(2, '0')}`, i]))
    const topics = Object.keys(partitions).join(' ')
    const topicsOf = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`m${i + 1}`, topics]))
    const first = assign(assignor, partitions, owning(new Map(), topicsOf))
    expect(isFullyBalanced(first)).toBe(true)
    const { m5: _, ...left } = topicsOf
    const second = assign(assignor, partitions, owning(first, left))
    expect(isFullyBalanced(second)).toBe(true)
    expectKept(first, second)
  })

  it('a tenth member of twenty partitions', () => {
    const topicsOf = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`m${i}`, 'a']))
    const first = assign(assignor, { a: 20 }, owning(new Map(), topicsOf))
    const second = assign(assignor, { a: 20 }, owning(first, { ...topicsOf, m9: 'a' }))
    expect([...second.values()].every((places) => places.length === 2)).toBe(true)
    let moved = 0
    for (const [id, places] of second) moved += missing(places, first.get(id) ?? [])
    expect(moved).toBe(2)
  })

  it('members move what they have only as far as balance asks: six topics of one partition', () => {
    const members: Members = {
      m1: ['a b', 'a:0'],
      m2: ['a b c d', 'b:0 c:0'],
      m3: ['b c d e f', 'd:0 e:0 f:0'],
    }
    const assignment = assign(assignor, { a: 1, b: 1, c: 1, d: 1, e: 1, f: 1 }, members)
    expectBalance(assignment, members)
  })

  it('a topic is subscribed to by one member more', () => {
    const partitions = { a: 1, b: 1, c: 1, d: 1 }
    const before: Members = { m0: [''], m1: ['a'], m2: ['b c d'] }
    const first = assign(assignor, partitions, before)
    const after = owning(first, { m0: 'a', m1: 'a', m2: 'b c d' })
    const second = assign(assignor, partitions, after)
    expectBalance(second, after)
    expectKept(first, second)
  })

  it('twenty thousand partitions and a hundred members take no time to speak of, equal subscriptions or not', () => {
    const partitions = Object.fromEntries(
      Array.from({ length: 100 }, (_, i) => [`t${String(i).padStart(3, '0')}`, 200] as const),
    )
    const topics = Object.keys(partitions)
    for (const lastTopics of [topics, topics.slice(0, 1)]) {
      const given = (owned?: Assignment) => ({
        partitions: new Map(Object.entries(partitions)),
        members: Array.from({ length: 100 }, (_, i) => ({
          memberId: `m${String(i).padStart(3, '0')}`,
          topics: i === 99 ? lastTopics : topics,
          owned: owned?.get(`m${String(i).padStart(3, '0')}`) ?? [],
        })),
      })
      const started = performance.now()
      const first = assignor.assign(given())
      const second = assignor.assign(given(first))
      expect(performance.now() - started).toBeLessThan(10_000)
      expect(isFullyBalanced(second)).toBe(true)
      expectKept(first, second)
    }
  })
})

const missing = (places: readonly TopicPartition[], of: readonly TopicPartition[]): number => {
  const known = new Set(of.map(placeOf))
  return places.filter((place) => !known.has(placeOf(place))).length
}

/** Who had fewer than it has now has kept all of it. */
function expectKept(before: Assignment, after: Assignment): void {
  for (const [id, places] of after) {
    const owned = before.get(id) ?? []
    if (owned.length <= places.length) expect(missing(owned, places), `${id} lost something`).toBe(0)
  }
}
