import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { crc32c } from '../../src/common/checksum.js'
import {
  ATTRIBUTES,
  BASE_OFFSET,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH,
  CRC,
  LAST_OFFSET_DELTA,
  MAGIC,
  RECORD_COUNT,
} from '../../src/record/batch-header.js'
import { below, type Experiment } from './report.js'
import { type BuiltSegment, SegmentBench, wholeBatches } from './segment-harness.js'

/** Files that one reader goes through: as many mutations, one in each. */
const SEGMENTS = 32
const SEGMENT_BYTES = 900
/** Windows of files, chunks of shared memory and what batches unpack to, garbage left out: a leak goes beyond. */
const BUFFER_BYTES_MAX = 128 * 1024 * 1024
/** What one reader through all the segments may take, garbage included: a length that was believed goes beyond. */
const GROWTH_BYTES_MAX = 64 * 1024 * 1024

/** Numbers at the edges of what lengths are compared with. */
const edges = [
  0,
  1,
  -1,
  60,
  61,
  62,
  127,
  128,
  0xffff,
  0x7fffffff,
  -0x80000000,
  0x40000000,
  4 * 1024 * 1024,
  4 * 1024 * 1024 + 1,
]
const fields = [BATCH_LENGTH, LAST_OFFSET_DELTA, RECORD_COUNT, BASE_OFFSET, BASE_OFFSET + 4, CRC, MAGIC]

/**
 * Changes segments at random and reads them. Three times in four as a disk would damage them: then nothing that is given may differ from
 * what was written, and nothing may be missing without a word. Else the checksums are made anew, as by an attacker or a bug:
 * then there must be an answer or a refusal, in memory that is bounded.
 */
export async function fuzzSegments(run: Experiment, mutations: number): Promise<void> {
  const { random } = run
  const before = process.memoryUsage().arrayBuffers
  const bench = new SegmentBench(random, SEGMENTS, SEGMENT_BYTES)
  let known = before
  for (let done = 0, round = 0; done < mutations; done += SEGMENTS, round++) {
    const isResealed = round % 4 === 3
    for (const segment of bench.segments) {
      const bytes = mutated(segment, random)
      if (isResealed) reseal(bytes, segment)
      bench.put(segment.baseOffset, bytes)
    }
    const found = readOrExplain(bench, !isResealed, round)
    run.count('records given', found.given)
    if (!isResealed) run.count('offsets skipped', found.skipped)
    if (found.untold > 0) run.count('batches in the place of another, and nothing told', found.untold)
    run.count('batches refused', found.refused)
    if (!isResealed) assert.ok(found.given + found.skipped >= bench.endOffset, 'an offset is missing without a word')
    // Node's zlib lets go of a stream that has failed in the next turn.
    if (round % 256 === 0) await new Promise((resolve) => setImmediate(resolve))
    let buffers = process.memoryUsage().arrayBuffers
    assert.ok(buffers - known < GROWTH_BYTES_MAX, `${buffers - known} bytes of buffers for one reader`)
    if (buffers - before > BUFFER_BYTES_MAX) {
      collectGarbage(before + BUFFER_BYTES_MAX / 2)
      buffers = process.memoryUsage().arrayBuffers
      assert.ok(buffers - before < BUFFER_BYTES_MAX, `${buffers - before} bytes of buffers are kept`)
    }
    known = buffers
  }
  run.count('mutations', mutations)
}

/** Until no more than `bytes` of buffers are left, or for ten times: what one finds is swept beside the program, by the beginning of the next at the latest. */
function collectGarbage(bytes: number): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let i = 0; i < 10 && process.memoryUsage().arrayBuffers > bytes; i++) collect()
}

