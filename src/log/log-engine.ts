import { HOST_SLOT } from '../common/doorbell.js'
import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { ControlArena } from './control-arena.js'
import { DirectoryLock } from './directory-lock.js'
import { PARTITIONS_MAX, PRODUCER_ID_EXPIRATION_MS, TRANSACTIONAL_ID_EXPIRATION_MS } from './limits.js'
import { LogReclaimer } from './log-reclaimer.js'
import { type FsyncMode, LogWriter } from './log-writer.js'
import { PartitionStatus } from './partition-control.js'
import { type AckWhen, type PartitionDescriptor, partitionKey, type TopicDescriptor } from './partition-descriptor.js'
import { PartitionLog } from './partition-log.js'
import { type CleanEnd, type DamagedRange, type RecoveredPartition, recoverPartition } from './recovery.js'
import { RecoveryMarks, type RecoveryPoint } from './recovery-marks.js'
import type { LogMemory } from './shared-memory.js'
import { isDense, rollLimits } from './topic-config.js'
import { type Topic, type TopicSpec, Topics } from './topics.js'
import { TransactionCoordinator } from './transaction-coordinator.js'
import type { AskOwner } from './transactions.js'

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
  /** How a transaction ended that a checkpoint decides. Default: nobody knows. */
  readonly askOwner?: AskOwner | undefined
  /** Kafka's settings of these names; default a week, and a day. */
  readonly transactionalIdExpirationMs?: number | undefined
  readonly producerIdExpirationMs?: number | undefined
}

export interface PartitionState {
  readonly partition: number
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly writtenOffset: number
  readonly syncedOffset: number
  readonly bytes: number
  readonly status: 'ok' | 'disk full' | 'read-only'
  readonly damaged: readonly DamagedRange[]
}

export interface TopicState {
  readonly descriptor: TopicDescriptor
  readonly partitions: readonly PartitionState[]
}

