import { describe, expect, it } from 'vitest'
import { recoverPartition } from '../../src/log/recovery.js'
import { segmentPath } from '../../src/log/segment-files.js'
import { envOf, MemoryFileSystem } from '../log/memory-file-system.js'
import { below, type Experiment, experiment } from './report.js'
import { type BuiltSegment, batchEnd, SegmentBench } from './segment-harness.js'

/**
 * F4 for the log: wherever the last segment ends, and whatever stands behind its last whole batch, recovery keeps the longest prefix of
 * whole batches, never less and never more; below the recovery point it cuts nothing.
 */
const LOG_BYTES = 65_536
const TAILS = Number(process.env['TAILS'] ?? 20_000)
const DIRECTORY = '/log/t-0'
const PATH = segmentPath(DIRECTORY, 0, 'log')

interface Prefix {
  readonly bytes: number
  readonly nextOffset: number
}

describe('F4: tails of the log', () => {
  it('every truncation of a segment of 64 KiB is cut at its last whole batch', () => {
    const run = experiment('every truncation of a segment')
    const segment = new SegmentBench(run.random, 1, LOG_BYTES).segments[0] as BuiltSegment
    for (let length = 0; length <= segment.bytes.length; length++)
      recover(run, segment, segment.bytes.subarray(0, length), length)
    expect(run.counts()['recoveries']).toBe(segment.bytes.length + 1)
    run.print()
  })

  it.each([
    ['zeros', (length: number) => new Uint8Array(length)],
    ['noise', (length: number, random: () => number) => Uint8Array.from({ length }, () => below(random, 256))],
  ] as const)('a tail of %s is cut, however long and wherever it begins', (name, tailOf) => {
    const run = experiment(`a tail of ${name}`)
    const segment = new SegmentBench(run.random, 1, 4096).segments[0] as BuiltSegment
    for (let i = 0; i < TAILS; i++) {
      const keep = below(run.random, segment.bytes.length + 1)
      const tail = tailOf(1 + below(run.random, i % 100 === 0 ? 9000 : 200), run.random)
      // A tear is not where the tail ends: what it wrote over may have been the same bytes.
      const bytes = new Uint8Array(Buffer.concat([segment.bytes.subarray(0, keep), tail]))
      let same = keep
      while (same < segment.bytes.length && same < bytes.length && bytes[same] === segment.bytes[same]) same++
      recover(run, segment, bytes, same)
    }
    run.print()
  })

  it('a truncation below the recovery point cuts nothing, and is reported with its offsets', () => {
    const run = experiment('truncations below the recovery point')
    const segment = new SegmentBench(run.random, 1, 4096).segments[0] as BuiltSegment
    const wholeEnd = segment.endOffset
    for (let length = 0; length < segment.bytes.length; length++) {
      const { fs, found } = run1(segment.bytes.subarray(0, length), wholeEnd)
      expect(found.cut).toBeUndefined()
      expect(fs.readFile(PATH).length).toBe(length)
      expect(found.logEndOffset).toBe(wholeEnd)
      const lost = found.damaged.reduce((sum, range) => sum + range.toOffset - range.fromOffset, 0)
      expect(lost).toBe(wholeEnd - prefixOf(segment, length).nextOffset)
      run.count('recoveries')
    }
    run.print()
  })
})

function recover(run: Experiment, segment: BuiltSegment, bytes: Uint8Array, intact: number): void {
  const { fs, found } = run1(bytes, 0)
  const expected = prefixOf(segment, intact)
  expect(found.logEndOffset).toBe(expected.nextOffset)
  expect(found.damaged).toEqual([])
  expect(fs.readFile(PATH).length).toBe(expected.bytes)
  expect((found.cut?.bytes ?? 0) + expected.bytes).toBe(bytes.length)
  run.count('recoveries')
  run.count('bytes cut', found.cut?.bytes ?? 0)
}

function run1(
  bytes: Uint8Array,
  recoveryPoint: number,
): { fs: MemoryFileSystem; found: ReturnType<typeof recoverPartition> } {
  const fs = new MemoryFileSystem()
  fs.replaceFile(PATH, bytes)
  const found = recoverPartition({
    env: envOf(fs),
    directory: DIRECTORY,
    recoveryPoint,
    logStartOffset: 0,
    dense: true,
    indexIntervalBytes: 4096,
    cleanEnd: undefined,
  })
  return { fs, found }
}

/** The whole batches within the first `length` bytes. */
function prefixOf(segment: BuiltSegment, length: number): Prefix {
  const dv = new DataView(segment.bytes.buffer, segment.bytes.byteOffset, segment.bytes.length)
  let prefix: Prefix = { bytes: 0, nextOffset: 0 }
  for (const start of segment.starts) {
    const end = batchEnd(segment.bytes, start)
    if (end > length) break
    prefix = { bytes: end, nextOffset: Number(dv.getBigInt64(start)) + dv.getInt32(start + 23) + 1 }
  }
  return prefix
}
