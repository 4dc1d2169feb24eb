import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RecordState } from '../../../src/client/share/record-state.js'
import { type Outcome, SharePartition } from '../../../src/client/share/share-partition.js'
import { overlaid } from '../../../src/client/share/share-state-record.js'

const rules = { deliveryLimit: 5, hasDeadLetters: false }
const A = 1
const B = 2

function acquired(records: number, owner = A, deadline = 30): SharePartition {
  const partition = new SharePartition(0, rules)
  partition.acquireNew(0, records - 1, owner, deadline)
  return partition
}

describe('K-22: the records of a share partition', () => {
  it('are one run while they fare alike, and the start moves over what is done with', () => {
    const partition = acquired(500)
    expect(partition.runs).toBe(1)
    expect(partition.settle(A, 0, 499, 'accept')).toBe(500)
    expect([partition.start, partition.end, partition.inFlight, partition.runs]).toEqual([500, 500, 0, 0])
  })

  it('accepted from the front on move the start, one by one, and nothing is split', () => {
    const partition = acquired(100)
    for (let offset = 0; offset < 99; offset++) {
      expect(partition.settle(A, offset, offset, 'accept')).toBe(1)
      expect([partition.start, partition.runs]).toEqual([offset + 1, 1])
    }
  })

  it('accepted behind one that is not hold the start, and split into as many runs as there are states', () => {
    const partition = acquired(10)
    for (const offset of [3, 4, 5, 8]) partition.settle(A, offset, offset, 'accept')
    expect([partition.start, partition.runs]).toEqual([0, 5])
    partition.settle(A, 6, 7, 'accept')
    expect(partition.runs).toBe(3)
    partition.settle(A, 0, 2, 'accept')
    expect([partition.start, partition.runs]).toEqual([9, 1])
  })

  it('that were released are available again, and their deliveries are counted', () => {
    const partition = acquired(3)
    partition.settle(A, 1, 1, 'release')
    expect([partition.nextAvailable(), partition.available]).toEqual([1, 1])
    expect(partition.acquire(1, 1, B, 60)).toBe(2)
    expect(partition.holds(B, 1, 2)).toBe(true)
    expect(partition.holds(A, 1, 1)).toBe(false)
    expect(partition.nextAvailable()).toBe(-1)
  })

  it('that were never handed out go back uncounted', () => {
    const partition = acquired(3)
    partition.settle(A, 0, 2, 'undo')
    expect(partition.acquire(0, 2, B, 60)).toBe(1)
  })

  it('are archived when the last delivery fails, and when they are rejected', () => {
    const partition = acquired(2)
    partition.settle(A, 1, 1, 'reject')
    for (let delivery = 1; delivery < 5; delivery++) {
      partition.settle(A, 0, 0, 'release')
      expect(partition.acquire(0, 0, A, 60)).toBe(delivery + 1)
    }
    partition.settle(A, 0, 0, 'release')
    expect([partition.start, partition.available]).toEqual([2, 0])
  })

  it('are given back when their lock is over, not before', () => {
    const partition = acquired(2, A, 30)
    partition.acquireNew(2, 3, B, 50)
    expect(partition.expire(29)).toBe(0)
    expect(partition.nextDeadline()).toBe(30)
    expect(partition.expire(30)).toBe(2)
    expect([partition.nextAvailable(), partition.nextDeadline()]).toEqual([0, 50])
    expect(partition.settle(A, 0, 0, 'accept')).toBe(0)
  })

  it('keep a lock that was renewed', () => {
    const partition = acquired(3, A, 30)
    partition.renew(A, 1, 1, 60)
    expect(partition.expire(30)).toBe(2)
    expect(partition.holds(A, 1, 1)).toBe(true)
    expect(partition.expire(60)).toBe(1)
  })

  it('are settled by the member that has them alone, and once', () => {
    const partition = acquired(2)
    expect(partition.settle(B, 0, 1, 'accept')).toBe(0)
    expect(partition.settle(A, 0, 0, 'accept', 2)).toBe(0)
    expect(partition.settle(A, 1, 1, 'accept', 1)).toBe(1)
    expect(partition.settle(A, 1, 1, 'release')).toBe(0)
  })

  it('of a member that leaves are released, those of others stay', () => {
    const partition = acquired(2)
    partition.acquireNew(2, 3, B, 30)
    expect(partition.releaseOwner(A)).toBe(2)
    expect([partition.available, partition.count(RecordState.acquired)]).toEqual([2, 2])
  })

  it('that retention has taken are gone, whatever their state', () => {
    const partition = acquired(10)
    partition.settle(A, 0, 3, 'release')
    partition.moveStart(6)
    expect([partition.start, partition.available, partition.inFlight]).toEqual([6, 0, 4])
    expect([partition.isGone(5), partition.isGone(6)]).toEqual([true, false])
    partition.moveStart(20)
    expect([partition.start, partition.end, partition.runs]).toEqual([20, 20, 0])
  })

  it('with offsets that hold no record between them: these are done with', () => {
    const partition = new SharePartition(0, rules)
    partition.acquireNew(3, 4, A, 30)
    expect(partition.start).toBe(3)
    partition.acquireNew(8, 8, A, 30)
    partition.settle(A, 3, 4, 'accept')
    expect(partition.start).toBe(8)
    partition.settle(A, 8, 8, 'release')
    partition.skipTo(12)
    partition.archiveGap(8, 8)
    expect([partition.start, partition.end]).toEqual([12, 12])
  })

  it('wait for their dead letters before they are archived', () => {
    const partition = new SharePartition(0, { deliveryLimit: 2, hasDeadLetters: true })
    partition.acquireNew(0, 2, A, 30)
    partition.settle(A, 0, 0, 'reject')
    partition.settle(A, 1, 1, 'release')
    partition.acquire(1, 1, A, 30)
    partition.settle(A, 1, 1, 'release')
    expect(partition.letters).toEqual([
      { first: 0, last: 0, deliveryCount: 1, cause: 'rejected' },
      { first: 1, last: 1, deliveryCount: 2, cause: 'delivery limit' },
    ])
    expect(partition.start).toBe(0)
    partition.finishArchiving(0, 1)
    expect(partition.start).toBe(2)
  })
})

