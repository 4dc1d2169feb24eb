import { ENGINE_SLOT } from '../common/doorbell.js'
import type { Env } from '../common/env.js'
import { RECLAIM_RETRY_MS } from './limits.js'
import type { PartitionLog } from './partition-log.js'
import type { LogMemory } from './shared-memory.js'

/** What one round of reclaiming brings back at most, so that the partitions that lose chunks are not emptied for one that needs a few. */
const CHUNKS_PER_ROUND = 8

export interface LogReclaimerOptions {
  readonly env: Env
  readonly memory: LogMemory
  readonly partitions: readonly (PartitionLog | undefined)[]
  readonly startSpilling: (log: PartitionLog) => void
  readonly ringHost: () => void
}

/**
 * Makes room when an appender has found none: takes chunks that are in files from the partitions that hold them,
 * and where that is not enough lets memory partitions spill, the largest first.
 */
export class LogReclaimer {
  readonly #options: LogReclaimerOptions
  /** Deleted partitions whose chunks a reader may still have pinned. */
  #retired: PartitionLog[] = []
  #nextPartition = 0
  #cancelRetry: (() => void) | undefined
  #stopped = false

  constructor(options: LogReclaimerOptions) {
    this.#options = options
  }

  run(): void {
    const { chunks } = this.#options.memory
    if (this.#stopped || !(chunks.isWanted() || this.#retired.length > 0)) return
    const isWanted = chunks.isWanted()
    // Cleared before looking: who finds no memory after this look asks again.
    chunks.clearWant()
    let freed = this.#reclaimRetired()
    if (isWanted && freed === 0) {
      freed = this.#reclaim()
      // Chunks that are about to be written come back by themselves; nothing needs to leave memory for them.
      if (
        freed === 0 &&
        !this.#options.partitions.some((log) => log?.control.usesFiles() === true && log.hasPublishedUnwritten())
      ) {
        this.#spillLargest()
        freed = this.#reclaim()
      }
    }
    if (freed > 0) this.#options.ringHost()
    if ((isWanted && freed === 0) || this.#retired.length > 0) {
      if (isWanted && freed === 0) chunks.want()
      this.#cancelRetry ??= this.#options.env.timer(RECLAIM_RETRY_MS, () => {
        this.#cancelRetry = undefined
        this.run()
      })
    }
  }

  /** The partition is gone; its chunks go back to the pool as soon as nobody reads them. */
  retire(log: PartitionLog): void {
    this.#retired.push(log)
    this.run()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelRetry?.()
  }

  #reclaim(): number {
    const { partitions, memory } = this.#options
    let freed = 0
    for (let i = 0; i < partitions.length && freed < CHUNKS_PER_ROUND; i++) {
      const log = partitions[this.#nextPartition++ % partitions.length]
      if (log === undefined || !log.control.usesFiles()) continue
      const id = log.reclaim(ENGINE_SLOT)
      if (id === -1) continue
      memory.chunks.free(id)
      freed += 1
    }
    return freed
  }

  #reclaimRetired(): number {
    let freed = 0
    this.#retired = this.#retired.filter((log) => {
      for (let id = log.retireChunk(ENGINE_SLOT); id !== -1; id = log.retireChunk(ENGINE_SLOT)) {
        this.#options.memory.chunks.free(id)
        freed += 1
      }
      return log.control.head() <= log.control.tail()
    })
    return freed
  }

  #spillLargest(): void {
    let largest: PartitionLog | undefined
    let most = 0
    for (const log of this.#options.partitions) {
      if (log === undefined || log.control.usesFiles()) continue
      const held = log.control.tail() - log.control.head() + 1
      if (held > most) {
        most = held
        largest = log
      }
    }
    if (largest !== undefined) this.#options.startSpilling(largest)
  }
}
