import type { FileHandle, FileSystem } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { BATCH_HEADER_BYTES, baseOffsetOf, batchByteLength, batchMaxTimestamp } from '../record/batch-header.js'
import type { BufferViews } from '../types/block.js'
import { BatchScan } from './batch-scan.js'
import { FileWindow } from './file-window.js'
import { BATCH_BYTES_MAX, FILE_READ_ALIGNMENT, FILE_READ_BYTES } from './limits.js'
import { OffsetIndex } from './offset-index.js'
import type { PartitionControl } from './partition-control.js'
import { type PartitionDescriptor, partitionName } from './partition-descriptor.js'
import type { DamagedRange } from './recovery.js'
import { listSegments, segmentAt, segmentPath } from './segment-files.js'
import { TimeIndex } from './time-index.js'

/** How often a list of files that retention or compaction has overtaken is made anew before the reader gives up. */
const LISTS_MAX = 8

/**
 * Reads a partition's segment files with handles of its own, never beyond what the engine says is written. Every batch is checked: header,
 * checksum, and that its offsets follow.
 *
 * Retention and compaction rename and remove files under it. An open file is read to its end all the same; behind it the reader finds its
 * place by its offset alone. Compaction puts the new file in its place first, then counts `swaps`, then removes what the new one replaces: so
 * a list of files that was made while `swaps` stood still lacks nothing.
 */
export class SegmentReader {
  readonly #fs: FileSystem
  readonly #partition: PartitionDescriptor
  readonly #control: PartitionControl
  readonly #directory: string
  #swaps = -1
  #bases: readonly number[] = []
  #base = -1
  #handle: FileHandle | undefined
  #scan: BatchScan | undefined
  /** Where the batch behind the last one begins, and its offset. */
  #filePosition = 0
  #fileOffset = -1
  #loading: Promise<void> | undefined

  constructor(fs: FileSystem, partition: PartitionDescriptor, control: PartitionControl) {
    this.#fs = fs
    this.#partition = partition
    this.#control = control
    this.#directory = partition.directory ?? ''
  }

  /** The batch found by `next`, in the window. */
  get views(): BufferViews {
    return this.#window().views
  }

  get position(): number {
    const scan = this.#scan as BatchScan
    return scan.window.at(scan.batch.position)
  }

  /** The batch at `offset` is in the file that is open: it can be had even where the log start offset has passed it. */
  isInside(offset: number): boolean {
    const scan = this.#scan
    return scan !== undefined && this.#fileOffset === offset && this.#filePosition < scan.end
  }