/**
 * Any sequence of what may happen to it, against one array of what each record is. Kept as runs or one by one, the same must come out: states, counts, the
 * start, what is durable, and what comes back from that.
 */
interface Slot {
  state: RecordState
  count: number
  owner: number
  deadline: number
}

type Command =
  | { readonly do: 'new'; readonly gap: number; readonly count: number; readonly owner: number }
  | { readonly do: 'again'; readonly max: number; readonly owner: number }
  | {
      readonly do: 'settle'
      readonly from: number
      readonly count: number
      readonly owner: number
      readonly outcome: Outcome
    }
  | { readonly do: 'renew'; readonly from: number; readonly count: number; readonly owner: number }
  | { readonly do: 'expire' | 'retain'; readonly by: number }
  | { readonly do: 'leave'; readonly owner: number }
  | { readonly do: 'archived' | 'write' }

const owner = fc.integer({ min: 1, max: 3 })
const from = fc.nat({ max: 30 })
const count = fc.integer({ min: 1, max: 6 })
const outcome = fc.constantFrom<Outcome>('accept', 'accept', 'accept', 'release', 'release', 'reject', 'undo')
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('new' as const), gap: fc.nat({ max: 2 }), count, owner }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('again' as const), max: count, owner }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('settle' as const), from, count, owner, outcome }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('renew' as const), from, count, owner }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('expire' as const), by: fc.nat({ max: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('retain' as const), by: fc.nat({ max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), owner }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('archived' as const, 'write' as const) }) },
)

const LIMIT = 3
const LOCK = 10
const free: Slot = { state: RecordState.available, count: 0, owner: 0, deadline: Number.POSITIVE_INFINITY }
const isTerminal = ({ state }: Slot): boolean => state === RecordState.acknowledged || state === RecordState.archived

class Model {
  readonly slots: Slot[] = []
  start = 0

  constructor(readonly hasDeadLetters: boolean) {}

  get end(): number {
    return this.slots.length
  }

  trim(): void {
    while (this.start < this.end && isTerminal(this.slots[this.start] as Slot)) this.start += 1
  }

  conclude(offset: number, how: Outcome): void {
    const slot = this.slots[offset] as Slot
    const archived = this.hasDeadLetters ? RecordState.archiving : RecordState.archived
    if (how === 'accept') slot.state = RecordState.acknowledged
    else if (how === 'reject' || (how === 'release' && slot.count >= LIMIT)) slot.state = archived
    else slot.state = RecordState.available
    if (how === 'undo') slot.count -= 1
    slot.owner = 0
    slot.deadline = Number.POSITIVE_INFINITY
  }

  /** As if the process ended now, and what is durable were read back. */
  revived(): Slot[] {
    return this.slots.map((slot) =>
      slot.state === RecordState.acquired || slot.count === 0
        ? { ...free, count: Math.max(0, slot.count - 1) }
        : { ...slot, owner: 0, deadline: Number.POSITIVE_INFINITY },
    )
  }
}

/** Expectations by the hundred thousand: vitest's would take most of the time. */
function same(found: unknown, expected: unknown, what = 'what came out'): void {
  if (!Object.is(found, expected)) throw new Error(`${what}: found ${String(found)}, expected ${String(expected)}`)
}

function slotsOf(partition: SharePartition, model: Model): void {
  same(`${partition.start} to ${partition.end}`, `${model.start} to ${model.end}`)
  const states = new Map<RecordState, number>()
  for (let offset = model.start; offset < model.end; offset++) {
    const slot = model.slots[offset] as Slot
    states.set(slot.state, (states.get(slot.state) ?? 0) + 1)
    same(partition.deliveries(offset), slot.count, 'deliveries')
    same(partition.holds(slot.owner, offset, slot.count), slot.state === RecordState.acquired, 'held')
  }
  for (const state of Object.values(RecordState))
    same(partition.count(state), states.get(state) ?? 0, `in state ${state}`)
  same(partition.available, states.get(RecordState.available) ?? 0)
  same(partition.runs <= model.end - model.start, true, 'no more runs than records')
}

