import type { MessagePort } from 'node:worker_threads'
import { assert } from '../common/assert.js'
import { ENGINE_SLOT, nextMessage } from '../common/doorbell.js'
import { MillraceError } from '../common/errors.js'
import { type BufferViews, viewsOf } from '../types/block.js'
import { BUDGET_CHUNKS_MIN, CHUNK_BYTES, CHUNKS_MAX } from './limits.js'

/**
 * Chunks as one thread knows them: shared buffers by id, and the account that all threads share. Only the
 * host and the engine allocate; ids are even there and odd here, so that nobody has to ask. A chunk is announced on
 * every port before its id is stored anywhere in shared memory; a thread that meets an unknown id therefore finds
 * the announcement waiting in one of its ports. Chunks are never given back to the system while the log is open:
 * a free one waits in a shared pool for the next partition.
 *
 *   // account, int32 words
 *   //   0  budget      chunks that may exist
 *   //   1  allocated   chunks that do
 *   //   2  wanted      1 = an appender found no memory and waits to be rung
 *   //   3  pool lock
 *   //   4  pool size
 *   //   8… pool        ids of free chunks
 */
const BUDGET = 0
const ALLOCATED = 1
const WANTED = 2
const POOL_LOCK = 3
const POOL_SIZE = 4
const POOL = 8

/** No chunk to be had at the moment. */
export const NO_CHUNK = -1

interface Announcement {
  readonly chunks: readonly (readonly [id: number, buffer: SharedArrayBuffer])[]
}

export function createChunkAccount(memoryBudget: number): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer((POOL + CHUNKS_MAX) * 4)
  const chunks = Math.min(CHUNKS_MAX, Math.floor(memoryBudget / CHUNK_BYTES))
  if (!(chunks >= BUDGET_CHUNKS_MIN)) {
    throw new MillraceError('MEMORY_BUDGET_TOO_SMALL', `memoryBudget is ${memoryBudget} bytes`, {
      detail: `the log's chunks are ${CHUNK_BYTES} bytes and it needs ${BUDGET_CHUNKS_MIN} of them`,
      hint: `give at least ${BUDGET_CHUNKS_MIN * CHUNK_BYTES} bytes`,
    })
  }
  new Int32Array(buffer)[BUDGET] = chunks
  return buffer
}

export class ChunkTable {
  readonly #account: Int32Array
  readonly #views: (BufferViews | undefined)[] = []
  readonly #own: (readonly [number, SharedArrayBuffer])[] = []
  readonly #ports: MessagePort[] = []
  readonly #idParity: number

  constructor(account: SharedArrayBuffer, slot: number) {
    this.#account = new Int32Array(account)
    this.#idParity = slot === ENGINE_SLOT ? 1 : 0
  }

  /**
   * A port whose other end is another thread's table. Both ends attach; what this thread has allocated so far is sent
   * at once. A thread must be attached to all that allocate (host and engine) before it is given a partition.
   */
  attachThread(port: MessagePort): void {
    this.#ports.push(port)
    if (this.#own.length > 0) port.postMessage({ chunks: this.#own } satisfies Announcement)
  }

  detachThread(port: MessagePort): void {
    const at = this.#ports.indexOf(port)
    if (at !== -1) this.#ports.splice(at, 1)
    port.close()
  }

  get(id: number): BufferViews {
    const known = this.#views[id]
    return known === undefined ? this.#learn(id) : known
  }

  /** A chunk from the pool or a new one within the budget; NO_CHUNK where there is neither. */
  allocate(): number {
    const pooled = this.#takeFromPool()
    if (pooled !== NO_CHUNK) return pooled
    const account = this.#account
    for (;;) {
      const allocated = Atomics.load(account, ALLOCATED)
      if (allocated >= Atomics.load(account, BUDGET)) return this.#takeFromPool()
      if (Atomics.compareExchange(account, ALLOCATED, allocated, allocated + 1) === allocated) break
    }
    const id = this.#own.length * 2 + this.#idParity
    const buffer = new SharedArrayBuffer(CHUNK_BYTES)
    this.#own.push([id, buffer])
    this.#views[id] = viewsOf(buffer)
    const announcement: Announcement = { chunks: [[id, buffer]] }
    for (const port of this.#ports) port.postMessage(announcement)
    return id
  }

  /** Nobody reads the chunk any more, and no partition lists it. */
  free(id: number): void {
    this.#lockPool()
    const size = Atomics.load(this.#account, POOL_SIZE)
    assert(size < CHUNKS_MAX, 'the pool of free chunks overflows')
    Atomics.store(this.#account, POOL + size, id)
    Atomics.store(this.#account, POOL_SIZE, size + 1)
    Atomics.store(this.#account, POOL_LOCK, 0)
  }

  allocatedChunks(): number {
    return Atomics.load(this.#account, ALLOCATED)
  }

  freeChunks(): number {
    return Atomics.load(this.#account, POOL_SIZE)
  }

  budgetChunks(): number {
    return Atomics.load(this.#account, BUDGET)
  }

  /** True while less than half of the budget is in use: partitions may keep more of their recent past. */
  isPlentiful(): boolean {
    return (this.allocatedChunks() - this.freeChunks()) * 2 < this.budgetChunks()
  }

  /** An appender found no memory. The engine, once rung, makes some and rings the host. */
  want(): void {
    Atomics.store(this.#account, WANTED, 1)
  }

  isWanted(): boolean {
    return Atomics.load(this.#account, WANTED) !== 0
  }

  clearWant(): void {
    Atomics.store(this.#account, WANTED, 0)
  }

  close(): void {
    for (const port of this.#ports.splice(0)) port.close()
  }

  #takeFromPool(): number {
    if (Atomics.load(this.#account, POOL_SIZE) === 0) return NO_CHUNK
    this.#lockPool()
    const size = Atomics.load(this.#account, POOL_SIZE)
    let id = NO_CHUNK
    if (size > 0) {
      id = Atomics.load(this.#account, POOL + size - 1)
      Atomics.store(this.#account, POOL_SIZE, size - 1)
    }
    Atomics.store(this.#account, POOL_LOCK, 0)
    return id
  }

  /** Held for four instructions at a time by two threads at most, so spinning is the shortest wait there is. */
  #lockPool(): void {
    while (Atomics.compareExchange(this.#account, POOL_LOCK, 0, 1) !== 0);
  }

  #learn(id: number): BufferViews {
    for (const port of this.#ports) {
      for (let told = nextMessage<Announcement>(port); told !== undefined; told = nextMessage<Announcement>(port)) {
        for (const [announced, buffer] of told.chunks) {
          if (this.#views[announced] === undefined) this.#views[announced] = viewsOf(buffer)
        }
      }
    }
    const views = this.#views[id]
    assert(views !== undefined, `chunk ${id} was published before it was announced to this thread`)
    return views
  }
}
