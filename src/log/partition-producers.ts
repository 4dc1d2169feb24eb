import type { FileHandle, FileSystem } from '../common/env.js'
import {
  BASE_OFFSET,
  BASE_SEQUENCE,
  batchAttributes,
  batchMaxTimestamp,
  CONTROL,
  LAST_OFFSET_DELTA,
  PRODUCER_EPOCH,
  PRODUCER_ID,
  readInt64BE,
  TRANSACTIONAL,
} from '../record/batch-header.js'
import { ControlType, readControlRecord } from '../record/control-record.js'
import type { BufferViews } from '../types/block.js'
import { encodeProducerSnapshot } from './producer-snapshot.js'
import { type CompletedTransaction, ProducerStates } from './producer-state.js'
import { listSnapshots, segmentPath } from './segment-files.js'
import type { AbortedRange } from './transaction-control.js'
import { encodeAborted } from './transaction-index.js'

/**
 * The producers of one partition as the engine follows them: every batch that goes to a segment file, or comes out of one at recovery, is
 * noted here in order. Beside the segments it keeps Kafka's two files: `.snapshot`, the state as of an offset, and `.txnindex`, the
 * transactions that were aborted. Neither needs care in a crash: a snapshot has a checksum, and the index of every
 * segment that recovery scans is written anew.
 */
export class PartitionProducers {
  /** Called for every transaction whose marker is noted. */
  onCompleted: ((completed: CompletedTransaction) => void) | undefined
  /** False while batches are noted whose segment has its index of aborted transactions already. */
  keepsIndex = true
  #indexBase = -1
  #index: FileHandle | undefined
  #indexBytes = 0
  #indexIsDirty = false

  constructor(
    private readonly fs: FileSystem,
    private readonly directory: string | undefined,
    readonly states: ProducerStates = new ProducerStates(),
    /** Batches below it are in the states already: a write that is tried again notes nothing twice. */
    private notedTo = 0,
  ) {}

  /** A batch that is in the segment, or about to be. */
  note(views: BufferViews, at: number, segmentBase: number): void {
    const { dv } = views
    // The upper half of no producer id is -1, and of every other one of ours 0 or more.
    if (dv.getInt32(at + PRODUCER_ID) < 0) return
    const baseOffset = readInt64BE(dv, at + BASE_OFFSET)
    if (baseOffset < this.notedTo) return
    const offsetDelta = dv.getInt32(at + LAST_OFFSET_DELTA)
    this.notedTo = baseOffset + offsetDelta + 1
    const attributes = batchAttributes(dv, at)
    const producerId = readInt64BE(dv, at + PRODUCER_ID)
    const producerEpoch = dv.getInt16(at + PRODUCER_EPOCH)
    const timestamp = batchMaxTimestamp(dv, at)
    if ((attributes & CONTROL) === 0) {
      const baseSequence = dv.getInt32(at + BASE_SEQUENCE)
      const isTransactional = (attributes & TRANSACTIONAL) !== 0
      this.states.appended({
        producerId,
        producerEpoch,
        baseSequence,
        offsetDelta,
        baseOffset,
        timestamp,
        isTransactional,
      })
      return
    }
    const { type, coordinatorEpoch } = controlRecord(views, at)
    if (type !== ControlType.abort && type !== ControlType.commit) return
    const marker = { producerId, producerEpoch, coordinatorEpoch, isAbort: type === ControlType.abort }
    const completed = this.states.ended(marker, baseOffset, timestamp)
    if (completed === undefined) return
    if (completed.isAborted) this.#file(completed, segmentBase)
    this.onCompleted?.(completed)
  }

  /** The next batch begins the segment: the state as of its base offset is kept beside it, so that recovery need not go further back. */
  rolled(segmentBase: number): void {
    this.#closeIndex()
    this.#writeSnapshot(segmentBase)
  }

  /** The index of aborted transactions goes to the disk with the segment. */
  async sync(): Promise<void> {
    if (!this.#indexIsDirty || this.#index === undefined) return
    this.#indexIsDirty = false
    await this.#index.sync()
  }

  /** At a clean stop: the next start loads the state as it is now. */
  close(logEndOffset: number): void {
    this.#closeIndex()
    if (this.directory === undefined || this.states.size === 0) return
    for (const offset of listSnapshots(this.fs, this.directory)) {
      if (offset > logEndOffset) this.fs.remove(segmentPath(this.directory, offset, 'snapshot'))
    }
    this.#writeSnapshot(logEndOffset)
  }

  /** For a partition in memory, whose batches nobody notes: what the shared ring of aborted transactions has no room for any more. */
  fileAborted(aborted: readonly AbortedRange[]): void {
    if (this.directory === undefined) return
    this.fs.makeDirectory(this.directory)
    for (const { producerId, firstOffset, lastOffset } of aborted)
      this.#file({ producerId, firstOffset, lastOffset, isAborted: true }, 0)
    this.#closeIndex()
  }

  drop(): void {
    this.#closeIndex()
  }

  /** Recovery scans this segment: what was said of its aborted transactions is found anew. */
  beginScan(segmentBase: number): void {
    this.#closeIndex()
    if (this.directory !== undefined) this.fs.remove(segmentPath(this.directory, segmentBase, 'txnindex'))
  }

  /** Offsets below it are in the states. */
  get end(): number {
    return this.notedTo
  }

  #file(completed: CompletedTransaction, segmentBase: number): void {
    if (this.directory === undefined || !this.keepsIndex) return
    if (this.#indexBase !== segmentBase) {
      this.#closeIndex()
      this.#index = this.fs.open(segmentPath(this.directory, segmentBase, 'txnindex'), 'append')
      this.#indexBase = segmentBase
      this.#indexBytes = this.#index.size()
    }
    const { producerId, firstOffset, lastOffset } = completed
    const lastStableOffset = this.states.lastStableOffset(lastOffset + 1)
    const entry = encodeAborted({ producerId, firstOffset, lastOffset, lastStableOffset })
    this.#index?.write(entry, this.#indexBytes)
    this.#indexBytes += entry.length
    this.#indexIsDirty = true
  }

  #closeIndex(): void {
    // A sealed segment's index must be on the disk before the recovery point passes the segment.
    if (this.#indexIsDirty) this.#index?.syncNow()
    this.#index?.close()
    this.#index = undefined
    this.#indexBase = -1
    this.#indexIsDirty = false
  }

  #writeSnapshot(offset: number): void {
    if (this.directory === undefined) return
    const path = segmentPath(this.directory, offset, 'snapshot')
    this.fs.remove(path)
    const file = this.fs.open(path, 'append')
    try {
      file.write(encodeProducerSnapshot(this.states.toSnapshot()), 0)
    } finally {
      file.close()
    }
  }
}

/** A control record that makes no sense ends nothing: whoever reads it hears of the damage. */
function controlRecord(views: BufferViews, at: number): { readonly type: number; readonly coordinatorEpoch: number } {
  try {
    return readControlRecord(views, at)
  } catch {
    return { type: -1, coordinatorEpoch: -1 }
  }
}
