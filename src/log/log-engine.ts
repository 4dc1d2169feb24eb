import { HOST_SLOT } from '../common/doorbell.js'
import type { Env } from '../common/env.js'
import { engineClosed, MillraceError } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import { isCompacted } from './compaction-policy.js'
import { DirectoryLock } from './directory-lock.js'
import type { RecordExplanation } from './explain-record.js'
import { PRODUCER_ID_EXPIRATION_MS, TRANSACTIONAL_ID_EXPIRATION_MS } from './limits.js'
import { type CompactedPartition, LogCleaner } from './log-cleaner.js'
import { LogReclaimer } from './log-reclaimer.js'
import type { VerifyTotals } from './log-verify.js'
import { type FsyncMode, LogWriter } from './log-writer.js'
import { OpenTopics } from './open-topics.js'
import { partitionKey, partitionOf, type TopicDescriptor } from './partition-descriptor.js'
import type { PartitionLog } from './partition-log.js'
import { type PartitionState, partitionState } from './partition-state.js'
import { type CleanEnd, RecoveryMarks } from './recovery-marks.js'
import type { LogMemory } from './shared-memory.js'
import { rollLimits } from './topic-config.js'
import type { TopicChange, TopicSpec } from './topics.js'
import type { RecoveryFinding } from './topics-recovery.js'
import { TransactionCoordinator } from './transaction-coordinator.js'
import type { AskOwner } from './transactions.js'

const deleting = lazyModule(import.meta.url, './topic-deletion.js', () => import('./topic-deletion.js'))
const explaining = lazyModule(import.meta.url, './explain-record.js', () => import('./explain-record.js'))
const recovering = lazyModule(import.meta.url, './topics-recovery.js', () => import('./topics-recovery.js'))
const verifying = lazyModule(import.meta.url, './log-verify.js', () => import('./log-verify.js'))

export type { RecoveryFinding } from './topics-recovery.js'

export interface LogEngineOptions {
  readonly env: Env
  /** Undefined: nothing is durable, all topics are in memory. */
  readonly dir?: string | undefined
  readonly fsync: FsyncMode
  /** For `fsync: 'interval'`. Default 1000. */
  readonly syncIntervalMs?: number | undefined
  readonly memory: LogMemory
  /** Where memory topics go beyond the budget; made when it is needed, removed at close. */
  readonly spillDirectory: string
  /** Called after writes and syncs have moved acknowledged offsets, beside the ring of the host's bell. */
  readonly onAcks?: (() => void) | undefined
  /** Called once for each partition that becomes read-only. */
  readonly onFailed?: ((failure: MillraceError) => void) | undefined
  /** How a transaction ended that a checkpoint decides. Default: nobody knows. */
  readonly askOwner?: AskOwner | undefined
  /** Kafka's settings of these names; default a week, and a day. */
  readonly transactionalIdExpirationMs?: number | undefined
  readonly producerIdExpirationMs?: number | undefined
}

export interface TopicState {
  readonly descriptor: TopicDescriptor
  readonly partitions: readonly PartitionState[]
}

export interface OffsetOf {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/**
 * The log's half that lives on the engine thread: topics, recovery, and the files. It is driven by `wake`, called
 * whenever the engine's doorbell rings, and tells the other threads what it did through the control blocks and their bells.
 */
export class LogEngine {
  readonly memory: LogMemory
  readonly findings: readonly RecoveryFinding[]
  /** Marks of the last life that did not hold. */
  readonly markFaults: readonly MillraceError[]
  readonly transactions: TransactionCoordinator
  readonly #options: LogEngineOptions
  readonly #open: OpenTopics
  readonly #lock: DirectoryLock | undefined
  readonly #marks: RecoveryMarks | undefined
  readonly #partitions: readonly (PartitionLog | undefined)[]
  readonly #writer: LogWriter
  readonly #reclaimer: LogReclaimer
  readonly #cleaner: LogCleaner
  #pointsBeingWritten: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined

  static open(options: LogEngineOptions): Promise<LogEngine> {
    return new Promise((resolve) => resolve(new LogEngine(options)))
  }

