import { seededRandom } from '../crash/kill.js'

/**
 * What every file of the fault plan prints: which experiment, with which seed, and how often what was found. The lines go to the
 * figures of docs/guarantees.md. `FAULTS_SEED` replays a run.
 */
export interface Experiment {
  readonly seed: number
  readonly random: () => number
  count(what: string, by?: number): void
  counts(): Readonly<Record<string, number>>
  print(): void
}

export function experiment(name: string): Experiment {
  const given = process.env['FAULTS_SEED']
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given)
  const started = performance.now()
  const counts: Record<string, number> = {}
  // Said before anything can fail, so that a failure can be replayed.
  process.stdout.write(`${name}: FAULTS_SEED=${seed}\n`)
  return {
    seed,
    random: seededRandom(seed),
    count(what, by = 1) {
      counts[what] = (counts[what] ?? 0) + by
    },
    counts: () => counts,
    print() {
      const found = Object.entries(counts).map(([what, times]) => `${times} ${what}`)
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      process.stdout.write(`${name}: seed ${seed}, ${found.join(', ')} (${seconds} s)\n`)
    },
  }
}

/** A whole number below `below`. */
export function below(random: () => number, bound: number): number {
  return Math.floor(random() * bound)
}
