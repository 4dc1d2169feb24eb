import { ENGINE_SLOT } from '../common/doorbell.js'
import { engineClosed, MillraceError } from '../common/errors.js'
import type { BufferViews } from '../types/block.js'
import { NO_CHUNK } from './chunk-table.js'
import { BATCH_BYTES_MAX, CHUNK_BYTES, RESIDENT_CHUNKS } from './limits.js'
import { PartitionControl, PartitionStatus } from './partition-control.js'
import { type PartitionDescriptor, partitionName } from './partition-descriptor.js'
import type { LogMemory } from './shared-memory.js'

/**
 * Appends record batches to one partition, in place, from the host's thread or the engine's. An append is: take the lock,
 * find room in the tail chunk, have the batch written there, publish, ring. What a writer that throws has left behind is above
 * the published bytes: the next append begins at the same place.
 */

/** A record batch ready to be written; the builders of record/ make such. */
export interface AppendableBatch {
  readonly byteLength: number
  readonly records: number
}

/** Writes a whole batch, exactly its `byteLength`, header and checksum included. */
export interface BatchWriter<B extends AppendableBatch> {
  writeTo(batch: B, views: BufferViews, position: number, baseOffset: number): unknown
}

/** What goes with an append under the lock: the producer's sequence, the transaction that it opens or ends. */
export interface AppendGuard {
  /** Before anything is written. The base offset of the batch where it is in the log already, else -1; throws where it may not be appended. */
  before(control: PartitionControl, partition: PartitionDescriptor, baseOffset: number, batch: AppendableBatch): number
  /** After it is published. */
  after(control: PartitionControl, partition: PartitionDescriptor, baseOffset: number, batch: AppendableBatch): void
}

/** Another thread is appending: try again in a later turn. */
export const APPEND_BUSY = -1
/** No chunk to be had: wait for the engine to make room, it has been asked to. */
export const APPEND_NO_MEMORY = -2

export class PartitionAppender {
  readonly control: PartitionControl
  readonly #memory: LogMemory
  readonly #slot: number

  constructor(
    readonly descriptor: PartitionDescriptor,
    memory: LogMemory,
    slot = memory.slot,
  ) {
    this.control = new PartitionControl(descriptor.control, descriptor.controlOffset)
    this.#memory = memory
    this.#slot = slot
  }

  /** The batch's base offset, or APPEND_BUSY or APPEND_NO_MEMORY, and then nothing has happened. */
  tryAppend<B extends AppendableBatch>(batch: B, writer: BatchWriter<B>, guard?: AppendGuard): number {
    if (!this.control.tryLock(this.#slot)) return APPEND_BUSY
    return this.#appendLocked(batch, writer, guard)
  }

  /** Below this offset all is acknowledged, by what the topic's fsync mode promises. */
  ackedOffset(): number {
    const { ackWhen } = this.descriptor
    if (ackWhen === 'appended') return this.control.logEndOffset()
    return ackWhen === 'written' ? this.control.writtenOffset() : this.control.syncedOffset()
  }

  /** Waits for the lock; so never on the host. The base offset or APPEND_NO_MEMORY. */
  append<B extends AppendableBatch>(batch: B, writer: BatchWriter<B>, guard?: AppendGuard): number {
    this.control.lock(this.#slot)
    return this.#appendLocked(batch, writer, guard)
  }

  /** Throws where the partition takes no appends. */
  assertWritable(): void {
    const status = this.control.status()
    if (status !== PartitionStatus.ok) throw partitionError(this.descriptor, status)
  }

  #appendLocked<B extends AppendableBatch>(batch: B, writer: BatchWriter<B>, guard: AppendGuard | undefined): number {
    const control = this.control
    const bytes = batch.byteLength
    let baseOffset: number
    try {
      this.assertWritable()
      if (bytes > BATCH_BYTES_MAX) throw batchTooLarge(this.descriptor, bytes)
      let tail = control.tail()
      let position = 0
      const hasTail = tail >= control.head()
      if (hasTail) position = control.chunkBytes(tail)
      baseOffset = control.logEndOffset()
      if (!hasTail || position + bytes > CHUNK_BYTES) {
        const chunk = this.#newChunk()
        if (chunk === NO_CHUNK) {
          this.#memory.chunks.want()
          this.#memory.bells.ring(ENGINE_SLOT)
          return APPEND_NO_MEMORY
        }
        control.addChunk(chunk, baseOffset)
        tail += 1
        position = 0
      }
      const views = this.#memory.chunks.get(control.chunkId(tail))
      if (guard !== undefined) {
        const known = guard.before(control, this.descriptor, baseOffset, batch)
        if (known >= 0) return known
      }
      writer.writeTo(batch, views, position, baseOffset)
      control.publish(position + bytes, baseOffset + batch.records)
      guard?.after(control, this.descriptor, baseOffset, batch)
    } finally {
      control.unlock(this.#slot)
    }
    if (control.usesFiles() && this.#memory.dirty.mark(this.descriptor.ordinal)) this.#memory.bells.ring(ENGINE_SLOT)
    const watchers = control.watchers()
    if (watchers !== 0) this.#memory.bells.ringAll(watchers)
    return baseOffset
  }

  /** A few of its own past chunks stay while memory is plenty; then the oldest becomes the newest; then the budget decides. */
  #newChunk(): number {
    const control = this.control
    const chunks = this.#memory.chunks
    const resident = control.tail() - control.head() + 1
    if (!control.ringIsFull() && (!control.usesFiles() || (resident < RESIDENT_CHUNKS && chunks.isPlentiful()))) {
      const fresh = chunks.allocate()
      if (fresh !== NO_CHUNK) return fresh
    }
    const recycled = control.takeOldestChunk(true)
    if (recycled !== -1) return recycled
    return control.ringIsFull() ? NO_CHUNK : chunks.allocate()
  }
}

/** What a caller is told about a partition that takes no appends. */
export function partitionError(descriptor: PartitionDescriptor, status: number): MillraceError {
  const name = partitionName(descriptor)
  if (status === PartitionStatus.noSpace) {
    return new MillraceError('DISK_FULL', `there is no space left for partition ${name}`, {
      detail: `directory ${descriptor.directory ?? '(none)'}`,
      hint: 'free some space; the log goes on by itself as soon as there is some',
      retriable: true,
    })
  }
  if (status === PartitionStatus.failed) {
    return new MillraceError(
      'PARTITION_READ_ONLY',
      `partition ${name} is read-only since a write or sync of it failed`,
      {
        detail: `directory ${descriptor.directory ?? '(none)'}; what was not acknowledged may not be on the disk`,
        hint: 'check the disk, then open the engine again: it verifies the files',
      },
    )
  }
  if (status === PartitionStatus.deleted) {
    return new MillraceError('TOPIC_DELETED', `topic ${descriptor.topic} has been deleted`, {
      detail: 'its records are gone',
      hint: 'create it again with mill.topics.create, and ask for it anew',
    })
  }
  return engineClosed()
}

function batchTooLarge(descriptor: PartitionDescriptor, bytes: number): MillraceError {
  return new MillraceError('BATCH_TOO_LARGE', `a record batch for ${partitionName(descriptor)} is ${bytes} bytes`, {
    detail: `a record batch has at most ${BATCH_BYTES_MAX} bytes`,
    hint: 'send fewer records at a time, or smaller ones',
  })
}
