import { expect, test } from 'vitest'
import { experiment } from '../faults/report.js'
import { fuzzSegments } from '../faults/segment-fuzz.js'

test('segments that were changed at random give what was written, or a reason (millions: npm run test:faults)', () => {
  const run = experiment('fuzz of the segment reader')
  fuzzSegments(run, 1280)
  run.print()
  expect(run.counts()['records given']).toBeGreaterThan(1000)
  expect(run.counts()['offsets skipped']).toBeGreaterThan(1000)
})
