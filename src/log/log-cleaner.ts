import { ENGINE_SLOT } from '../common/doorbell.js'
import type { Env } from '../common/env.js'
import { lazyModule } from '../common/lazy-module.js'
import type { StructType } from '../types/data-type.js'
import type { CompactionResult } from './compaction.js'
import { compactionEnd, compactionIsDue, isCompacted } from './compaction-policy.js'
import { KeyHash } from './key-hash.js'
import {
  CLEANER_CHECK_MS,
  CLEANER_CHECK_MS_MIN,
  CLEANER_MAP_BYTES,
  CLEANER_SLICE_MS,
  CLEANER_SOON_MS,
} from './limits.js'
import { OFFSET_MAP_ENTRY_BYTES } from './offset-map.js'
import { PartitionStatus } from './partition-control.js'
import type { TopicConfig } from './partition-descriptor.js'
import type { PartitionLog } from './partition-log.js'
import { Retention } from './retention-run.js'
import type { LogMemory } from './shared-memory.js'
import { rollLimits } from './topic-config.js'
import { WorkSlices } from './work-slices.js'

const compacting = lazyModule(import.meta.url, './compaction.js', () => import('./compaction.js'))

/** What the cleaner must know of a partition's topic, as it is now. */
export interface CleanedTopic {
  readonly schema: StructType | undefined
  readonly config: TopicConfig
}

export interface LogCleanerOptions {
  readonly env: Env
  readonly memory: LogMemory
  readonly partitions: readonly (PartitionLog | undefined)[]
  readonly topicOf: (log: PartitionLog) => CleanedTopic
  /** Log start offsets and how far compaction has been are on the disk when it resolves. */
  readonly saveMarks: () => Promise<void>
  readonly startSpilling: (log: PartitionLog) => void
}

export interface CompactedPartition extends CompactionResult {
  readonly partition: number
}

/**
 * Retention and compaction, on the engine thread and in slices of a millisecond, one partition at a time. It looks at a partition after one of its
 * segments was sealed, and at all of them now and then, more often where a topic's own times are short; an engine whose topics do nothing has
 * one timer of five minutes.
 */
export class LogCleaner {
  readonly #options: LogCleanerOptions
  readonly #retention: Retention
  readonly #hash: KeyHash
  readonly #soon = new Set<PartitionLog>()
  /** Why compaction has given a partition up until the engine is opened again. */
  readonly #uncleanable = new Map<PartitionLog, Error>()
  /** One thing at a time: what is under way, or waits. */
  #work: Promise<unknown> = Promise.resolve()
  #cancelSoon: (() => void) | undefined
  #cancelCheck: (() => void) | undefined
  #checkAt = Number.POSITIVE_INFINITY
  #stopped = false

