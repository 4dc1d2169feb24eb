import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Bench } from '../lib/line.js'
import { check, median } from '../lib/measure.js'

/** `import('millrace')` and the first row of a query in memory, in fresh processes, in turn with processes that do nothing. */
const bench: Bench = {
  name: 'start',
  suite: 'start',
  run({ quick }) {
    const child = fileURLToPath(new URL('../lib/start-child.js', import.meta.url))
    const bareChild = fileURLToPath(new URL('../lib/bare-start-child.js', import.meta.url))
    const imported: number[] = []
    const booted: number[] = []
    const threads: number[] = []
    const firstRow: number[] = []
    for (let i = 0; i < (quick ? 6 : 16); i++) {
      const out = JSON.parse(execFileSync(process.execPath, [child], { encoding: 'utf8' })) as {
        imported: number
        firstRow: number
        row: unknown
      }
      check(JSON.stringify(out.row) === '{"a":2}', `first row ${JSON.stringify(out.row)}`)
      if (i === 0) continue
      const bare = JSON.parse(execFileSync(process.execPath, [bareChild], { encoding: 'utf8' })) as {
        booted: number
        threads: number
      }
      booted.push(bare.booted)
      threads.push(bare.threads)
      imported.push(out.imported)
      firstRow.push(out.firstRow)
    }
    const spread = (all: readonly number[]) => ({ min: Math.min(...all), max: Math.max(...all) })
    return Promise.resolve([
      {
        what: "import('millrace')",
        figure: median(imported),
        spread: spread(imported),
        unit: 'ms',
        limit: { what: 'Node to its first line', value: median(booted) },
        required: { atMost: 80 },
      },
      {
        what: 'first row of a query in memory, import included',
        figure: median(firstRow),
        spread: spread(firstRow),
        unit: 'ms',
        limit: { what: 'starting three empty threads', value: median(threads) },
        required: { atMost: 300 },
      },
    ])
  },
}

export default bench
