import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type AssignorName, PartitionAssigners } from '../../src/client/assignors.js'
import type { Consumer } from '../../src/client/consumer.js'
import { nextTurn, temporaryDirectory, until } from '../log/log-fixture.js'
import { type ClientLog, openClientLog } from './consumer-fixture.js'

/**
 * A group against a small model of what it must do, whatever happens to it: members come, leave, crash in a handler, are slow; records are
 * sent; offsets are committed by themselves or by hand, and reset; the engine is opened anew. The model knows what was sent and where each partition
 * may go on. What is held to:
 *
 *   - each partition is read by one member at most, and by one as soon as there is one;
 *   - a partition's records are handled in order, and none is passed over: the next one is the one behind the last, or the
 *     one that was committed when the partition began anew;
 *   - after all is drained, everything sent was handled, and what is committed is the end.
 */
const PARTITIONS = 3
const RUNS = Number(process.env['MILLRACE_GROUP_RUNS'] ?? 12)

type Command =
  | { readonly do: 'send'; readonly partition: number; readonly count: number }
  | { readonly do: 'join'; readonly slow: boolean; readonly keys: number }
  | { readonly do: 'leave' | 'crash' | 'commit'; readonly member: number }
  | { readonly do: 'reset'; readonly partition: number; readonly share: number }
  | { readonly do: 'reopen' | 'wait' }

const member = fc.nat({ max: 5 })
const partition = fc.nat({ max: PARTITIONS - 1 })
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('send' as const), partition, count: fc.integer({ min: 1, max: 20 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('join' as const), slow: fc.boolean(), keys: fc.constantFrom(1, 3) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), member }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), member }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('commit' as const), member }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('reset' as const),
      partition,
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const) }) },
)

interface Running {
  readonly consumer: Consumer
  readonly id: number
  mustCrash: boolean
}

class World {
  readonly sent = new Array<number>(PARTITIONS).fill(0)
  /** Offsets below it have all been handled since the last reset. */
  readonly handledTo = new Array<number>(PARTITIONS).fill(0)
  /** Handled out of order, by key, above `handledTo`. */
  readonly #ahead = Array.from({ length: PARTITIONS }, () => new Set<number>())
  readonly #inHand = Array.from({ length: PARTITIONS }, () => new Map<number, number>())
  readonly running: Running[] = []
  readonly #faults: string[] = []
  #ids = 0

  constructor(
    public log: ClientLog,
    readonly directory: string,
    readonly assignor: AssignorName,
  ) {}

  async run(command: Command): Promise<void> {
    switch (command.do) {
      case 'send': {
        const from = this.sent[command.partition] as number
        const keyed = Array.from({ length: command.count }, (_, i) => [`k${(from + i) % 4}`, String(from + i)] as const)
        this.sent[command.partition] = from + command.count
        await this.log.sendKeyed('t', command.partition, keyed)
        return
      }
      case 'join':
        await this.#join(command.slow, command.keys)
        return
      case 'leave': {
        const [gone] = this.running.splice(command.member, 1)
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
      case 'reset':
        await this.#reset(command.partition, command.share)
        return
      case 'reopen':
        await this.#stopAll()
        await this.log.close()
        this.log = await openClientLog({ dir: this.directory, fsync: 'never' })
        return
      case 'wait':
        for (let i = 0; i < 5; i++) await nextTurn()
    }
  }

  /** Everything sent is handled and committed, with one member that nobody disturbs. */
  async drain(): Promise<void> {
    await this.#join(false, 1)
    await until(
      () => this.sent.every((end, p) => this.handledTo[p] === end),
      `${this.sent} handled, is ${this.handledTo}`,
    )
    this.#checkOwners(true)
    await this.#stopAll()
    await this.check()
    const committed = await this.#committed()
    for (let p = 0; p < PARTITIONS; p++) expect(committed[p] ?? 0).toBe(this.sent[p])
  }

  async #join(slow: boolean, keys: number): Promise<void> {
    if (this.running.length >= 5) return
    const id = this.#ids++
    const consumer = this.log.consumer({
      groupId: 'g',
      clientId: `m${id}`,
      partitionAssigners: [this.assignor],
      autoCommitInterval: 2,
      autoOffsetReset: 'earliest',
    })
    const self: Running = { consumer, id, mustCrash: false }
    consumer.on('crash', () => {
      const at = this.running.indexOf(self)
      if (at !== -1) this.running.splice(at, 1)
    })
    await consumer.subscribe({ topics: ['t'] })
    this.running.push(self)
    await consumer.run({
      partitionsConsumedConcurrently: 2,
      keysConsumedConcurrently: keys,
      eachMessage: async ({ partition: p, message, signal }) => {
        const offset = Number(message.offset)
        this.#began(p, offset, id)
        if (slow) for (let i = 0; i < 3 && !signal.aborted; i++) await nextTurn()
        if (self.mustCrash) {
          this.#inHand[p]?.delete(offset)
          throw new Error('crash')
        }
        this.#ended(p, offset)
      },
    })
    this.#checkOwners(false)
  }