/** A record that is wrong is told with what was done to the segments around it. */
function readOrExplain(bench: SegmentBench, isTrusted: boolean, round: number): ReturnType<SegmentBench['readAll']> {
  try {
    return bench.readAll(isTrusted)
  } catch (error) {
    const offset = Number(/offset (\d+)/.exec(String(error))?.[1])
    const at = bench.segments.findIndex((segment) => offset < segment.endOffset)
    for (const segment of bench.segments.slice(Math.max(0, at - 1), at + 2)) {
      const { baseOffset, bytes } = segment
      console.log(
        `round ${round}, segment ${baseOffset}, as written:\n${layout(bytes)}\nas read:\n${layout(bench.get(baseOffset))}`,
      )
    }
    throw error
  }
}

/** The whole batches of a segment, and what is between them. */
function layout(bytes: Uint8Array): string {
  const lines: string[] = []
  let at = 0
  for (const { start, end, baseOffset, nextOffset } of wholeBatches(bytes)) {
    if (start > at) lines.push(`  ${at}: ${start - at} bytes of no batch`)
    lines.push(`  ${start}: offsets ${baseOffset} to ${nextOffset - 1}, ${end - start} bytes`)
    at = end
  }
  if (at < bytes.length) lines.push(`  ${at}: ${bytes.length - at} bytes of no batch`)
  return lines.join('\n')
}

function mutated(segment: BuiltSegment, random: () => number): Uint8Array {
  let bytes: Uint8Array = segment.bytes.slice()
  for (let changes = 1 + below(random, 3); changes > 0; changes--) bytes = changed(bytes, segment, random)
  return bytes
}

function changed(bytes: Uint8Array, segment: BuiltSegment, random: () => number): Uint8Array {
  if (bytes.length === 0) return bytes
  const at = below(random, bytes.length)
  const length = Math.min(bytes.length - at, 1 + below(random, 64))
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  switch (below(random, 10)) {
    case 0:
    case 1:
      bytes[at] = (bytes[at] as number) ^ (1 << below(random, 8))
      return bytes
    case 2:
      bytes[at] = below(random, 256)
      return bytes
    case 3: {
      // A length or count at the edge of something.
      const start = segment.starts[below(random, segment.starts.length)] as number
      const field = start + (fields[below(random, fields.length)] as number)
      if (field + 4 <= bytes.length) dv.setInt32(field, edges[below(random, edges.length)] as number)
      return bytes
    }
    case 4:
      return bytes.slice(0, at)
    case 5:
      return longer(bytes, length, random)
    case 6:
      bytes.fill(0, at, at + length)
      return bytes
    case 7:
      // A piece that belongs elsewhere.
      bytes.copyWithin(below(random, bytes.length), at, at + length)
      return bytes
    case 8: {
      // A whole batch twice, or one left out.
      const start = segment.starts[below(random, segment.starts.length)] as number
      const end = segment.starts.find((s) => s > start) ?? segment.bytes.length
      const batch = segment.bytes.subarray(start, end)
      return below(random, 2) === 0
        ? new Uint8Array(Buffer.concat([bytes.subarray(0, end), batch, bytes.subarray(end)]))
        : new Uint8Array(Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]))
    }
    default:
      for (let i = at; i < at + length; i++) bytes[i] = below(random, 256)
      return bytes
  }
}

/** Gives every batch the checksum of what it is now. */
function reseal(bytes: Uint8Array, segment: BuiltSegment): void {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (const start of segment.starts) {
    if (start + BATCH_HEADER_BYTES > bytes.length) break
    const end = start + dv.getInt32(start + BATCH_LENGTH) + 12
    if (end < start + BATCH_HEADER_BYTES || end > bytes.length) continue
    dv.setUint32(start + CRC, crc32c(bytes, start + ATTRIBUTES, end))
  }
}

function longer(bytes: Uint8Array, by: number, random: () => number): Uint8Array {
  const longer = new Uint8Array(bytes.length + by)
  longer.set(bytes)
  for (let i = bytes.length; i < longer.length; i++) longer[i] = below(random, 256)
  return longer
}
