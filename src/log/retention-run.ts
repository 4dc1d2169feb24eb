import type { Env } from '../common/env.js'
import { batchByteLength, batchMaxTimestamp } from '../record/batch-header.js'
import type { TopicConfig } from './partition-descriptor.js'
import type { PartitionLog } from './partition-log.js'
import { expiredSegments, type RetentionLimits, retentionLimits } from './retention.js'
import { retireSegment } from './segment-swap.js'
import { maxTimestampOf } from './segment-times.js'
import type { LogMemory } from './shared-memory.js'

export interface RetentionOptions {
  readonly env: Env
  readonly memory: LogMemory
  /** Log start offsets are on the disk when it resolves. */
  readonly saveMarks: () => Promise<void>
  readonly dropChunks: (log: PartitionLog, offset: number) => void
  readonly changed: (log: PartitionLog) => void
}

/**
 * Retention at work. The log start offset moves first, in memory and on the disk, and only then do files go: a crash in between leaves files that
 * recovery takes away, never an offset that is promised and missing. Files are renamed to `.deleted` and removed after `file.delete.delay.ms`; who has
 * one open reads it to its end. A partition in memory loses whole chunks in the same way.
 */
export class Retention {
  readonly #options: RetentionOptions
  readonly #deleted = new Map<string, () => void>()
  /** Of a memory partition's chunks, by sequence. */
  readonly #chunkTimes = new WeakMap<PartitionLog, Map<number, number>>()

  constructor(options: RetentionOptions) {
    this.#options = options
  }

  /** True where something went. */
  async enforce(log: PartitionLog, config: TopicConfig): Promise<boolean> {
    const limits = retentionLimits(config)
    return log.control.usesFiles() ? this.#enforceFiles(log, config, limits) : this.#enforceChunks(log, limits)
  }

  /** Greatest timestamp of a segment, by its place in `log.segments()`. */
  maxTimestamp(log: PartitionLog, segment: number): number {
    const entry = log.segments()[segment]
    if (entry === undefined) return -1
    entry.maxTimestamp ??= maxTimestampOf(
      this.#options.env,
      log.descriptor.directory ?? '',
      entry.baseOffset,
      entry.size,
    )
    return entry.maxTimestamp
  }

  /** Files that wait for their delay go now. */
  removeDeleted(): void {
    for (const [path, cancel] of this.#deleted) {
      cancel()
      this.#options.env.fs.remove(path)
    }
    this.#deleted.clear()
  }

  async #enforceFiles(log: PartitionLog, config: TopicConfig, limits: RetentionLimits): Promise<boolean> {
    const { env } = this.#options
    const count = this.#expired(log, limits)
    if (count === 0) return false
    const durable = log.descriptor.ackWhen !== 'appended'
    // A log may lose its last segment too, once nothing is appended to it any more.
    if (count === log.segments().length) await log.roll()
    const going = log.segments().slice(0, count)
    const newStart = log.segments()[count]?.baseOffset ?? log.writtenOffset
    if (durable && log.syncedOffset < newStart) await log.sync()
    log.control.setLogStartOffset(Math.max(newStart, log.control.logStartOffset()))
    if (durable) await this.#options.saveMarks()
    env.passing?.('delete: the log start offset is durable')
    const directory = log.descriptor.directory ?? ''
    log.forgetSegments(new Set(going.map((segment) => segment.baseOffset)))
    for (const { baseOffset } of going) {
      this.#removeLater(retireSegment(env, directory, baseOffset), Number(config['file.delete.delay.ms']))
    }
    if (durable) await env.fs.syncDirectoryLater(directory)
    env.passing?.('delete: names are durable')
    this.#options.dropChunks(log, newStart)
    this.#options.changed(log)
    return true
  }

  #expired(log: PartitionLog, limits: RetentionLimits): number {
    return expiredSegments(log.segments(), limits, {
      nowMs: this.#options.env.now(),
      logStartOffset: log.control.logStartOffset(),
      logEndOffset: log.writtenOffset,
      maxTimestamp: (segment) => this.maxTimestamp(log, segment),
    }).count
  }

  #removeLater(path: string, delayMs: number): void {
    const cancel = this.#options.env.timer(delayMs, () => {
      this.#deleted.delete(path)
      this.#options.env.fs.remove(path)
    })
    this.#deleted.set(path, cancel)
  }

  /** Chunks of a partition in memory are its segments. */
  #enforceChunks(log: PartitionLog, limits: RetentionLimits): boolean {
    const { control } = log
    const head = control.head()
    const tail = control.tail()
    const chunks: { baseOffset: number; size: number }[] = []
    for (let sequence = head; sequence <= tail; sequence++) {
      chunks.push({ baseOffset: control.chunkBaseOffset(sequence), size: control.chunkBytes(sequence) })
    }
    const logEndOffset = control.logEndOffset()
    const { count } = expiredSegments(chunks, limits, {
      nowMs: this.#options.env.now(),
      logStartOffset: control.logStartOffset(),
      logEndOffset,
      maxTimestamp: (i) => this.#chunkTime(log, head + i, head + i < tail),
    })
    if (count === 0) return false
    const newStart = chunks[count]?.baseOffset ?? logEndOffset
    control.setLogStartOffset(Math.max(newStart, control.logStartOffset()))
    this.#options.dropChunks(log, newStart)
    this.#options.changed(log)
    return true
  }

  #chunkTime(log: PartitionLog, sequence: number, isFull: boolean): number {
    let times = this.#chunkTimes.get(log)
    if (times === undefined) {
      times = new Map()
      this.#chunkTimes.set(log, times)
    }
    const known = times.get(sequence)
    if (known !== undefined) return known
    const { dv } = this.#options.memory.chunks.get(log.control.chunkId(sequence))
    const end = log.control.chunkBytes(sequence)
    let greatest = -1
    for (let at = 0; at < end; at += batchByteLength(dv, at)) greatest = Math.max(greatest, batchMaxTimestamp(dv, at))
    if (isFull) times.set(sequence, greatest)
    for (const old of times.keys()) if (old < log.control.head()) times.delete(old)
    return greatest
  }
}