  private constructor(options: LogEngineOptions) {
    const { env, dir, memory } = options
    this.#options = options
    this.memory = memory
    this.#lock = dir === undefined ? undefined : DirectoryLock.acquire(env, dir)
    try {
      if (dir !== undefined) env.fs.makeDirectory(`${dir}/log`)
      this.#open = new OpenTopics({
        env,
        dir,
        fsync: options.fsync,
        memory,
        spillDirectory: options.spillDirectory,
        onSealed: (log) => this.#cleaner.sealed(log),
        assertHeld: () => this.#lock?.assertHeld(),
      })
      this.#partitions = this.#open.partitions
      this.#marks = dir === undefined ? undefined : new RecoveryMarks(env, `${dir}/log`)
      if (dir !== undefined) env.fs.syncDirectory(dir)
      this.findings = this.#marks === undefined ? [] : recovering().recoverTopics(env, this.#open, this.#marks)
      this.markFaults = this.#marks?.faults ?? []
    } catch (error) {
      this.#lock?.release()
      throw error
    }
    this.#writer = new LogWriter({
      env,
      memory,
      fsync: options.fsync,
      syncIntervalMs: options.syncIntervalMs ?? 1000,
      partition: (ordinal) => this.#partitions[ordinal],
      ringHost: () => {
        memory.bells.ring(HOST_SLOT)
        options.onAcks?.()
      },
      onFailed: options.onFailed,
      recoveryPointsMoved: this.#marks === undefined ? undefined : () => this.#writeRecoveryPoints(),
    })
    this.#cleaner = new LogCleaner({
      env,
      memory,
      partitions: this.#partitions,
      topicOf: (log) => this.describe(log.descriptor.topic),
      saveMarks: () => this.#writeRecoveryPoints(),
      startSpilling: (log) => this.#startSpilling(log),
    })
    this.#cleaner.schedule()
    this.#reclaimer = new LogReclaimer({
      env,
      memory,
      partitions: this.#partitions,
      startSpilling: (log) => this.#startSpilling(log),
      ringHost: () => memory.bells.ring(HOST_SLOT),
    })
    this.transactions = this.#openTransactions()
    // Markers that recovery has written, when nobody was listening to the bell.
    this.#writer.run()
  }

  /** Looks for work and does a slice of it; whatever is left is done in turns of the event loop of their own. */
  wake(): void {
    if (this.#closing !== undefined) return
    this.#writer.run()
    this.#reclaimer.run()
  }

  createTopic(spec: TopicSpec): TopicDescriptor {
    this.#assertOpen()
    const topic = this.#open.topics.plan(spec)
    if (topic.storage === 'disk' && this.#options.dir === undefined) {
      throw new MillraceError('TOPIC_CONFIG_INVALID', `topic ${topic.name} cannot be on disk`, {
        detail: 'the engine was opened without a directory',
        hint: "open it with { dir: './data' }, or leave storage out",
      })
    }
    this.#open.assertRoomFor(topic.name, topic.partitions)
    // The directories first: a topic that is listed has them.
    if (topic.storage === 'disk') this.#open.makeDirectories(topic)
    this.#open.topics.keep(topic)
    const descriptor = this.#open.open(topic, () => undefined)
    this.#cleaner.schedule()
    return descriptor
  }

  /** Other settings, at once; or more partitions, which are empty: what was sent stays where it is. */
  alterTopic(name: string, change: TopicChange): TopicDescriptor {
    this.#assertOpen()
    const before = this.describe(name)
    const topic = this.#open.topics.planChange(name, change)
    const added = topic.partitions - before.partitions.length
    this.#open.assertRoomFor(name, added)
    if (added > 0 && topic.storage === 'disk') this.#open.makeDirectories(topic, before.partitions.length)
    this.#open.topics.keep(topic)
    for (const partition of before.partitions) {
      const log = this.#open.log(partition)
      // Before the first gap can come.
      if (topic.hasGaps) log.control.allowGaps()
      log.setLimits(rollLimits(topic.config))
      this.#cleaner.sealed(log)
    }
    const descriptor = this.#open.open(topic, () => undefined, before.partitions.length)
    this.#cleaner.schedule()
    return descriptor
  }

  /** The log start offset moves to `offset` (-1 = the log end offset); whole segments below it go. Durable when it resolves, with the new start. */
  async deleteRecords(name: string, partition: number, offset: number): Promise<number> {
    this.#assertOpen()
    const log = this.#open.log(partitionOf(this.describe(name), partition))
    const { control } = log
    const to = offset === -1 ? control.logEndOffset() : offset
    if (!Number.isSafeInteger(to) || to < 0 || to > control.logEndOffset()) {
      throw new MillraceError(
        'OFFSET_OUT_OF_RANGE',
        `records of ${name}-${partition} cannot be deleted up to ${offset}`,
        {
          detail: `it has offsets from ${control.logStartOffset()} to ${control.logEndOffset()}, the next to be given`,
          hint: 'name the first offset that is to stay, or -1 for all there are',
        },
      )
    }
    // A start that a crash could leave above the end would be a hole.
    if (log.descriptor.ackWhen !== 'appended') await this.#writer.syncUpTo(log, to)
    await this.#cleaner.deleteRecords(log, to)
    return control.logStartOffset()
  }

  /** Why the record is still there, or what became of it. */
  async explainRecord(name: string, partition: number, offset: number): Promise<RecordExplanation> {
    this.#assertOpen()
    const topic = this.describe(name)
    const log = this.#open.log(partitionOf(topic, partition))
    return await explaining().explainRecord({
      env: this.#options.env,
      memory: this.memory,
      topic,
      log,
      offset,
      uncleanable: this.#cleaner.failureOf(log),
    })
  }

  /**
   * Compacts the topic now, whatever its dirty ratio: everything but what is younger than `min.compaction.lag.ms`. Resolves when readers that begin
   * from now on see the compacted log.
   */
  async compactNow(name: string): Promise<readonly CompactedPartition[]> {
    this.#assertOpen()
    const { config, partitions } = this.describe(name)
    if (!isCompacted(config)) {
      throw new MillraceError('TOPIC_CONFIG_INVALID', `topic ${name} is not compacted`, {
        detail: `its cleanup.policy is '${config['cleanup.policy']}'`,
        hint: "set it to 'compact' or 'compact,delete' first",
      })
    }
    return await Promise.all(partitions.map((partition) => this.#cleaner.compactNow(this.#open.log(partition))))
  }

  /** Walks the files of all topics on disk, a partition at a time and in slices, as far as they are written. Nothing is compacted or deleted meanwhile. */
  async verify(totals: VerifyTotals): Promise<void> {
    this.#assertOpen()
    await verifying().verifyOpenTopics(this.#options.env, this.#open, this.#cleaner, totals)
  }

  /** One look of retention and compaction at everything, now. */
  clean(): Promise<void> {
    return this.#cleaner.check()
  }

  /** See topic-deletion.ts. */
  async deleteTopic(name: string): Promise<void> {
    this.#assertOpen()
    const { env, dir } = this.#options
    await deleting().deleteTopic(name, { env, dir, memory: this.memory, open: this.#open, reclaimer: this.#reclaimer })
  }

  list(): readonly TopicDescriptor[] {
    return this.#open.list()
  }

  /** Throws UNKNOWN_TOPIC, with the names that exist and the nearest. */
  describe(name: string): TopicDescriptor {
    return this.#open.describe(name)
  }

  /** Undefined where there is no topic of the name. */
  find(name: string): TopicDescriptor | undefined {
    return this.#open.find(name)
  }

  state(name: string): TopicState {
    const descriptor = this.describe(name)
    return {
      descriptor,
      partitions: descriptor.partitions.map((partition) => {
        const log = this.#open.log(partition)
        return partitionState(log, this.#cleaner.failureOf(log))
      }),
    }
  }

  /** Resolves when the log can no longer lose what is below these offsets. Partitions in memory promise nothing and hold up nobody. */
  async syncUpTo(offsets: readonly OffsetOf[]): Promise<void> {
    await Promise.all(
      offsets.map((o) => {
        const partition = this.describe(o.topic).partitions[o.partition]
        if (partition === undefined) throw new Error(`assertion failed: ${o.topic} has no partition ${o.partition}`)
        return partition.ackWhen === 'appended'
          ? Promise.resolve()
          : this.#writer.syncUpTo(this.#open.log(partition), o.offset)
      }),
    )
  }

  /** A worker or the host has died: its locks, pins and watches count no more. */
  forgetThread(slot: number): void {
    for (const log of this.#partitions) log?.control.forgetThread(slot)
  }

  /** Writes and syncs everything, leaves the clean-shutdown mark, and lets go of the directory. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { env } = this.#options
    const ends: Record<string, CleanEnd> = {}
    const failures: MillraceError[] = []
    await this.transactions.stop()
    await this.#cleaner.stop()
    this.#writer.stop()
    this.#reclaimer.stop()
    for (const log of this.#partitions) {
      if (log === undefined) continue
      if (log.descriptor.ackWhen !== 'appended') {
        try {
          while (log.write());
          await log.sync()
          while (log.isSyncing) await log.sync()
          ends[partitionKey(log.descriptor)] = log.cleanEnd()
        } catch (error) {
          failures.push(error as MillraceError)
        }
      }
      log.close()
      this.memory.bells.ringAll(log.control.watchers())
    }
    await this.#writer.settled()
    if (this.#marks !== undefined && this.#lock?.isHeld() === true) {
      try {
        await this.#writeRecoveryPoints()
        this.#marks.writeCleanEnds(ends)
      } catch {
        // The records are synced; a disk that has no room for the marks costs the next opening a scan, nothing else.
      }
    }
    this.transactions.close()
    if (env.fs.exists(this.#options.spillDirectory)) env.fs.removeTree(this.#options.spillDirectory)
    this.#lock?.release()
    this.memory.bells.ring(HOST_SLOT)
    const failure = failures[0]
    if (failure !== undefined) throw failure
  }

  #openTransactions(): TransactionCoordinator {
    const { env, dir, askOwner, transactionalIdExpirationMs, producerIdExpirationMs } = this.#options
    const partitions = this.#partitions
    const transactions = new TransactionCoordinator(
      {
        env,
        memory: this.memory,
        path: dir === undefined ? undefined : `${dir}/transactions.log`,
        *partitions() {
          for (const log of partitions) if (log !== undefined) yield log
        },
        partition: (topic, partition) => {
          const descriptor = this.#open.find(topic)?.partitions[partition]
          return descriptor === undefined ? undefined : partitions[descriptor.ordinal]
        },
        isTyped: (topic) => this.#open.find(topic)?.schema !== undefined,
        syncUpTo: (log, offset) => this.#writer.syncUpTo(log, offset),
      },
      {
        transactionalIdExpirationMs: transactionalIdExpirationMs ?? TRANSACTIONAL_ID_EXPIRATION_MS,
        producerIdExpirationMs: producerIdExpirationMs ?? PRODUCER_ID_EXPIRATION_MS,
      },
    )
    transactions.recover(askOwner ?? (() => 'unknown'))
    return transactions
  }

  #startSpilling(log: PartitionLog): void {
    const { directory } = log.descriptor
    if (directory !== undefined) this.#options.env.fs.makeDirectory(directory)
    log.control.startUsingFiles()
    this.memory.dirty.mark(log.descriptor.ordinal)
    this.#writer.run()
  }

  /** One after the other: they share a temporary file. */
  #writeRecoveryPoints(): Promise<void> {
    const written = this.#pointsBeingWritten.then(() => this.#writePoints())
    this.#pointsBeingWritten = written.catch(() => undefined)
    return written
  }

  #writePoints(): Promise<void> {
    return this.#marks?.writePoints(recovering().recoveryPoints(this.#partitions)) ?? Promise.resolve()
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw engineClosed()
  }
}
