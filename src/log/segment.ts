import { assert } from '../common/assert.js'
import type { FileHandle, FileSystem } from '../common/env.js'
import { packBatches, type TopicCompression } from '../record/batch-compression.js'
import { batchByteLength, batchMaxTimestamp, nextOffsetOf } from '../record/batch-header.js'
import type { BufferViews } from '../types/block.js'
import { OFFSET_ENTRY_BYTES } from './offset-index.js'
import { segmentPath } from './segment-files.js'
import { SegmentIndexWriter } from './segment-index-writer.js'

const RELATIVE_OFFSET_MAX = 0x7fff_ffff

export interface RollLimits {
  readonly segmentBytes: number
  readonly segmentMs: number
  readonly indexIntervalBytes: number
  readonly segmentIndexBytes: number
  readonly compression: TopicCompression
}

/**
 * The segment that a partition is written to, as the engine holds it: one file that only grows, and its indexes.
 * Its handle is opened when there is something to write and may be closed while there is nothing to sync.
 */
export class Segment {
  readonly index: SegmentIndexWriter
  readonly path: string
  size: number
  /** Of these the disk has said that it has them. */
  syncedSize: number
  #firstTimestamp: number | undefined
  #handle: FileHandle | undefined
  #isSealed = false

  constructor(
    readonly fs: FileSystem,
    directory: string,
    readonly baseOffset: number,
    public limits: RollLimits,
    start: { readonly size: number; readonly firstTimestamp?: number | undefined; readonly index?: SegmentIndexWriter },
  ) {
    this.path = segmentPath(directory, baseOffset, 'log')
    this.size = start.size
    this.syncedSize = start.size
    this.#firstTimestamp = start.firstTimestamp
    this.index = start.index ?? new SegmentIndexWriter(fs, directory, baseOffset, limits.indexIntervalBytes)
  }

  /** Greatest timestamp of its records, -1 while it has none. */
  get greatestTime(): { readonly maxTimestamp: number; readonly maxTimestampOffset: number } {
    return { maxTimestamp: this.index.maxTimestamp, maxTimestampOffset: this.index.maxTimestampOffset }
  }

  get maxTimestamp(): number {
    return this.index.maxTimestamp
  }

  get isOpen(): boolean {
    return this.#handle !== undefined
  }

  handle(): FileHandle {
    this.#handle ??= this.fs.open(this.path, 'append')
    return this.#handle
  }

  /** Whether the batch must begin a new segment: this one would grow too large, too old, or past what an index entry can say. */
  mustRollBefore(dv: DataView, at: number, pendingBytes: number): boolean {
    const size = this.size + pendingBytes
    if (size === 0) return false
    if (size + batchByteLength(dv, at) > this.limits.segmentBytes) return true
    if (this.#firstTimestamp !== undefined && batchMaxTimestamp(dv, at) - this.#firstTimestamp > this.limits.segmentMs)
      return true
    if (nextOffsetOf(dv, at) - 1 - this.baseOffset > RELATIVE_OFFSET_MAX) return true
    // What is pending has at most an entry for each interval.
    const pendingEntries = Math.ceil(pendingBytes / (this.limits.indexIntervalBytes + 1))
    return this.index.offsetBytes + pendingEntries * OFFSET_ENTRY_BYTES >= this.limits.segmentIndexBytes
  }

  /** Whole batches, `[from, to)` of the views, compressed on their way. Where the write throws nothing has changed, and it may be tried again. */
  write(views: BufferViews, from: number, to: number): void {
    const run = packBatches(views, from, to, this.limits.compression)
    const dv = run.views.dv
    this.handle().write(run.views.u8.subarray(run.from, run.to), this.size)
    for (let at = run.from; at < run.to; at += batchByteLength(dv, at)) {
      this.noteTime(dv, at)
      this.index.note(dv, at, this.size + at - run.from)
    }
    this.size += run.to - run.from
  }

  noteTime(dv: DataView, at: number): void {
    this.#firstTimestamp ??= batchMaxTimestamp(dv, at)
  }

  async sync(): Promise<void> {
    const size = this.size
    if (size !== this.syncedSize) {
      await this.handle().sync()
      this.syncedSize = size
    }
    if (this.#isSealed) await this.index.sync()
  }

  seal(): void {
    this.#isSealed = true
    this.index.seal()
  }

  closeHandle(): void {
    assert(
      this.syncedSize === this.size || this.#handle === undefined,
      `segment ${this.path} is closed with bytes not synced`,
    )
    this.dropHandle()
  }

  dropHandle(): void {
    this.#handle?.close()
    this.#handle = undefined
  }
}
