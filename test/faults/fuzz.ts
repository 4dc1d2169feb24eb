import { scriptArguments } from '../../bench/lib/arguments.js'
import { experiment } from './report.js'
import { fuzzSegments } from './segment-fuzz.js'

/**
 * The fuzz of the segment reader from the command line: `npm run test:fuzz -- --mutations 5000000 --seed 7`. Prints its seed first and what it
 * found at the end, and ends with status 1 where the reader has given a wrong record, lost one without a word, or has thrown what it should not.
 */
const { values } = scriptArguments('npm run test:fuzz -- [--mutations 100000] [--seed N]', {
  options: { mutations: { type: 'string', default: '100000' }, seed: { type: 'string' } },
})
if (values.seed !== undefined) process.env['FAULTS_SEED'] = values.seed
const run = experiment('fuzz of the segment reader')
await fuzzSegments(run, Number(values.mutations))
run.print()
