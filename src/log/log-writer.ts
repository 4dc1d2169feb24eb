import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { NO_SPACE_RETRY_MS, OPEN_SEGMENTS_MAX, RECOVERY_POINT_MS } from './limits.js'
import { partitionName } from './partition-descriptor.js'
import type { PartitionLog } from './partition-log.js'
import type { LogMemory } from './shared-memory.js'

/**
 * When a sync follows a write:
 *   never     the operating system decides; an acknowledgement says that the bytes are its
 *   interval  every so often; an acknowledgement says the same, but the loss is bounded in time
 *   group     at once, one sync for all that came while the last one ran; acknowledged means on the disk
 *   always    one sync for each record batch, in order; for comparison
 */
export type FsyncMode = 'never' | 'interval' | 'group' | 'always'

export interface LogWriterOptions {
  readonly env: Env
  readonly memory: LogMemory
  readonly fsync: FsyncMode
  readonly syncIntervalMs: number
  readonly partition: (ordinal: number) => PartitionLog | undefined
  readonly ringHost: () => void
  /** Called once for each partition that takes no more since a write or sync of it has failed. */
  readonly onFailed?: ((failure: MillraceError) => void) | undefined
  /** Called now and then after syncs; undefined where nothing is kept. */
  readonly recoveryPointsMoved: (() => Promise<void>) | undefined
}

interface Waiter {
  readonly log: PartitionLog
  readonly offset: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Takes dirty partitions in turn, writes a slice of each, and syncs by the mode. */
export class LogWriter {
  readonly #options: LogWriterOptions
  /** To be written, in the order in which they became dirty. */
  #queue = new Set<PartitionLog>()
  /** Written, not synced, waiting for the interval. */
  readonly #unsynced = new Set<PartitionLog>()
  /** Syncing one batch after the other (`always`), or one group after the other. */
  readonly #busy = new Map<PartitionLog, Promise<void>>()
  /** To be synced once more as soon as the sync that is under way is over: it does not cover what came after it began. */
  readonly #again = new Set<PartitionLog>()
  #waiters: Waiter[] = []
  readonly #withHandle = new Set<PartitionLog>()
  /** Whose failure has been told. */
  readonly #failed = new WeakSet<PartitionLog>()
  #turnIsComing = false
  #stopped = false
  #cancelInterval: (() => void) | undefined
  #cancelRetry: (() => void) | undefined
  #cancelPoints: (() => void) | undefined
  #pointsBeingWritten: Promise<void> = Promise.resolve()

  constructor(options: LogWriterOptions) {
    this.#options = options
  }

  run(): void {
    if (this.#stopped) return
    const { memory, partition, fsync, ringHost } = this.#options
    memory.dirty.take((ordinal) => {
      const log = partition(ordinal)
      if (log !== undefined) this.#queue.add(log)
    })
    if (this.#queue.size === 0) return
    const queue = this.#queue
    this.#queue = new Set()
    let progress = false
    for (const log of queue) {
      const isDurable = log.descriptor.ackWhen !== 'appended'
      if (fsync === 'always' && isDurable) {
        this.#writeOneByOne(log)
        continue
      }
      if (!this.#write(log)) continue
      progress = true
      if (isDurable) this.#syncLater(log)
    }
    if (progress) ringHost()
    if (this.#queue.size > 0) this.#comeBack()
  }

  /** Resolves when everything below `offset` is synced, whatever the mode. */
  syncUpTo(log: PartitionLog, offset: number): Promise<void> {
    if (log.syncedOffset >= offset) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#waiters.push({ log, offset, resolve, reject })
      this.#serve(log)
    })
  }

  stop(): void {
    this.#stopped = true
    this.#cancelInterval?.()
    this.#cancelRetry?.()
    this.#cancelPoints?.()
  }

  /**
   * After `stop` and when what was left has been written and synced: no sync and no recovery point of this writer is under way
   * any more, and who waited for a sync has been told whether it came.
   */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#busy.values(), this.#pointsBeingWritten])
    for (const { log, offset, resolve, reject } of this.#waiters.splice(0)) {
      if (log.syncedOffset >= offset) resolve()
      else reject(log.failure ?? closedBefore(log, offset))
    }
  }

  /** True where something was written. What is left is queued again; a full disk is tried again later. */
  #write(log: PartitionLog): boolean {
    const before = log.writtenOffset
    try {
      if (log.write()) this.#queue.add(log)
      this.#noteHandle(log)
    } catch (error) {
      this.#writeFailed(log, error as MillraceError)
    }
    return log.writtenOffset !== before
  }

