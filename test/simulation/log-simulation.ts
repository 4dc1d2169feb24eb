import { HOST_SLOT } from '../../src/common/doorbell.js'
import type { Env } from '../../src/common/env.js'
import { MillraceError } from '../../src/common/errors.js'
import { modulesLoaded } from '../../src/common/lazy-module.js'
import { LogEngine } from '../../src/log/log-engine.js'
import type { FsyncMode } from '../../src/log/log-writer.js'
import { PartitionAppender } from '../../src/log/partition-appender.js'
import { type PartitionControl, PartitionStatus } from '../../src/log/partition-control.js'
import type { TopicDescriptor } from '../../src/log/partition-descriptor.js'
import { PartitionReader } from '../../src/log/partition-reader.js'
import { createSharedLogMemory, LogMemory } from '../../src/log/shared-memory.js'
import type { Message } from '../../src/record/key-scatter.js'
import { RowsBatchBuilder } from '../../src/record/rows-batch-builder.js'
import { SeededRandom, SimulatedMachine, type SimulatedProcess, systemError } from '../../src/testing/index.js'
import { batchValues } from '../log/log-fixture.js'
import { ExpectedPartition, type Floor, Violation } from './expected-log.js'

// Where Node cannot require ES modules (a loader translates them), what is loaded by its first use is there from the beginning.
await modulesLoaded()

/**
 * One run of the log on a simulated machine, chosen by a seed: topics are made and deleted, records appended, the engine's turns and
 * the disk's syncs come in any order, disks fail and fill up; the process is killed and the power goes, between two steps or in the middle of
 * one, opening included; then it is opened again and goes on. After each opening the log is held against what was expected of it.
 */
export interface SimulationOptions {
  readonly seed: number
  /** Default: drawn by the seed. */
  readonly fsync?: FsyncMode | undefined
  /** Changes the world that the engine sees; the promises that are checked stay the same. For builds that must be caught. */
  readonly tamper?: ((env: Env) => Env) | undefined
  /** Run this mode, but hold it to what `fsync` promises. For builds that must be caught. */
  readonly runAs?: FsyncMode | undefined
  /** Disks fail in every life, and every life ends without a close: for what shows only when one follows the other. Default: false. */
  readonly harsh?: boolean | undefined
}

export interface SimulationResult {
  readonly seed: number
  readonly fsync: FsyncMode
  readonly counts: Readonly<Record<string, number>>
  /** The same for the same seed. */
  readonly trace: readonly string[]
}

/** A seed that has found something: run it again, and it finds it again. */
export class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure'
  constructor(
    readonly seed: number,
    readonly fsync: FsyncMode,
    readonly trace: readonly string[],
    cause: unknown,
  ) {
    const found = cause instanceof Error ? (cause instanceof Violation ? cause.message : cause.stack) : String(cause)
    super(`seed ${seed} (${fsync}): ${found}\n  ${trace.slice(-25).join('\n  ')}`, { cause })
  }
}

const SYNC_INTERVAL_MS = 1000
/** What `interval` promises: the interval, and as long as the syncs take that are under way when it is over. */
const INTERVAL_WINDOW_MS = SYNC_INTERVAL_MS + 500
const fsyncModes: readonly FsyncMode[] = ['group', 'group', 'always', 'interval', 'never']

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const random = new SeededRandom(options.seed)
  const drawn = random.pick(fsyncModes)
  const simulation = new LogSimulation(options, options.fsync ?? drawn, random)
  try {
    await simulation.run()
  } catch (error) {
    throw new SimulationFailure(options.seed, simulation.fsync, simulation.trace, error)
  } finally {
    simulation.letGo()
  }
  return { seed: options.seed, fsync: simulation.fsync, counts: simulation.counts, trace: simulation.trace }
}

/** One for all runs: chunks are recycled, as they are in a long life, and what lies in them is what an earlier run has left there. */
const memory = new LogMemory(createSharedLogMemory(64 * 1024 * 1024), HOST_SLOT)

