import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Consumer } from '../../src/client/consumer.js'
import { type AssignorName, PartitionAssigners } from '../../src/client/kafkajs-names.js'
import { nextTurn, temporaryDirectory, until } from '../log/log-fixture.js'
import { type ClientLog, gate, openClientLog } from './consumer-fixture.js'

/**
 * A group against a small model of what it must do, whatever happens to it: members come, leave, crash in a handler, are slow or do not end at all,
 * pause, seek, commit by themselves or by hand; records are sent; the topic gets partitions; offsets are reset; the engine is opened anew. The model knows
 * what was sent, and how far each partition was handled without a gap. What is held to:
 *
 *   - each partition is read by one member at most, and by one as soon as there is one;
 *   - no record is handed out while another member has one of its partition in hand, and no partition is assigned while a handler of it runs
 *     elsewhere; but for a member that was expelled, whose commits are refused from then on;
 *   - a partition's records are handled in order: none is handed out before all those in front of it were handled, or given up by a seek;
 *   - what is committed lies behind nothing that was not handled, and never goes back but by a seek or a reset;
 *   - after all is drained, everything sent was handled, and what is committed is the end.
 *
 * MILLRACE_GROUP_RUNS=5000 for a long search; MILLRACE_SEED=N for the same one again, which a failure prints.
 */
const PARTITIONS = 3
const PARTITIONS_MAX = 6
const RUNS = Number(process.env['MILLRACE_GROUP_RUNS'] ?? 8)
const SEED = process.env['MILLRACE_SEED']

interface Kind {
  readonly speed: 'quick' | 'slow' | 'stuck'
  readonly keys: number
  readonly autoCommit: boolean
}

type Command =
  | { readonly do: 'send'; readonly partition: number; readonly count: number }
  | { readonly do: 'join'; readonly kind: Kind }
  | { readonly do: 'leave' | 'crash' | 'commit' | 'resume'; readonly member: number }
  | { readonly do: 'pause'; readonly member: number; readonly partition: number }
  | { readonly do: 'seek'; readonly member: number; readonly partition: number; readonly share: number }
  | { readonly do: 'reset'; readonly partition: number; readonly share: number }
  | { readonly do: 'reopen' | 'wait' | 'partitions' | 'release' }

const member = fc.nat({ max: 5 })
const partition = fc.nat({ max: PARTITIONS_MAX - 1 })
const share = fc.double({ min: 0, max: 1, noNaN: true })
const kind: fc.Arbitrary<Kind> = fc.record({
  speed: fc.constantFrom('quick', 'quick', 'slow', 'slow', 'stuck'),
  keys: fc.constantFrom(1, 3),
  autoCommit: fc.constantFrom(true, true, false),
})
const only = <D extends string>(what: D) => fc.record({ do: fc.constant(what) })
const ofMember = <D extends string>(what: D) => fc.record({ do: fc.constant(what), member })
const count = fc.integer({ min: 1, max: 20 })

/** The more often it is listed, the more often it is done. */
const commands: readonly fc.Arbitrary<Command>[] = [
  ...new Array(6).fill(fc.record({ do: fc.constant('send' as const), partition, count })),
  ...new Array(4).fill(fc.record({ do: fc.constant('join' as const), kind })),
  ...new Array(2).fill(ofMember('leave')),
  ...new Array(2).fill(ofMember('crash')),
  ...new Array(2).fill(ofMember('commit')),
  ...new Array(2).fill(fc.record({ do: fc.constant('seek' as const), member, partition, share })),
  ...new Array(2).fill(only('wait')),
  fc.record({ do: fc.constant('pause' as const), member, partition }),
  ofMember('resume'),
  fc.record({ do: fc.constant('reset' as const), partition, share }),
  only('reopen'),
  only('partitions'),
  only('release'),
]

/** One step; the model is asked after each. */
class Step implements fc.AsyncCommand<World, World> {
  constructor(private readonly command: Command) {}

  check(): boolean {
    return true
  }

  async run(world: World): Promise<void> {
    await world.run(this.command)
    await world.check()
  }

  toString(): string {
    return JSON.stringify(this.command)
  }
}

interface Running {
  readonly consumer: Consumer
  readonly id: number
  readonly kind: Kind
  mustCrash: boolean
  /** Lets a stuck handler go on. */
  release: () => void
}