  constructor(options: LogCleanerOptions) {
    this.#options = options
    this.#hash = new KeyHash(options.env.randomBytes(16))
    this.#retention = new Retention({
      env: options.env,
      memory: options.memory,
      saveMarks: options.saveMarks,
      dropChunks: (log, offset) => this.#dropChunks(log, offset, false),
      changed: (log) => this.#changed(log),
    })
  }

  /** A segment was sealed. */
  sealed(log: PartitionLog): void {
    if (this.#stopped) return
    this.#soon.add(log)
    this.#cancelSoon ??= this.#options.env.timer(CLEANER_SOON_MS, () => {
      this.#cancelSoon = undefined
      const logs = [...this.#soon]
      this.#soon.clear()
      void this.#enqueue(() => this.#clean(logs))
    })
  }

  /** A topic has come, or its settings have changed: the next look at all of them may have to be sooner. */
  schedule(): void {
    if (this.#stopped) return
    const inMs = this.#checkInterval()
    const at = this.#options.env.monotonic() + inMs
    if (at >= this.#checkAt) return
    this.#cancelCheck?.()
    this.#checkAt = at
    this.#cancelCheck = this.#options.env.timer(inMs, () => {
      this.#checkAt = Number.POSITIVE_INFINITY
      this.#cancelCheck = undefined
      void this.#enqueue(() => this.#clean(this.#options.partitions)).finally(() => this.schedule())
    })
  }

  /** Looks at all partitions now. */
  check(): Promise<void> {
    return this.#enqueue(() => this.#clean(this.#options.partitions))
  }

  /** Compacts everything but what is younger than `min.compaction.lag.ms`, whatever the dirty ratio; the segment that is appended to is sealed for it. */
  compactNow(log: PartitionLog): Promise<CompactedPartition> {
    return this.#enqueue(async () => {
      await this.#writeAll(log)
      await log.roll()
      const total = { bytesBefore: 0, bytesAfter: 0, recordsBefore: 0, recordsAfter: 0, cleanedTo: log.cleanedTo }
      const end = this.#endOf(log)
      let isFirst = true
      // Another round where the keys were more than the map may hold.
      while (isFirst || log.cleanedTo < end) {
        const result = await this.#compact(log, end)
        if (isFirst) {
          total.bytesBefore = result.bytesBefore
          total.recordsBefore = result.recordsBefore
        }
        total.bytesAfter = result.bytesAfter
        total.recordsAfter = result.recordsAfter
        total.cleanedTo = result.cleanedTo
        isFirst = false
      }
      return { partition: log.descriptor.partition, ...total }
    })
  }

  /** The log start offset moves to `offset`, and whole segments below it go. Durable when it resolves. */
  deleteRecords(log: PartitionLog, offset: number): Promise<void> {
    return this.#enqueue(async () => {
      log.control.setLogStartOffset(Math.max(offset, log.control.logStartOffset()))
      await this.#options.saveMarks()
      await this.#retention.enforce(log, this.#options.topicOf(log).config)
      this.#dropChunks(log, offset, false)
      this.#changed(log)
    })
  }

  /** Runs while nothing is deleted or compacted. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#enqueue(work)
  }

  /** Why compaction leaves the partition alone; undefined where it does not. */
  failureOf(log: PartitionLog): Error | undefined {
    return this.#uncleanable.get(log)
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelSoon?.()
    this.#cancelCheck?.()
    await this.#work
    this.#retention.removeDeleted()
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#work.then(work)
    this.#work = result.catch(() => undefined)
    return result
  }

  async #clean(logs: readonly (PartitionLog | undefined)[]): Promise<void> {
    const slices = this.#slices()
    for (const log of logs) {
      if (slices.isOver) await slices.next()
      if (log === undefined || this.#isGone(log) || log.failure !== undefined) continue
      try {
        await this.#retention.enforce(log, this.#options.topicOf(log).config)
        await this.#compactIfDue(log)
      } catch (error) {
        // A full disk may have room at the next look; damage will not mend itself.
        const { code } = error as { code?: unknown }
        if (code === 'SEGMENT_CORRUPT' || code === 'RECORD_CORRUPT') this.#uncleanable.set(log, error as Error)
      }
    }
  }

  async #compactIfDue(log: PartitionLog): Promise<void> {
    const { config } = this.#options.topicOf(log)
    if (!isCompacted(config) || this.#uncleanable.has(log)) return
    if (!log.control.usesFiles()) {
      // A compacted topic in memory lives in temporary files as soon as it is more than its newest chunk.
      if (log.control.tail() > log.control.head()) this.#options.startSpilling(log)
      return
    }
    const end = this.#endOf(log)
    while (
      !this.#isGone(log) &&
      compactionIsDue(log.segments(), log.cleanedTo, end, config, this.#options.env.now(), (i) =>
        this.#retention.maxTimestamp(log, i),
      )
    ) {
      await this.#compact(log, end)
    }
  }

  async #compact(log: PartitionLog, endOffset: number): Promise<CompactionResult> {
    const { env } = this.#options
    const { schema, config } = this.#options.topicOf(log)
    const limits = rollLimits(config)
    if (log.descriptor.ackWhen !== 'appended') {
      await log.sync()
      // Offsets may be missing below the recovery point alone, so that recovery tells a gap from what the power has taken.
      await this.#options.saveMarks()
    }
    const result = await new (compacting().Compaction)({
      env,
      log,
      schema,
      hash: this.#hash,
      mapEntriesMax: Math.floor((CLEANER_MAP_BYTES / OFFSET_MAP_ENTRY_BYTES) * 0.5),
      firstDirtyOffset: Math.min(log.cleanedTo, endOffset),
      endOffset,
      deleteRetentionMs: Number(config['delete.retention.ms']),
      segmentBytes: limits.segmentBytes,
      indexIntervalBytes: limits.indexIntervalBytes,
      levels: limits.compression.levels,
      slices: this.#slices(),
      isCancelled: () => this.#stopped || this.#isGone(log),
    }).run()
    log.cleanedTo = Math.max(log.cleanedTo, result.cleanedTo)
    // What memory still holds of it as it was is let go, so that readers see the compacted files.
    this.#dropChunks(log, log.cleanedTo, true)
    if (log.descriptor.ackWhen !== 'appended') await this.#options.saveMarks()
    return result
  }

  /** Everything published is in files. */
  async #writeAll(log: PartitionLog): Promise<void> {
    if (!log.control.usesFiles()) this.#options.startSpilling(log)
    const slices = this.#slices()
    while (log.write()) await slices.next()
  }

  #endOf(log: PartitionLog): number {
    return compactionEnd(log.segments(), log.activeBaseOffset(), this.#options.topicOf(log).config, {
      nowMs: this.#options.env.now(),
      lastStableOffset: log.control.lastStableOffset(),
      maxTimestamp: (i) => this.#retention.maxTimestamp(log, i),
    })
  }

  #dropChunks(log: PartitionLog, offset: number, begun: boolean): void {
    log.dropChunksBelow(offset, ENGINE_SLOT, begun, (id) => this.#options.memory.chunks.free(id))
  }

  /** Whoever reads or writes there looks again. */
  #changed(log: PartitionLog): void {
    this.#options.memory.bells.ringAll(log.control.watchers())
  }

  #isGone(log: PartitionLog): boolean {
    return log.control.status() === PartitionStatus.deleted
  }

  #slices(): WorkSlices {
    return new WorkSlices(this.#options.env, CLEANER_SLICE_MS)
  }

  /** A few looks within the shortest time that any topic asks for. */
  #checkInterval(): number {
    let shortest = CLEANER_CHECK_MS
    for (const log of this.#options.partitions) {
      if (log === undefined) continue
      const { config } = this.#options.topicOf(log)
      const policy = String(config['cleanup.policy'])
      if (policy.includes('delete')) {
        const retentionMs = Number(config['retention.ms'])
        if (retentionMs >= 0) shortest = Math.min(shortest, retentionMs / 4)
        // Nobody tells the engine when a partition in memory grows.
        if (Number(config['retention.bytes']) >= 0 && !log.control.usesFiles()) shortest = Math.min(shortest, 1000)
      }
      if (policy.includes('compact')) {
        shortest = Math.min(shortest, Number(config['max.compaction.lag.ms']) / 4, 15_000)
      }
    }
    return Math.max(CLEANER_CHECK_MS_MIN, shortest)
  }
}
