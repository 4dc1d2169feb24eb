import { Doorbells } from '../common/doorbell.js'
import { ChunkTable, createChunkAccount } from './chunk-table.js'
import { DirtyPartitions } from './dirty-partitions.js'

/**
 * All that the threads of one engine share of the log: the account of chunks, the bitmap of partitions with
 * something to write, the doorbells. `SharedLogMemory` is the plain form that travels in workerData or a message;
 * `LogMemory` is one thread's hold on it. The partitions' control blocks travel in their descriptors.
 */
export interface SharedLogMemory {
  readonly account: SharedArrayBuffer
  readonly dirty: SharedArrayBuffer
  readonly bells: SharedArrayBuffer
}

export function createSharedLogMemory(memoryBudget: number, bells?: SharedArrayBuffer): SharedLogMemory {
  return {
    account: createChunkAccount(memoryBudget),
    dirty: new DirtyPartitions().buffer,
    bells: bells ?? new Doorbells().buffer,
  }
}

export class LogMemory {
  readonly chunks: ChunkTable
  readonly dirty: DirtyPartitions
  readonly bells: Doorbells

  constructor(
    readonly shared: SharedLogMemory,
    /** This thread's doorbell slot: its name as a lock's owner and as a pinning reader. */
    readonly slot: number,
  ) {
    this.chunks = new ChunkTable(shared.account, slot)
    this.dirty = new DirtyPartitions(shared.dirty)
    this.bells = new Doorbells(shared.bells)
  }

  close(): void {
    this.chunks.close()
  }
}