  #writeFailed(log: PartitionLog, error: MillraceError): void {
    this.#options.ringHost()
    if (!error.retriable) {
      this.#tellFailure(log)
      this.#answerWaiters(log, error)
      return
    }
    this.#options.memory.dirty.mark(log.descriptor.ordinal)
    this.#cancelRetry ??= this.#options.env.timer(NO_SPACE_RETRY_MS, () => {
      this.#cancelRetry = undefined
      this.run()
    })
  }

  #syncLater(log: PartitionLog): void {
    const { fsync, env, syncIntervalMs } = this.#options
    // A sealed segment is synced in any mode: its handle can be given back, and the recovery point moves on.
    if (this.#isAwaited(log) || fsync === 'group' || log.hasSealedUnsynced) {
      this.#syncInGroups(log)
    } else if (fsync === 'interval') {
      this.#unsynced.add(log)
      this.#cancelInterval ??= env.timer(syncIntervalMs, () => {
        this.#cancelInterval = undefined
        for (const each of this.#unsynced) this.#syncInGroups(each)
        this.#unsynced.clear()
      })
    }
  }

  /** One sync for all that came while the last one ran. */
  #syncInGroups(log: PartitionLog): void {
    if (this.#busy.has(log)) {
      this.#again.add(log)
      return
    }
    const groups = async (): Promise<void> => {
      try {
        do {
          this.#again.delete(log)
          await log.sync()
          this.#synced(log)
        } while (log.hasUnsynced && !this.#stopped && this.#mustSyncOn(log))
      } catch (error) {
        this.#syncFailed(log, error)
      } finally {
        this.#busy.delete(log)
      }
    }
    this.#busy.set(log, groups())
  }

  #mustSyncOn(log: PartitionLog): boolean {
    return this.#options.fsync === 'group' || this.#again.has(log) || this.#isAwaited(log)
  }

  /** A sync for each batch, in order. */
  #writeOneByOne(log: PartitionLog): void {
    if (this.#busy.has(log)) return
    const one = async (): Promise<void> => {
      try {
        for (let more = true; more && !this.#stopped; ) {
          more = log.write(1)
          this.#noteHandle(log)
          await log.sync()
          this.#synced(log)
          // What was appended during the sync may have found its mark still set.
          more = log.hasPublishedUnwritten()
        }
      } catch (error) {
        const failure = error as MillraceError
        if (failure.retriable) this.#writeFailed(log, failure)
        else this.#syncFailed(log, failure)
      } finally {
        this.#busy.delete(log)
      }
    }
    this.#busy.set(log, one())
  }

  /** Writes and syncs a partition because somebody waits for it. */
  #serve(log: PartitionLog): void {
    if (log.failure !== undefined) {
      this.#answerWaiters(log, log.failure)
      return
    }
    if (this.#options.fsync === 'always') this.#writeOneByOne(log)
    else {
      this.#write(log)
      if (this.#queue.size > 0) this.#comeBack()
      this.#syncInGroups(log)
    }
  }

  #synced(log: PartitionLog): void {
    this.#options.ringHost()
    this.#answerWaiters(log, undefined)
    const { recoveryPointsMoved, env } = this.#options
    if (recoveryPointsMoved === undefined || this.#stopped) return
    this.#cancelPoints ??= env.timer(RECOVERY_POINT_MS, () => {
      this.#cancelPoints = undefined
      // A disk that cannot take them costs the next recovery time, nothing else.
      this.#pointsBeingWritten = this.#pointsBeingWritten.then(recoveryPointsMoved).catch(() => undefined)
    })
  }

  #syncFailed(log: PartitionLog, error: unknown): void {
    this.#options.ringHost()
    this.#tellFailure(log)
    this.#answerWaiters(log, error)
  }

  #tellFailure(log: PartitionLog): void {
    if (log.failure === undefined || this.#failed.has(log)) return
    this.#failed.add(log)
    this.#options.onFailed?.(log.failure)
  }

  #answerWaiters(log: PartitionLog, error: unknown): void {
    if (this.#waiters.length === 0) return
    this.#waiters = this.#waiters.filter((waiter) => {
      if (waiter.log !== log) return true
      if (error !== undefined) waiter.reject(error)
      else if (log.syncedOffset >= waiter.offset) waiter.resolve()
      else return true
      return false
    })
  }

  #isAwaited(log: PartitionLog): boolean {
    return this.#waiters.length > 0 && this.#waiters.some((waiter) => waiter.log === log)
  }

  /** The rest in a turn of its own, so that syncs and messages get theirs. */
  #comeBack(): void {
    if (this.#turnIsComing) return
    this.#turnIsComing = true
    setImmediate(() => {
      this.#turnIsComing = false
      this.run()
    })
  }

  /** Keeps the number of open files below its limit: the partition that was written longest ago gives its handle back. */
  #noteHandle(log: PartitionLog): void {
    if (!log.openHandle) return
    this.#withHandle.delete(log)
    this.#withHandle.add(log)
    if (this.#withHandle.size <= OPEN_SEGMENTS_MAX) return
    for (const idle of this.#withHandle) {
      idle.closeIdleHandle()
      if (!idle.openHandle) {
        this.#withHandle.delete(idle)
        return
      }
      // It may be closed once it is synced; until then the limit is passed by a few.
      this.#syncInGroups(idle)
    }
  }
}

function closedBefore(log: PartitionLog, offset: number): MillraceError {
  return new MillraceError('CLOSED', `the engine was closed before ${partitionName(log.descriptor)} was synced`, {
    detail: `synced up to offset ${log.syncedOffset}, waited for ${offset}`,
    hint: 'open it again; what the log holds then is on the disk',
  })
}
