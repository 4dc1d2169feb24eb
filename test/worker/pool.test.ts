import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { FIRST_WORKER_SLOT } from '../../src/common/doorbell.js'
import { nodeEnv } from '../../src/common/env.js'
import type { MillraceError } from '../../src/common/errors.js'
import { createSharedLogMemory } from '../../src/log/shared-memory.js'
import { WorkerPool } from '../../src/worker/pool.js'
import { DEATHS_MAX, RESTART_SPAN_MS, RestartLimit } from '../../src/worker/restart-limit.js'

const dir = mkdtempSync(join(tmpdir(), 'millrace-pool-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

function fileWith(name: string, text: string): string {
  const path = join(dir, name)
  writeFileSync(path, text)
  return path
}

interface Death {
  readonly slot: number
  readonly error: MillraceError
  readonly restarts: boolean
}

/** Runs a pool on the file until it has given `slots` workers up. */
async function untilGivenUp(file: string, workers: number): Promise<{ pool: WorkerPool; deaths: Death[] }> {
  const deaths: Death[] = []
  let givenUp = 0
  let pool: WorkerPool | undefined
  await new Promise<void>((resolve, reject) => {
    pool = new WorkerPool({
      workers,
      file,
      log: createSharedLogMemory(64 * 1024 * 1024),
      env: nodeEnv,
      onStart: () => undefined,
      onDeath: (slot, error, restarts) => {
        deaths.push({ slot, error, restarts })
        if (!restarts) givenUp += 1
        if (givenUp === workers) resolve()
      },
      onFault: () => undefined,
    })
    pool.open().catch(reject)
  })
  return { pool: pool as WorkerPool, deaths }
}

test.each([
  ['is not there', () => join(dir, 'nowhere.mjs')],
  ['throws when it is loaded', () => fileWith('throws.mjs', "throw new Error('no such thing')")],
  ['ends its thread when it is loaded', () => fileWith('exits.mjs', 'process.exit(3)')],
  ['returns an error', () => fileWith('returns.mjs', "export default () => { throw new Error('at once') }")],
  ['ends its thread', () => fileWith('dies.mjs', 'export default () => { process.exit(4) }')],
])('workers whose file %s are given up after a few deaths', async (_, file) => {
  const { pool, deaths } = await untilGivenUp(file(), 3)
  const first = deaths.filter((death) => death.slot === FIRST_WORKER_SLOT)
  expect(first.length).toBe(DEATHS_MAX)
  expect(first.map((death) => death.error.code)).toEqual([
    ...Array.from({ length: DEATHS_MAX - 1 }, () => 'WORKER_DIED'),
    'WORKER_GIVEN_UP',
  ])
  // The others were not started, since the first never came to life.
  expect(deaths.length).toBe(DEATHS_MAX + 2)
  expect(pool.slots).toEqual([])
  await expect(pool.open()).rejects.toMatchObject({
    code: 'WORKER_GIVEN_UP',
    detail: expect.stringMatching(/died 5 times within 30 s, the last time by: .+/),
    hint: expect.any(String),
  })
  await pool.close()
})

test('a thread that is still loading is not ended: Node would abort the process', async () => {
  const marker = join(dir, 'loaded')
  const file = fileWith(
    'slow.mjs',
    `import { writeFileSync } from 'node:fs'
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
    writeFileSync(${JSON.stringify(marker)}, '')
    export default () => undefined`,
  )
  const pool = new WorkerPool({
    workers: 2,
    file,
    log: createSharedLogMemory(64 * 1024 * 1024),
    env: nodeEnv,
    onStart: () => undefined,
    onDeath: () => undefined,
    onFault: () => undefined,
  })
  await pool.open()
  await pool.close()
  expect(existsSync(marker)).toBe(true)
})

test('the others are started when a query wants them, or a moment after the first', async () => {
  for (const byTime of [false, true]) {
    const loaded = (slot: number): string => join(dir, `loaded-${byTime}-${slot}`)
    const file = fileWith(
      `marks-${byTime}.mjs`,
      `import { writeFileSync } from 'node:fs'
      import { parentPort } from 'node:worker_threads'
      export default ({ slot }) => {
        writeFileSync(${JSON.stringify(join(dir, `loaded-${byTime}-`))} + slot, '')
        parentPort.postMessage(slot)
      }`,
    )
    let pass = (): void => undefined
    const firstIsUp = new Promise<void>((resolve) => {
      pass = resolve
    })
    let moment = (): void => undefined
    const pool = new WorkerPool({
      workers: 3,
      file,
      log: createSharedLogMemory(64 * 1024 * 1024),
      env: {
        ...nodeEnv,
        timer: (_, callback) => {
          moment = callback
          pass()
          return () => undefined
        },
      },
      onStart: () => undefined,
      onDeath: () => undefined,
      onFault: () => undefined,
    })
    await pool.open()
    await firstIsUp
    expect(existsSync(loaded(FIRST_WORKER_SLOT))).toBe(true)
    expect(existsSync(loaded(FIRST_WORKER_SLOT + 1))).toBe(false)
    if (byTime) moment()
    else pool.startAll()
    await pool.close()
    expect(existsSync(loaded(FIRST_WORKER_SLOT + 1))).toBe(true)
    expect(existsSync(loaded(FIRST_WORKER_SLOT + 2))).toBe(true)
  }
})

test('deaths that lie far apart are accidents, and a worker has its own count', () => {
  const limit = new RestartLimit()
  for (let i = 0; i < 50; i++) expect(limit.allows(2, i * (RESTART_SPAN_MS / 4) + 1)).toBe(true)
  const other = new RestartLimit()
  expect(Array.from({ length: DEATHS_MAX }, (_, i) => other.allows(2, i))).toEqual([true, true, true, true, false])
  expect(other.allows(3, 5)).toBe(true)
})
