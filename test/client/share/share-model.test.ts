import fc from 'fast-check'
import { it } from 'vitest'
import type { SharedMessage } from '../../../src/client/share/delivery.js'
import type { ShareConsumer } from '../../../src/client/share/share-consumer.js'
import type { AcknowledgeType } from '../../../src/client/share/share-consumer-options.js'
import { VirtualClock } from '../../../src/testing/virtual-clock.js'
import { temporaryDirectory, until } from '../../log/log-fixture.js'
import type { ClientLog } from '../consumer-fixture.js'
import { openShareLog, settled } from './share-fixture.js'

/**
 * A share group against a small model of what it must do, whatever happens to it: records are sent; members come and go; they accept, release, reject and renew,
 * late and twice; locks run out; the process dies, also amid a commit. What is held to:
 *
 *   - nobody is handed a record that somebody has, and none that is done with in this life;
 *   - none whose acknowledgement was committed comes again in any life;
 *   - each delivery has the number that it must have: of a record that was released so often, in this life or durably in another;
 *   - an acknowledgement is taken from who has the record, by that delivery, and from nobody else;
 *   - after all is drained, every record was accepted, rejected, or had failed as often as it may, and the lag is 0.
 *
 * MILLRACE_SHARE_MODEL_RUNS=2000 for a long search; MILLRACE_SEED=N for the same one again, which a failure prints.
 */
const RUNS = Number(process.env['MILLRACE_SHARE_MODEL_RUNS'] ?? 8)
const SEED = process.env['MILLRACE_SEED']
const PARTITIONS = 2
const LIMIT = 3
const LOCK_MS = 30_000

type Command =
  | { readonly do: 'send'; readonly partition: number; readonly count: number }
  | { readonly do: 'join'; readonly maxRecords: number }
  | { readonly do: 'acknowledge'; readonly pick: number; readonly count: number; readonly type: AcknowledgeType }
  | { readonly do: 'leave' | 'again'; readonly pick: number }
  | { readonly do: 'commit' | 'locks' | 'crash' | 'crash amid a commit' | 'wait' }

const pick = fc.nat({ max: 50 })
const type = fc.constantFrom<AcknowledgeType>('accept', 'accept', 'accept', 'release', 'reject', 'renew')
const record = <D extends string>(what: D) => ({ do: fc.constant(what) })
const commands: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      ...record('send'),
      partition: fc.nat({ max: PARTITIONS - 1 }),
      count: fc.integer({ min: 1, max: 12 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ ...record('join'), maxRecords: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 10, arbitrary: fc.record({ ...record('acknowledge'), pick, count: fc.integer({ min: 1, max: 6 }), type }) },
  { weight: 1, arbitrary: fc.record({ ...record('leave'), pick }) },
  { weight: 2, arbitrary: fc.record({ ...record('again'), pick }) },
  { weight: 3, arbitrary: fc.record(record('commit')) },
  { weight: 1, arbitrary: fc.record(record('locks')) },
  { weight: 1, arbitrary: fc.record(record('crash')) },
  { weight: 1, arbitrary: fc.record(record('crash amid a commit')) },
  { weight: 2, arbitrary: fc.record(record('wait')) },
)

interface Known {
  /** Deliveries that have failed, in this life, and of which a commit knew. */
  failed: number
  failedDurably: number
  isDone: boolean
  isDoneDurably: boolean
  /** Was handed out since it was given back: by whom, and which message. */
  inHand: { readonly member: ShareConsumer; readonly message: SharedMessage } | undefined
  wasCrashed: boolean
  /** It was done with when the process died, and may have been so durably. */
  mayBeDone: boolean
}

class World {
  readonly records = new Map<string, Known>()
  readonly faults: string[] = []
  members: ShareConsumer[] = []
  /** All that was ever handed out. */
  readonly past: { readonly member: ShareConsumer; readonly message: SharedMessage }[] = []
  sent = 0

  constructor(
    public log: ClientLog,
    readonly clock: VirtualClock,
    readonly directory: string,
  ) {}

  known(message: SharedMessage): Known {
    const id = String(message.value)
    const known = this.records.get(id)
    if (known === undefined) throw new Error(`record ${id} was never sent`)
    return known
  }

  handedOut(member: ShareConsumer, message: SharedMessage): void {
    const known = this.known(message)
    const what = `${String(message.value)}#${message.deliveryCount}`
    if (known.inHand !== undefined) this.faults.push(`${what} was handed out while somebody had it`)
    if (known.isDone) this.faults.push(`${what} was handed out, and it is done with`)
    const from = (known.wasCrashed ? known.failedDurably : known.failed) + 1
    if (message.deliveryCount < from || message.deliveryCount > known.failed + 1) {
      this.faults.push(`${what} was handed out, expected delivery ${from} to ${known.failed + 1}`)
    }
    known.failed = message.deliveryCount - 1
    known.wasCrashed = false
    known.mayBeDone = false
    known.inHand = { member, message }
    this.past.push({ member, message })
  }

  ended(known: Known, how: AcknowledgeType): void {
    known.inHand = undefined
    if (how === 'accept' || how === 'reject') known.isDone = true
    else if (known.failed + 1 >= LIMIT) known.isDone = true
    else known.failed += 1
  }

  acknowledge(index: number, how: AcknowledgeType): void {
    const one = this.past[index % Math.max(1, this.past.length)]
    if (one === undefined) return
    const known = this.known(one.message)
    const isHis = known.inHand?.message === one.message && known.inHand.member === one.member
    try {
      one.member.acknowledge(one.message, how)
      if (!isHis) this.faults.push(`${how} of ${String(one.message.value)} was taken from who does not have it`)
      else if (how !== 'renew') this.ended(known, how)
    } catch (error) {
      if (isHis) this.faults.push(`${how} of ${String(one.message.value)} was refused: ${String(error)}`)
    }
  }