class World {
  partitions = PARTITIONS
  readonly sent = new Array<number>(PARTITIONS_MAX).fill(0)
  /** Offsets below it have all been handled since the last reset. */
  readonly handledTo = new Array<number>(PARTITIONS_MAX).fill(0)
  /** What is committed never goes below it, but by a seek or a reset. */
  readonly #floor = new Array<number>(PARTITIONS_MAX).fill(0)
  /** Sought back: one commit may be lower than the one before. A commit that was under way at the seek comes first. */
  readonly #mayGoBack = new Array<boolean>(PARTITIONS_MAX).fill(false)
  /** Handled out of order, by key, or passed over by a seek: above `handledTo`. */
  readonly #ahead = Array.from({ length: PARTITIONS_MAX }, () => new Set<number>())
  readonly #inHand = Array.from({ length: PARTITIONS_MAX }, () => new Map<number, Set<number>>())
  readonly running: Running[] = []
  readonly #all: Running[] = []
  readonly #faults: string[] = []

  constructor(
    public log: ClientLog,
    readonly directory: string,
    readonly assignor: AssignorName,
  ) {
    this.#watchCommits()
  }

  async run(command: Command): Promise<void> {
    switch (command.do) {
      case 'send': {
        const to = command.partition % this.partitions
        const from = this.sent[to] as number
        const keyed = Array.from({ length: command.count }, (_, i) => [`k${(from + i) % 4}`, String(from + i)] as const)
        this.sent[to] = from + command.count
        await this.log.sendKeyed('t', to, keyed)
        return
      }
      case 'join':
        await this.#join(command.kind)
        return
      case 'leave': {
        const [gone] = this.running.splice(command.member, 1)
        gone?.release()
        await gone?.consumer.disconnect()
        return
      }
      case 'crash': {
        const found = this.running[command.member]
        if (found !== undefined) found.mustCrash = true
        return
      }
      case 'commit':
        // A rebalance may have come in between: then it is refused, and nothing is lost.
        await this.running[command.member]?.consumer.commitOffsets().catch((error: unknown) => {
          expect(error).toMatchObject({
            code: expect.stringMatching(/ILLEGAL_GENERATION|NOT_ASSIGNED|UNKNOWN_MEMBER_ID/),
          })
        })
        return
      case 'pause': {
        const found = this.running[command.member]
        found?.consumer.pause([{ topic: 't', partitions: [command.partition % this.partitions] }])
        return
      }
      case 'resume':
        this.running[command.member]?.consumer.resume([{ topic: 't' }])
        return
      case 'seek':
        this.#seek(this.running[command.member], command.partition, command.share)
        return
      case 'partitions':
        if (this.partitions === PARTITIONS_MAX) return
        this.partitions += 1
        this.log.host.topicChanged(this.log.engine.alterTopic('t', { partitions: this.partitions }))
        return
      case 'release':
        for (const each of this.running) each.release()
        return
      case 'reset':
        await this.#reset(command.partition % this.partitions, command.share)
        return
      case 'reopen':
        await this.#stopAll()
        await this.log.close()
        this.log = await openClientLog({ dir: this.directory, fsync: 'never' })
        this.#watchCommits()
        return
      case 'wait':
        for (let i = 0; i < 5; i++) await nextTurn()
    }
  }

