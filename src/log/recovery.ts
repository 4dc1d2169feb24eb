import type { Env, FileHandle } from '../common/env.js'
import type { MillraceError } from '../common/errors.js'
import { forgetFailedSync, hasFailedSync, noteFailedSync, writeAnew } from '../common/failed-sync.js'
import { batchMaxTimestamp } from '../record/batch-header.js'
import { BatchScan } from './batch-scan.js'
import { FileWindow } from './file-window.js'
import { FILE_READ_BYTES } from './limits.js'
import { OffsetIndex } from './offset-index.js'
import type { PartitionProducers } from './partition-producers.js'
import { producersAfterStop, producersUpTo } from './producer-recovery.js'
import type { CleanEnd, MarksTrust } from './recovery-marks.js'
import { listSegments, segmentAt, segmentPath } from './segment-files.js'
import { SegmentIndexWriter } from './segment-index-writer.js'
import { dropBelowStart, finishSwaps } from './segment-swap.js'
import { lastTimeHolds } from './segment-times.js'
import { TimeIndex } from './time-index.js'

/**
 * Opens a partition's directory after a clean stop or a crash. Everything below the recovery point was synced once:
 * a fault there is damage, which is reported with its offsets and left as it is. What is above it may be torn: the file is cut
 * behind the last whole batch with the right checksum, and what came after was acknowledged by nobody. Where there are whole batches among it
 * (recovery points lag a little, so a damaged sector could look like a tear) the bytes are kept beside the segment as `.cut`.
 * A missing beginning is judged alike: below the recovery point it is damage, above it what follows was acknowledged by nobody.
 * What stays is synced before anybody builds on it; after a sync that failed it is written anew for that (see common/failed-sync.ts). Indexes of the segments that were scanned are built anew.
 */
export interface DamagedRange {
  readonly fromOffset: number
  /** The first offset behind the damage. */
  readonly toOffset: number
  readonly file: string
  readonly fromByte: number
  readonly toByte: number
  readonly reason: string
}

export interface RecoveredSegment {
  readonly baseOffset: number
  readonly size: number
}

export interface RecoveredPartition {
  readonly segments: readonly RecoveredSegment[]
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly damaged: readonly DamagedRange[]
  /** What was cut from the tail, if anything. */
  readonly cut:
    | { readonly file: string; readonly fromByte: number; readonly bytes: number; readonly reason: string }
    | undefined
  /** It was closed, and is as it was then. */
  readonly isClean: boolean
  readonly cleanedTo: number
  /** Where the last segment ends in damage nothing may be appended to it. */
  readonly mustRoll: boolean
  /** Of the last segment: its first batch's time, and an index writer that goes on where the files end. */
  readonly activeFirstTimestamp: number | undefined
  readonly activeIndex: SegmentIndexWriter | undefined
  /** As of the log end offset. */
  readonly producers: PartitionProducers
}

export interface RecoveryOptions {
  readonly env: Env
  readonly directory: string
  readonly recoveryPoint: number
  readonly logStartOffset: number
  readonly dense: boolean
  readonly indexIntervalBytes: number
  /** Compaction has been below it. */
  readonly cleanedTo?: number
  /** What the recovery point and the start are worth. Default: that of an earlier version. */
  readonly trust?: MarksTrust
  /** What the clean-shutdown mark says of this partition; the scan is spared where the files agree with it. */
  readonly cleanEnd: CleanEnd | undefined
  /** Told of small files that are damaged and done without. */
  readonly onFault?: ((fault: MillraceError) => void) | undefined
}

export function recoverPartition(options: RecoveryOptions): RecoveredPartition {
  const { env, directory, cleanEnd } = options
  finishSwaps(env, directory, options.onFault)
  const bases = dropBelowStart(
    env,
    directory,
    listSegments(env.fs, directory),
    cleanEnd?.logStartOffset ?? options.logStartOffset,
  )
  const sizes = bases.map((base) => fileSize(env, segmentPath(directory, base, 'log')))
  const last = bases.length - 1
  if (
    cleanEnd !== undefined &&
    (bases[last] ?? -1) === cleanEnd.lastSegment &&
    (sizes[last] ?? 0) === cleanEnd.lastSegmentBytes
  ) {
    return {
      segments: bases.map((baseOffset, i) => ({ baseOffset, size: sizes[i] as number })),
      logStartOffset: cleanEnd.logStartOffset,
      logEndOffset: cleanEnd.logEndOffset,
      damaged: missingBeginning(options, bases, cleanEnd.logStartOffset, cleanEnd.logEndOffset),
      cut: undefined,
      isClean: true,
      cleanedTo: options.cleanedTo ?? 0,
      mustRoll: cleanEnd.mustRoll,
      producers: producersAfterStop(options, bases, sizes, cleanEnd),
      ...resumeActive(options, bases[last], sizes[last] ?? 0),
    }
  }
  return scanPartition(options, bases, sizes)
}

