import { scriptArguments } from '../../bench/lib/arguments.js'
import { SimulationFailure, simulate } from './log-simulation.js'

/**
 * The simulation from the command line: `npm run test:simulation -- --seeds 10000`, or one seed with its trace: `--seed 4711 --trace`.
 * Ends with what happened how often, and with status 1 where a seed has found something.
 */
const usage = `npm run test:simulation -- [--seeds 1000] [--from 0] [--seed N] [--trace] [--harsh]

  --seeds  how many, from --from on
  --seed   this one alone
  --trace  prints every step
  --harsh  every run has i/o errors, and many`

const { values } = scriptArguments(usage, {
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    harsh: { type: 'boolean', default: false },
  },
})

const started = performance.now()
const from = Number(values.seed ?? values.from)
const to = values.seed === undefined ? from + Number(values.seeds) : from + 1
const counts: Record<string, number> = {}
const failures: SimulationFailure[] = []
for (let seed = from; seed < to; seed++) {
  try {
    const result = await simulate({ seed, harsh: values.harsh })
    if (values.trace) console.log(result.trace.join('\n'))
    counts[`runs with fsync ${result.fsync}`] = (counts[`runs with fsync ${result.fsync}`] ?? 0) + 1
    for (const [what, times] of Object.entries(result.counts)) counts[what] = (counts[what] ?? 0) + times
  } catch (error) {
    if (!(error instanceof SimulationFailure)) throw error
    failures.push(error)
    console.log(error.message)
    if (values.trace) console.log(error.trace.join('\n'))
  }
}
console.log(`\nseeds ${from} to ${to - 1}, ${((performance.now() - started) / 1000).toFixed(1)} s`)
for (const [what, times] of Object.entries(counts).sort()) console.log(`  ${String(times).padStart(9)}  ${what}`)
console.log(
  `  ${String(failures.length).padStart(9)}  seeds failed${
    failures.length > 0
      ? `: ${failures
          .slice(0, 20)
          .map((f) => f.seed)
          .join(' ')}`
      : ''
  }`,
)
process.exitCode = failures.length > 0 ? 1 : 0
