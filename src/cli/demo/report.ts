import Table from 'cli-table3'
import type { DemoMode } from './arguments.js'
import type { Comparison, OriginDelay } from './group-results.js'
import type { LatencyHistogram } from './latency-histogram.js'
import { thousands } from './progress.js'

/** The demo's tables and bars, as text. Nothing here measures: figures come in, lines go out. */
export interface ModeFigures {
  readonly mode: DemoMode
  readonly recordsIn: number
  readonly rowsOut: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly latency: LatencyHistogram
  /** Absent for the mode that the others are compared with. */
  readonly comparison?: Comparison
}

export interface TextStyle {
  /** Colours and lines of a terminal; plain text otherwise. */
  readonly colours: boolean
}

export function comparisonTable(figures: readonly ModeFigures[], style: TextStyle): string {
  const table = new Table({
    head: ['', ...figures.map((f) => f.mode)],
    colAligns: ['left', ...figures.map(() => 'right' as const)],
    style: tableStyle(style),
  })
  const line = (name: string, text: (f: ModeFigures) => string): void => {
    table.push([name, ...figures.map(text)])
  }
  line('records in', (f) => thousands(f.recordsIn))
  line('rows out', (f) => thousands(f.rowsOut))
  line('seconds', (f) => f.seconds.toFixed(2))
  line('records/s', (f) => thousands(f.recordsIn / f.seconds))
  line('latency p50', (f) => milliseconds(f.latency.percentileMs(50)))
  line('latency p99', (f) => milliseconds(f.latency.percentileMs(99)))
  line('latency max', (f) => (f.latency.count === 0 ? '–' : milliseconds(f.latency.maxMs)))
  line('CPU seconds', (f) => f.cpuSeconds.toFixed(2))
  line('equal rows', (f) => comparisonText(f.comparison, figures.length))
  return table.toString()
}

function comparisonText(comparison: Comparison | undefined, modes: number): string {
  if (comparison === undefined) return modes > 1 ? 'reference' : '–'
  return comparison.equal ? `yes, ${thousands(comparison.groups)}` : `NO, ${thousands(comparison.different)} differ`
}

export function milliseconds(ms: number): string {
  if (!Number.isFinite(ms)) return '–'
  if (ms < 10) return `${ms.toFixed(2)} ms`
  if (ms < 1000) return `${ms.toFixed(1)} ms`
  return `${(ms / 1000).toFixed(2)} s`
}

export function originsTable(origins: readonly OriginDelay[], style: TextStyle): string {
  const table = new Table({
    head: ['origin', 'flights', 'average delay', 'greatest delay'],
    colAligns: ['left', 'right', 'right', 'right'],
    style: tableStyle(style),
  })
  for (const origin of origins) {
    table.push([
      origin.origin,
      thousands(origin.flights),
      `${origin.averageDelay.toFixed(1)} min`,
      `${thousands(origin.maxDelay)} min`,
    ])
  }
  return table.toString()
}

const BAR_WIDTH = 40

/** Airports are skewed by nature, so are the partitions that they are hashed to. */
export function partitionBars(records: readonly number[]): string {
  const most = Math.max(1, ...records)
  const sum = records.reduce((a, b) => a + b, 0)
  const mean = sum / Math.max(1, records.length)
  const lines = records.map((count, partition) => {
    const bar = '█'.repeat(Math.round((count / most) * BAR_WIDTH)).padEnd(BAR_WIDTH)
    return `  ${String(partition).padStart(2)} ${bar} ${thousands(count).padStart(9)}`
  })
  const imbalance = mean === 0 ? 1 : most / mean
  return [...lines, `  greatest partition: ${imbalance.toFixed(2)} times the mean`].join('\n')
}

function tableStyle(style: TextStyle): { head: string[]; border: string[] } {
  return style.colours ? { head: ['cyan'], border: ['grey'] } : { head: [], border: [] }
}
