import { assert } from '../../common/assert.js'
import { RecordState, type StateBatch } from './record-state.js'

/** How a delivery ends; `undo`: it never began, and is not counted. */
export type Outcome = 'accept' | 'release' | 'reject' | 'undo'

/** Nobody. */
export const NO_OWNER = 0

/** Records that are to be written as dead letters, all of them delivered so often. */
export interface DeadLetterRange {
  readonly first: number
  readonly last: number
  readonly deliveryCount: number
  readonly cause: 'rejected' | 'delivery limit'
}

/** What the group's settings say about the end of a delivery. */
export interface DeliveryRules {
  readonly deliveryLimit: number
  readonly hasDeadLetters: boolean
}

/** Neighbouring offsets of one state, delivered so often, acquired by the same member until the same time. */
class Run {
  constructor(
    public first: number,
    public last: number,
    public state: RecordState,
    public deliveryCount: number,
    public owner: number,
    /** On the monotonic clock; Infinity where it is not acquired. */
    public deadline: number,
    /** Of the partition, when what is kept of it durably changed last. */
    public version: number,
  ) {}

  get isTerminal(): boolean {
    return this.state === RecordState.acknowledged || this.state === RecordState.archived
  }

  isLike(other: Run): boolean {
    return (
      this.state === other.state &&
      this.deliveryCount === other.deliveryCount &&
      this.owner === other.owner &&
      this.deadline === other.deadline
    )
  }
}

/**
 * The records of one partition that a share group has in flight: those from the start offset, below which everything is done with, to the
 * end offset, the next one to be handed out for the first time. They are kept as runs, in order and without a gap between them, so that a batch
 * which is acquired and acknowledged as a whole costs as much as one record; a record that fares otherwise than its neighbours splits theirs.
 * It knows no clock and no disk: who asks says what time it is, and writes down `image()` when `version` has grown.
 */
export class SharePartition {
  /** Of the state that has to be durable; acquiring changes nothing of it. */
  version = 0
  /** Since the last look: records whose state is `archiving` by now. */
  letters: DeadLetterRange[] = []
  #start: number
  #end: number
  #runs: Run[] = []
  #available = 0
  /** Below it retention has taken records that may still be in somebody's hand. */
  #retainedFrom = 0

  constructor(
    start: number,
    public rules: DeliveryRules,
  ) {
    this.#start = start
    this.#end = start
  }

  /** Everything below is done with. */
  get start(): number {
    return this.#start
  }

  /** The first record that was never handed out. */
  get end(): number {
    return this.#end
  }

  /** Offsets between start and end: what Kafka's limit of record locks is about. */
  get inFlight(): number {
    return this.#end - this.#start
  }

  /** Records that were given back. */
  get available(): number {
    return this.#available
  }