  /** Moves to the batch that holds `offset` or, in a log with gaps, the first behind it; tells of damage where there is some instead. */
  next(offset: number, writtenOffset: number): DamagedRange | undefined {
    if (this.#fileOffset !== offset) this.#locate(offset)
    if (this.#fileOffset === -1) return this.#missing(offset, writtenOffset)
    for (;;) {
      const scan = this.#scan as BatchScan
      if (this.#filePosition >= scan.end) scan.end = (this.#handle as FileHandle).size()
      if (this.#filePosition >= scan.end && this.#openFollowing(this.#fileOffset)) continue
      const limitOffset = Math.min(scan.endOffset, writtenOffset)
      const resumeAt = this.#check(scan) ? scan.contradictedAt(limitOffset) : this.#filePosition + 1
      if (resumeAt !== -1) {
        const damage = this.#damage(scan, resumeAt, writtenOffset)
        // Damage in front of what is asked for is somebody else's to hear of.
        if (damage.toOffset > offset) return damage
        if (this.#fileOffset === -1) this.#locate(offset)
        if (this.#fileOffset === -1) return this.#missing(offset, writtenOffset)
        continue
      }
      this.#filePosition += scan.batch.byteLength
      this.#fileOffset = scan.batch.lastOffset + 1
      if (scan.batch.lastOffset >= offset) return undefined
    }
  }

  /**
   * Lets what `next(offset)` will look at be read without blocking the thread; undefined where it is there already, or where that cannot be
   * told. It may come to nothing, and then `next` reads for itself, as ever.
   */
  prepare(offset: number): Promise<void> | undefined {
    this.#loading ??= this.#load(offset)?.finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  #load(offset: number): Promise<void> | undefined {
    const scan = this.#scan
    if (scan === undefined || this.#fileOffset !== offset || this.#filePosition >= scan.end) return this.#warm(offset)
    const { window } = scan
    const position = this.#filePosition
    let bytes = Math.min(BATCH_HEADER_BYTES, scan.end - position)
    if (window.holds(position, bytes)) {
      const length = batchByteLength(window.views.dv, window.at(position))
      bytes = Math.min(Math.max(length, 0) + BATCH_HEADER_BYTES, scan.end - position, BATCH_BYTES_MAX)
      if (window.holds(position, bytes)) return undefined
    }
    if (scan.window.handle.readLater === undefined) return undefined
    // What is wrong with the file is told when it is read.
    return window.load(position, bytes).catch(() => undefined)
  }

  /** The first look into a file: its index and the piece where the offset is are brought into the page cache. */
  #warm(offset: number): Promise<void> | undefined {
    const bases = listSegments(this.#fs, this.#directory)
    const base = bases[segmentAt(bases, offset)]
    if (base === undefined) return undefined
    const index = openExisting(this.#fs, segmentPath(this.#directory, base, 'index'))
    const log = openExisting(this.#fs, segmentPath(this.#directory, base, 'log'))
    const close = (): void => {
      index?.close()
      log?.close()
    }
    if (index?.readLater === undefined || log?.readLater === undefined) {
      close()
      return undefined
    }
    return warm(index, log, offset - base)
      .catch(() => undefined)
      .finally(close)
  }

  /** An offset at or before the first record that is not older than `timestamp`: where to begin to look. */
  offsetBeforeTimestamp(timestamp: number, writtenOffset: number): number {
    const bases = listSegments(this.#fs, this.#directory)
    for (let i = 0; i < bases.length; i++) {
      const base = bases[i] as number
      const times = TimeIndex.load(this.#fs, segmentPath(this.#directory, base, 'timeindex'))
      const isLast = i === bases.length - 1
      if (times.count === 0 || times.fault() !== undefined) return base
      // A sealed segment's index ends with its greatest time.
      if (!isLast && times.maxTimestamp() < timestamp && this.#holds(base, times, times.count - 1, writtenOffset))
        continue
      const entry = times.entryBelow(timestamp)
      if (entry === -1 || !this.#holds(base, times, entry, writtenOffset)) return base
      return Math.min(base + times.relativeOffset(entry), writtenOffset)
    }
    return writtenOffset
  }

  /** The index has no checksum: an entry is believed where the batch at its offset has its time. */
  #holds(base: number, times: TimeIndex, entry: number, writtenOffset: number): boolean {
    const offset = base + times.relativeOffset(entry)
    if (offset < base || offset >= writtenOffset || this.next(offset, writtenOffset) !== undefined) return false
    const dv = this.views.dv
    return baseOffsetOf(dv, this.position) <= offset && batchMaxTimestamp(dv, this.position) === times.timestamp(entry)
  }

  /** The reader has gone back to memory: the file and its window are let go until they are needed again. */
  rest(): void {
    if (this.#handle !== undefined) this.close()
  }

  close(): void {
    this.#handle?.close()
    this.#handle = undefined
    this.#scan = undefined
    this.#base = -1
    this.#fileOffset = -1
  }

  /** Looks twice: the window may have been read before the engine had finished writing there. */
  #check(scan: BatchScan): boolean {
    if (scan.check(this.#filePosition, this.#fileOffset)) return true
    scan.window.forget()
    scan.end = (this.#handle as FileHandle).size()
    return scan.check(this.#filePosition, this.#fileOffset)
  }

  #locate(offset: number): void {
    const swaps = this.#control.swaps()
    if (swaps !== this.#swaps) {
      this.close()
      this.#bases = []
      this.#swaps = swaps
    }
    for (let lists = 0; lists < LISTS_MAX; lists++) {
      let at = segmentAt(this.#bases, offset)
      if (lists > 0 || at === -1 || at === this.#bases.length - 1) {
        this.#bases = listSegments(this.#fs, this.#directory)
        at = segmentAt(this.#bases, offset)
      }
      const base = this.#bases[at]
      if (base === undefined) {
        if (lists === 0 && this.#bases.length > 0) continue
        if (this.#bases.length === 0) break
        this.close()
        return
      }
      if (!this.#open(base)) continue
      this.#find(base, offset)
      return
    }
    throw new MillraceError(
      'SEGMENT_MISSING',
      `no segment of ${partitionName(this.#partition)} holds offset ${offset}`,
      {
        detail: `segments in ${this.#directory} begin at ${this.#bases.join(', ') || '(none)'}`,
        hint: 'restore the file from a copy',
      },
    )
  }

  /** The log begins below its first file: the file that held its beginning is gone. */
  #missing(offset: number, writtenOffset: number): DamagedRange {
    const toOffset = Math.min(this.#bases[0] ?? writtenOffset, writtenOffset)
    const file = segmentPath(this.#directory, offset, 'log')
    return { fromOffset: offset, toOffset, file, fromByte: 0, toByte: 0, reason: 'the segment is missing' }
  }

  #find(base: number, offset: number): void {
    const scan = this.#scan as BatchScan
    const index = OffsetIndex.load(this.#fs, segmentPath(this.#directory, base, 'index'))
    const position = index.fault(scan.end) === undefined ? index.lookup(offset - base) : 0
    this.#filePosition = 0
    this.#fileOffset = base
    // The index is only believed where a whole batch begins at or below the offset.
    if (position > 0 && scan.isBatchAt(position) && scan.batch.baseOffset <= offset && scan.batch.baseOffset >= base) {
      this.#filePosition = position
      this.#fileOffset = scan.batch.baseOffset
    }
  }

  /** False where the file has gone meanwhile. */
  #open(base: number): boolean {
    if (base === this.#base) return true
    const handle = openExisting(this.#fs, segmentPath(this.#directory, base, 'log'))
    if (handle === undefined) return false
    const window = this.#scan?.window.reuse(handle) ?? new FileWindow(handle)
    this.#handle?.close()
    this.#handle = handle
    this.#base = base
    const dense = !this.#control.hasGaps()
    const following = dense ? this.#bases[this.#bases.indexOf(base) + 1] : undefined
    this.#scan = new BatchScan(window, handle.size(), dense, undefined, following)
    return true
  }

  /** True where the file that goes on at `offset`, or in a log with gaps the next one behind it, has been opened. */
  #openFollowing(offset: number): boolean {
    for (let lists = 0; lists < LISTS_MAX; lists++) {
      this.#bases = listSegments(this.#fs, this.#directory)
      if (this.#control.swaps() !== this.#swaps) {
        // A file that begins elsewhere may hold the offset by now, this one's successor under its own name included.
        this.#locate(offset)
        if (this.#filePosition < (this.#scan as BatchScan).end) return true
        continue
      }
      const following = this.#bases[segmentAt(this.#bases, this.#base) + 1]
      if (following === undefined || following < offset) return false
      if (following !== offset && !this.#control.hasGaps()) return false
      if (!this.#open(following)) continue
      this.#filePosition = 0
      this.#fileOffset = following
      return true
    }
    return false
  }

  /** Where whole batches begin again, at `from` or behind it, so that the range can be named. */
  #damage(scan: BatchScan, from: number, writtenOffset: number): DamagedRange {
    const reason = scan.fault
    const file = segmentPath(this.#directory, this.#base, 'log')
    const fromOffset = Math.max(this.#fileOffset, 0)
    // A batch may claim offsets beyond its own segment: what counts is the segment behind the offset that is missing.
    const bases = listSegments(this.#fs, this.#directory)
    const following = bases[segmentAt(bases, fromOffset) + 1]
    const limitOffset = Math.min(following ?? writtenOffset, writtenOffset)
    const resync = scan.resync(from, fromOffset + 1, limitOffset)
    const toOffset = resync?.baseOffset ?? limitOffset
    const range: DamagedRange = {
      fromOffset,
      toOffset,
      file,
      fromByte: this.#filePosition,
      toByte: resync?.position ?? scan.end,
      reason,
    }
    if (resync !== undefined) {
      this.#filePosition = resync.position
      this.#fileOffset = resync.baseOffset
    } else this.#fileOffset = -1
    return range
  }

  #window(): FileWindow {
    return (this.#scan as BatchScan).window
  }
}

async function warm(indexFile: FileHandle, log: FileHandle, relativeOffset: number): Promise<void> {
  const entries = new Uint8Array(indexFile.size())
  await indexFile.readLater?.(entries, 0)
  const index = new OffsetIndex(entries)
  const position = index.fault(log.size()) === undefined ? index.lookup(relativeOffset) : 0
  await log.readLater?.(new Uint8Array(FILE_READ_BYTES), position - (position % FILE_READ_ALIGNMENT))
}

function openExisting(fs: FileSystem, path: string): FileHandle | undefined {
  try {
    return fs.open(path, 'read')
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined
    throw error
  }
}
