import { expect, it } from 'vitest'
import type { Env } from '../../src/common/env.js'
import { Violation } from './expected-log.js'
import { type ShareSimulationOptions, simulateSharing } from './share-simulation.js'

/** One for fifteen of the log's, since each takes longer. */
const SEEDS = Math.ceil(Number(process.env['SIMULATION_SEEDS'] ?? 300) / 15)

async function firstFailure(seeds: number, options: Omit<ShareSimulationOptions, 'seed'>): Promise<string | undefined> {
  for (let seed = 0; seed < seeds; seed++) {
    try {
      await simulateSharing({ seed, ...options })
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      return error.message.split('\n')[0]
    }
  }
  return undefined
}

it(`K-22: over losses of power, ${SEEDS} seeds: what is done with durably never comes again, every other job does`, async () => {
  const counts: Record<string, number> = {}
  for (let seed = 0; seed < SEEDS; seed++) {
    for (const [what, times] of Object.entries((await simulateSharing({ seed })).counts)) {
      counts[what] = (counts[what] ?? 0) + times
    }
  }
  process.stdout.write(`sharing, seeds 0 to ${SEEDS - 1}: ${JSON.stringify(counts)}\n`)
  expect(counts['losses of power']).toBeGreaterThan(SEEDS / 2)
  expect(counts['jobs durably done']).toBeGreaterThan(SEEDS)
  expect(counts['jobs that came in the end']).toBeGreaterThan(SEEDS)
  expect(counts['jobs that came again although they were done, and not durably so']).toBeGreaterThan(0)
}, 600_000)

it('a seed does the same things again', async () => {
  expect((await simulateSharing({ seed: 3 })).trace).toEqual((await simulateSharing({ seed: 3 })).trace)
})

it('a build is caught whose state of share groups is not synced before a commit resolves', async () => {
  const tamper = (env: Env): Env => ({
    ...env,
    fs: new Proxy(env.fs, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        if (name !== 'open') return value.bind(target) as unknown
        return (...[path, mode]: Parameters<Env['fs']['open']>) => {
          const handle = target.open(path, mode)
          return path.includes('/__share_group_state-') ? { ...handle, sync: () => Promise.resolve() } : handle
        }
      },
    }),
  })
  expect(await firstFailure(40, { tamper })).toMatch(/was handed out, and a commit had made durable that it is done/)
})

it('so is one that syncs nothing at all', async () => {
  expect(await firstFailure(40, { runAs: 'never' })).toMatch(/was handed out|was sent|never sent/)
})
