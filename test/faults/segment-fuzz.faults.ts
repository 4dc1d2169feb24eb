import { expect, it } from 'vitest'
import { experiment } from './report.js'
import { fuzzSegments } from './segment-fuzz.js'

const mutations = Number(process.env['FUZZ_MUTATIONS'] ?? 5_000_000)

it(`the segment reader survives ${mutations} mutations: no wrong record, no crash, no hang, no memory beyond its bounds`, async () => {
  const run = experiment('fuzz of the segment reader')
  await fuzzSegments(run, mutations)
  run.print()
  expect(run.counts()['mutations']).toBe(mutations)
}, 3_600_000)
