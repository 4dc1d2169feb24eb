import type { Env, FileHandle } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { packBatches } from '../record/batch-compression.js'
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchAttributes,
  batchByteLength,
  batchRecordCount,
  COMPRESSION_MASK,
  CONTROL,
  hasColumnsPayload,
  nextOffsetOf,
  TRANSACTIONAL,
} from '../record/batch-header.js'
import { Codec, type CompressionLevels } from '../record/codec.js'
import { RecordCursor } from '../record/rows-payload.js'
import { type BufferViews, viewsOf } from '../types/block.js'
import type { StructType } from '../types/data-type.js'
import { headerFault } from './batch-check.js'
import { BatchOpener } from './batch-opener.js'
import { BatchScan } from './batch-scan.js'
import { CleanedSegment } from './cleaned-segment.js'
import { ColumnsCompactor } from './columns-compactor.js'
import { CompactionRule, emptiedBatch, markedMarker, ProducerTrail, producerIdOf } from './compaction-rule.js'
import { FileWindow } from './file-window.js'
import type { KeyHash } from './key-hash.js'
import { OffsetMap } from './offset-map.js'
import { partitionName } from './partition-descriptor.js'
import type { PartitionLog } from './partition-log.js'
import { type CompactedBatch, RowsCompactor } from './rows-compactor.js'
import { segmentPath } from './segment-files.js'
import { swapSegments } from './segment-swap.js'
import { RECORDS_PER_LOOK, type WorkSlices } from './work-slices.js'

export interface CompactionOptions {
  readonly env: Env
  readonly log: PartitionLog
  /** Of a typed topic's values. */
  readonly schema: StructType | undefined
  readonly hash: KeyHash
  /** Keys that one round may remember. */
  readonly mapEntriesMax: number
  /** Everything below was compacted before: nothing in it is newer than what the dirty part holds. */
  readonly firstDirtyOffset: number
  /** A segment's base offset, or the log end offset: what is above is not touched. Everything below is synced. */
  readonly endOffset: number
  readonly deleteRetentionMs: number
  readonly segmentBytes: number
  readonly indexIntervalBytes: number
  readonly levels: CompressionLevels
  readonly slices: WorkSlices
  /** Looked at after every slice: the topic was deleted, or the engine closes. */
  readonly isCancelled: () => boolean
}

export interface CompactionResult {
  /** Below it each key has one record at most. Less than `endOffset` where the keys were too many to remember at once. */
  readonly cleanedTo: number
  readonly bytesBefore: number
  readonly bytesAfter: number
  readonly recordsBefore: number
  readonly recordsAfter: number
}

/** Longest batch header with what a walk over headers must see of a control batch. */
const PEEK_BYTES = 256

interface SourceSegment {
  readonly baseOffset: number
  readonly size: number
}

/**
 * One round of compaction over one partition's sealed segments, as Kafka does it: remember each key's last offset in the dirty part, then copy all segments
 * below its end, neighbours together up to the segment size, without what a later record has overtaken, and swap the copies in. Every
 * batch's checksum is looked at on the way; damage ends the round before anything is swapped, so that nothing damaged is deleted.
 */
export class Compaction {
  readonly #options: CompactionOptions
  readonly #directory: string
  readonly #trail = new ProducerTrail()
  readonly #rows = new RowsCompactor()
  readonly #opener = new BatchOpener()
  readonly #columns: ColumnsCompactor | undefined
  /** Producers of whose running transaction some record has stayed. */
  readonly #openWithData = new Set<number>()
  #window: FileWindow | undefined
  #recordsBefore = 0
  #recordsAfter = 0
  #bytesAfter = 0

  constructor(options: CompactionOptions) {
    this.#options = options
    this.#directory = options.log.descriptor.directory ?? ''
    this.#columns = options.schema === undefined ? undefined : new ColumnsCompactor(options.schema)
  }

