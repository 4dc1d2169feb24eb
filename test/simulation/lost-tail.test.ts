import { expect, it } from 'vitest'
import { type KeptBy, simulateLostTails } from './lost-tail-simulation.js'

/** One for forty of the log's, of each kind. */
const SEEDS = Math.ceil(Number(process.env['SIMULATION_SEEDS'] ?? 300) / 40)

it.each<KeptBy>(['commits', 'transactions', 'share group'])(
  `no record is passed over for having the offset of one that the power took: a group that keeps its place by %s, ${SEEDS} seeds`,
  async (keptBy) => {
    const counts: Record<string, number> = {}
    for (let seed = 0; seed < SEEDS; seed++) {
      for (const [what, times] of Object.entries(await simulateLostTails(seed, keptBy))) {
        counts[what] = (counts[what] ?? 0) + times
      }
    }
    process.stdout.write(`lost tails, ${keptBy}, seeds 0 to ${SEEDS - 1}: ${JSON.stringify(counts)}\n`)
    expect(counts['tails that were lost']).toBeGreaterThan(SEEDS / 4)
    expect(counts['records in the log']).toBeGreaterThan(SEEDS)
    if (keptBy !== 'share group') expect(counts['resets that were told']).toBeGreaterThan(0)
  },
  600_000,
)