function scanPartition(
  options: RecoveryOptions,
  bases: readonly number[],
  sizes: readonly number[],
): RecoveredPartition {
  const { env, directory, recoveryPoint } = options
  const trust = options.trust ?? 'older'
  const segments: RecoveredSegment[] = []
  const damaged: DamagedRange[] = [...missingBeginning(options, bases, options.logStartOffset, recoveryPoint)]
  let cut: RecoveredPartition['cut']
  let mustRoll = false
  let index: SegmentIndexWriter | undefined
  let firstTimestamp: number | undefined
  const firstScanned = Math.max(0, segmentAt(bases, recoveryPoint))
  let nextOffset = bases[firstScanned] ?? recoveryPoint
  // What the log must begin with was never promised, or it is damage that is told of already.
  if (trust === 'kept' && firstScanned === 0 && bases.length > 0)
    nextOffset = Math.min(nextOffset, Math.max(options.logStartOffset, recoveryPoint))
  const isInDoubt = hasFailedSync(env.fs, directory)
  if (isInDoubt) for (const base of bases.slice(firstScanned)) writeAnew(env.fs, segmentPath(directory, base, 'log'))
  const producers = producersUpTo(options, bases, sizes, nextOffset)

  for (let i = 0; i < bases.length; i++) {
    const baseOffset = bases[i] as number
    if (i < firstScanned) {
      segments.push({ baseOffset, size: sizes[i] as number })
      continue
    }
    const path = segmentPath(directory, baseOffset, 'log')
    if (cut !== undefined) {
      setAside(env, directory, baseOffset)
      continue
    }
    const offsetMax = options.dense ? nextOffset : Math.max(nextOffset, gapsBelow(options))
    const isMissing = baseOffset > offsetMax && trust !== 'lost'
    if ((isMissing || baseOffset < nextOffset) && nextOffset >= recoveryPoint) {
      // Above the recovery point a file may be missing between two: the order in which unsynced files reach the disk is not ours.
      cut = {
        file: path,
        fromByte: 0,
        bytes: sizes[i] as number,
        reason: `segment begins at offset ${baseOffset}, expected ${nextOffset}`,
      }
      setAside(env, directory, baseOffset)
      continue
    }
    if (options.dense && baseOffset > nextOffset) {
      damaged.push({
        fromOffset: nextOffset,
        toOffset: baseOffset,
        file: path,
        fromByte: 0,
        toByte: 0,
        reason: 'the segment before ends too early',
      })
    }
    const limitOffset = bases[i + 1] ?? Number.MAX_SAFE_INTEGER
    if (i > firstScanned) producers.rolled(baseOffset)
    const found = scanSegment(options, baseOffset, sizes[i] as number, limitOffset, producers)
    damaged.push(...found.damaged)
    cut = found.cut
    mustRoll = found.mustRoll
    index = found.index
    firstTimestamp = found.firstTimestamp
    nextOffset = found.nextOffset
    segments.push({ baseOffset, size: found.size })
  }
  env.fs.syncDirectory(directory)
  if (isInDoubt) forgetFailedSync(env.fs, directory)
  const loggedStart = options.logStartOffset
  if (bases.length === 0 && recoveryPoint > loggedStart) {
    damaged.push({
      fromOffset: loggedStart,
      toOffset: recoveryPoint,
      file: directory,
      fromByte: 0,
      toByte: 0,
      reason: 'there is no segment file',
    })
  }
  // Synced offsets that no file holds any more are lost, and say so; they are not given twice.
  if (nextOffset < recoveryPoint) {
    const file = segmentPath(directory, bases[bases.length - 1] ?? 0, 'log')
    damaged.push({
      fromOffset: nextOffset,
      toOffset: recoveryPoint,
      file,
      fromByte: sizes[sizes.length - 1] ?? 0,
      toByte: sizes[sizes.length - 1] ?? 0,
      reason: 'the file ends before the recovery point',
    })
    nextOffset = recoveryPoint
    mustRoll = bases.length > 0
  }
  return {
    segments,
    logStartOffset: trust === 'kept' ? options.logStartOffset : Math.max(options.logStartOffset, bases[0] ?? 0),
    logEndOffset: nextOffset,
    damaged,
    cut,
    isClean: false,
    cleanedTo: options.cleanedTo ?? 0,
    mustRoll,
    activeFirstTimestamp: firstTimestamp,
    activeIndex: index,
    producers,
  }
}

