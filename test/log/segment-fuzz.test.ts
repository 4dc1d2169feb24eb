import { expect, test } from 'vitest'
import { seededRandom } from '../crash/kill.js'
import { experiment } from '../faults/report.js'
import { fuzzSegments } from '../faults/segment-fuzz.js'
import { SegmentBench } from '../faults/segment-harness.js'

test('segments that were changed at random give what was written, or a reason (millions: npm run test:faults)', async () => {
  const run = experiment('fuzz of the segment reader')
  await fuzzSegments(run, 1280)
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

/** Two segments whose first has enough batches, and each batch of the first as [bytes, first offset, next offset]. */
function twoSegments(): { bench: SegmentBench; batches: { bytes: Uint8Array; offset: number; next: number }[] } {
  const bench = new SegmentBench(seededRandom(11), 2, 4000)
  const [segment] = bench.segments
  if (segment === undefined) throw new Error('a segment was expected')
  const { bytes, starts, endOffset } = segment
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const offsets = [...starts.map((start) => Number(view.getBigInt64(start))), endOffset]
  const batches = starts.map((start, b) => ({
    bytes: bytes.slice(start, starts[b + 1]),
    offset: offsets[b] as number,
    next: offsets[b + 1] as number,
  }))
  return { bench, batches }
}

/** The batch, with another base offset. */
function claiming(batch: { bytes: Uint8Array } | undefined, offset: number): Uint8Array {
  const bytes = (batch as { bytes: Uint8Array }).bytes.slice()
  new DataView(bytes.buffer).setBigInt64(0, BigInt(offset))
  return bytes
}

const bytesOf = (batches: readonly { bytes: Uint8Array }[]): Uint8Array[] => batches.map(({ bytes }) => bytes)

function expectEverythingAccountedFor(bench: SegmentBench): void {
  const found = bench.readAll(true)
  expect(found.skipped).toBeGreaterThan(0)
  expect(found.given + found.skipped).toBeGreaterThanOrEqual(bench.endOffset)
}

test('the last batch of a segment that is gone is not the one before it, which claims its offsets behind another that says otherwise', () => {
  const { bench, batches } = twoSegments()
  const last = batches.at(-1) as (typeof batches)[number]
  const impostor = batches.findLast((b) => b !== last && b.next - b.offset === last.next - last.offset)
  expect(impostor).toBeDefined()
  const at = batches.indexOf(impostor as (typeof batches)[number])
  const damaged = (batches[at - 2] as (typeof batches)[number]).bytes.slice()
  damaged[70] = (damaged[70] as number) ^ 1
  const kept = [...bytesOf(batches.slice(0, at - 2)), damaged, ...bytesOf(batches.slice(at - 1, at))]
  bench.put(0, Buffer.concat([...kept, claiming(impostor, last.offset)]))
  expectEverythingAccountedFor(bench)
})

test('a batch that claims the place of the one before it, which is gone, is not believed against two that follow', () => {
  const { bench, batches } = twoSegments()
  // As the first of its file, and in the middle.
  for (const gone of [0, 4]) {
    const rest = bytesOf(batches.slice(gone + 2))
    const impostor = claiming(batches[gone + 1], (batches[gone] as (typeof batches)[number]).offset)
    bench.put(0, Buffer.concat([...bytesOf(batches.slice(0, gone)), impostor, ...rest]))
    expectEverythingAccountedFor(bench)
  }
})

test('a batch that claims a place nearer to the one behind it than its own is not believed where that one is gone', () => {
  const { bench, batches } = twoSegments()
  const at = batches.findIndex((_, i) => i > 1 && i + 3 < batches.length)
  const [own, gone] = [batches[at], batches[at + 1]] as [(typeof batches)[number], (typeof batches)[number]]
  const impostor = claiming(own, own.offset + gone.next - gone.offset)
  bench.put(0, Buffer.concat([...bytesOf(batches.slice(0, at)), impostor, ...bytesOf(batches.slice(at + 2))]))
  expectEverythingAccountedFor(bench)
})

test('a batch that claims offsets of a whole one before it, at whose place another is gone, is not believed', () => {
  const { bench, batches } = twoSegments()
  // The first of its file is gone, and between the two behind it stands a copy of the latter, as if it were the former's last records.
  const at = batches.findIndex((b, i) => i > 1 && b.next - b.offset === 1 && claimFits(i))
  expect(at).toBeGreaterThan(1)
  const [kept, copied] = [batches[at - 1], batches[at]] as [(typeof batches)[number], (typeof batches)[number]]
  function claimFits(i: number): boolean {
    const before = batches[i - 1] as (typeof batches)[number]
    return before.next - before.offset > 1
  }
  const impostor = claiming(copied, copied.offset - 1)
  bench.put(0, Buffer.concat([kept.bytes, impostor, ...bytesOf(batches.slice(at))]))
  expectEverythingAccountedFor(bench)
})

test('of a batch and the copy of another before it that claims the same place none is believed', () => {
  const { bench, batches } = twoSegments()
  const at = batches.findIndex((b, i) => i > 0 && differs(b, batches[i - 1] as (typeof batches)[number]))
  function differs(a: (typeof batches)[number], b: (typeof batches)[number]): boolean {
    return a.next - a.offset !== b.next - b.offset
  }
  const [before, own] = [batches[at - 1], batches[at]] as [(typeof batches)[number], (typeof batches)[number]]
  const kept = bytesOf(batches.slice(0, at))
  const rest = bytesOf(batches.slice(at))
  bench.put(0, Buffer.concat([...kept, claiming(before, own.offset), ...rest]))
  expectEverythingAccountedFor(bench)
})

test('a batch at the place of another is not believed against the one behind it, whatever comes after that', () => {
  const { bench, batches } = twoSegments()
  const at = 4
  const gone = batches[at - 1] as (typeof batches)[number]
  const last = batches[at + 1] as (typeof batches)[number]
  const kept = bytesOf(batches.slice(0, at - 1))
  bench.put(0, Buffer.concat([...kept, claiming(batches[at], gone.offset), last.bytes, Buffer.alloc(31, 7)]))
  expectEverythingAccountedFor(bench)
})

test('a base offset that is wrong in one bit costs the records of its batch alone', () => {
  const { bench, batches } = twoSegments()
  for (const [at, wrong] of batches.entries()) {
    for (let bit = 0; bit < 16; bit++) {
      bench.put(0, Buffer.concat(batches.map((b) => (b === wrong ? claiming(b, b.offset ^ (1 << bit)) : b.bytes))))
      const found = bench.readAll(true)
      expect(found.skipped, `batch ${at}, bit ${bit}`).toBe(wrong.next - wrong.offset)
    }
  }
})

test('a wrong base offset does not take the batch before it along', () => {
  const { bench, batches } = twoSegments()
  const [before, wrong] = [batches[3], batches[4]] as [(typeof batches)[number], (typeof batches)[number]]
  const others = batches.map((batch) => (batch === wrong ? claiming(wrong, wrong.offset + 1) : batch.bytes))
  bench.put(0, Buffer.concat(others))
  const reader = bench.reader()
  reader.seek(before.offset)
  expect(reader.next()).toBe(true)
  expect(reader.baseOffset).toBe(before.offset)
  reader.close()
})

test('a segment holds no offsets of the one behind it', () => {
  const { bench, batches } = twoSegments()
  const [first, second] = bench.segments
  if (first === undefined || second === undefined) throw new Error('two segments were expected')
  bench.put(0, Buffer.concat([first.bytes, claiming(batches[2], second.baseOffset)]))
  bench.put(second.baseOffset, new Uint8Array(0))
  expectEverythingAccountedFor(bench)
})

test('a batch in the place of another that is gone is not told only where no whole neighbour contradicts it', () => {
  const { bench, batches } = twoSegments()
  const [gone, impostor] = [batches[4], batches[5]] as [(typeof batches)[number], (typeof batches)[number]]
  const before = bytesOf(batches.slice(0, 4))
  bench.put(0, Buffer.concat([...before, claiming(impostor, gone.offset)]))
  expect(bench.readAll(true).untold).toBe(1)
  bench.put(0, Buffer.concat([...before, claiming(impostor, gone.offset), ...bytesOf(batches.slice(6))]))
  expect(bench.readAll(true).untold).toBe(0)
})