/** What opening found amiss, for the logger. */
export interface RecoveryFinding {
  readonly topic: string
  readonly partition: number
  readonly cut: RecoveredPartition['cut']
  readonly damaged: readonly DamagedRange[]
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
  readonly transactions: TransactionCoordinator
  readonly #options: LogEngineOptions
  readonly #topics: Topics
  readonly #lock: DirectoryLock | undefined
  readonly #marks: RecoveryMarks | undefined
  readonly #arena = new ControlArena()
  readonly #partitions: (PartitionLog | undefined)[] = []
  readonly #descriptors = new Map<string, TopicDescriptor>()
  readonly #writer: LogWriter
  readonly #reclaimer: LogReclaimer
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
      this.#topics = new Topics(env, dir === undefined ? undefined : `${dir}/topics`)
      this.#marks = dir === undefined ? undefined : new RecoveryMarks(env, `${dir}/log`)
      if (dir !== undefined) env.fs.syncDirectory(dir)
      this.findings = this.#recover()
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
      recoveryPointsMoved: this.#marks === undefined ? undefined : () => this.#writeRecoveryPoints(),
    })
    this.#reclaimer = new LogReclaimer({
      env,
      memory,
      partitions: this.#partitions,
      startSpilling: (log) => this.#startSpilling(log),
      ringHost: () => memory.bells.ring(HOST_SLOT),
    })
    this.transactions = this.#openTransactions()
  }

  /** Looks for work and does a slice of it; whatever is left is done in turns of the event loop of their own. */
  wake(): void {
    if (this.#closing !== undefined) return
    this.#writer.run()
    this.#reclaimer.run()
  }

  createTopic(spec: TopicSpec): TopicDescriptor {
    this.#assertOpen()
    const topic = this.#topics.plan(spec)
    const { env } = this.#options
    if (topic.storage === 'disk' && this.#options.dir === undefined) {
      throw new MillraceError('TOPIC_CONFIG_INVALID', `topic ${topic.name} cannot be on disk`, {
        detail: 'the engine was opened without a directory',
        hint: "open it with { dir: './data' }, or leave storage out",
      })
    }
    if (this.#partitions.length + topic.partitions > PARTITIONS_MAX) {
      throw new MillraceError('TOO_MANY_PARTITIONS', `topic ${topic.name} would be one too many`, {
        detail: `${this.#partitions.length} partitions have been made since the engine was opened, at most ${PARTITIONS_MAX} can be`,
      })
    }
    if (topic.storage === 'disk') {
      // The directories first: a topic that is listed has them. Whatever an earlier try left behind goes.
      for (let p = 0; p < topic.partitions; p++) {
        const directory = this.#directoryOf(topic, p)
        if (env.fs.exists(directory)) env.fs.removeTree(directory)
        env.fs.makeDirectory(directory)
      }
      env.fs.syncDirectory(`${this.#options.dir}/log`)
    }
    this.#topics.keep(topic)
    return this.#openTopic(topic, () => undefined)
  }

  /** Readers that are in it still see what they hold; everybody else is told that it is gone. */
  async deleteTopic(name: string): Promise<void> {
    this.#assertOpen()
    const topic = this.#topics.get(name)
    const descriptor = this.describe(name)
    this.#topics.remove(name)
    this.#descriptors.delete(name)
    for (const partition of descriptor.partitions) {
      const log = this.#partitions[partition.ordinal]
      if (log === undefined) continue
      this.#partitions[partition.ordinal] = undefined
      log.control.setStatus(PartitionStatus.deleted)
      await log.sync().catch(() => undefined)
      log.close(PartitionStatus.deleted)
      this.#reclaimer.retire(log)
      this.memory.bells.ringAll(log.control.watchers())
      if (partition.directory !== undefined && this.#options.env.fs.exists(partition.directory)) {
        this.#options.env.fs.removeTree(partition.directory)
      }
    }
    if (topic.storage === 'disk') this.#options.env.fs.syncDirectory(`${this.#options.dir}/log`)
    this.memory.bells.ring(HOST_SLOT)
  }

  list(): readonly TopicDescriptor[] {
    return this.#topics.list().map((topic) => this.describe(topic.name))
  }

  /** Throws UNKNOWN_TOPIC, with the names that exist and the nearest. */
  describe(name: string): TopicDescriptor {
    const topic = this.#topics.get(name)
    const descriptor = this.#descriptors.get(topic.name)
    if (descriptor === undefined) throw new Error(`assertion failed: topic ${name} is not open`)
    return descriptor
  }

  state(name: string): TopicState {
    const descriptor = this.describe(name)
    return {
      descriptor,
      partitions: descriptor.partitions.map((partition) => {
        const log = this.#log(partition)
        const status = log.control.status()
        return {
          partition: partition.partition,
          logStartOffset: log.control.logStartOffset(),
          logEndOffset: log.control.logEndOffset(),
          writtenOffset: log.writtenOffset,
          syncedOffset: log.syncedOffset,
          bytes: log.logBytes(),
          status:
            status === PartitionStatus.noSpace ? 'disk full' : status === PartitionStatus.failed ? 'read-only' : 'ok',
          damaged: log.damaged,
        }
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
          : this.#writer.syncUpTo(this.#log(partition), o.offset)
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
    if (this.#marks !== undefined) {
      await this.#writer.settled()
      await this.#writeRecoveryPoints()
      this.#marks.writeCleanEnds(ends)
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
          const descriptor = this.#descriptors.get(topic)?.partitions[partition]
          return descriptor === undefined ? undefined : partitions[descriptor.ordinal]
        },
        isTyped: (topic) => this.#descriptors.get(topic)?.schema !== undefined,
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

  #recover(): readonly RecoveryFinding[] {
    if (this.#marks === undefined) return []
    const findings: RecoveryFinding[] = []
    const cleanEnds = this.#marks.takeCleanEnds()
    const points = this.#marks.readPoints()
    const { env } = this.#options
    for (const topic of this.#topics.list()) {
      this.#openTopic(topic, (partition) => {
        const key = partitionKey({ topic: topic.name, partition, topicId: topic.id })
        const directory = this.#directoryOf(topic, partition)
        env.fs.makeDirectory(directory)
        const recovered = recoverPartition({
          env,
          directory,
          recoveryPoint: points.get(key)?.recoveryPoint ?? 0,
          logStartOffset: points.get(key)?.logStartOffset ?? 0,
          dense: isDense(topic.config),
          indexIntervalBytes: rollLimits(topic.config).indexIntervalBytes,
          cleanEnd: cleanEnds.get(key),
        })
        if (recovered.cut !== undefined || recovered.damaged.length > 0) {
          findings.push({ topic: topic.name, partition, cut: recovered.cut, damaged: recovered.damaged })
        }
        return recovered
      })
    }
    return findings
  }

  #openTopic(topic: Topic, recover: (partition: number) => RecoveredPartition | undefined): TopicDescriptor {
    const ackWhen = this.#ackWhen(topic)
    const partitions: PartitionDescriptor[] = []
    for (let p = 0; p < topic.partitions; p++) {
      const descriptor: PartitionDescriptor = {
        topicId: topic.id,
        topic: topic.name,
        partition: p,
        ordinal: this.#partitions.length,
        ...this.#arena.next(),
        directory: this.#directoryOf(topic, p),
        ackWhen,
        dense: isDense(topic.config),
      }
      partitions.push(descriptor)
      this.#partitions.push(
        new PartitionLog(descriptor, {
          env: this.#options.env,
          memory: this.memory,
          limits: rollLimits(topic.config),
          recovered: recover(p),
        }),
      )
    }
    const descriptor: TopicDescriptor = {
      id: topic.id,
      name: topic.name,
      storage: topic.storage,
      schema: topic.schema,
      partitioner: topic.partitioner,
      config: topic.config,
      createdAt: topic.createdAt,
      partitions,
    }
    this.#descriptors.set(topic.name, descriptor)
    return descriptor
  }

  #ackWhen(topic: Topic): AckWhen {
    if (topic.storage === 'memory') return 'appended'
    return this.#options.fsync === 'group' || this.#options.fsync === 'always' ? 'synced' : 'written'
  }

  #directoryOf(topic: Topic, partition: number): string {
    const root = topic.storage === 'disk' ? `${this.#options.dir}/log` : this.#options.spillDirectory
    return `${root}/${topic.name}-${partition}`
  }

  #startSpilling(log: PartitionLog): void {
    const { directory } = log.descriptor
    if (directory !== undefined) this.#options.env.fs.makeDirectory(directory)
    log.control.startUsingFiles()
    this.memory.dirty.mark(log.descriptor.ordinal)
    this.#writer.run()
  }

  #writeRecoveryPoints(): Promise<void> {
    const points: Record<string, RecoveryPoint> = {}
    for (const log of this.#partitions) {
      if (log === undefined || log.descriptor.ackWhen === 'appended') continue
      points[partitionKey(log.descriptor)] = {
        recoveryPoint: log.syncedOffset,
        logStartOffset: log.control.logStartOffset(),
      }
    }
    return this.#marks?.writePoints(points) ?? Promise.resolve()
  }

  #log(partition: PartitionDescriptor): PartitionLog {
    const log = this.#partitions[partition.ordinal]
    if (log === undefined)
      throw new MillraceError('TOPIC_DELETED', `topic ${partition.topic} has been deleted`, {
        detail: 'its records are gone',
        hint: 'create it again with mill.topics.create, and ask for it anew',
      })
    return log
  }

  #assertOpen(): void {
    if (this.#closing !== undefined)
      throw new MillraceError('ENGINE_CLOSED', 'this engine is closed', {
        detail: 'close() was called',
        hint: 'open it again with Millrace.open()',
      })
  }
}