  async run(): Promise<CompactionResult> {
    const { log, env, endOffset, firstDirtyOffset, deleteRetentionMs } = this.#options
    const segments: SourceSegment[] = log
      .segments()
      .filter((segment) => segment.baseOffset < endOffset)
      .map(({ baseOffset, size }) => ({ baseOffset, size }))
    const dirtyRecords = await this.#walkHeaders(segments, firstDirtyOffset)
    const map = new OffsetMap(Math.min(this.#options.mapEntriesMax, dirtyRecords), this.#options.hash)
    const mappedTo = await this.#fillMap(map, segments, firstDirtyOffset)
    const now = env.now()
    const rule = new CompactionRule(map, mappedTo, now, now + deleteRetentionMs)
    const sources = segments.filter((segment) => segment.baseOffset < mappedTo)
    for (const group of this.#groups(sources)) await this.#cleanGroup(group, rule)
    return {
      cleanedTo: mappedTo,
      bytesBefore: sources.reduce((bytes, segment) => bytes + segment.size, 0),
      bytesAfter: this.#bytesAfter,
      recordsBefore: this.#recordsBefore,
      recordsAfter: this.#recordsAfter,
    }
  }

  /** What the headers tell: producers, aborted transactions, and how many records the map may have to remember. */
  async #walkHeaders(segments: readonly SourceSegment[], firstDirtyOffset: number): Promise<number> {
    const { slices } = this.#options
    const peek = viewsOf(new ArrayBuffer(PEEK_BYTES))
    let dirtyRecords = 0
    for (const segment of segments) {
      const handle = this.#openSource(segment.baseOffset)
      try {
        for (let position = 0; position < segment.size; ) {
          const bytes = handle.read(peek.u8, position)
          const fault = headerFault(peek.dv, 0, Math.max(bytes, segment.size - position))
          if (fault !== undefined || bytes < BATCH_HEADER_BYTES)
            throw this.#damaged(segment, position, fault ?? 'the file ends')
          const isControl = (batchAttributes(peek.dv, 0) & CONTROL) !== 0
          if (isControl && batchByteLength(peek.dv, 0) > PEEK_BYTES)
            throw this.#damaged(segment, position, `a control batch of ${batchByteLength(peek.dv, 0)} bytes`)
          this.#trail.note(peek, 0, baseOffsetOf(peek.dv, 0))
          if (nextOffsetOf(peek.dv, 0) > firstDirtyOffset && !isControl) dirtyRecords += batchRecordCount(peek.dv, 0)
          position += batchByteLength(peek.dv, 0)
          if (slices.isOver) await this.#pause()
        }
      } finally {
        handle.close()
      }
    }
    return dirtyRecords
  }

  /** Returns the first offset that is not covered: `endOffset`, or where the map was full. */
  async #fillMap(map: OffsetMap, segments: readonly SourceSegment[], firstDirtyOffset: number): Promise<number> {
    let fullAt = -1
    const visit = (u8: Uint8Array, start: number, end: number, offset: number): boolean => {
      if (start === -1 || offset < firstDirtyOffset) return true
      if (map.isFull) {
        fullAt = offset
        return false
      }
      map.put(u8, start, end, offset)
      return true
    }
    for (let i = 0; i < segments.length && fullAt === -1; i++) {
      const next = segments[i + 1]?.baseOffset ?? this.#options.endOffset
      if (next <= firstDirtyOffset) continue
      await this.#eachBatch(segments[i] as SourceSegment, async (packed, at, baseOffset) => {
        if (fullAt !== -1 || (batchAttributes(packed.dv, at) & CONTROL) !== 0) return
        if (this.#trail.isAborted(packed, at, baseOffset) || batchRecordCount(packed.dv, at) === 0) return
        const { views, position } = this.#opened(packed, at)
        if (this.#isTyped(views, position))
          await this.#columnsOf().eachKeyInSlices(views, position, visit, this.#breathe)
        else {
          const cursor = RecordCursor.ofBatch(views, position)
          for (let seen = 1; cursor.next(); seen++) {
            if (seen % RECORDS_PER_LOOK === 0) {
              const pause = this.#breathe()
              if (pause !== undefined) await pause
            }
            if (!visit(views.u8, cursor.keyStart, cursor.keyEnd, cursor.offset)) return
          }
        }
      })
    }
    return fullAt === -1 ? this.#options.endOffset : fullAt
  }

  /** Neighbours that fit one segment together, by what they take now. */
  #groups(segments: readonly SourceSegment[]): SourceSegment[][] {
    const groups: SourceSegment[][] = []
    let group: SourceSegment[] = []
    let bytes = 0
    for (let i = 0; i < segments.length; i++) {
      const segment = segments[i] as SourceSegment
      const end = segments[i + 1]?.baseOffset ?? this.#options.endOffset
      const first = group[0]?.baseOffset ?? segment.baseOffset
      if (group.length > 0 && (bytes + segment.size > this.#options.segmentBytes || end - first > 0x7fff_ffff)) {
        groups.push(group)
        group = []
        bytes = 0
      }
      group.push(segment)
      bytes += segment.size
    }
    if (group.length > 0) groups.push(group)
    return groups
  }

  async #cleanGroup(group: readonly SourceSegment[], rule: CompactionRule): Promise<void> {
    const { env, log } = this.#options
    const first = group[0] as SourceSegment
    const durable = log.descriptor.ackWhen !== 'appended'
    const bytesBefore = group.reduce((bytes, segment) => bytes + segment.size, 0)
    const cleaned = new CleanedSegment(env, this.#directory, first.baseOffset, this.#options.indexIntervalBytes)
    let changed = group.length > 1
    try {
      for (const segment of group) {
        await this.#eachBatch(segment, async (views, position, baseOffset) => {
          const kept = await this.#compacted(views, position, baseOffset, rule)
          if (kept?.views !== views) changed = true
          if (kept === undefined) return
          cleaned.append(kept.views, kept.position, kept.byteLength)
          if ((batchAttributes(kept.views.dv, kept.position) & CONTROL) === 0)
            this.#recordsAfter += batchRecordCount(kept.views.dv, kept.position)
        })
      }
      if (!changed) {
        cleaned.discard()
        this.#bytesAfter += bytesBefore
        return
      }
      cleaned.keepAborted(group.map((segment) => segment.baseOffset))
      await cleaned.finish(durable)
      this.#throwIfCancelled()
    } catch (error) {
      cleaned.discard()
      throw error
    }
    const bases = group.map((segment) => segment.baseOffset)
    await swapSegments(env, {
      directory: this.#directory,
      bases,
      durable,
      onRenamed: () => {
        log.control.swapped()
        log.segmentRewritten(first.baseOffset, cleaned.size, cleaned.maxTimestamp)
        log.forgetSegments(new Set(bases.slice(1)))
      },
    })
    this.#bytesAfter += cleaned.size
  }

  async #compacted(
    views: BufferViews,
    position: number,
    baseOffset: number,
    rule: CompactionRule,
  ): Promise<CompactedBatch | undefined> {
    const attributes = batchAttributes(views.dv, position)
    const end = nextOffsetOf(views.dv, position)
    const whole = { views, position, byteLength: batchByteLength(views.dv, position) }
    if (baseOffset >= rule.mappedTo) return whole
    if ((attributes & CONTROL) !== 0) return this.#compactedMarker(whole, rule)
    this.#recordsBefore += batchRecordCount(views.dv, position)
    let kept: CompactedBatch | undefined
    if (batchRecordCount(views.dv, position) > 0 && !this.#trail.isAborted(views, position, baseOffset)) {
      rule.begin(views, position)
      kept = await this.#keptRecords(whole, rule)
    }
    if (kept !== undefined) {
      if ((attributes & TRANSACTIONAL) !== 0) this.#openWithData.add(producerIdOf(views, position))
      return kept
    }
    // Kafka's rule: the last batch of the round, and the last of a producer, stay empty, for their offsets and their sequence.
    if (end !== rule.mappedTo && !this.#trail.isLastOfProducer(views, position)) return undefined
    return batchRecordCount(views.dv, position) === 0
      ? whole
      : emptiedBatch(views, position, this.#columns !== undefined)
  }

  /** What stays of a batch's records, compressed again as it was. */
  async #keptRecords(whole: CompactedBatch, rule: CompactionRule): Promise<CompactedBatch | undefined> {
    const { views, position } = this.#opened(whole.views, whole.position)
    const compactor = this.#isTyped(views, position) ? this.#columnsOf() : this.#rows
    const kept = await compactor.compact(views, position, rule, this.#breathe)
    if (kept === undefined) return undefined
    if (kept.views === views) return whole
    const codec = (batchAttributes(whole.views.dv, whole.position) & COMPRESSION_MASK) as Codec
    if (codec === Codec.none) return kept
    const run = packBatches(kept.views, kept.position, kept.position + kept.byteLength, {
      codec,
      levels: this.#options.levels,
    })
    return { views: run.views, position: run.from, byteLength: run.to - run.from }
  }

  /** The batch as it was before it was compressed, good until the next one. */
  #opened(views: BufferViews, position: number): { readonly views: BufferViews; readonly position: number } {
    this.#opener.open(views, position, partitionName(this.#options.log.descriptor))
    return this.#opener
  }

  /** A marker stays while its transaction has records, and then for as long as a tombstone would. */
  #compactedMarker(whole: CompactedBatch, rule: CompactionRule): CompactedBatch | undefined {
    const { views, position } = whole
    if (this.#openWithData.delete(producerIdOf(views, position))) return whole
    if (rule.horizonHasPassed(views, position)) {
      return nextOffsetOf(views.dv, position) === rule.mappedTo ? whole : undefined
    }
    return rule.isMarked(views, position) ? whole : markedMarker(views, position, rule.newHorizon)
  }

  /** Every batch of a segment, with its checksum looked at. */
  async #eachBatch(
    segment: SourceSegment,
    visit: (views: BufferViews, position: number, baseOffset: number) => Promise<void>,
  ): Promise<void> {
    const { slices } = this.#options
    const handle = this.#openSource(segment.baseOffset)
    try {
      this.#window = this.#window?.reuse(handle) ?? new FileWindow(handle)
      const scan = new BatchScan(this.#window, segment.size, false)
      let nextOffset = segment.baseOffset
      for (let position = 0; position < segment.size; ) {
        if (!scan.check(position, nextOffset)) throw this.#damaged(segment, position, scan.fault)
        await visit(scan.window.views, scan.window.at(position), scan.batch.baseOffset)
        position += scan.batch.byteLength
        nextOffset = scan.batch.lastOffset + 1
        if (slices.isOver) await this.#pause()
      }
    } finally {
      handle.close()
    }
  }

  readonly #breathe = (): Promise<void> | undefined => (this.#options.slices.isOver ? this.#pause() : undefined)

  async #pause(): Promise<void> {
    await this.#options.slices.next()
    this.#throwIfCancelled()
  }

  #throwIfCancelled(): void {
    if (!this.#options.isCancelled()) return
    throw new MillraceError(
      'COMPACTION_CANCELLED',
      `compaction of ${partitionName(this.#options.log.descriptor)} was given up`,
      {
        detail: 'the topic was deleted, or the engine is closing',
        hint: 'nothing is lost: what was not compacted is as it was',
      },
    )
  }

  #isTyped(views: BufferViews, position: number): boolean {
    return this.#columns !== undefined && hasColumnsPayload(views.dv, position)
  }

  #columnsOf(): ColumnsCompactor {
    return this.#columns as ColumnsCompactor
  }

  #openSource(baseOffset: number): FileHandle {
    return this.#options.env.fs.open(segmentPath(this.#directory, baseOffset, 'log'), 'read')
  }

  #damaged(segment: SourceSegment, position: number, reason: string): MillraceError {
    const path = segmentPath(this.#directory, segment.baseOffset, 'log')
    return new MillraceError('SEGMENT_CORRUPT', `partition ${partitionName(this.#options.log.descriptor)} is damaged`, {
      detail: `${path}, byte ${position}: ${reason}`,
      hint: 'it is not compacted, so that nothing is deleted; mill.verify() names the damaged offsets',
    })
  }
}