  /** Everything sent is handled and committed, with one member more that nobody disturbs. */
  async drain(): Promise<void> {
    for (const each of this.running) {
      each.release()
      each.consumer.resume([{ topic: 't' }])
    }
    // Who never commits leaves what it has handled to those behind it.
    const [byHand, others] = [
      this.running.filter((r) => !r.kind.autoCommit),
      this.running.filter((r) => r.kind.autoCommit),
    ]
    for (const each of byHand) await each.consumer.disconnect()
    this.running.splice(0, this.running.length, ...others.slice(0, 4))
    for (const each of others.slice(4)) await each.consumer.disconnect()
    await this.#join({ speed: 'quick', keys: 1, autoCommit: true })
    await until(
      () => this.sent.every((end, p) => this.handledTo[p] === end),
      `${this.sent} handled, is ${this.handledTo}`,
    )
    // One that has crashed a moment ago may still be leaving.
    await until(() => this.#owners().length === this.partitions, 'each partition has a reader')
    this.#checkOwners()
    // What was handled by one who has not committed it comes again first.
    const offsets = this.log.coordinator.offsets
    const topic = this.log.engine.describe('t')
    await until(
      () => this.sent.every((end, p) => end === 0 || offsets.get('g', topic, p)?.offset === end),
      `${this.sent} committed`,
    )
    await this.#stopAll()
    await this.check()
    const committed = await this.#committed()
    for (let p = 0; p < this.partitions; p++) expect(committed[p] ?? 0).toBe(this.sent[p])
  }

  async #join(kind: Kind): Promise<void> {
    if (this.running.length >= 5) return
    const id = this.#all.length
    const consumer = this.log.consumer({
      groupId: 'g',
      clientId: `m${id}`,
      partitionAssigners: [this.assignor],
      autoCommit: kind.autoCommit,
      autoCommitInterval: 2,
      autoOffsetReset: 'earliest',
      rebalanceTimeout: kind.speed === 'stuck' ? 20 : 60_000,
    })
    const held = gate()
    const self: Running = { consumer, id, kind, mustCrash: false, release: held.open }
    this.#all.push(self)
    consumer.on('crash', () => {
      const at = this.running.indexOf(self)
      if (at !== -1) this.running.splice(at, 1)
    })
    consumer.on(
      consumer.events.GROUP_JOIN,
      ({ payload }: { payload: { memberAssignment: Record<string, number[]> } }) =>
        this.#assigned(id, payload.memberAssignment['t'] ?? []),
    )
    await consumer.subscribe({ topics: ['t'] })
    this.running.push(self)
    await consumer.run({
      partitionsConsumedConcurrently: 2,
      keysConsumedConcurrently: kind.keys,
      eachMessage: async ({ partition: p, message, signal }) => {
        const offset = Number(message.offset)
        this.#began(p, offset, self)
        if (kind.speed === 'slow') for (let i = 0; i < 3 && !signal.aborted; i++) await nextTurn()
        if (kind.speed === 'stuck') {
          await held.opened
          if (await this.#wasExpelled(self, p, offset)) return
        }
        if (self.mustCrash) {
          this.#letGo(p, offset, id)
          throw new Error('crash')
        }
        this.#ended(p, offset, id)
      },
    })
    if (!this.#isExpelled(id)) this.#checkOwners()
  }

  /** The group has gone on without it, since its handlers did not end in time. */
  #isExpelled(id: number): boolean {
    const members = this.log.coordinator.group('g')?.members ?? []
    return this.#all[id]?.kind.speed === 'stuck' && !members.some(({ member }) => member.clientId === `m${id}`)
  }

  /** Whoever was expelled while its handler ran has no say any more. */
  async #wasExpelled(self: Running, p: number, offset: number): Promise<boolean> {
    if (!this.#isExpelled(self.id)) return false
    this.#letGo(p, offset, self.id)
    await self.consumer.commitOffsets([{ topic: 't', partition: p, offset: offset + 1 }]).then(
      () => this.#faults.push(`${self.id} was expelled, and has committed ${p}:${offset}`),
      (error: unknown) => expect(error).toMatchObject({ code: 'UNKNOWN_MEMBER_ID' }),
    )
    return true
  }

  #assigned(id: number, partitions: readonly number[]): void {
    for (const p of partitions) {
      for (const [other, offsets] of this.#inHand[p] as Map<number, Set<number>>) {
        if (other !== id && !this.#isExpelled(other))
          this.#faults.push(`${p} is assigned to ${id} while ${other} has ${[...offsets]} in hand`)
      }
    }
  }

  #seek(found: Running | undefined, wanted: number, share: number): void {
    const own = found?.consumer.assignment() ?? []
    const place = own[wanted % Math.max(1, own.length)]
    if (found === undefined || place === undefined) return
    const { partition: p } = place
    const to = Math.floor((this.sent[p] as number) * share)
    const from = Number(found.consumer.positions().find((at) => at.partition === p)?.offset ?? 0)
    if (to < from) this.#mayGoBack[p] = true
    found.consumer.seek({ topic: 't', partition: p, offset: to })
    // What is passed over is given up; where it goes back, so may what is committed.
    for (let offset = this.handledTo[p] as number; offset < to; offset++) this.#done(p, offset)
  }

