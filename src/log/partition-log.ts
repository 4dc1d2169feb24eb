import { ENGINE_SLOT } from '../common/doorbell.js'
import type { Env } from '../common/env.js'
import type { MillraceError } from '../common/errors.js'
import { noteFailedSync } from '../common/failed-sync.js'
import { mustPack } from '../record/batch-compression.js'
import { baseOffsetOf, batchByteLength, nextOffsetOf } from '../record/batch-header.js'
import type { BufferViews } from '../types/block.js'
import { PACK_SLICE_BYTES, WRITE_SLICE_BYTES } from './limits.js'
import { PartitionControl, PartitionStatus } from './partition-control.js'
import type { PartitionDescriptor } from './partition-descriptor.js'
import { diskFull, nowhereToSpill, readOnly } from './partition-failures.js'
import { PartitionProducers } from './partition-producers.js'
import type { DamagedRange, RecoveredPartition } from './recovery.js'
import type { CleanEnd } from './recovery-marks.js'
import { type RollLimits, Segment } from './segment.js'
import { segmentPath } from './segment-files.js'
import type { LogMemory } from './shared-memory.js'
import type { OpenTransaction } from './transaction-control.js'

/** A segment file as its partition knows it. */
export interface SegmentEntry {
  readonly baseOffset: number
  size: number
  /** Greatest timestamp of its records; undefined until somebody has asked the time index. */
  maxTimestamp: number | undefined
}

/**
 * One partition as the engine thread holds it: copies published bytes from its chunks to segment files, in order, and
 * syncs them. What is written and what is synced is told to all threads through the control block; acknowledgements follow from that.
 *
 * A failed sync is final: the system marks the pages clean, a second sync would lie. So is a failed write, unless the disk is full: then
 * the same bytes are written again, to the same place, when there is space.
 */
export class PartitionLog {
  readonly control: PartitionControl
  readonly producers: PartitionProducers
  readonly #env: Env
  readonly #memory: LogMemory
  #limits: RollLimits
  #segments: SegmentEntry[] = []
  #active: Segment | undefined
  /** Sealed, with bytes that are not synced yet; in order. */
  #unsynced: Segment[] = []
  #directoryIsDirty = false
  /** The name of the oldest segment is on the disk. */
  #beginningIsNamed = false
  #mustRoll = false
  /** The chunk being written to files, and how far. */
  #sequence = 1
  #position = 0
  #written: number
  #synced: number
  #syncing: Promise<void> | undefined
  /** Why it takes no more, once it does not. */
  failure: MillraceError | undefined
  damaged: readonly DamagedRange[] = []
  /** Compaction has been below this offset. */
  cleanedTo = 0
  readonly #onSealed: (log: PartitionLog) => void
  readonly #assertHeld: () => void

