import Benchmark from 'benchmark'
import { scriptArguments } from '../lib/arguments.js'
import { checksum } from './checksum.js'
import { hash } from './hash.js'
import { json } from './json.js'
import { rows } from './rows.js'

/**
 * npm run bench:micro -- [hash checksum json rows]
 *
 * Synchronous kernels under benchmark.js, which finds its own number of repeats and prints its margin of error. Nothing here
 * may return a promise: benchmark.js would count the making of the promise.
 */
export interface Kernel {
  readonly name: string
  /** What one call handles, for the column "per item". */
  readonly items: number
  run(): void
}

const suites: Readonly<Record<string, () => readonly Kernel[]>> = { hash, checksum, json, rows }

function runSuite(title: string, kernels: readonly Kernel[]): void {
  console.log(title)
  const suite = new Benchmark.Suite()
  for (const kernel of kernels) {
    suite.add(kernel.name, () => kernel.run(), { maxTime: 1, minSamples: 20 })
  }
  suite.on('cycle', (event: Benchmark.Event) => {
    const target = event.target as Benchmark.Target & { stats?: Benchmark.Stats }
    const items = kernels.find((kernel) => kernel.name === target.name)?.items ?? 1
    const hertz = target.hz ?? 0
    const nanos = 1e9 / (hertz * items)
    const margin = target.stats?.rme.toFixed(1) ?? '?'
    console.log(`  ${String(target.name).padEnd(48)} ${nanos.toFixed(1).padStart(9)} ns an item  ± ${margin} %`)
  })
  suite.run({ async: false })
}

const { positionals: wanted } = scriptArguments(`npm run bench:micro -- [${Object.keys(suites).join('] [')}]`, {
  allowPositionals: true,
})
const unknown = wanted.filter((title) => !Object.hasOwn(suites, title))
if (unknown.length > 0) {
  console.error(`there is no ${unknown.join(', ')}: there is ${Object.keys(suites).join(', ')}`)
  process.exit(2)
}
for (const [title, kernels] of Object.entries(suites)) {
  if (wanted.length === 0 || wanted.includes(title)) runSuite(title, kernels())
}
