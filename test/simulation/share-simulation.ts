import { GroupCoordinator } from '../../src/client/group-coordinator.js'
import type { HostLog } from '../../src/client/host-log.js'
import { OFFSETS_RETENTION_MS } from '../../src/client/limits.js'
import { Producer } from '../../src/client/producer.js'
import type { SharedMessage } from '../../src/client/share/delivery.js'
import type { ShareConsumer } from '../../src/client/share/share-consumer.js'
import type { AcknowledgeType } from '../../src/client/share/share-consumer-options.js'
import { HOST_SLOT } from '../../src/common/doorbell.js'
import type { Env } from '../../src/common/env.js'
import { modulesLoaded } from '../../src/common/lazy-module.js'
import { LogEngine } from '../../src/log/log-engine.js'
import type { FsyncMode } from '../../src/log/log-writer.js'
import { createSharedLogMemory, LogMemory } from '../../src/log/shared-memory.js'
import { SeededRandom, SimulatedMachine, type SimulatedProcess } from '../../src/testing/index.js'
import { hostOf } from '../log/log-fixture.js'
import { Violation } from './expected-log.js'

// Where Node cannot require ES modules (a loader translates them), what is loaded by its first use is there from the beginning.
await modulesLoaded()

/**
 * A share group on a simulated machine, chosen by a seed: jobs are sent, handed out, accepted, rejected and released, what was acknowledged is
 * committed; the process is killed and the power goes, between two steps or in the middle of one, and it is opened again. What was done with before a
 * commit that resolved never comes again, in any life; in the last life every other job comes whose send resolved.
 */
export interface ShareSimulationOptions {
  readonly seed: number
  /** Changes the world that the engine sees; the promises that are checked stay the same. For builds that must be caught. */
  readonly tamper?: ((env: Env) => Env) | undefined
  /** Run this mode, but hold it to what `group` promises. For builds that must be caught. */
  readonly runAs?: FsyncMode | undefined
}

export interface ShareSimulationResult {
  readonly counts: Readonly<Record<string, number>>
  /** The same for the same seed. */
  readonly trace: readonly string[]
}

export async function simulateSharing(options: ShareSimulationOptions): Promise<ShareSimulationResult> {
  const simulation = new ShareSimulation(options)
  try {
    await simulation.run()
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    throw new Violation(`seed ${options.seed}: ${error.message}\n  ${simulation.trace.slice(-25).join('\n  ')}`)
  } finally {
    simulation.letGo()
  }
  return { counts: simulation.counts, trace: simulation.trace }
}

const PARTITIONS = 2
/** More than the lives and releases of a run: no job is given up for having failed. */
const DELIVERY_LIMIT = 25

interface Job {
  /** Its send resolved. */
  isSent: boolean
  /** Accepted or rejected, in whatever life. */
  wasDone: boolean
  /** In this life. */
  isDone: boolean
  /** And a commit behind it resolved. */
  isDoneDurably: boolean
  deliveries: number
}

interface Life {
  readonly process: SimulatedProcess
  readonly engine: LogEngine
  readonly host: HostLog
  readonly coordinator: GroupCoordinator
  readonly producer: Producer
  readonly consumers: ShareConsumer[]
  readonly inHand: { readonly consumer: ShareConsumer; readonly message: SharedMessage }[]
  isLast: boolean
}

class ShareSimulation {
  readonly counts: Record<string, number> = {}
  readonly trace: string[] = []
  readonly #random: SeededRandom
  readonly #machine: SimulatedMachine
  readonly #fsync: FsyncMode
  readonly #jobs = new Map<string, Job>()
  #life: Life | undefined
  #opening: SimulatedProcess | undefined
  #cutAt: { readonly operation: number; readonly kind: 'kill' | 'power' } | undefined
  #violation: Violation | undefined

