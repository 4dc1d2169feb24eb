import { Consumer } from '../../src/client/consumer.js'
import { GroupCoordinator } from '../../src/client/group-coordinator.js'
import type { HostLog } from '../../src/client/host-log.js'
import { OFFSETS_RETENTION_MS } from '../../src/client/limits.js'
import { Producer } from '../../src/client/producer.js'
import type { ShareConsumer } from '../../src/client/share/share-consumer.js'
import { TransactionalOffsets } from '../../src/client/transactional-offsets.js'
import { HOST_SLOT } from '../../src/common/doorbell.js'
import { modulesLoaded } from '../../src/common/lazy-module.js'
import { LogEngine } from '../../src/log/log-engine.js'
import type { FsyncMode } from '../../src/log/log-writer.js'
import { createSharedLogMemory, LogMemory } from '../../src/log/shared-memory.js'
import { SeededRandom, SimulatedMachine, type SimulatedProcess } from '../../src/testing/index.js'
import { hostOf, readerOf, readValues } from '../log/log-fixture.js'
import { Violation } from './expected-log.js'

await modulesLoaded()

/** Who keeps what it has done with: a group by commits or by transactions, or a share group. */
export type KeptBy = 'commits' | 'transactions' | 'share group'

const PARTITIONS = 2

interface Life {
  readonly process: SimulatedProcess
  readonly memory: LogMemory
  readonly engine: LogEngine
  readonly host: HostLog
  readonly coordinator: GroupCoordinator
  readonly producer: Producer
  reader: { readonly commit: () => Promise<unknown> } | undefined
  /** Sends and commits under way. */
  readonly pending: Set<Promise<unknown>>
}

/**
 * Records are sent, handled and committed on a machine that acknowledges without a sync, and loses its power: of the log the disk may have less than of
 * what the group has committed. In every life records may be sent before the group is asked for, or without it. What the log has in the
 * end somebody has been handed once: nothing was passed over for having the offset of a record that the power took.
 */
export async function simulateLostTails(seed: number, keptBy: KeptBy): Promise<Readonly<Record<string, number>>> {
  const simulation = new LostTailSimulation(seed, keptBy)
  try {
    await simulation.run()
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    throw new Violation(`seed ${seed}, ${keptBy}: ${error.message}\n  ${simulation.trace.join('\n  ')}`)
  }
  return simulation.counts
}

class LostTailSimulation {
  readonly counts: Record<string, number> = {}
  readonly trace: string[] = []
  readonly #random: SeededRandom
  readonly #machine: SimulatedMachine
  readonly #handed = new Set<string>()
  readonly #next = new Map<number, number>()
  #sent = 0
  #ends: readonly number[] = []

  constructor(
    seed: number,
    readonly keptBy: KeptBy,
  ) {
    this.#random = new SeededRandom(seed)
    this.#machine = new SimulatedMachine({ seed: this.#random.below(2 ** 32), syncMs: [0.1, 1] })
  }

  async run(): Promise<void> {
    const random = this.#random
    for (let lives = random.between(2, 4); lives > 0; lives--) {
      const life = await this.#open(random.pick(['never', 'never', 'interval', 'group']))
      if (random.chance(0.7)) await this.#send(life)
      for (let steps = random.between(0, 8); steps > 0; steps--) await this.#step(life)
      const end = random.pick(['power', 'power', 'power', 'kill', 'close'] as const)
      this.#note(end)
      this.#ends = this.#logOf(life)
      if (end === 'close') await this.#awaiting(life, life.engine.close())
      else if (end === 'kill') life.process.kill()
      else this.#losePower()
      life.host.close()
    }
    await this.#drain()
  }

  async #open(fsync: FsyncMode): Promise<Life> {
    const process = this.#machine.startProcess()
    const { env } = process
    const memory = new LogMemory(createSharedLogMemory(8 * 1024 * 1024), HOST_SLOT)
    const engine = await LogEngine.open({ env, dir: '/mill', fsync, memory, spillDirectory: '/spill' })
    const host = hostOf(engine, memory, env)
    const coordinator = new GroupCoordinator(host, { offsetsRetentionMs: OFFSETS_RETENTION_MS })
    const life: Life = {
      process,
      memory,
      engine,
      host,
      coordinator,
      producer: new Producer(host),
      reader: undefined,
      pending: new Set(),
    }
    const known = engine.list().map(({ name }) => name)
    if (!known.includes('in')) host.addTopic(engine.createTopic({ name: 'in', partitions: PARTITIONS }))
    if (this.keptBy === 'transactions' && !known.includes('out')) host.addTopic(engine.createTopic({ name: 'out' }))
    const ends = this.#logOf(life)
    this.#note(`open ${fsync}, ends ${ends.join(' ')}`)
    if (ends.some((end, p) => end < (this.#ends[p] ?? 0))) this.#count('tails that were lost')
    return life
  }

  async #step(life: Life): Promise<void> {
    const what = this.#random.below(10)
    if (what < 4) await this.#send(life)
    else if (what < 8) {
      if (life.reader === undefined) await this.#join(life)
      await this.#advance(life, this.#random.pick([1, 5]))
      this.#note(`commit ${[...this.#next].join(' ')}`)
      await this.#awaiting(life, life.reader?.commit() ?? Promise.resolve())
    } else await this.#advance(life, this.#random.pick([1, 50, 1500]))
  }

  async #send(life: Life): Promise<void> {
    const messages = Array.from({ length: this.#random.between(1, 4) }, () => {
      this.#sent += 1
      return { value: `record ${this.#sent}`, partition: this.#random.below(PARTITIONS) }
    })
    this.#note(`send ${messages.map(({ value, partition }) => `${value} to ${partition}`).join(', ')}`)
    await this.#awaiting(life, life.producer.send({ topic: 'in', messages }))
  }

  async #join(life: Life): Promise<void> {
    this.#note('the group reads')
    this.#next.clear()
    life.reader = this.keptBy === 'share group' ? await this.#share(life) : await this.#consume(life)
  }

