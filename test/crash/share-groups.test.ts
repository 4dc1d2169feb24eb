import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Millrace } from 'millrace'
import { expect, test } from 'vitest'
import { Child, seededRandom } from './kill.js'

/** CI does 25; MILLRACE_KILLS=200 for a long night. */
const KILLS = Number(process.env.MILLRACE_KILLS ?? 2)
const SEED = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000)
const JOBS = 400 + 100 * KILLS

test(`K-22: through kill -9 again and again, a job that is done with durably never comes again, and every other one does (seed ${SEED})`, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-kill-'))
  try {
    const random = seededRandom(SEED)
    const setup = await Millrace.open({ dir, workers: 1 })
    await setup.topics.create('jobs', { partitions: 2 })
    await setup.groups.alter('workers', { 'share.auto.offset.reset': 'earliest', 'share.delivery.count.limit': 25 })
    await setup.producer().send({
      topic: 'jobs',
      messages: Array.from({ length: JOBS }, (_, i) => ({ value: String(i), partition: i % 2 })),
    })
    await setup.close()

    const done = new Set<string>()
    const got = new Set<string>()
    for (let round = 0; round < KILLS; round++) {
      const child = new Child('./share-child.mjs', [dir, String(SEED + round)])
      const lines = 10 + Math.floor(random() * 100)
      await child.until((said) => said.length > lines)
      const before = new Set(done)
      await child.kill()
      for (const line of child.lines) {
        const [what, job = ''] = line.split(' ')
        if (what === 'got') {
          expect(before.has(job), `job ${job} was done with in an earlier life`).toBe(false)
          got.add(job)
        }
        if (what === 'done') done.add(job)
      }
    }
    expect(done.size, 'some jobs were done').toBeGreaterThan(0)

    const mill = await Millrace.open({ dir, workers: 1 })
    const worker = mill.shareConsumer({ groupId: 'workers' })
    await worker.subscribe({ topics: ['jobs'] })
    await worker.run({
      eachMessage: ({ message }) => {
        const job = String(message.value)
        expect(done.has(job), `job ${job} was done with`).toBe(false)
        got.add(job)
      },
      onError: { then: 'stop' },
    })
    while ((await mill.groups.describe('workers')).lag > 0) await new Promise((resolve) => setImmediate(resolve))
    await worker.disconnect()
    await mill.close()
    expect(got.size, 'every job was handed out').toBe(JOBS)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}, 120_000)
