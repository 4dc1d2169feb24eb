import { describe, expect, it } from 'vitest'
import { segmentPath } from '../../src/log/segment-files.js'
import { SegmentIndexWriter } from '../../src/log/segment-index-writer.js'
import { batchMaxTimestamp } from '../../src/record/batch-header.js'
import { viewsOf } from '../../src/types/block.js'
import { below, type Experiment, experiment } from './report.js'
import { type BuiltSegment, batchEnd, SegmentBench } from './segment-harness.js'

/**
 * F3 for the log: whatever single bit of a segment or of an index is flipped, a reader gives what was written, or says what it leaves
 * out; it never gives anything else, and what lies behind the damage stays readable.
 */
const LOG_BYTES = 65_536
const LARGE_BYTES = 1 << 20
const LARGE_FLIPS = Number(process.env['FLIPS'] ?? 100_000)
/** Segments that one reader goes through, each with a flip of its own. */
const TOGETHER = 8

describe('F3: flipped bits of the log', () => {
  it('every bit of a segment of 64 KiB', () => {
    const run = experiment('every bit of a segment flipped')
    const bench = new SegmentBench(run.random, TOGETHER, LOG_BYTES / TOGETHER)
    flipEach(run, bench)
    expect(run.counts()['flips']).toBeGreaterThanOrEqual(LOG_BYTES * 8)
    run.print()
  })

  it(`${LARGE_FLIPS} bits of a larger one, at random`, () => {
    const run = experiment('bits of a larger segment flipped')
    const bench = new SegmentBench(run.random, 1, LARGE_BYTES)
    const segment = bench.segments[0] as BuiltSegment
    const bytes = segment.bytes.slice()
    // Many at a time: damage here and there, and everything between is read.
    for (let flips = 0; flips < LARGE_FLIPS; flips += 100) {
      const bits = Array.from({ length: 100 }, () => below(run.random, bytes.length * 8))
      for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
      bench.put(0, bytes)
      read(run, bench)
      for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
      run.count('flips', 100)
    }
    run.print()
  })

  it('every bit of its offset index, and every offset is found', () => {
    const run = experiment('every bit of an offset index flipped')
    const { bench, index } = indexed(run)
    const offsets = Array.from({ length: 12 }, () => below(run.random, bench.endOffset))
    forEachBit(index.offsets, (bytes) => {
      bench.putIndex('index', 0, bytes)
      const reader = bench.reader()
      for (const offset of offsets) {
        reader.seek(offset)
        expect(reader.next() && reader.lastOffset >= offset).toBe(true)
        expect(index.isFirstAt(reader.baseOffset, offset)).toBe(true)
      }
      expect(reader.skipped).toBe(0)
      reader.close()
      run.count('flips')
    })
    run.print()
  })

  it('every bit of its time index, and every time is found', () => {
    const run = experiment('every bit of a time index flipped')
    const { bench, index } = indexed(run)
    const times = Array.from({ length: 12 }, () => 1_750_000_000_000 + below(run.random, bench.endOffset * 10))
    const wanted = times.map((time) => withReader(bench, (reader) => reader.offsetForTimestamp(time)))
    expect(new Set(wanted).size).toBeGreaterThan(6)
    forEachBit(index.times, (bytes) => {
      bench.putIndex('timeindex', 0, bytes)
      withReader(bench, (reader) => {
        times.forEach((time, i) => expect(reader.offsetForTimestamp(time), `time ${time}`).toBe(wanted[i]))
      })
      run.count('flips')
    })
    run.print()
  })
})

function flipEach(run: Experiment, bench: SegmentBench): void {
  const longest = Math.max(...bench.segments.map((segment) => segment.bytes.length))
  const copies = bench.segments.map((segment) => segment.bytes.slice())
  for (let bit = 0; bit < longest * 8; bit++) {
    bench.segments.forEach((segment, s) => {
      const bytes = copies[s] as Uint8Array
      if (bit > 0 && (bit - 1) >> 3 < bytes.length) flip(bytes, bit - 1)
      if (bit >> 3 < bytes.length) {
        flip(bytes, bit)
        run.count('flips')
      }
      bench.put(segment.baseOffset, bytes)
    })
    read(run, bench)
  }
}

function read(run: Experiment, bench: SegmentBench): void {
  const found = bench.readAll(true)
  // Markers are in no reader's hands: one that is damaged is skipped, and counted twice here.
  expect(found.given + found.skipped).toBeGreaterThanOrEqual(bench.endOffset)
  expect(found.refused).toBe(0)
  run.count('records given', found.given)
  run.count('offsets skipped', found.skipped)
}

function flip(bytes: Uint8Array, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
}

function forEachBit(whole: Uint8Array, use: (bytes: Uint8Array) => void): void {
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const bytes = whole.slice()
    flip(bytes, bit)
    use(bytes)
  }
}

function withReader<T>(bench: SegmentBench, use: (reader: ReturnType<SegmentBench['reader']>) => T): T {
  const reader = bench.reader()
  try {
    return use(reader)
  } finally {
    reader.close()
  }
}

/** A segment with the indexes that the engine would have written for it. */
function indexed(run: Experiment): {
  readonly bench: SegmentBench
  readonly index: {
    readonly offsets: Uint8Array
    readonly times: Uint8Array
    isFirstAt(baseOffset: number, offset: number): boolean
  }
} {
  const bench = new SegmentBench(run.random, 1, LOG_BYTES)
  const segment = bench.segments[0] as BuiltSegment
  const writer = new SegmentIndexWriter(bench.fs, '/log/t-0', 0, 1000)
  const padded = new Uint8Array((segment.bytes.length + 7) & ~7)
  padded.set(segment.bytes)
  const { dv } = viewsOf(padded.buffer)
  const firsts: number[] = []
  for (const start of segment.starts) {
    expect(batchMaxTimestamp(dv, start)).toBeGreaterThan(0)
    expect(batchEnd(padded, start)).toBeLessThanOrEqual(segment.bytes.length)
    firsts.push(Number(dv.getBigInt64(start)))
    writer.note(dv, start, start)
  }
  writer.seal()
  const offsets = Uint8Array.from(bench.fs.readFile(segmentPath('/log/t-0', 0, 'index')))
  const times = Uint8Array.from(bench.fs.readFile(segmentPath('/log/t-0', 0, 'timeindex')))
  expect(offsets.length / 8).toBeGreaterThan(20)
  return {
    bench,
    index: {
      offsets,
      times,
      // Markers are shown to nobody: the batch that is given may be the one behind.
      isFirstAt: (baseOffset, offset) => firsts.filter((first) => first > offset && first < baseOffset).length <= 3,
    },
  }
}