  async #share(life: Life): Promise<Life['reader']> {
    const { shareGroups } = life.coordinator
    await this.#awaiting(life, shareGroups.alter('g', { 'share.auto.offset.reset': 'earliest' }))
    const consumer: ShareConsumer = shareGroups.consumer({ groupId: 'g', acknowledgementMode: 'explicit' })
    // When the process ends it stops with an error, which is no news.
    consumer.on('crash', () => undefined)
    await this.#awaiting(life, consumer.subscribe({ topics: ['in'] }))
    await consumer.run({
      eachMessage: ({ message }) => {
        this.#handed.add(String(message.value))
        // One in five is in hand when the process ends.
        if (this.#random.chance(0.8)) consumer.acknowledge(message)
      },
    })
    return { commit: () => consumer.commit() }
  }

  async #consume(life: Life): Promise<Life['reader']> {
    const consumer = new Consumer(life.host, { groupId: 'g', autoCommit: false }, life.coordinator)
    consumer.on('crash', () => undefined)
    consumer.on(consumer.events.OFFSET_RESET, () => this.#count('resets that were told'))
    await this.#awaiting(life, consumer.subscribe({ topics: ['in'], fromBeginning: true }))
    await this.#awaiting(
      life,
      consumer.run({
        eachMessage: async ({ partition, message }) => {
          this.#handed.add(String(message.value))
          this.#next.set(partition, Number(message.offset) + 1)
        },
      }),
    )
    const offsets = () => [...this.#next].map(([partition, offset]) => ({ partition, offset: String(offset) }))
    if (this.keptBy === 'commits') {
      return { commit: () => consumer.commitOffsets(offsets().map((one) => ({ topic: 'in', ...one }))) }
    }
    const transactional = new TransactionalOffsets(life.coordinator.offsets, life.coordinator)
    const producer = new Producer(life.host, { transactionalId: 'x' }, transactional)
    return {
      commit: async () => {
        const tx = await producer.transaction()
        await tx.send({ topic: 'out', messages: [{ value: 'result' }] })
        await tx.sendOffsets({
          groupMetadata: consumer.groupMetadata(),
          topics: [{ topic: 'in', partitions: offsets() }],
        })
        await tx.commit()
      },
    }
  }

  /** The group comes to the end of the log, and has had all that is there. */
  async #drain(): Promise<void> {
    const life = await this.#open('never')
    if (this.#random.chance(0.7)) await this.#send(life)
    await this.#join(life)
    for (let i = 0; i < 10; i++) await this.#advance(life, 10)
    const topic = life.engine.describe('in')
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const { env } = life.process
      const values = readValues(readerOf(topic, life.memory, partition, { env }), 0)
      const missing = values.filter((value) => !this.#handed.has(value))
      this.#count('records in the log', values.length)
      if (missing.length > 0) throw new Violation(`passed over in partition ${partition}: ${missing.join(', ')}`)
    }
    life.process.kill()
    life.host.close()
  }

  /** Half the time the system had written by itself what the engine keeps of groups, and not the records. */
  #losePower(): void {
    const { disk } = this.#machine
    if (this.#random.chance(0.5)) {
      for (const path of disk.paths()) if (path.includes('/__')) disk.file(path).makeDurable()
      this.#machine.losePower(this.#random.pick(['nothing', 'prefix']), 'all')
    } else this.#machine.losePower()
    this.#count('losses of power')
  }

  #logOf(life: Life): number[] {
    return life.engine.state('in').partitions.map(({ logEndOffset }) => logEndOffset)
  }

  async #awaiting(life: Life, promise: Promise<unknown>): Promise<void> {
    let isOver = false
    let failure: unknown
    promise.then(
      () => {
        isOver = true
      },
      (error: unknown) => {
        isOver = true
        failure = error
      },
    )
    for (let i = 0; i < 500 && !isOver; i++) await this.#advance(life, 1)
    if (!isOver) throw new Violation('a call does not end')
    if (failure !== undefined) throw failure
  }

  /** Timers fire and syncs end one by one; in between the engine has its turn, and promises settle. */
  async #advance(life: Life, ms: number): Promise<void> {
    const { clock } = this.#machine
    const until = clock.monotonic() + ms
    do {
      life.engine.wake()
      life.host.rung()
      await new Promise((resolve) => setImmediate(resolve))
    } while (clock.fireNext(until))
    clock.advance(Math.max(0, until - clock.monotonic()))
  }

  #note(what: string): void {
    this.trace.push(`${this.#machine.clock.monotonic().toFixed(2)} ${what}`)
  }

  #count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by
  }
}