  #began(p: number, offset: number, id: number): void {
    const inHand = this.#inHand[p] as Map<number, number>
    // What is thrown here would only stop the consumer: it is kept for `check`.
    for (const other of inHand.values()) {
      if (other !== id)
        this.#faults.push(`${id} is given ${p}:${offset} while ${other} has ${[...inHand.keys()]} in hand`)
    }
    inHand.set(offset, id)
    if (offset >= (this.sent[p] as number)) this.#faults.push(`${p}:${offset} was never sent`)
  }

  #ended(p: number, offset: number): void {
    this.#inHand[p]?.delete(offset)
    const ahead = this.#ahead[p] as Set<number>
    if (offset >= (this.handledTo[p] as number)) ahead.add(offset)
    while (ahead.delete(this.handledTo[p] as number)) this.handledTo[p] = (this.handledTo[p] as number) + 1
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
    for (let p = 0; p < PARTITIONS; p++) expect(committed[p] as number).toBeLessThanOrEqual(this.handledTo[p] as number)
  }

  #checkOwners(all: boolean): void {
    const owners = this.running.flatMap(({ consumer }) => consumer.assignment().map((place) => place.partition))
    expect(new Set(owners).size).toBe(owners.length)
    if (all) expect(owners).toHaveLength(PARTITIONS)
  }

  async #reset(p: number, share: number): Promise<void> {
    await this.#stopAll()
    const to = Math.floor((this.sent[p] as number) * share)
    await this.log.groups.resetOffsets('g', { topic: 't', partitions: [p], to: { offset: to } })
    // What lies below was given up, what lies above comes again.
    this.handledTo[p] = to
    this.#ahead[p]?.clear()
  }

  async #stopAll(): Promise<void> {
    await Promise.all(this.running.splice(0).map(({ consumer }) => consumer.disconnect()))
    for (const inHand of this.#inHand) expect(inHand.size).toBe(0)
  }

  async close(): Promise<void> {
    await Promise.all(this.running.splice(0).map(({ consumer }) => consumer.disconnect()))
    await this.log.close()
  }
}

it('a group does what its model says, whatever happens to it', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 5, maxLength: 25 }),
      fc.constantFrom(...Object.values(PartitionAssigners)),
      async (commands, assignor) => {
        const directory = temporaryDirectory()
        const log = await openClientLog({ dir: directory.path, fsync: 'never' })
        log.createTopic('t', PARTITIONS)
        const world = new World(log, directory.path, assignor)
        try {
          for (const one of commands) {
            await world.run(one)
            await world.check()
          }
          await world.drain()
        } finally {
          await world.close()
          directory.remove()
        }
      },
    ),
    { numRuns: RUNS },
  )
})