interface OpenLog {
  readonly process: SimulatedProcess
  readonly env: Env
  readonly engine: LogEngine
  readonly appenders: Map<string, PartitionAppender>
  /** Of all partitions that were ever appended to in this life. */
  readonly controls: PartitionControl[]
}

/** `maybe`: the call that made or deleted it did not come back. */
interface ExpectedTopic {
  presence: 'yes' | 'maybe'
  readonly partitions: ExpectedPartition[]
}

class LogSimulation {
  readonly counts: Record<string, number> = {}
  readonly trace: string[] = []
  readonly #machine: SimulatedMachine
  readonly #topics = new Map<string, ExpectedTopic>()
  readonly #builder = new RowsBatchBuilder({ partitions: 1, random: () => 0, batchBytesMax: 4 * 1024 * 1024 })
  #log: OpenLog | undefined
  #serial = 0
  #lives = 0
  #cutAt: { readonly operation: number; readonly kind: 'kill' | 'power' } | undefined
  /** How the last life ended; a loss of power that comes after a kill makes it one. */
  #end: { readonly at: number; readonly how: 'close' | 'kill' | 'power' } = { at: 0, how: 'close' }
  #opening: SimulatedProcess | undefined
  #ioErrors = 0

  constructor(
    readonly options: SimulationOptions,
    readonly fsync: FsyncMode,
    readonly random: SeededRandom,
  ) {
    this.#machine = new SimulatedMachine({ seed: random.below(2 ** 32), syncMs: [0.05, random.pick([1, 5, 20])] })
    this.#machine.disk.onOperation = (operation) => {
      const cut = this.#cutAt
      // Taken for granted: a process whose sync has failed lives to leave a note of it.
      const isNote = operation.path.endsWith('/sync-failed')
      if (cut !== undefined && operation.n >= cut.operation && !isNote) {
        this.#note(`${cut.kind} in the middle of ${operation.kind} ${operation.path}`)
        this.#count(`${cut.kind} in the middle`)
        this.#die(cut.kind)
        return
      }
      const mayFail = operation.kind === 'sync' || operation.kind === 'syncDirectory' || operation.kind === 'write'
      if (mayFail && !isNote && this.#ioErrors > 0 && this.random.chance(this.#ioErrors)) {
        this.#note(`EIO at ${operation.kind} ${operation.path}`)
        this.#count('i/o errors')
        this.#noteFailure(operation.path)
        throw systemError('EIO', operation.kind, operation.path)
      }
    }
  }

  /** A topic that is being deleted, or whose deletion has failed, is not looked at any more: that a write or sync of it failed is known from here. */
  #noteFailure(path: string): void {
    for (const { presence, partitions } of this.#topics.values()) {
      if (presence !== 'maybe') continue
      for (const partition of partitions) if (`${path}/`.includes(`/log/${partition.name}/`)) partition.failed = true
    }
  }

  async run(): Promise<void> {
    const lives = this.random.between(2, 5)
    for (this.#lives = 0; this.#lives < lives; this.#lives++) {
      if (!(await this.#open())) continue
      await this.#live()
      await this.#endLife()
    }
    this.#ioErrors = 0
    this.#cutAt = undefined
    this.#machine.disk.capacity = Number.POSITIVE_INFINITY
    if (!(await this.#open(true))) throw new Violation('it cannot be opened')
    await this.#close()
  }

  async #live(): Promise<void> {
    const { random } = this
    const healthy = this.options.harsh !== true && random.chance(0.6)
    this.#machine.disk.capacity = Number.POSITIVE_INFINITY
    this.#ioErrors = healthy ? 0 : this.options.harsh === true ? 0.2 : random.pick([0, 0.02, 0.2])
    if (!healthy && random.chance(0.4)) {
      this.#machine.disk.capacity = this.#machine.disk.usedBytes() + random.between(0, 30_000)
    }
    const steps = random.between(5, 60)
    if (random.chance(0.5)) this.#planCut(random.between(1, steps * 3))
    for (let i = 0; i < steps && this.#isAlive(); i++) {
      await this.#step()
      this.#observe()
    }
    if (!this.#isAlive()) return
    if (random.chance(0.3)) this.#machine.disk.capacity = Number.POSITIVE_INFINITY
    if (healthy && this.#cutAt === undefined && random.chance(0.5)) await this.#expectProgress()
  }

  async #step(): Promise<void> {
    const { random } = this
    const what = random.below(100)
    if (this.#topics.size === 0 || what < 3) await this.#createTopic()
    else if (what < 50) this.#append()
    else if (what < 65) this.#wake()
    else if (what < 85) await this.#advance(random.pick([0.5, 2, 10, 60]))
    else if (what < 89) await this.#advance(random.pick([300, 1200, 2500]))
    else if (what < 93) await this.#syncUpTo()
    else if (what < 94) await this.#deleteTopic()
    else await this.#turn()
  }

  async #createTopic(): Promise<void> {
    const { random } = this
    const log = this.#log as OpenLog
    const name = `t${random.below(3)}`
    if (this.#topics.has(name)) return
    const partitions = random.between(1, 3)
    this.#note(`create ${name} with ${partitions}`)
    const topic: ExpectedTopic = {
      presence: 'maybe',
      partitions: Array.from({ length: partitions }, (_, p) => new ExpectedPartition(`${name}-${p}`)),
    }
    this.#topics.set(name, topic)
    const config = {
      'segment.bytes': random.pick([1024, 3000, 20_000, 200_000]),
      'index.interval.bytes': random.pick([0, 500, 4096]),
      'segment.ms': random.pick([200, 604_800_000]),
    }
    await this.#attempt(async () => {
      log.engine.createTopic({ name, partitions, config })
      topic.presence = 'yes'
    })
  }

  async #deleteTopic(): Promise<void> {
    const present = [...this.#topics].filter(([, topic]) => topic.presence === 'yes')
    if (present.length === 0) return
    const [name, topic] = this.random.pick(present)
    this.#note(`delete ${name}`)
    topic.presence = 'maybe'
    // Deleting waits for a sync, which waits for the clock.
    let done = false
    const deleting = this.#attempt(async () => {
      await this.#log?.engine.deleteTopic(name)
      this.#topics.delete(name)
      this.#count('topics deleted')
    }).finally(() => {
      done = true
    })
    for (let i = 0; i < 200 && !done && this.#isAlive(); i++) await this.#advance(5)
    if (this.#isAlive()) await deleting
    for (const key of this.#log?.appenders.keys() ?? []) {
      if (key.startsWith(`${name}-`)) this.#log?.appenders.delete(key)
    }
  }

  #append(): void {
    const { random } = this
    const present = [...this.#topics].filter(([, topic]) => topic.presence === 'yes')
    if (present.length === 0) return
    const [name, topic] = random.pick(present)
    const partition = random.below(topic.partitions.length)
    const expected = topic.partitions[partition] as ExpectedPartition
    if (expected.failed) return
    const count = random.pick([1, 1, 2, 10])
    const bytes = random.pick([0, 20, 300, 300, 3000])
    const timestamp = Math.floor(this.#machine.clock.now())
    const values = Array.from({ length: count }, () => `${expected.name} ${this.#serial++} ${'.'.repeat(bytes)}`)
    const messages: Message[] = values.map((value) => ({ value, timestamp }))
    this.#builder.prepare(messages, 0, messages.length, timestamp)
    const batch = this.#builder.batches[0]
    if (batch === undefined || this.#builder.batches.length !== 1) throw new Error('one batch was expected')
    let base: number
    try {
      base = this.#appender(name, partition).tryAppend(batch, this.#builder)
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error
      this.#count(`appends refused: ${error.code}`)
      if (error.code === 'PARTITION_READ_ONLY') expected.failed = true
      else if (error.code !== 'DISK_FULL') throw error
      return
    }
    if (base < 0) {
      this.#count('appends without memory')
      return
    }
    this.#note(`append ${count} × ${bytes} to ${expected.name} at ${base}`)
    expected.append(base, values)
    this.#count('records appended', count)
    if (random.chance(0.6)) this.#wake()
  }

  #wake(): void {
    this.#log?.engine.wake()
  }

  async #syncUpTo(): Promise<void> {
    const targets = [...this.#topics]
      .filter(([, topic]) => topic.presence === 'yes')
      .flatMap(([topic, { partitions }]) =>
        partitions.map((expected, partition) => ({ topic, partition, offset: expected.values.length, expected })),
      )
    const chosen = targets.filter(() => this.random.chance(0.5))
    if (chosen.length === 0) return
    this.#note(`sync up to ${chosen.map(({ expected, offset }) => `${expected.name}@${offset}`).join(' ')}`)
    const life = this.#log
    void life?.engine
      .syncUpTo(chosen)
      .then(() => {
        // What is promised to a checkpoint counts in every mode.
        if (this.#log !== life || !this.#isAlive()) return
        for (const { expected, offset } of chosen) expected.noteSynced(offset)
        this.#count('syncs waited for')
      })
      .catch(() => undefined)
    await this.#turn()
  }

  /** Time passes; timers fire and syncs end one by one, and promises settle in between. */
  async #advance(ms: number): Promise<void> {
    const { clock } = this.#machine
    const until = clock.monotonic() + ms
    await this.#turn()
    while (this.#isAlive() && clock.fireNext(until)) {
      await this.#turn()
      this.#observe()
    }
    if (this.#isAlive()) clock.advance(Math.max(0, until - clock.monotonic()))
  }

  async #turn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** Where nothing fails, everything gets acknowledged, and synced as the mode says. */
  async #expectProgress(): Promise<void> {
    this.#wake()
    await this.#advance(SYNC_INTERVAL_MS + 1000)
    this.#observe()
    if (!this.#isAlive()) return
    this.#forEachPartition((expected, appender) => {
      const synced = this.fsync === 'never' ? 0 : expected.values.length
      if (appender.ackedOffset() < expected.values.length || appender.control.syncedOffset() < synced) {
        throw new Violation(
          `${expected.name}: ${expected.values.length} appended, ${appender.ackedOffset()} acknowledged and ${appender.control.syncedOffset()} synced after everything had its time`,
        )
      }
    })
    this.#count('times everything was acknowledged')
  }

  async #endLife(): Promise<void> {
    if (!this.#isAlive()) return
    const how =
      this.options.harsh === true
        ? this.random.pick(['kill', 'power'] as const)
        : this.random.pick(['close', 'kill', 'power', 'power', 'power in close'] as const)
    if (how === 'close') await this.#close()
    else if (how === 'power in close') {
      this.#planCut(this.random.between(0, 15))
      await this.#close()
    } else {
      this.#note(how)
      this.#die(how)
    }
    if (this.#isAlive() && how === 'power in close') this.#die('power')
  }

  /** A clean stop keeps everything, in every mode, even if the power goes right afterwards. */
  async #close(): Promise<void> {
    this.#note('close')
    const log = this.#log as OpenLog
    let outcome: 'closed' | 'failed' | undefined
    const closing = log.engine.close().then(
      () => {
        outcome = 'closed'
      },
      () => {
        outcome = 'failed'
      },
    )
    for (let i = 0; i < 1000 && outcome === undefined && this.#isAlive(); i++) await this.#advance(10)
    if (!this.#isAlive()) return
    if (outcome === undefined) throw new Violation('close() does not end')
    await closing
    this.#observe()
    this.#count(`closes that ${outcome === 'closed' ? 'succeeded' : 'failed'}`)
    this.#note(`close ${outcome}`)
    this.#end = { at: this.#machine.clock.monotonic(), how: outcome === 'closed' ? 'close' : 'kill' }
    if (this.random.chance(0.5)) {
      if (outcome === 'failed') this.#end = { ...this.#end, how: 'power' }
      this.#losePower()
    } else log.process.kill()
    this.letGo()
  }

  #die(kind: 'kill' | 'power'): void {
    this.#cutAt = undefined
    const log = this.#log
    // The last look at what it has acknowledged: from then on it can acknowledge nothing.
    if (log !== undefined) {
      this.#observe()
      this.#end = { at: this.#machine.clock.monotonic(), how: kind }
    } else if (kind === 'power' && this.#end.how === 'kill') this.#end = { at: this.#end.at, how: 'power' }
    this.letGo()
    if (kind === 'kill') {
      const process = log?.process ?? this.#opening
      process?.kill()
      this.#count('kills')
    } else this.#losePower()
  }

  /** Nobody reads a dead engine's chunks; taken off its lists, so that what is left of it cannot give them back again. */
  letGo(): void {
    for (const control of this.#log?.controls ?? []) {
      for (let id = control.dropOldestChunk(); id !== -1; id = control.dropOldestChunk()) memory.chunks.free(id)
    }
    this.#log = undefined
  }

  #losePower(): void {
    const loss = this.#machine.losePower()
    this.#count('losses of power')
    this.#note(`power lost: bytes ${loss.bytes}, names ${loss.names}, ${loss.filesWithUnsyncedChanges} files`)
  }

  /** What may be missing when it is opened again. */
  #floor(presence: ExpectedTopic['presence']): Floor {
    const { how, at } = this.#end
    // Of a topic whose deletion has failed what was not acknowledged by then was refused: a clean stop does not bring it back.
    if (how === 'close' && presence !== 'maybe') return { kind: 'all' }
    if (how === 'kill' || this.fsync === 'group' || this.fsync === 'always') return { kind: 'acked' }
    return this.fsync === 'never' ? { kind: 'synced' } : { kind: 'window', at, windowMs: INTERVAL_WINDOW_MS }
  }

  #planCut(operations: number): void {
    this.#cutAt = {
      operation: this.#machine.disk.operations + operations,
      kind: this.random.chance(0.75) ? 'power' : 'kill',
    }
  }

  /** False where it did not come to life. */
  async #open(isLast = false): Promise<boolean> {
    const { random } = this
    const process = this.#machine.startProcess()
    this.#opening = process
    if (!isLast && this.#lives > 0 && random.chance(0.3)) this.#planCut(random.between(0, 40))
    const env = this.options.tamper?.(process.env) ?? process.env
    // The last turn of an engine that is gone, and its marks.
    await this.#turn()
    memory.dirty.take(() => undefined)
    this.#note(`open, process ${process.id}`)
    let engine: LogEngine
    try {
      engine = await LogEngine.open({
        env,
        dir: '/data/mill',
        fsync: this.options.runAs ?? this.fsync,
        syncIntervalMs: SYNC_INTERVAL_MS,
        memory,
        spillDirectory: '/spill',
      })
    } catch (error) {
      if (!process.isAlive) return false
      process.kill()
      const { code } = error as { code?: unknown }
      if (code === 'EIO' || code === 'ENOSPC' || code === 'DISK_FULL') {
        this.#count(`openings refused: ${code}`)
        this.#note(`opening failed: ${code}`)
        this.#ioErrors = 0
        this.#machine.disk.capacity = Number.POSITIVE_INFINITY
        return false
      }
      throw error
    }
    if (!process.isAlive) return false
    this.#opening = undefined
    this.#log = { process, env, engine, appenders: new Map(), controls: [] }
    this.#count('openings')
    // Reading takes no part in what is cut and fails: it is the judge that reads.
    const cut = this.#cutAt
    const errors = this.#ioErrors
    this.#cutAt = undefined
    this.#ioErrors = 0
    this.#check()
    this.#cutAt = cut
    this.#ioErrors = errors
    return true
  }

  #check(): void {
    const log = this.#log as OpenLog
    const present = new Set(log.engine.list().map((topic) => topic.name))
    for (const name of present) {
      if (!this.#topics.has(name)) throw new Violation(`topic ${name} is there, and was never made or is deleted`)
    }
    for (const [name, topic] of this.#topics) {
      if (!present.has(name)) {
        if (topic.presence === 'yes') throw new Violation(`topic ${name} is gone`)
        this.#topics.delete(name)
        continue
      }
      const floor = this.#floor(topic.presence)
      topic.presence = 'yes'
      const state = log.engine.state(name)
      const descriptor = log.engine.describe(name)
      topic.partitions.forEach((expected, partition) => {
        const found = state.partitions[partition]
        if (found === undefined) throw new Violation(`${expected.name} is gone`)
        if (found.damaged.length > 0) {
          throw new Violation(
            `${expected.name}: damage is reported where none was done: ${JSON.stringify(found.damaged)}`,
          )
        }
        if (found.logStartOffset !== 0) throw new Violation(`${expected.name} begins at ${found.logStartOffset}`)
        const values = this.#read(descriptor, partition, 0)
        if (values.length !== found.logEndOffset) {
          throw new Violation(`${expected.name} ends at ${found.logEndOffset}, ${values.length} records are in it`)
        }
        const { lost } = expected.reopened(values, floor)
        this.#count('records checked', values.length)
        if (lost > 0) this.#count('records lost that nobody was promised', lost)
        this.#checkRead(descriptor, partition, expected)
      })
    }
    for (const finding of log.engine.findings) if (finding.cut !== undefined) this.#count('torn tails cut')
  }

  #checkRead(descriptor: TopicDescriptor, partition: number, expected: ExpectedPartition): void {
    if (expected.values.length === 0) return
    const from = this.random.below(expected.values.length)
    const values = this.#read(descriptor, partition, from)
    if (values.length !== expected.values.length - from || values[0] !== expected.values[from]) {
      throw new Violation(
        `${expected.name}: ${values.length} records from offset ${from} on, of ${expected.values.length}`,
      )
    }
  }

  #read(descriptor: TopicDescriptor, partition: number, from: number): string[] {
    const log = this.#log as OpenLog
    const reader = new PartitionReader({
      partition: descriptor.partitions[partition] as TopicDescriptor['partitions'][number],
      memory: memory,
      env: log.env,
    })
    const values: string[] = []
    reader.seek(from)
    while (reader.next()) for (const value of batchValues(reader, from)) values.push(value)
    reader.close()
    return values
  }

  #observe(): void {
    if (!this.#isAlive()) return
    const at = this.#machine.clock.monotonic()
    this.#forEachPartition((expected, appender) => {
      expected.observe(at, appender.ackedOffset(), appender.control.syncedOffset())
      if (appender.control.status() === PartitionStatus.failed) expected.failed = true
    })
  }

  #forEachPartition(visit: (expected: ExpectedPartition, appender: PartitionAppender) => void): void {
    for (const [name, topic] of this.#topics) {
      if (topic.presence !== 'yes') continue
      topic.partitions.forEach((expected, partition) => {
        visit(expected, this.#appender(name, partition))
      })
    }
  }

  #appender(topic: string, partition: number): PartitionAppender {
    const log = this.#log as OpenLog
    const key = `${topic}-${partition}`
    let appender = log.appenders.get(key)
    if (appender === undefined) {
      const descriptor = log.engine.describe(topic).partitions[partition]
      if (descriptor === undefined) throw new Error(`no partition ${key}`)
      appender = new PartitionAppender(descriptor, memory, HOST_SLOT)
      log.appenders.set(key, appender)
      log.controls.push(appender.control)
    }
    return appender
  }

  #isAlive(): boolean {
    return this.#log?.process.isAlive === true
  }

  /** A call that a fault may interrupt; whatever it throws then is no matter. */
  async #attempt(call: () => Promise<void>): Promise<void> {
    try {
      await call()
    } catch (error) {
      if (!this.#isAlive()) return
      const { code } = error as { code?: unknown }
      if (code !== 'EIO' && code !== 'ENOSPC' && code !== 'DISK_FULL' && code !== 'PARTITION_READ_ONLY') throw error
      this.#count(`calls failed: ${code}`)
    }
  }

  #note(what: string): void {
    this.trace.push(`${this.#machine.clock.monotonic().toFixed(2)} ${what}`)
  }

  #count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by
  }
}
