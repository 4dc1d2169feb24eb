import type { FileSystem } from '../common/env.js'

/** Kafka's file names: a segment is named by its first offset in twenty digits. */
const LOG_NAME = /^(\d{20})\.log$/

export function segmentPath(directory: string, baseOffset: number, suffix: 'log' | 'index' | 'timeindex'): string {
  return `${directory}/${String(baseOffset).padStart(20, '0')}.${suffix}`
}

/** Base offsets of the segments in a partition's directory, ascending. */
export function listSegments(fs: FileSystem, directory: string): number[] {
  const offsets: number[] = []
  for (const name of fs.list(directory)) {
    const match = LOG_NAME.exec(name)
    if (match?.[1] !== undefined) offsets.push(Number(match[1]))
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
