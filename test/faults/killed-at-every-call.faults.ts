import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { openLog, RowsAppender, readerOf, readValues } from '../log/log-fixture.js'
import { type Experiment, experiment } from './report.js'

/**
 * F1: a process that writes a real directory is killed at its n-th system call of the write family, for every n that the workload has, by
 * strace, which kills it before the call takes effect. A kill keeps the page cache: this tests that nothing is half done, the simulation tests
 * the loss of power. Needs strace (Debian: apt-get install strace). `FAULTS_STRIDE=7` tries every seventh call.
 */
const STEPS = 40
const CALLS = 'write,pwrite64,pwritev,ftruncate,rename,renameat2,unlink,unlinkat,mkdir,fsync,fdatasync'
const child = fileURLToPath(new URL('./writer-child.mjs', import.meta.url))
const stride = Number(process.env['FAULTS_STRIDE'] ?? 1)

/** Runs the workload until its n-th call of the main thread; what it acknowledged, and whether it was killed. */
function runUntil(directory: string, n: number): { readonly acked: readonly number[]; readonly killed: boolean } {
  const inject = ['-f', '-qqq', '-e', `trace=${CALLS}`, '-e', `inject=${CALLS}:signal=KILL:when=${n}`]
  const run = spawnSync('strace', [...inject, '-o', '/dev/null', process.execPath, child, directory, String(STEPS)], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  if (run.error !== undefined) throw new Error(`strace cannot be run: ${run.error.message}`, { cause: run.error })
  const acked = [0, 0]
  for (const line of run.stdout.split('\n')) {
    const [word, partition, offset] = line.split(' ')
    if (word === 'acked') acked[Number(partition)] = Number(offset)
  }
  const killed = run.signal === 'SIGKILL' || run.status === 137
  if (!killed && run.status !== 0) throw new Error(`exit code ${run.status}: ${run.stderr}`)
  return { acked, killed }
}

async function reopened(directory: string, acked: readonly number[], run: Experiment): Promise<void> {
  const started = performance.now()
  const log = await openLog({ dir: directory })
  const ms = performance.now() - started
  expect(ms).toBeLessThan(5000)
  const topic = log.engine.list().find((each) => each.name === 't')
  if (topic === undefined) {
    expect(acked).toEqual([0, 0])
    await log.close()
    return
  }
  for (let partition = 0; partition < 2; partition++) {
    const values = readValues(readerOf(topic, log.memory, partition), 0)
    expect(values.length).toBeGreaterThanOrEqual(acked[partition] as number)
    values.forEach((value, offset) => {
      expect(value).toBe(`${partition} ${offset} ${'.'.repeat((offset * 31) % 200)}`)
    })
    const base = new RowsAppender(topic, log.memory, partition).append(['next'])
    expect(base).toBe(values.length)
    run.count('records checked', values.length)
  }
  expect(log.engine.findings.flatMap((finding) => finding.damaged)).toEqual([])
  await log.engine.syncUpTo([0, 1].map((partition) => ({ topic: 't', partition, offset: 1 })))
  await log.close()
}

describe('F1: killed at every call of the write family', () => {
  it('opens, has everything that was acknowledged, and goes on at the right offset', async () => {
    const run = experiment(`F1 killed at every ${stride === 1 ? '' : `${stride}th `}write-family call, ${STEPS} sends`)
    const root = mkdtempSync(join(tmpdir(), 'millrace-faults-'))
    try {
      for (let n = 1; ; n += stride) {
        const directory = `${root}/${n}`
        const { acked, killed } = runUntil(directory, n)
        if (!killed) {
          expect(acked.every((offset) => offset > 30)).toBe(true)
          break
        }
        run.count('kills')
        if (existsSync(directory)) await reopened(directory, acked, run)
        rmSync(directory, { recursive: true, force: true })
      }
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
    run.print()
    expect(run.counts()['kills']).toBeGreaterThan(60 / stride)
  })
})