  async run(command: Command): Promise<void> {
    switch (command.do) {
      case 'send': {
        const values = Array.from({ length: command.count }, () => String(this.sent++))
        for (const value of values) {
          this.records.set(value, {
            failed: 0,
            failedDurably: 0,
            isDone: false,
            isDoneDurably: false,
            inHand: undefined,
            wasCrashed: false,
            mayBeDone: false,
          })
        }
        return await this.log.send('work', command.partition, ...values)
      }
      case 'join':
        return await this.join(command.maxRecords)
      case 'acknowledge': {
        const inHand = this.past.flatMap((one, at) =>
          this.known(one.message).inHand?.message === one.message ? [at] : [],
        )
        for (let i = 0; i < Math.min(command.count, inHand.length); i++) {
          this.acknowledge(inHand[(command.pick + i) % inHand.length] as number, command.type)
        }
        return
      }
      case 'again':
        return this.acknowledge(command.pick, 'accept')
      case 'leave': {
        const member = this.members[command.pick % Math.max(1, this.members.length)]
        if (member === undefined) return
        this.members = this.members.filter((one) => one !== member)
        const leaving = member.disconnect()
        for (const known of this.records.values()) if (known.inHand?.member === member) this.ended(known, 'release')
        return await leaving
      }
      case 'commit': {
        const [member] = this.members
        if (member === undefined) return
        const then = [...this.records.values()].map((known) => ({ known, failed: known.failed, isDone: known.isDone }))
        await member.commit()
        for (const { known, failed, isDone } of then) {
          known.failedDurably = failed
          known.isDoneDurably = isDone
        }
        return
      }
      case 'locks': {
        for (const known of this.records.values()) if (known.inHand !== undefined) this.ended(known, 'release')
        return this.clock.advance(LOCK_MS)
      }
      case 'crash':
        return await this.crash()
      case 'crash amid a commit':
        this.members[0]?.commit().catch(() => undefined)
        return await this.crash()
      case 'wait':
        return await settled(20)
    }
  }

  async join(maxRecords: number, acknowledgementMode: 'explicit' | 'implicit' = 'explicit'): Promise<void> {
    if (this.members.length > 3) return
    const member = this.log.shareConsumer({ groupId: 'jobs', maxRecords, acknowledgementMode })
    await member.subscribe({ topics: ['work'], fromBeginning: true })
    this.members.push(member)
    member.on('crash', () => undefined)
    await member.run({
      eachMessage: ({ message }) => {
        this.handedOut(member, message)
        if (acknowledgementMode === 'implicit') this.ended(this.known(message), 'accept')
      },
    })
  }

  async crash(): Promise<void> {
    this.log.abandon()
    this.clock.clear()
    this.members = []
    this.log = (await openShareLog(this.directory, this.clock)).log
    for (const known of this.records.values()) {
      known.inHand = undefined
      // What no commit has seen may or may not be known.
      known.wasCrashed = true
      known.mayBeDone ||= known.isDone
      known.isDone = known.isDoneDurably
    }
  }

  check(): void {
    if (this.faults.length > 0) throw new Error(this.faults.join('; '))
  }

  async drain(): Promise<void> {
    for (const member of this.members.splice(0)) {
      const leaving = member.disconnect()
      for (const known of this.records.values()) if (known.inHand?.member === member) this.ended(known, 'release')
      await leaving
    }
    await this.join(500, 'implicit')
    const [member] = this.members
    if (this.sent > 0) {
      await until(
        () => [...this.records.values()].every(({ isDone, mayBeDone }) => isDone || mayBeDone),
        'everything is handed out',
      )
    }
    await member?.commit()
    await settled(20)
    this.check()
    const { lag } = await this.log.groups.describe('jobs')
    if (lag !== 0) throw new Error(`the lag is ${lag}`)
    await member?.disconnect()
  }
}

/** The clock of the test stands: what waits for it waits for ever, and is found by a real one. */
async function inTime(step: Promise<void>, what: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it hangs: ${what}`)), 20_000)
  })
  await Promise.race([step, late]).finally(() => clearTimeout(timer))
}

class Step implements fc.AsyncCommand<object, World> {
  constructor(private readonly command: Command) {}

  check(): boolean {
    return true
  }

  async run(_: object, world: World): Promise<void> {
    await inTime(world.run(this.command), this.toString())
    await settled(3)
    world.check()
  }

  toString(): string {
    return JSON.stringify(this.command)
  }
}

it('K-22: whatever happens, a record is one member’s at a time, is never lost, and never comes again once it is done with durably', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.commands([commands.map((command) => new Step(command))], { maxCommands: 60, size: 'max' }),
      async (steps) => {
        const directory = temporaryDirectory()
        const clock = new VirtualClock()
        const { log } = await openShareLog(directory.path, clock)
        log.createTopic('work', PARTITIONS)
        await log.groups.alter('jobs', { 'share.delivery.count.limit': LIMIT, 'share.partition.max.record.locks': 100 })
        const world = new World(log, clock, directory.path)
        try {
          await fc.asyncModelRun(() => ({ model: {}, real: world }), steps)
          await inTime(world.drain(), 'the end')
        } finally {
          await inTime(world.log.close(), 'closing')
          directory.remove()
        }
      },
    ),
    { numRuns: RUNS, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
  )
}, 600_000)