interface SegmentFindings {
  readonly size: number
  readonly nextOffset: number
  readonly damaged: readonly DamagedRange[]
  readonly cut: RecoveredPartition['cut']
  readonly mustRoll: boolean
  readonly index: SegmentIndexWriter
  readonly firstTimestamp: number | undefined
}

function scanSegment(
  options: RecoveryOptions,
  baseOffset: number,
  fileBytes: number,
  limitOffset: number,
  producers: PartitionProducers | undefined,
): SegmentFindings {
  const { env, directory, recoveryPoint, dense } = options
  const path = segmentPath(directory, baseOffset, 'log')
  env.fs.remove(segmentPath(directory, baseOffset, 'index'))
  env.fs.remove(segmentPath(directory, baseOffset, 'timeindex'))
  producers?.beginScan(baseOffset)
  const index = new SegmentIndexWriter(env.fs, directory, baseOffset, options.indexIntervalBytes)
  const damaged: DamagedRange[] = []
  let firstTimestamp: number | undefined
  let cut: RecoveredPartition['cut']
  let mustRoll = false
  let size = fileBytes
  let position = 0
  let nextOffset = baseOffset
  const handle = env.fs.open(path, 'append')
  try {
    const scan = new BatchScan(new FileWindow(handle, undefined, fileBytes), fileBytes, dense, gapsBelow(options))
    while (position < size) {
      const isKnown = nextOffset < recoveryPoint || options.trust === 'lost'
      const resumeAt = scan.check(position, nextOffset)
        ? isKnown
          ? scan.contradictedAt(options.trust === 'lost' ? limitOffset : Math.min(limitOffset, recoveryPoint))
          : -1
        : position + 1
      if (resumeAt === -1) {
        const at = scan.window.at(position)
        firstTimestamp ??= batchMaxTimestamp(scan.window.views.dv, at)
        index.note(scan.window.views.dv, at, position)
        producers?.note(scan.window.views, at, baseOffset)
        position += scan.batch.byteLength
        nextOffset = scan.batch.lastOffset + 1
        continue
      }
      const reason = scan.fault
      const resync = isKnown ? scan.resync(resumeAt, nextOffset + 1, limitOffset) : undefined
      if (isTorn(options, nextOffset, resync !== undefined, limitOffset)) {
        cut = { file: path, fromByte: position, bytes: size - position, reason }
        if (scan.resync(position + 1, nextOffset + 1, Number.MAX_SAFE_INTEGER) !== undefined)
          copyTail(env, handle, position, `${path}.cut`)
        handle.truncate(position)
        size = position
        break
      }
      if (resync === undefined) {
        const toOffset = limitOffset === Number.MAX_SAFE_INTEGER ? recoveryPoint : limitOffset
        damaged.push({ fromOffset: nextOffset, toOffset, file: path, fromByte: position, toByte: size, reason })
        nextOffset = toOffset
        mustRoll = true
        break
      }
      damaged.push({
        fromOffset: nextOffset,
        toOffset: resync.baseOffset,
        file: path,
        fromByte: position,
        toByte: resync.position,
        reason,
      })
      position = resync.position
      nextOffset = resync.baseOffset
    }
    // A process that was killed leaves bytes in the page cache that no sync has covered; from now on they count as synced.
    if (nextOffset > recoveryPoint || cut !== undefined) syncNow(env, handle, directory)
  } finally {
    handle.close()
  }
  // Retention goes by the last entry of the time index of a segment that takes no more.
  if (limitOffset === Number.MAX_SAFE_INTEGER) index.flush()
  else {
    index.seal()
    index.syncNow()
  }
  return { size, nextOffset, damaged, cut, mustRoll, index, firstTimestamp }
}

/**
 * Where nothing is known of a recovery point, only what no whole batch follows is taken for torn: a tear that is kept as damage does no harm,
 * damage that is cut does.
 */
function isTorn(options: RecoveryOptions, offset: number, isFollowed: boolean, limitOffset: number): boolean {
  if (options.trust !== 'lost') return offset >= options.recoveryPoint
  return !isFollowed && limitOffset === Number.MAX_SAFE_INTEGER
}