it('K-22: whatever happens, runs of records are what the records would be one by one, in memory and from what is durable', () => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(command, { maxLength: 80, size: 'max' }), (hasDeadLetters, commands) => {
      const partition = new SharePartition(0, { deliveryLimit: LIMIT, hasDeadLetters })
      const model = new Model(hasDeadLetters)
      let now = 0
      let snapshot = { version: 0, start: 0, batches: partition.image(-1) }
      for (const one of commands) {
        if (one.do === 'new') {
          const first = model.end + one.gap
          for (let i = 0; i < one.gap; i++) model.slots.push({ ...free, state: RecordState.archived })
          for (let i = 0; i < one.count; i++) {
            model.slots.push({ state: RecordState.acquired, count: 1, owner: one.owner, deadline: now + LOCK })
          }
          partition.acquireNew(first, first + one.count - 1, one.owner, now + LOCK)
        } else if (one.do === 'again') {
          const first = model.slots.findIndex((slot, at) => at >= model.start && slot.state === RecordState.available)
          same(partition.nextAvailable(), first)
          if (first === -1) continue
          const to = Math.min(partition.availableTo(first), first + one.max)
          const deliveries = (model.slots[first] as Slot).count + 1
          same(partition.acquire(first, to - 1, one.owner, now + LOCK), deliveries)
          for (let at = first; at < to; at++) {
            same((model.slots[at] as Slot).count, deliveries - 1)
            model.slots[at] = { state: RecordState.acquired, count: deliveries, owner: one.owner, deadline: now + LOCK }
          }
        } else if (one.do === 'settle' || one.do === 'renew' || one.do === 'leave') {
          const first = one.do === 'leave' ? model.start : model.start + one.from - 2
          const last = one.do === 'leave' ? model.end - 1 : first + one.count - 1
          let settled = 0
          for (let at = Math.max(first, model.start); at <= Math.min(last, model.end - 1); at++) {
            const slot = model.slots[at] as Slot
            if (slot.state !== RecordState.acquired || slot.owner !== one.owner) continue
            settled += 1
            if (one.do === 'renew') slot.deadline = now + LOCK
            else model.conclude(at, one.do === 'leave' ? 'release' : one.outcome)
          }
          if (one.do === 'leave') same(partition.releaseOwner(one.owner), settled)
          else if (one.do === 'settle') same(partition.settle(one.owner, first, last, one.outcome), settled)
          else partition.renew(one.owner, first, last, now + LOCK)
        } else if (one.do === 'expire') {
          now += one.by
          let expired = 0
          for (let at = model.start; at < model.end; at++) {
            if ((model.slots[at] as Slot).deadline > now) continue
            expired += 1
            model.conclude(at, 'release')
          }
          same(partition.expire(now), expired)
          const deadlines = model.slots.slice(model.start).map(({ deadline }) => deadline)
          same(partition.nextDeadline(), Math.min(Number.POSITIVE_INFINITY, ...deadlines))
        } else if (one.do === 'retain') {
          model.start = Math.min(model.start + one.by, model.end)
          partition.moveStart(model.start)
        } else if (one.do === 'archived') {
          const letters = partition.letters.splice(0)
          for (const { first, last, deliveryCount } of letters) {
            partition.finishArchiving(first, last)
            for (let at = Math.max(first, model.start); at <= last; at++) {
              expect(model.slots[at]).toMatchObject({ state: RecordState.archiving, count: deliveryCount })
              ;(model.slots[at] as Slot).state = RecordState.archived
            }
          }
        } else snapshot = { version: partition.version, start: partition.start, batches: partition.image(-1) }
        model.trim()
        slotsOf(partition, model)

        // What is durable: a snapshot, and over it all that has changed since.
        const batches = overlaid(snapshot.batches, partition.image(snapshot.version))
        const revived = new SharePartition(0, { deliveryLimit: LIMIT, hasDeadLetters })
        revived.restore(partition.start, batches)
        const after = model.revived()
        for (let at = partition.start; at < revived.end; at++) {
          const slot = after[at] as Slot
          if (at < revived.start) same(isTerminal(slot), true, `${at} was done with`)
          else same(revived.deliveries(at), slot.count, `deliveries of ${at}, revived`)
        }
        for (let at = revived.end; at < model.end; at++) {
          const { state, count: deliveries } = after[at] as Slot
          // It is read again, and where no record is there, passed over again.
          same(state === RecordState.available || state === RecordState.archived, true, `${at} was never handed out`)
          same(deliveries, 0)
        }
        const done = (slots: readonly Slot[]): number =>
          slots.slice(partition.start, revived.end).filter(isTerminal).length
        const terminal = revived.count(RecordState.acknowledged) + revived.count(RecordState.archived)
        same(terminal + revived.start - partition.start, done(after))
      }
    }),
    { numRuns: Number(process.env['MILLRACE_SHARE_RUNS'] ?? 150), ...seed() },
  )
})

const seed = () => (process.env['MILLRACE_SEED'] === undefined ? {} : { seed: Number(process.env['MILLRACE_SEED']) })