  count(state: RecordState): number {
    let records = 0
    for (const run of this.#runs) if (run.state === state) records += run.last - run.first + 1
    return records
  }

  /** Begins again at `start`, as if nothing had ever been handed out. */
  reset(start: number): void {
    this.#runs = []
    this.#available = 0
    this.#start = start
    this.#end = start
    this.letters = []
    this.version += 1
  }

  /**
   * What was durable when the process ended: nothing is acquired any more. Records of which nothing is known below others of which something is have never
   * been handed out, or were in hand for the first time.
   */
  restore(start: number, batches: readonly StateBatch[]): void {
    assert(this.#runs.length === 0, 'a partition that is restored has nothing in flight')
    this.#start = start
    this.#end = start
    for (const { first, last, state, deliveryCount } of batches) {
      if (last < this.#end) continue
      const from = Math.max(first, this.#end)
      if (from > this.#end) this.#append(this.#end, from - 1, RecordState.available, 0)
      this.#append(from, last, state === RecordState.acquired ? RecordState.available : state, deliveryCount)
      if (state !== RecordState.archiving) continue
      const cause = deliveryCount >= this.rules.deliveryLimit ? 'delivery limit' : 'rejected'
      this.letters.push({ first: from, last, deliveryCount, cause })
    }
    this.#trim()
  }

  /** The first record that was given back; -1 where there is none. */
  nextAvailable(): number {
    if (this.#available === 0) return -1
    for (const run of this.#runs) if (run.state === RecordState.available) return run.first
    throw new Error('assertion failed: records are available and in no run')
  }

  /** Behind the last record that lies together with this one, is available, and was delivered as often. */
  availableTo(offset: number): number {
    return (this.#runs[this.#find(offset)] as Run).last + 1
  }

  /** Available records of one run; how often they have been delivered then. */
  acquire(first: number, last: number, owner: number, deadline: number): number {
    const index = this.#carve(this.#find(first), first, last)
    const run = this.#runs[index] as Run
    assert(run.state === RecordState.available, `offset ${first} is available`)
    this.#available -= last - first + 1
    run.state = RecordState.acquired
    run.deliveryCount += 1
    run.owner = owner
    run.deadline = deadline
    const { deliveryCount } = run
    this.#merge(index)
    return deliveryCount
  }

  /** Records that nobody has had; what lies between the end and them are no records. */
  acquireNew(first: number, last: number, owner: number, deadline: number): void {
    this.skipTo(first)
    const before = this.#runs[this.#runs.length - 1]
    const run = new Run(first, last, RecordState.acquired, 1, owner, deadline, 0)
    if (before?.isLike(run) === true) before.last = last
    else this.#runs.push(run)
    this.#end = last + 1
  }

  /** There are no records before this offset that were not handed out: markers, what was aborted or compacted away. */
  skipTo(offset: number): void {
    if (offset <= this.#end) return
    this.#append(this.#end, offset - 1, RecordState.archived, 0)
    this.#trim()
  }

  /** These are no records any more: compaction has taken them. */
  archiveGap(first: number, last: number): void {
    const index = this.#carve(this.#find(first), first, last)
    const run = this.#runs[index] as Run
    assert(run.state === RecordState.available, `offset ${first} is available`)
    this.#available -= last - first + 1
    run.state = RecordState.archived
    this.#merge(index)
    this.#trim()
  }

  /** Whether the member still has the record, from the delivery with this count. */
  holds(owner: number, offset: number, deliveryCount: number): boolean {
    if (offset < this.#start || offset >= this.#end) return false
    const run = this.#runs[this.#find(offset)] as Run
    return run.state === RecordState.acquired && run.owner === owner && run.deliveryCount === deliveryCount
  }

  /** How often the record was delivered; 0 for one that is not in flight. */
  deliveries(offset: number): number {
    if (offset < this.#start || offset >= this.#end) return 0
    return (this.#runs[this.#find(offset)] as Run).deliveryCount
  }

  /** Retention was faster than the record's member: what becomes of it matters to nobody. */
  isGone(offset: number): boolean {
    return offset < this.#retainedFrom
  }

  /** Of these records those that the member has, delivered so often (0: however often). How many they were. */
  settle(owner: number, first: number, last: number, outcome: Outcome, deliveryCount = 0): number {
    let settled = 0
    let at = Math.max(first, this.#start)
    const to = Math.min(last, this.#end - 1)
    while (at <= to) {
      const index = this.#find(at)
      const run = this.#runs[index] as Run
      const until = Math.min(run.last, to)
      if (
        run.state === RecordState.acquired &&
        run.owner === owner &&
        (deliveryCount === 0 || run.deliveryCount === deliveryCount)
      ) {
        this.#conclude(index, at, until, outcome)
        settled += until - at + 1
      }
      at = until + 1
    }
    if (settled > 0) this.#trim()
    return settled
  }

  /** The member is gone, and all that it has is released. How many records they were. */
  releaseOwner(owner: number): number {
    return this.settle(owner, this.#start, this.#end - 1, 'release')
  }

  /** The locks of the member on these records last until then. */
  renew(owner: number, first: number, last: number, deadline: number): void {
    const to = Math.min(last, this.#end - 1)
    for (let at = Math.max(first, this.#start); at <= to; ) {
      const found = this.#runs[this.#find(at)] as Run
      const until = Math.min(found.last, to)
      if (found.state === RecordState.acquired && found.owner === owner) {
        const index = this.#carve(this.#find(at), at, until)
        ;(this.#runs[index] as Run).deadline = deadline
        this.#merge(index)
      }
      at = until + 1
    }
  }

  /** Locks that are over by now are released. How many records they were on. */
  expire(now: number): number {
    let expired = 0
    for (let i = 0; i < this.#runs.length; i++) {
      const run = this.#runs[i] as Run
      if (run.state !== RecordState.acquired || run.deadline > now) continue
      expired += run.last - run.first + 1
      this.#conclude(i, run.first, run.last, 'release')
      // It may have become one with those in front of it.
      i = Math.max(-1, i - 2)
    }
    if (expired > 0) this.#trim()
    return expired
  }

  /** When the next lock is over; Infinity where nothing is acquired. */
  nextDeadline(): number {
    let next = Number.POSITIVE_INFINITY
    for (const run of this.#runs) if (run.deadline < next) next = run.deadline
    return next
  }

  /** Their dead letters are written. */
  finishArchiving(first: number, last: number): void {
    for (let at = Math.max(first, this.#start); at <= Math.min(last, this.#end - 1); ) {
      const found = this.#runs[this.#find(at)] as Run
      const until = Math.min(found.last, last)
      if (found.state === RecordState.archiving) {
        const index = this.#carve(this.#find(at), at, until)
        this.#change(index, RecordState.archived)
        this.#merge(index)
      }
      at = until + 1
    }
    this.#trim()
  }

  /** Retention has moved the log start: what lay before it is nobody's any more. */
  moveStart(logStart: number): void {
    if (logStart <= this.#start) return
    this.#retainedFrom = logStart
    let gone = 0
    for (; gone < this.#runs.length; gone++) {
      const run = this.#runs[gone] as Run
      if (run.state === RecordState.available) {
        this.#available -= Math.max(0, Math.min(run.last, logStart - 1) - run.first + 1)
      }
      if (run.last < logStart) continue
      run.first = Math.max(run.first, logStart)
      break
    }
    this.#runs.splice(0, gone)
    this.#start = logStart
    this.#end = Math.max(this.#end, logStart)
    this.#trim()
  }

  /**
   * What has to be durable of runs that have changed after version `since`: as if nobody had anything in hand. A delivery that the process does not see the
   * end of is not counted, as in Kafka.
   */
  image(since: number): StateBatch[] {
    const batches: StateBatch[] = []
    for (const { first, last, state, deliveryCount, version } of this.#runs) {
      if (version <= since) continue
      const isAcquired = state === RecordState.acquired
      const count = isAcquired ? deliveryCount - 1 : deliveryCount
      // Never handed out, or no records at all, which whoever reads them again will find.
      if (count === 0) continue
      batches.push({ first, last, state: isAcquired ? RecordState.available : state, deliveryCount: count })
    }
    return batches
  }

  /** How many runs there are: what a snapshot costs. */
  get runs(): number {
    return this.#runs.length
  }

  #append(first: number, last: number, state: RecordState, deliveryCount: number): void {
    this.#runs.push(new Run(first, last, state, deliveryCount, NO_OWNER, Number.POSITIVE_INFINITY, this.version))
    if (state === RecordState.available) this.#available += last - first + 1
    this.#end = last + 1
    this.#merge(this.#runs.length - 1)
  }

  /** The delivery of these records, which lie in the run at `index`, has ended. */
  #conclude(index: number, first: number, last: number, outcome: Outcome): void {
    if (outcome === 'accept' && this.#shift(index, first, last)) return
    const at = this.#carve(index, first, last)
    const run = this.#runs[at] as Run
    const { deliveryCount } = run
    if (outcome === 'accept') this.#change(at, RecordState.acknowledged)
    else if (outcome === 'undo') {
      run.deliveryCount -= 1
      this.#change(at, RecordState.available)
    } else if (outcome === 'release' && deliveryCount < this.rules.deliveryLimit) {
      this.#change(at, RecordState.available)
    } else {
      const { hasDeadLetters } = this.rules
      this.#change(at, hasDeadLetters ? RecordState.archiving : RecordState.archived)
      const cause = outcome === 'reject' ? 'rejected' : 'delivery limit'
      if (hasDeadLetters) this.letters.push({ first, last, deliveryCount, cause })
    }
    this.#merge(at)
  }

  /** Records are mostly accepted from the front on: then the run before them grows, or the start moves, and nothing is made or moved. */
  #shift(index: number, first: number, last: number): boolean {
    const run = this.#runs[index] as Run
    if (run.first !== first || run.last === last) return false
    if (index === 0) {
      run.first = last + 1
      this.#start = last + 1
      this.version += 1
      return true
    }
    const before = this.#runs[index - 1] as Run
    if (before.state !== RecordState.acknowledged || before.deliveryCount !== run.deliveryCount) return false
    run.first = last + 1
    before.last = last
    this.version += 1
    before.version = this.version
    return true
  }

  #change(index: number, state: RecordState): void {
    const run = this.#runs[index] as Run
    run.state = state
    run.owner = NO_OWNER
    run.deadline = Number.POSITIVE_INFINITY
    this.version += 1
    run.version = this.version
    if (state === RecordState.available) this.#available += run.last - run.first + 1
  }

  /** The run that holds the offset, which is in flight. */
  #find(offset: number): number {
    const runs = this.#runs
    let low = 0
    let high = runs.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if ((runs[middle] as Run).last < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Splits the run so that these offsets are one of their own; where that is. */
  #carve(index: number, first: number, last: number): number {
    const run = this.#runs[index] as Run
    assert(run.first <= first && last <= run.last, `offsets ${first} to ${last} are of one state`)
    let at = index
    if (last < run.last) {
      this.#runs.splice(at + 1, 0, this.#part(run, last + 1, run.last))
      run.last = last
    }
    if (run.first < first) {
      this.#runs.splice(at + 1, 0, this.#part(run, first, run.last))
      run.last = first - 1
      at += 1
    }
    return at
  }

  #part(run: Run, first: number, last: number): Run {
    return new Run(first, last, run.state, run.deliveryCount, run.owner, run.deadline, run.version)
  }

  /** With its neighbours, where they are alike. */
  #merge(index: number): void {
    const run = this.#runs[index] as Run
    const after = this.#runs[index + 1]
    if (after?.isLike(run) === true) {
      run.last = after.last
      run.version = Math.max(run.version, after.version)
      this.#runs.splice(index + 1, 1)
    }
    const before = this.#runs[index - 1]
    if (before?.isLike(run) === true) {
      before.last = run.last
      before.version = Math.max(run.version, before.version)
      this.#runs.splice(index, 1)
    }
  }

  /** The start moves over everything that is done with. */
  #trim(): void {
    let done = 0
    while (this.#runs[done]?.isTerminal === true) done += 1
    if (done > 0) this.#runs.splice(0, done)
    this.#start = this.#runs[0]?.first ?? this.#end
  }
}