/** Above the recovery point no compaction has been. */
function gapsBelow(options: RecoveryOptions): number {
  return options.trust === 'kept' ? options.recoveryPoint : Number.MAX_SAFE_INTEGER
}

/** Offsets from the log start on that were synced and that no file holds. */
function missingBeginning(
  options: RecoveryOptions,
  bases: readonly number[],
  logStartOffset: number,
  syncedOffset: number,
): readonly DamagedRange[] {
  const first = bases[0]
  if (options.trust !== 'kept' || first === undefined || first <= logStartOffset || syncedOffset <= logStartOffset)
    return []
  return [
    {
      fromOffset: logStartOffset,
      toOffset: Math.min(first, syncedOffset),
      file: segmentPath(options.directory, logStartOffset, 'log'),
      fromByte: 0,
      toByte: 0,
      reason: 'the segment is missing',
    },
  ]
}

/** After a clean stop the last segment is gone on with as it is; its indexes are believed where they can be right. */
function resumeActive(
  options: RecoveryOptions,
  baseOffset: number | undefined,
  size: number,
): Pick<RecoveredPartition, 'activeFirstTimestamp' | 'activeIndex'> {
  const { env, directory } = options
  if (baseOffset === undefined) return { activeFirstTimestamp: undefined, activeIndex: undefined }
  const offsets = OffsetIndex.load(env.fs, segmentPath(directory, baseOffset, 'index'))
  const times = TimeIndex.load(env.fs, segmentPath(directory, baseOffset, 'timeindex'))
  const handle = env.fs.open(segmentPath(directory, baseOffset, 'log'), 'read')
  let isWhole: boolean
  let firstTimestamp: number | undefined
  try {
    isWhole =
      times.count === 0
        ? size === 0 || options.cleanEnd?.maxTimestamp !== undefined
        : lastTimeHolds(env, handle, directory, baseOffset, size, times)
    const scan = new BatchScan(new FileWindow(handle, undefined, size), size, options.dense)
    if (scan.check(0, baseOffset)) firstTimestamp = batchMaxTimestamp(scan.window.views.dv, 0)
  } finally {
    handle.close()
  }
  if (offsets.fault(size) !== undefined || !isWhole) {
    const found = scanSegment(
      { ...options, recoveryPoint: Number.MAX_SAFE_INTEGER },
      baseOffset,
      size,
      Number.MAX_SAFE_INTEGER - 1,
      undefined,
    )
    return { activeFirstTimestamp: found.firstTimestamp, activeIndex: found.index }
  }
  const index = new SegmentIndexWriter(env.fs, directory, baseOffset, options.indexIntervalBytes, {
    offsetBytes: offsets.count * 8,
    timeBytes: times.count * 12,
  })
  const lastEntry = times.count - 1
  const indexed = lastEntry >= 0 ? times.timestamp(lastEntry) : -1
  const { maxTimestamp, maxTimestampOffset } = options.cleanEnd ?? {}
  if (maxTimestamp !== undefined && maxTimestampOffset !== undefined) {
    index.resume(maxTimestamp, maxTimestampOffset, indexed)
  } else if (lastEntry >= 0) index.resume(indexed, baseOffset + times.relativeOffset(lastEntry), indexed)
  return { activeFirstTimestamp: firstTimestamp, activeIndex: index }
}

function syncNow(env: Env, handle: FileHandle, directory: string): void {
  try {
    handle.syncNow()
  } catch (error) {
    noteFailedSync(env.fs, directory)
    throw error
  }
}

function fileSize(env: Env, path: string): number {
  const handle = env.fs.open(path, 'read')
  try {
    return handle.size()
  } finally {
    handle.close()
  }
}

function copyTail(env: Env, handle: FileHandle, from: number, path: string): void {
  env.fs.remove(path)
  const copy = env.fs.open(path, 'append')
  const piece = new Uint8Array(FILE_READ_BYTES)
  try {
    for (let position = from; ; ) {
      const bytes = handle.read(piece, position)
      if (bytes === 0) break
      copy.write(piece.subarray(0, bytes), position - from)
      position += bytes
    }
    copy.syncNow()
  } finally {
    copy.close()
  }
}

/** Above a cut: no part of the log any more, but not deleted either. */
function setAside(env: Env, directory: string, baseOffset: number): void {
  const path = segmentPath(directory, baseOffset, 'log')
  env.fs.rename(path, `${path}.cut`)
  env.fs.remove(segmentPath(directory, baseOffset, 'index'))
  env.fs.remove(segmentPath(directory, baseOffset, 'timeindex'))
}
