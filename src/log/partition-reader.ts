import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { WANTED_CODEC_MASK } from '../record/batch-compression.js'
import {
  baseOffsetOf,
  batchAttributes,
  batchByteLength,
  batchMaxTimestamp,
  batchRecordCount,
  CONTROL,
  nextOffsetOf,
  PRODUCER_ID,
  readInt64BE,
  TRANSACTIONAL,
} from '../record/batch-header.js'
import { firstOffsetFrom } from '../record/record-times.js'
import type { BufferViews } from '../types/block.js'
import type { StructType } from '../types/data-type.js'
import { AbortedTransactions } from './aborted-transactions.js'
import { BatchOpener } from './batch-opener.js'
import { PartitionControl, PartitionStatus } from './partition-control.js'
import { type PartitionDescriptor, partitionName } from './partition-descriptor.js'
import { PinnedChunk } from './pinned-chunk.js'
import type { DamagedRange } from './recovery.js'
import { SegmentReader } from './segment-reader.js'
import type { LogMemory } from './shared-memory.js'

export interface PartitionReaderOptions {
  readonly partition: PartitionDescriptor
  readonly memory: LogMemory
  readonly env: Env
  /** Go on behind damage instead of failing; `skipped` counts the offsets. Default false. */
  readonly skipDamage?: boolean
  /** Of a typed topic's values: the blocks of files are checked by it. */
  readonly schema?: StructType | undefined
  /** Go on at the log start offset where retention has passed the reader; `skipped` counts the offsets. Default false. */
  readonly skipDeleted?: boolean
  /** Default read_uncommitted. */
  readonly isolation?: IsolationLevel | undefined
}

/**
 * Kafka's words: `read_committed` reads up to the last stable offset and leaves out what was aborted, `read_uncommitted` reads
 * everything as soon as it is appended. Control batches are shown to nobody.
 */
export type IsolationLevel = 'read_committed' | 'read_uncommitted'

/**
 * Reads one partition's record batches in order, where they lie: in a chunk of shared memory while the reader is close to the live
 * edge, else in a window over a segment file. After `next()` is true the fields describe the batch; `views` and what lies in them are
 * good until the following `next`, `seek`, `release` or `close`, and must be released before the thread goes to sleep for long, since
 * a pinned chunk cannot be recycled.
 */
export class PartitionReader {
  readonly partition: PartitionDescriptor
  views: BufferViews
  /** Of the batch's header in `views`; a typed batch has its block 64 bytes further. */
  position = 0
  byteLength = 0
  baseOffset = 0
  lastOffset = -1
  recordCount = 0
  attributes = 0
  maxTimestamp = -1
  /** Offsets that were given up as damaged. */
  skipped = 0

  readonly #control: PartitionControl
  readonly #memory: LogMemory
  readonly #env: Env
  readonly #skipDamage: boolean
  readonly #skipDeleted: boolean
  /** Undefined: uncommitted records are read too. */
  readonly #aborted: AbortedTransactions | undefined
  readonly #chunk: PinnedChunk
  #file: SegmentReader | undefined
  #nextOffset = 0
  #generation: number
  #knownEnd: number
  /** The chunk and place of the next batch, if the last one was in a chunk; good only while the chunk is there. */
  #sequence = 0
  #chunkPosition = 0
  #watching = false
  readonly #opener: BatchOpener

  constructor(options: PartitionReaderOptions) {
    const { partition, memory, env } = options
    this.partition = partition
    this.#memory = memory
    this.#env = env
    this.#skipDamage = options.skipDamage ?? false
    this.#skipDeleted = options.skipDeleted ?? false
    this.#control = new PartitionControl(partition.control, partition.controlOffset)
    this.#chunk = new PinnedChunk(this.#control, partition, memory)
    this.#opener = new BatchOpener(options.schema)
    if (options.isolation === 'read_committed')
      this.#aborted = new AbortedTransactions(env.fs, partition.directory, this.#control)
    this.#generation = this.#control.generation()
    this.#knownEnd = this.readableEnd()
    this.views = noViews
  }

  /** The offset of the next record to be read. */
  get nextOffset(): number {
    return this.#nextOffset
  }

  logStartOffset(): number {
    return this.#control.logStartOffset()
  }

  logEndOffset(): number {
    return this.#control.logEndOffset()
  }

  /** Where reading ends now: the log end offset, or for committed records alone the last stable offset. */
  readableEnd(): number {
    return this.#aborted === undefined ? this.#control.logEndOffset() : this.#control.lastStableOffset()
  }