  #watchCommits(): void {
    const { offsets } = this.log.coordinator
    const apply = offsets.apply.bind(offsets)
    offsets.apply = (group, commits, at) => {
      for (const { partition: p, offset } of commits) {
        if (offset < (this.#floor[p] as number)) {
          if (this.#mayGoBack[p] !== true) this.#faults.push(`${p}:${offset} is committed after ${this.#floor[p]}`)
          this.#mayGoBack[p] = false
        }
        this.#floor[p] = offset
      }
      apply(group, commits, at)
    }
  }

  #began(p: number, offset: number, { id, kind }: Running): void {
    const inHand = this.#inHand[p] as Map<number, Set<number>>
    // What is thrown here would only stop the consumer: it is kept for `check`.
    for (const [other, offsets] of inHand) {
      if (other !== id && !this.#isExpelled(other))
        this.#faults.push(`${id} is given ${p}:${offset} while ${other} has ${[...offsets]} in hand`)
    }
    if (kind.keys === 1 && offset > (this.handledTo[p] as number))
      this.#faults.push(`${id} is given ${p}:${offset}, and ${this.handledTo[p]} was not handled`)
    const own = inHand.get(id)
    if (own === undefined) inHand.set(id, new Set([offset]))
    else own.add(offset)
    if (offset >= (this.sent[p] as number)) this.#faults.push(`${p}:${offset} was never sent`)
  }

  #ended(p: number, offset: number, id: number): void {
    this.#letGo(p, offset, id)
    if (offset >= (this.handledTo[p] as number)) this.#done(p, offset)
  }

  #done(p: number, offset: number): void {
    const ahead = this.#ahead[p] as Set<number>
    ahead.add(offset)
    while (ahead.delete(this.handledTo[p] as number)) this.handledTo[p] = (this.handledTo[p] as number) + 1
  }

  #letGo(p: number, offset: number, id: number): void {
    const own = this.#inHand[p]?.get(id)
    own?.delete(offset)
    if (own?.size === 0) this.#inHand[p]?.delete(id)
  }

  /** What is committed lies behind nothing that was not handled. */
  async #committed(): Promise<number[]> {
    const topic = this.log.engine.describe('t')
    await this.log.coordinator.offsets.load()
    return topic.partitions.map(({ partition: p }) => this.log.coordinator.offsets.get('g', topic, p)?.offset ?? 0)
  }

  async check(): Promise<void> {
    expect(this.#faults).toEqual([])
    const committed = await this.#committed()
    for (let p = 0; p < this.partitions; p++)
      expect(committed[p] as number).toBeLessThanOrEqual(this.handledTo[p] as number)
  }

  #owners(): number[] {
    return this.running.flatMap(({ consumer }) => consumer.assignment().map((place) => place.partition))
  }

  #checkOwners(): void {
    const owners = this.#owners()
    expect(new Set(owners).size).toBe(owners.length)
  }

  async #reset(p: number, share: number): Promise<void> {
    await this.#stopAll()
    const to = Math.floor((this.sent[p] as number) * share)
    // What a member has committed on its way out may still be on its way, in front of it.
    this.#mayGoBack[p] = true
    await this.log.groups.resetOffsets('g', { topic: 't', partitions: [p], to: { offset: to } })
    // What lies below was given up, what lies above comes again.
    this.handledTo[p] = to
    this.#floor[p] = to
    this.#mayGoBack[p] = false
    this.#ahead[p]?.clear()
  }

  async #stopAll(): Promise<void> {
    for (const each of this.#all) each.release()
    await Promise.all(this.running.splice(0).map(({ consumer }) => consumer.disconnect()))
    await until(() => this.#inHand.every((inHand) => inHand.size === 0), 'the last handler has ended')
  }

  async close(): Promise<void> {
    for (const each of this.#all) each.release()
    await Promise.all(this.running.splice(0).map(({ consumer }) => consumer.disconnect()))
    await this.log.close()
  }
}

it('a group does what its model says, whatever happens to it', { timeout: 3_600_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.commands(
        commands.map((arbitrary) => arbitrary.map((command) => new Step(command))),
        { maxCommands: 30, size: 'max' },
      ),
      fc.constantFrom(...Object.values(PartitionAssigners)),
      async (steps, assignor) => {
        const directory = temporaryDirectory()
        const log = await openClientLog({ dir: directory.path, fsync: 'never' })
        log.createTopic('t', PARTITIONS)
        const world = new World(log, directory.path, assignor)
        try {
          await fc.asyncModelRun(() => ({ model: world, real: world }), steps)
          await world.drain()
        } finally {
          await world.close()
          directory.remove()
        }
      },
    ),
    { numRuns: RUNS, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
  )
})
