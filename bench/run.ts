import { fork } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { scriptArguments } from './lib/arguments.js'
import type { ChildMessage, ChildOptions } from './lib/child.js'
import type { Bench, Line } from './lib/line.js'
import { reached } from './lib/line.js'
import { toJson, toTable } from './lib/report.js'

/**
 * Runs the benchmarks and prints their lines; `--help` says how it is called. Without names the suites that
 * show the main road run, and not those of one room (log) or of one benchmark (nexmark). A wrong result or a crash fails
 * the run; a figure that misses its requirement is printed as NOT and fails it only with --strict, since a
 * busy machine is not a bug.
 */
const usage = `npm run bench -- [--quick] [--json FILE] [--strict] [--events N] [--workers N] [--queries q0,q5] [NAME…]

  NAME      a suite (ingest scan group join failures latency host start log nexmark) or a file of bench/main/ without its ending;
            none: every suite but log and nexmark
  --quick   under a minute, for CI
  --json    writes the lines to FILE as well
  --strict  a figure that misses its requirement fails the run
  --events, --workers, --queries
            of nexmark: events of the stream (10e6), worker threads (1), some of the queries`

const { values: options, positionals: names } = scriptArguments(usage, {
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    strict: { type: 'boolean', default: false },
    json: { type: 'string' },
    events: { type: 'string' },
    workers: { type: 'string' },
    queries: { type: 'string' },
  },
})

/** A line of which nothing was heard for so long, neither a remark nor its result, is stuck. */
const SILENCE_MS_MAX = options.quick ? 60_000 : 300_000

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

interface Found {
  readonly file: string
  readonly suite: string
}

/** The order in which the table tells the story; suites that are not listed come last. */
const mainSuites = ['ingest', 'scan', 'group', 'join', 'failures', 'latency', 'host', 'start']
const suites = [...mainSuites, 'log', 'nexmark']

const lineOptions: ChildOptions = {
  quick: options.quick,
  ...(options.events === undefined ? {} : { events: Number(options.events) }),
  ...(options.workers === undefined ? {} : { workers: Number(options.workers) }),
  ...(options.queries === undefined ? {} : { queries: options.queries.split(',') }),
}

async function findBenches(): Promise<Found[]> {
  const found: Found[] = []
  for (const name of readdirSync(here('./main')).sort()) {
    if (!name.endsWith('.ts')) continue
    const file = name.slice(0, -3)
    const bench = ((await import(`./main/${file}.js`)) as { default: Bench }).default
    const isNamed = names.includes(bench.suite) || names.includes(bench.name)
    if (isNamed || (names.length === 0 && mainSuites.includes(bench.suite))) {
      found.push({ file, suite: bench.suite })
    }
  }
  const place = (suite: string): number => (suites.indexOf(suite) + suites.length + 1) % (suites.length + 1)
  return found.sort((a, b) => place(a.suite) - place(b.suite))
}

function runLine(file: string): Promise<readonly Line[]> {
  return new Promise((resolve, reject) => {
    let lines: readonly Line[] | undefined
    const child = fork(here('./lib/launch.js'), ['./child.ts', file, JSON.stringify(lineOptions)], { execArgv: [] })
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`nothing heard for ${SILENCE_MS_MAX / 1000} s`))
    }, SILENCE_MS_MAX)
    child.on('message', (message: ChildMessage) => {
      timer.refresh()
      if (message.kind === 'log') console.log(`    ${message.text}`)
      else lines = message.lines
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      if (lines !== undefined && code === 0) resolve(lines)
      else reject(new Error(`ended with ${signal ?? code} and ${lines === undefined ? 'no' : 'a'} result`))
    })
  })
}

async function main(): Promise<number> {
  mkdirSync(here('./out'), { recursive: true })
  const benches = await findBenches()
  if (benches.length === 0) {
    console.error(`nothing is called ${names.join(', ')}; suites: ${suites.join(' ')}`)
    return 1
  }
  const all: Line[] = []
  let failures = 0
  const start = performance.now()
  for (const { file } of benches) {
    console.log(`▸ ${file}`)
    try {
      const lines = await runLine(file)
      all.push(...lines)
      for (const note of lines.flatMap((line) => line.notes ?? [])) console.log(`    ${note}`)
    } catch (error) {
      failures += 1
      console.error(`✗ ${file}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  console.log(toTable(all))
  const missed = all.filter((line) => reached(line) === false).length
  const seconds = ((performance.now() - start) / 1000).toFixed(0)
  console.log(`${all.length} figures, ${missed} below what is required, ${failures} lines failed, ${seconds} s`)
  if (options.json !== undefined) writeFileSync(options.json, toJson(all, options.quick))
  return failures > 0 || (options.strict && missed > 0) ? 1 : 0
}

process.exitCode = await main()
