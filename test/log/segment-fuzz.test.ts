import { expect, test } from 'vitest'
import { seededRandom } from '../crash/kill.js'
import { experiment } from '../faults/report.js'
import { fuzzSegments } from '../faults/segment-fuzz.js'
import { SegmentBench } from '../faults/segment-harness.js'

test('segments that were changed at random give what was written, or a reason (millions: npm run test:faults)', () => {
  const run = experiment('fuzz of the segment reader')
  fuzzSegments(run, 1280)
  run.print()
  expect(run.counts()['records given']).toBeGreaterThan(1000)
  expect(run.counts()['offsets skipped']).toBeGreaterThan(1000)
})

test('behind damage, where two whole batches claim the same offsets the second is not believed', () => {
  const bench = new SegmentBench(seededRandom(7), 1, 60_000)
  const [segment] = bench.segments
  if (segment === undefined) throw new Error('a segment was expected')
  const { bytes, starts } = segment
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const offsetAt = (batch: number): bigint => view.getBigInt64(starts[batch] as number)
  // A batch whose neighbour has as many records.
  const batch = starts.findIndex(
    (_, b) => b > 0 && b + 2 < starts.length && offsetAt(b + 2) - offsetAt(b + 1) === offsetAt(b + 1) - offsetAt(b),
  )
  expect(batch).toBeGreaterThan(0)
  const [before, from, next, end] = [-1, 0, 1, 2].map((i) => starts[batch + i]) as [number, number, number, number]
  // The batch before it claims offsets far away, and behind it stands a copy of its neighbour with its own offset.
  const far = bytes.slice(before, from)
  new DataView(far.buffer).setBigInt64(0, 2n ** 31n)
  const impostor = bytes.slice(next, end)
  new DataView(impostor.buffer).setBigInt64(0, offsetAt(batch))
  bench.put(
    segment.baseOffset,
    Buffer.concat([bytes.subarray(0, before), far, bytes.subarray(from, next), impostor, bytes.subarray(next)]),
  )
  const found = bench.readAll(true)
  expect(found.skipped).toBeGreaterThan(0)
  expect(found.given + found.skipped).toBeGreaterThanOrEqual(bench.endOffset)
})
