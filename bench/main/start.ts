import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Bench } from '../lib/line.js'
import { check, median } from '../lib/measure.js'

/** `import('millrace')` and the first row of a query in memory, in fresh processes. */
const bench: Bench = {
  name: 'start',
  suite: 'start',
  run({ quick }) {
    const child = fileURLToPath(new URL('../lib/start-child.js', import.meta.url))
    const imported: number[] = []
    const firstRow: number[] = []
    for (let i = 0; i < (quick ? 6 : 16); i++) {
      const out = JSON.parse(execFileSync(process.execPath, [child], { encoding: 'utf8' })) as {
        imported: number
        firstRow: number
        row: unknown
      }
      check(JSON.stringify(out.row) === '{"a":2}', `first row ${JSON.stringify(out.row)}`)
      if (i === 0) continue
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
        required: { atMost: 80 },
      },
      {
        what: 'first row of a query in memory, import included',
        figure: median(firstRow),
        spread: spread(firstRow),
        unit: 'ms',
        required: { atMost: 300 },
      },
    ])
  },
}

export default bench
