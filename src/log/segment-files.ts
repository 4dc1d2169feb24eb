import type { FileSystem } from '../common/env.js'

/** Kafka's file names: a segment is named by its first offset in twenty digits, a producer snapshot by the offset that it stands at. */
const LOG_NAME = /^(\d{20})\.log$/
const SNAPSHOT_NAME = /^(\d{20})\.snapshot$/

export type SegmentSuffix = 'log' | 'index' | 'timeindex' | 'txnindex' | 'snapshot'

export function segmentPath(directory: string, baseOffset: number, suffix: SegmentSuffix): string {
  return `${directory}/${String(baseOffset).padStart(20, '0')}.${suffix}`
}

/** What compaction is writing; see segment-swap.ts. */
export function cleanedPath(directory: string, baseOffset: number, suffix: SegmentSuffix): string {
  return `${segmentPath(directory, baseOffset, suffix)}.cleaned`
}

/** Base offsets of the segments in a partition's directory, ascending. */
export function listSegments(fs: FileSystem, directory: string): number[] {
  return listOffsets(fs, directory, LOG_NAME)
}

/** Offsets of the producer snapshots in a partition's directory, ascending. */
export function listSnapshots(fs: FileSystem, directory: string): number[] {
  return listOffsets(fs, directory, SNAPSHOT_NAME)
}

function listOffsets(fs: FileSystem, directory: string, pattern: RegExp): number[] {
  const offsets: number[] = []
  for (const name of fs.list(directory)) {
    const digits = pattern.exec(name)?.[1]
    if (digits === undefined) continue
    // A name beyond 2^53 is nobody's segment: no partition of ours gets there, and Number() would round it onto another.
    const offset = Number(digits)
    if (Number.isSafeInteger(offset)) offsets.push(offset)
  }
  return offsets.sort((a, b) => a - b)
}

/** The last segment that begins at or below `offset`, -1 where none does. */
export function segmentAt(baseOffsets: readonly number[], offset: number): number {
  let low = 0
  let high = baseOffsets.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((baseOffsets[middle] as number) <= offset) low = middle + 1
    else high = middle
  }
  return low - 1
}