  /** One atomic load where nothing has come since the last look. */
  hasNew(): boolean {
    if (this.#nextOffset < this.#knownEnd) return true
    this.#refreshEnd()
    return this.#nextOffset < this.#knownEnd
  }

  /** This thread's doorbell rings after every append, from now until `unwatch` or `close`. */
  watch(): void {
    if (this.#watching) return
    this.#watching = true
    this.#chunk.watch()
  }

  unwatch(): void {
    if (!this.#watching) return
    this.#watching = false
    this.#chunk.unwatch()
  }

  /** The next batch is the one that holds `offset`: its first records may be below it. Between the log's start and its end. */
  seek(offset: number): void {
    this.release()
    this.#refreshEnd()
    const start = this.#control.logStartOffset()
    const end = this.#control.logEndOffset()
    if (offset < start && this.#skipDeleted) {
      this.skipped += start - offset
      this.#nextOffset = start
      this.#sequence = 0
      return
    }
    if (!(offset >= start && offset <= end)) {
      throw new MillraceError('OFFSET_OUT_OF_RANGE', `${partitionName(this.partition)} has no offset ${offset}`, {
        detail: `it has offsets from ${start} to ${end}, the next to be given`,
        hint: 'choose one of these',
      })
    }
    this.#nextOffset = offset
    this.#sequence = 0
  }

  /**
   * Moves to the next batch; false where there is none whose base offset is below `limitOffset` yet. Releases the one before.
   */
  next(limitOffset = Number.MAX_SAFE_INTEGER): boolean {
    for (;;) {
      if (this.#nextOffset >= limitOffset || !this.hasNew()) {
        this.release()
        return false
      }
      if ((this.#nextInChunk() || this.#nextInFile(limitOffset)) && this.#isShown()) return true
    }
  }

  /**
   * Lets the next batch be read from its file without blocking this thread; undefined where it is in memory. For a thread with an event loop to
   * keep, before `next`, which may be called whatever came of it. The batch before it must have been released.
   */
  prepare(): Promise<void> | undefined {
    if (!this.hasNew() || this.partition.directory === undefined) return undefined
    if (this.#sequence !== 0 && this.#chunk.pin(this.#sequence)) return undefined
    if (this.#chunk.pinAt(this.#nextOffset) !== 0) return undefined
    return this.#segments().prepare(this.#nextOffset)
  }

  /** The batch in the fields is done with. */
  release(): void {
    this.#chunk.unpin()
    this.views = noViews
  }

  close(): void {
    this.release()
    this.unwatch()
    this.#file?.close()
    this.#file = undefined
  }

  /**
   * Offset of the first record at or after the time; the log end offset where there is none.
   * Leaves the reader there.
   */
  offsetForTimestamp(timestamp: number): number {
    const start = this.#control.logStartOffset()
    const end = this.logEndOffset()
    const inFiles = this.#control.writtenOffset()
    let offset = start
    if (inFiles > start && this.partition.directory !== undefined) {
      offset = Math.max(start, this.#segments().offsetBeforeTimestamp(timestamp, inFiles))
    }
    this.seek(Math.min(offset, end))
    while (this.next(end)) {
      if (this.maxTimestamp >= timestamp) {
        const found = Math.max(firstOffsetFrom(this.views, this.position, timestamp), start)
        this.seek(found)
        return found
      }
    }
    this.seek(end)
    return end
  }

  #refreshEnd(): void {
    const generation = this.#control.generation()
    if (generation === this.#generation) return
    this.#generation = generation
    this.#knownEnd = this.readableEnd()
  }

  /** False for markers, and for what was aborted where only committed records are read. */
  #isShown(): boolean {
    if ((this.attributes & (CONTROL | TRANSACTIONAL)) === 0) return true
    if ((this.attributes & CONTROL) !== 0) return false
    return !this.#aborted?.has(readInt64BE(this.views.dv, this.position + PRODUCER_ID), this.baseOffset)
  }

  /** False where the next batch is in no chunk any more. */
  #nextInChunk(): boolean {
    const control = this.#control
    if (this.#sequence === 0 || !this.#chunk.pin(this.#sequence)) {
      this.#sequence = this.#chunk.pinAt(this.#nextOffset)
      if (this.#sequence === 0) return false
      this.#chunkPosition = 0
    }
    for (;;) {
      const tail = control.tail()
      if (this.#sequence === tail || this.#chunkPosition < control.chunkBytes(this.#sequence)) {
        const views = this.#memory.chunks.get(control.chunkId(this.#sequence))
        this.#take(views, this.#chunkPosition)
        this.#chunkPosition += this.byteLength
        // After a seek the chunk is walked from its start.
        if (this.lastOffset < this.#nextOffset) continue
        this.#nextOffset = this.lastOffset + 1
        this.#file?.rest()
        return true
      }
      this.#chunkPosition = 0
      this.#sequence += 1
      if (!this.#chunk.pin(this.#sequence)) {
        this.#sequence = 0
        return this.#nextInChunk()
      }
    }
  }

  /** False where the log start offset or the chunks have moved meanwhile, so that one must look again. */
  #nextInFile(limitOffset: number): boolean {
    // Who is in the middle of a segment that has been retired reads it to its end.
    if (this.#file?.isInside(this.#nextOffset) !== true && !this.#isRetained()) return false
    if (this.#control.status() === PartitionStatus.deleted) {
      throw new MillraceError('TOPIC_DELETED', `topic ${this.partition.topic} has been deleted`, {
        detail: 'its records are gone',
        hint: 'create it again with mill.topics.create, and ask for it anew',
      })
    }
    const segments = this.#segments()
    const damage = this.#inSegments(segments)
    if (damage === GONE) return false
    if (damage !== undefined) {
      // Files that end too early are no damage where retention has taken the next ones away just now.
      if (!this.#isRetained()) return false
      if (damage.fromOffset === damage.toOffset) {
        // A log with gaps may end in one: nothing is there, and nothing is damaged.
        this.#nextOffset = damage.toOffset
        return false
      }
      if (!this.#skipDamage) {
        throw new MillraceError(
          'SEGMENT_CORRUPT',
          `offsets ${damage.fromOffset} to ${damage.toOffset - 1} of ${partitionName(this.partition)} are damaged`,
          {
            detail: `${damage.file}, bytes ${damage.fromByte} to ${damage.toByte}: ${damage.reason}`,
            hint: `restore the file, or go on at offset ${damage.toOffset}; nothing has been deleted`,
          },
        )
      }
      this.skipped += damage.toOffset - this.#nextOffset
      this.#nextOffset = damage.toOffset
      return false
    }
    if (!this.#openBatch(segments.views, segments.position)) return false
    this.#nextOffset = this.lastOffset + 1
    // What compaction has emptied is kept for its offsets and its producer's sequence; there is nothing in it to hand out.
    if (this.recordCount === 0) return false
    // A gap of a compacted log may have led past the limit.
    if (this.baseOffset >= limitOffset) {
      this.#nextOffset = this.baseOffset
      return false
    }
    return true
  }

  /** False where the batch cannot be unpacked, and what is damaged is to be skipped. */
  #openBatch(views: BufferViews, position: number): boolean {
    try {
      this.#opener.open(views, position, partitionName(this.partition))
    } catch (error) {
      if (!this.#skipDamage) throw error
      const end = nextOffsetOf(views.dv, position)
      this.skipped += end - this.#nextOffset
      this.#nextOffset = end
      return false
    }
    this.#take(this.#opener.views, this.#opener.position)
    return true
  }

  #inSegments(segments: SegmentReader): DamagedRange | typeof GONE | undefined {
    try {
      return segments.next(this.#nextOffset, this.#control.writtenOffset())
    } catch (error) {
      if (!this.#isRetained()) return GONE
      throw error
    }
  }

  /** False where retention has passed the reader, which goes on at the log start offset then, or fails. */
  #isRetained(): boolean {
    const start = this.#control.logStartOffset()
    if (this.#nextOffset >= start) return true
    if (this.#skipDeleted) {
      this.skipped += start - this.#nextOffset
      this.#nextOffset = start
      return false
    }
    throw new MillraceError(
      'OFFSET_OUT_OF_RANGE',
      `${partitionName(this.partition)} has no offset ${this.#nextOffset} any more`,
      {
        detail: `its log start offset is ${start}`,
        hint: 'retention was faster than this reader; seek to the log start offset to go on',
      },
    )
  }

  #take(views: BufferViews, position: number): void {
    const dv = views.dv
    this.views = views
    this.position = position
    this.byteLength = batchByteLength(dv, position)
    this.baseOffset = baseOffsetOf(dv, position)
    this.lastOffset = nextOffsetOf(dv, position) - 1
    this.recordCount = batchRecordCount(dv, position)
    this.attributes = batchAttributes(dv, position) & ~WANTED_CODEC_MASK
    this.maxTimestamp = batchMaxTimestamp(dv, position)
  }

  #segments(): SegmentReader {
    this.#file ??= new SegmentReader(this.#env.fs, this.partition, this.#control)
    return this.#file
  }
}

/** The segments that were looked for have been deleted, and the reader has moved on. */
const GONE = 'gone'

const noViews: BufferViews = {
  buffer: new ArrayBuffer(0),
  u8: new Uint8Array(0),
  i8: new Int8Array(0),
  i16: new Int16Array(0),
  i32: new Int32Array(0),
  u32: new Uint32Array(0),
  f32: new Float32Array(0),
  f64: new Float64Array(0),
  dv: new DataView(new ArrayBuffer(0)),
  node: Buffer.alloc(0),
}