  constructor(readonly options: ShareSimulationOptions) {
    this.#random = new SeededRandom(options.seed)
    const random = this.#random
    this.#fsync = options.runAs ?? random.pick(['group', 'group', 'always'])
    this.#machine = new SimulatedMachine({ seed: random.below(2 ** 32), syncMs: [0.05, random.pick([1, 5, 20])] })
    this.#machine.disk.onOperation = (operation) => {
      const cut = this.#cutAt
      if (cut === undefined || operation.n < cut.operation) return
      this.#note(`${cut.kind} in the middle of ${operation.kind} ${operation.path}`)
      this.#die(cut.kind)
    }
  }

  async run(): Promise<void> {
    const lives = this.#random.between(2, 4)
    for (let life = 0; life < lives; life++) {
      if (life > 0 && this.#random.chance(0.2)) this.#planCut(40)
      if (!(await this.#open())) continue
      if (this.#random.chance(0.6)) this.#planCut(120)
      const steps = this.#random.between(10, 60)
      for (let i = 0; i < steps && this.#isAlive(); i++) await this.#step()
      if (this.#isAlive()) this.#die(this.#random.pick(['kill', 'power', 'power']))
      if (this.#violation !== undefined) throw this.#violation
    }
    this.#cutAt = undefined
    await this.#drain()
    if (this.#violation !== undefined) throw this.#violation
  }

  /** Nobody uses the dead engine any more. */
  letGo(): void {
    const life = this.#life
    this.#life = undefined
    life?.host.close()
  }

  async #open(): Promise<boolean> {
    const process = this.#machine.startProcess()
    this.#opening = process
    const env = this.options.tamper?.(process.env) ?? process.env
    for (const job of this.#jobs.values()) job.isDone = false
    const memory = new LogMemory(createSharedLogMemory(16 * 1024 * 1024), HOST_SLOT)
    this.#note(`open, process ${process.id}`)
    try {
      const engine = await LogEngine.open({
        env,
        dir: '/data/mill',
        fsync: this.#fsync,
        syncIntervalMs: 1000,
        memory,
        spillDirectory: '/spill',
      })
      const host = hostOf(engine, memory, env)
      const coordinator = new GroupCoordinator(host, { offsetsRetentionMs: OFFSETS_RETENTION_MS })
      const producer = new Producer(host)
      this.#life = { process, engine, host, coordinator, producer, consumers: [], inHand: [], isLast: false }
      this.#opening = undefined
      if (!engine.list().some((topic) => topic.name === 'jobs')) {
        host.addTopic(engine.createTopic({ name: 'jobs', partitions: PARTITIONS, config: { 'segment.bytes': 3000 } }))
      }
      await this.#awaiting(
        coordinator.shareGroups.alter('workers', {
          'share.delivery.count.limit': DELIVERY_LIMIT,
          'share.auto.offset.reset': 'earliest',
        }),
      )
      this.#count('openings')
    } catch (error) {
      if (process.isAlive) throw error
    }
    return this.#isAlive()
  }

  async #step(): Promise<void> {
    const life = this.#life as Life
    const what = this.#random.below(100)
    if (life.consumers.length === 0 || what < 3) await this.#join()
    else if (what < 25) this.#send()
    else if (what < 55) this.#acknowledge()
    else if (what < 70) this.#commit()
    else if (what < 73) this.#leave()
    else await this.#advance(this.#random.pick([0, 0.5, 2, 10, 60]))
    await this.#pump()
  }

  async #join(): Promise<void> {
    const life = this.#life as Life
    if (life.consumers.length === 2) return
    const consumer = life.coordinator.shareGroups.consumer({
      groupId: 'workers',
      acknowledgementMode: 'explicit',
      maxRecords: this.#random.pick([1, 3, 20]),
    })
    // Where the power goes it stops with an error, which is no news.
    consumer.on('crash', () => undefined)
    try {
      await this.#awaiting(consumer.subscribe({ topics: ['jobs'], fromBeginning: true }))
      await consumer.run({ eachMessage: ({ message }) => this.#handedOut(life, consumer, message) })
    } catch (error) {
      if (this.#isAlive()) throw error
      return
    }
    this.#note('a consumer joins')
    life.consumers.push(consumer)
  }

  #leave(): void {
    const life = this.#life as Life
    const consumer = life.consumers.shift()
    if (consumer === undefined) return
    this.#note('a consumer leaves')
    for (let i = life.inHand.length - 1; i >= 0; i--)
      if (life.inHand[i]?.consumer === consumer) life.inHand.splice(i, 1)
    consumer.disconnect().catch(() => undefined)
  }

  #send(): void {
    const life = this.#life as Life
    const values = Array.from({ length: this.#random.between(1, 6) }, (_, i) => `job ${this.#jobs.size + i}`)
    const jobs = values.map(() => ({
      isSent: false,
      wasDone: false,
      isDone: false,
      isDoneDurably: false,
      deliveries: 0,
    }))
    values.forEach((value, i) => this.#jobs.set(value, jobs[i] as Job))
    this.#note(`send ${values.length}`)
    const messages = values.map((value) => ({ value, partition: this.#random.below(PARTITIONS) }))
    life.producer.send({ topic: 'jobs', messages }).then(
      () => {
        if (this.#life !== life || !this.#isAlive()) return
        for (const job of jobs) job.isSent = true
        this.#count('jobs sent', jobs.length)
      },
      () => undefined,
    )
  }

  #handedOut(life: Life, consumer: ShareConsumer, message: SharedMessage): void {
    const value = String(message.value)
    const job = this.#jobs.get(value)
    if (job === undefined) this.#violated(`${value} was handed out, and was never sent`)
    else if (job.isDoneDurably) this.#violated(`${value} was handed out, and a commit had made durable that it is done`)
    else if (job.isDone) this.#violated(`${value} was handed out, and was done with in this life`)
    else {
      job.deliveries += 1
      if (job.deliveries > 1) this.#count('jobs that came again')
      if (job.wasDone) this.#count('jobs that came again although they were done, and not durably so')
      if (life.isLast) consumer.acknowledge(message)
      else life.inHand.push({ consumer, message })
      this.#count('jobs handed out')
    }
  }

  #acknowledge(): void {
    const life = this.#life as Life
    for (let left = this.#random.between(1, 5); left > 0 && life.inHand.length > 0; left--) {
      const [one] = life.inHand.splice(this.#random.below(life.inHand.length), 1)
      if (one === undefined) return
      const type: AcknowledgeType = this.#random.pick(['accept', 'accept', 'accept', 'reject', 'release'])
      try {
        one.consumer.acknowledge(one.message, type)
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'INVALID_RECORD_STATE') throw error
        this.#count('acknowledgements that came too late')
        continue
      }
      if (type === 'release') continue
      const job = this.#jobs.get(String(one.message.value)) as Job
      job.isDone = true
      job.wasDone = true
    }
  }

  #commit(): void {
    const life = this.#life as Life
    const done = [...this.#jobs.values()].filter((job) => job.isDone && !job.isDoneDurably)
    this.#note(`commit ${done.length}`)
    life.consumers[0]?.commit().then(
      () => {
        if (this.#life !== life || !this.#isAlive()) return
        for (const job of done) job.isDoneDurably = true
        this.#count('jobs durably done', done.length)
      },
      () => undefined,
    )
  }

  /** Everything that is not done with comes, and is accepted. */
  async #drain(): Promise<void> {
    if (!(await this.#open())) throw new Violation('it cannot be opened')
    const life = this.#life as Life
    life.isLast = true
    const before = new Map([...this.#jobs].map(([value, { deliveries }]) => [value, deliveries]))
    await this.#join()
    const isDrained = (): boolean => {
      const partitions = life.coordinator.shareGroups.group('workers')?.partitions ?? []
      return partitions.length === PARTITIONS && partitions.every((of) => of.records.start >= of.logEndOffset())
    }
    for (let i = 0; i < 200 && !isDrained(); i++) {
      await this.#advance(20)
      if (this.#violation !== undefined) return
    }
    if (!isDrained()) throw new Violation('jobs are left that nobody is handed')
    for (const [value, { isSent, wasDone, deliveries }] of this.#jobs) {
      if (!isSent || wasDone) continue
      if (deliveries === before.get(value)) throw new Violation(`${value} was sent, never done with, and does not come`)
      this.#count('jobs that came in the end')
    }
    this.#die('kill')
  }

  #planCut(operations: number): void {
    const operation = this.#machine.disk.operations + this.#random.between(0, operations)
    this.#cutAt = { operation, kind: this.#random.chance(0.75) ? 'power' : 'kill' }
  }

  #die(kind: 'kill' | 'power'): void {
    this.#cutAt = undefined
    const process = this.#life?.process ?? this.#opening
    this.#opening = undefined
    this.#note(kind)
    if (kind === 'kill') process?.kill()
    else this.#machine.losePower()
    this.#count(kind === 'kill' ? 'kills' : 'losses of power')
    this.letGo()
  }

  #isAlive(): boolean {
    return this.#life?.process.isAlive === true
  }

  /** Time passes until it resolves, or the process is gone. */
  async #awaiting(promise: Promise<unknown>): Promise<void> {
    const end: { error?: unknown; isOver: boolean } = { isOver: false }
    promise.then(
      () => {
        end.isOver = true
      },
      (error: unknown) => {
        end.isOver = true
        end.error = error
      },
    )
    await this.#pump()
    for (let i = 0; i < 500 && !end.isOver && this.#isAlive(); i++) await this.#advance(2)
    if (!end.isOver && this.#isAlive()) throw new Violation('a call does not end')
    if (end.error !== undefined && this.#isAlive()) throw end.error as Error
  }

  /** Timers fire and syncs end one by one; in between the engine has its turn, and promises settle. */
  async #advance(ms: number): Promise<void> {
    const { clock } = this.#machine
    const until = clock.monotonic() + ms
    await this.#pump()
    while (this.#isAlive() && clock.fireNext(until)) await this.#pump()
    if (this.#isAlive()) clock.advance(Math.max(0, until - clock.monotonic()))
  }

  async #pump(): Promise<void> {
    this.#life?.engine.wake()
    this.#life?.host.rung()
    await new Promise((resolve) => setImmediate(resolve))
  }

  #violated(what: string): void {
    this.#violation ??= new Violation(what)
    this.#note(what)
  }

  #note(what: string): void {
    this.trace.push(`${this.#machine.clock.monotonic().toFixed(2)} ${what}`)
  }

  #count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by
  }
}