  constructor(
    readonly descriptor: PartitionDescriptor,
    options: {
      readonly env: Env
      readonly memory: LogMemory
      readonly limits: RollLimits
      readonly recovered?: RecoveredPartition | undefined
      /** A segment takes no more: there may be something for retention or compaction. */
      readonly onSealed?: ((log: PartitionLog) => void) | undefined
      /** Throws where the directory is another engine's by now. */
      readonly assertHeld?: (() => void) | undefined
    },
  ) {
    this.#env = options.env
    this.#memory = options.memory
    this.#limits = options.limits
    this.#onSealed = options.onSealed ?? (() => undefined)
    this.#assertHeld = options.assertHeld ?? (() => undefined)
    this.control = new PartitionControl(descriptor.control, descriptor.controlOffset)
    const { recovered } = options
    this.#written = recovered?.logEndOffset ?? 0
    this.#synced = this.#written
    this.control.initialize(recovered?.logStartOffset ?? 0, this.#written, descriptor.ackWhen !== 'appended')
    this.producers = recovered?.producers ?? new PartitionProducers(options.env.fs, descriptor.directory)
    for (const entry of this.producers.states.open()) {
      this.control.transactions.open(entry.producerId, entry.producerEpoch, entry.currentFirstOffset)
    }
    const { transactions } = this.control
    this.producers.onCompleted = ({ isAborted, lastOffset }) => {
      if (isAborted) transactions.setFiled(lastOffset)
    }
    if (recovered !== undefined) this.#resume(recovered)
  }

  get writtenOffset(): number {
    return this.#written
  }

  get syncedOffset(): number {
    return this.#synced
  }

  get hasUnsynced(): boolean {
    return this.#synced < this.#written
  }

  get hasSealedUnsynced(): boolean {
    return this.#unsynced.length > 0
  }

  get isSyncing(): boolean {
    return this.#syncing !== undefined
  }

  get openHandle(): boolean {
    return this.#active?.isOpen === true
  }

  logBytes(): number {
    let bytes = 0
    for (const segment of this.#segments) bytes += segment.size
    return bytes
  }

  /**
   * Writes what is published, a slice of it: at most `batchesMax` batches. True where more is left. Throws DISK_FULL
   * (retriable; nothing is lost, call again) or marks the partition failed.
   */
  write(batchesMax = Number.MAX_SAFE_INTEGER): boolean {
    if (this.failure !== undefined) return false
    const { control } = this
    let budget = WRITE_SLICE_BYTES
    let batches = batchesMax
    try {
      this.#assertHeld()
      while (budget > 0 && batches > 0) {
        const tail = control.tail()
        // Retention may have taken chunks of a memory partition that nobody had written yet.
        if (this.#sequence < control.head()) {
          this.#sequence = control.head()
          this.#position = 0
        }
        if (this.#sequence > tail) break
        const end = control.chunkBytes(this.#sequence)
        if (this.#position === end) {
          if (this.#sequence === tail) break
          this.#sequence += 1
          this.#position = 0
          continue
        }
        const views = this.#memory.chunks.get(control.chunkId(this.#sequence))
        const from = this.#position
        const slice = mustPack(views.dv, from, this.#limits.compression) ? PACK_SLICE_BYTES : WRITE_SLICE_BYTES
        batches -= this.#writeRun(views, end, batches, slice)
        budget -= (this.#position - from) * (WRITE_SLICE_BYTES / slice)
      }
    } catch (error) {
      this.#publishWritten()
      throw this.#writeFailed(error)
    }
    this.#publishWritten()
    if (control.status() === PartitionStatus.noSpace) control.setStatus(PartitionStatus.ok)
    return this.hasPublishedUnwritten()
  }

  /** Everything written before the call is on the disk when it resolves. One at a time; who comes meanwhile waits for the next. */
  sync(): Promise<void> {
    if (this.#syncing !== undefined) return this.#syncing.then(() => this.sync())
    if (this.failure !== undefined) return Promise.reject(this.failure)
    if (!this.hasUnsynced && this.#unsynced.length === 0) return Promise.resolve()
    const done = this.#syncOnce().finally(() => {
      this.#syncing = undefined
    })
    this.#syncing = done
    return done
  }

  /** All segments, the one that is appended to included. */
  segments(): readonly SegmentEntry[] {
    const last = this.#segments[this.#segments.length - 1]
    if (last !== undefined && this.#active?.baseOffset === last.baseOffset)
      last.maxTimestamp = this.#active.maxTimestamp
    return this.#segments
  }

  /** Base offset of the segment that is appended to; the log end offset where the next append begins one. */
  activeBaseOffset(): number {
    return this.#active?.baseOffset ?? this.#written
  }

  /** What the topic's settings say from now on. */
  setLimits(limits: RollLimits): void {
    this.#limits = limits
    if (this.#active !== undefined) this.#active.limits = limits
  }

  /** The segment that was appended to takes no more; the next append begins another. Resolves when it is synced. */
  async roll(): Promise<void> {
    while (this.#syncing !== undefined) await this.#syncing
    if (this.failure !== undefined) throw this.failure
    if (this.#active !== undefined && this.#active.size > 0) this.#seal(this.#active, this.#written)
    if (this.descriptor.ackWhen === 'appended') {
      for (const segment of this.#unsynced.splice(0)) segment.dropHandle()
    } else await this.sync()
  }

  /** Segments that retention or compaction has taken away: of these the partition knows nothing any more. */
  forgetSegments(bases: ReadonlySet<number>): void {
    this.#segments = this.#segments.filter((segment) => !bases.has(segment.baseOffset))
  }

  /** A new file has taken the place of the one with its base offset. */
  segmentRewritten(baseOffset: number, size: number, maxTimestamp: number): void {
    const entry = this.#segments.find((segment) => segment.baseOffset === baseOffset)
    if (entry === undefined) return
    entry.size = size
    entry.maxTimestamp = maxTimestamp
  }

  /** Gives the file handle back; it is opened again when there is something to write. */
  closeIdleHandle(): void {
    if (!this.hasUnsynced && this.#syncing === undefined) this.#active?.closeHandle()
  }

  /** Whether there is anything published that `write` would write. */
  hasPublishedUnwritten(): boolean {
    if (this.failure !== undefined) return false
    const tail = this.control.tail()
    let from = this.#position
    for (let sequence = this.#sequence; sequence <= tail; sequence++) {
      if (this.control.chunkBytes(sequence) > from) return true
      from = 0
    }
    return false
  }

  /** Takes the oldest chunk off the partition where it is in files and nobody reads it; its id, or -1. */
  reclaim(slot: number): number {
    if (!this.control.tryLock(slot)) return -1
    const id = this.control.takeOldestChunk(true)
    this.control.unlock(slot)
    return id
  }

  /** The same for chunks whose records are all below `offset`, or with `begun` those that have some below it; how many. */
  dropChunksBelow(offset: number, slot: number, begun: boolean, free: (id: number) => void): number {
    const { control } = this
    let dropped = 0
    while (control.head() <= control.tail() && control.tryLock(slot)) {
      let id = -1
      try {
        const head = control.head()
        const end = head < control.tail() ? control.chunkBaseOffset(head + 1) : control.logEndOffset()
        const isBelow = begun ? control.chunkBaseOffset(head) < offset : end <= offset
        if (isBelow) id = control.usesFiles() ? control.takeOldestChunk(true) : control.dropOldestChunk()
      } finally {
        control.unlock(slot)
      }
      if (id === -1) break
      free(id)
      dropped += 1
    }
    return dropped
  }

  /** The same for a deleted partition, whose bytes nobody needs to find in a file. */
  retireChunk(slot: number): number {
    if (!this.control.tryLock(slot)) return -1
    const id = this.control.dropOldestChunk()
    this.control.unlock(slot)
    return id
  }

  /** Whether the producer id has a transaction open here; an append under way is waited for. */
  hasOpenTransaction(producerId: number): boolean {
    this.control.lock(ENGINE_SLOT)
    const open = this.control.transactions.find(producerId)
    this.control.unlock(ENGINE_SLOT)
    return open !== undefined
  }

  openTransactions(): readonly OpenTransaction[] {
    if (this.control.transactions.firstUnstable() === undefined) return []
    this.control.lock(ENGINE_SLOT)
    const open = this.control.transactions.list()
    this.control.unlock(ENGINE_SLOT)
    return open
  }

  cleanEnd(): CleanEnd {
    const last = this.#segments[this.#segments.length - 1]
    return {
      logStartOffset: this.control.logStartOffset(),
      logEndOffset: this.#written,
      lastSegment: last?.baseOffset ?? -1,
      lastSegmentBytes: last?.size ?? 0,
      ...this.#active?.greatestTime,
      mustRoll: this.#mustRoll || this.#active === undefined,
      hasProducers: this.producers.states.size > 0,
    }
  }

  /** After the last sync. */
  close(status: PartitionStatus = PartitionStatus.closed): void {
    if (this.failure === undefined) this.#active?.index.seal()
    if (this.failure === undefined && status === PartitionStatus.closed && !this.hasPublishedUnwritten()) {
      this.producers.close(this.#written)
    } else this.producers.drop()
    for (const segment of this.#unsynced) segment.dropHandle()
    this.#active?.dropHandle()
    this.control.setStatus(status)
  }

  #resume(recovered: RecoveredPartition): void {
    this.damaged = recovered.damaged
    this.cleanedTo = recovered.cleanedTo
    this.#segments = recovered.segments.map((segment) => ({ ...segment, maxTimestamp: undefined }))
    this.#mustRoll = recovered.mustRoll
    this.#beginningIsNamed = recovered.segments.length > 0
    const last = recovered.segments[recovered.segments.length - 1]
    if (last === undefined || recovered.activeIndex === undefined) return
    this.#active = new Segment(this.#env.fs, this.#directory(), last.baseOffset, this.#limits, {
      size: last.size,
      firstTimestamp: recovered.activeFirstTimestamp,
      index: recovered.activeIndex,
    })
  }

  /** Writes batches of one chunk up to `end` or to where a segment ends; how many. */
  #writeRun(views: BufferViews, end: number, batchesMax: number, bytesMax: number): number {
    const from = this.#position
    const segment = this.#segmentFor(views, from)
    let to = from
    let batches = 0
    let nextOffset = this.#written
    while (to < end && batches < batchesMax && to - from < bytesMax) {
      if (to > from && segment.mustRollBefore(views.dv, to, to - from)) break
      segment.noteTime(views.dv, to)
      nextOffset = nextOffsetOf(views.dv, to)
      this.producers.note(views, to, segment.baseOffset)
      to += batchByteLength(views.dv, to)
      batches += 1
    }
    segment.write(views, from, to)
    const last = this.#segments[this.#segments.length - 1]
    if (last !== undefined) last.size = segment.size
    this.#position = to
    this.#written = nextOffset
    return batches
  }

  #segmentFor(views: BufferViews, at: number): Segment {
    const active = this.#active
    if (active !== undefined && !this.#mustRoll && !active.mustRollBefore(views.dv, at, 0)) return active
    // Where the name of the very first segment were lost and that of the second were not, the log would seem to begin with the second.
    // A sync of the directory that is under way has promised nothing yet.
    if (this.#segments.length > 0 && !this.#beginningIsNamed && this.descriptor.ackWhen !== 'appended') {
      this.#env.fs.syncDirectory(this.#directory())
      this.#beginningIsNamed = true
      this.#directoryIsDirty = false
    }
    if (this.#segments.length === 0) this.#beginningIsNamed = false
    if (active !== undefined) this.#seal(active, baseOffsetOf(views.dv, at))
    const baseOffset = baseOffsetOf(views.dv, at)
    const segment = new Segment(this.#env.fs, this.#directory(), baseOffset, this.#limits, { size: 0 })
    this.#active = segment
    this.#mustRoll = false
    this.#segments.push({ baseOffset, size: 0, maxTimestamp: undefined })
    this.#directoryIsDirty = true
    return segment
  }

  /** The segment takes no more; the next one begins at `nextBase`. */
  #seal(active: Segment, nextBase: number): void {
    active.seal()
    this.#unsynced.push(active)
    this.producers.rolled(nextBase)
    const last = this.#segments[this.#segments.length - 1]
    if (last !== undefined) last.maxTimestamp = active.maxTimestamp
    this.#active = undefined
    this.#env.passing?.('roll: the old segment is sealed')
    this.#onSealed(this)
  }

  #publishWritten(): void {
    const { control } = this
    const chunkIsDone = this.#sequence < control.tail() && this.#position === control.chunkBytes(this.#sequence)
    control.setWritten(this.#written, chunkIsDone ? this.#sequence + 1 : this.#sequence)
  }

  async #syncOnce(): Promise<void> {
    const target = this.#written
    const sealed = this.#unsynced.slice()
    const active = this.#active
    try {
      for (const segment of sealed) await segment.sync()
      if (active !== undefined) await active.sync()
      await this.producers.sync()
      if (this.#directoryIsDirty) {
        this.#directoryIsDirty = false
        await this.#env.fs.syncDirectoryLater(this.#directory())
        this.#beginningIsNamed = true
      }
    } catch (error) {
      noteFailedSync(this.#env.fs, this.#directory())
      throw this.#fail(error, 'sync')
    }
    for (const segment of sealed) segment.dropHandle()
    this.#unsynced.splice(0, sealed.length)
    this.#synced = target
    this.control.setSynced(target)
  }

  #writeFailed(error: unknown): MillraceError {
    const code = (error as { code?: unknown }).code
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      this.control.setStatus(PartitionStatus.noSpace)
      return diskFull(this.descriptor, error)
    }
    return this.#fail(error, 'write')
  }

  #fail(error: unknown, what: 'write' | 'sync'): MillraceError {
    const file = segmentPath(this.#directory(), this.#active?.baseOffset ?? 0, 'log')
    this.failure ??= readOnly(this.descriptor, what, file, error)
    this.control.setStatus(PartitionStatus.failed)
    return this.failure
  }

  #directory(): string {
    const { directory } = this.descriptor
    if (directory === undefined) throw nowhereToSpill(this.descriptor)
    return directory
  }
}
