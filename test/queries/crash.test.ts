import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { deserialize } from 'node:v8'
import { build, type Plugin } from 'esbuild'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type GroupKey, keyText } from '../../dist/api/group-key.js'
import type { CaseMode, QueryCase, Row } from './case-file.js'
import { crashCases, type Epoch, taken } from './crash-cases.js'
import { expectedRows } from './expected-rows.js'
import { rowDifferences } from './same-rows.js'

/**
 * A sixth of the cases at once (MILLRACE_CASES=all: all of them) in a process that is killed (SIGKILL) at random moments and started again: what the last of its
 * lives leaves must be what the case expects, and an epoch that is delivered twice must have the same rows.
 */
/** Workers of each life; all but the last are killed. */
const lives = { 'micro-batch': [1, 3], continuous: [3, 1] } as const
/** From `ready` on; a life without a kill takes about this long. */
const KILL_AFTER_MS_MAX = 200

/** The engine stays where it is built. */
const asBuilt: Plugin = {
  name: 'as built',
  setup: ({ onResolve }) => {
    onResolve({ filter: /\/dist\// }, ({ path }) => ({ path: new URL(path, import.meta.url).href, external: true }))
  },
}

// Translated once: under a loader that translates, as tsx, each of the threads would start with the loader.
let built: string
beforeAll(async () => {
  built = mkdtempSync(join(tmpdir(), 'millrace-crash-child-'))
  await build({
    entryPoints: [fileURLToPath(new URL('./crash-child.ts', import.meta.url))],
    outfile: join(built, 'crash-child.mjs'),
    define: { 'import.meta.url': JSON.stringify(import.meta.url) },
    platform: 'node',
    format: 'esm',
    bundle: true,
    plugins: [asBuilt],
  })
})
afterAll(() => {
  rmSync(built, { recursive: true, force: true })
})

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-crash-'))
})
afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

describe.each(['micro-batch', 'continuous'] as const)('%s', (mode) => {
  it(`survives kills, with ${lives[mode].join(', then ')} workers`, { timeout: 90_000 }, async () => {
    const epochs = new Map<string, Map<number, Epoch>>()
    const delays: number[] = []
    for (const [life, workers] of lives[mode].entries()) {
      const delay = life === lives[mode].length - 1 ? undefined : Math.floor(Math.random() * KILL_AFTER_MS_MAX)
      if (delay !== undefined) delays.push(delay)
      await live(mode, workers, delay, (epoch) => keep(epochs, epoch))
    }
    for (const { file, query } of crashCases(mode)) {
      const delivered = epochs.get(file) ?? new Map<number, Epoch>()
      const [first] = delivered.values()
      if (first === undefined) throw new Error(`${file} delivered nothing`)
      const differences = rowDifferences(finalRows(query, delivered), expectedRows(query, first.schema), false)
      expect({ file, taken, delays, ...differences }).toEqual({ file, taken, delays, missing: [], surplus: [] })
    }
  })
})

/** One life of the process; resolves when it has ended. */
async function live(
  mode: CaseMode,
  workers: number,
  killAfterMs: number | undefined,
  onEpoch: (epoch: Epoch) => void,
): Promise<void> {
  const args = [join(built, 'crash-child.mjs'), dir, mode, String(workers)]
  const running: ChildProcess = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let errors = ''
  running.stderr?.on('data', (data: Buffer) => {
    errors += data.toString()
  })
  const exited = new Promise<number | null>((resolve) => running.on('exit', (code) => resolve(code)))
  let done = false
  if (running.stdout === null) throw new Error('the child has no output')
  for await (const line of createInterface({ input: running.stdout })) {
    if (line === 'ready') {
      if (killAfterMs !== undefined) setTimeout(() => running.kill('SIGKILL'), killAfterMs)
    } else if (line === 'done') done = true
    // A line that the kill cut short has no end, and its epoch comes again.
    else if (line.endsWith(';')) onEpoch(deserialize(Buffer.from(line.slice(0, -1), 'base64')) as Epoch)
  }
  const code = await exited
  if (!done && code !== null) throw new Error(`the child ended with ${code}: ${errors}`)
}

function keep(epochs: Map<string, Map<number, Epoch>>, epoch: Epoch): void {
  const ofCase = epochs.get(epoch.file) ?? new Map<number, Epoch>()
  epochs.set(epoch.file, ofCase)
  const before = ofCase.get(epoch.epoch)
  if (before !== undefined) expect(rowDifferences(epoch.rows, before.rows, false)).toEqual({ missing: [], surplus: [] })
  ofCase.set(epoch.epoch, epoch)
}

function finalRows(query: QueryCase, epochs: ReadonlyMap<number, Epoch>): readonly Row[] {
  const inOrder = [...epochs.values()].sort((a, b) => a.epoch - b.epoch).map(({ rows }) => rows)
  if (query.output === 'complete') return inOrder.at(-1) ?? []
  const isGrouped = query.operators.some(({ name }) => name === 'agg' || name === 'top')
  if (query.output === 'append' || !isGrouped) return inOrder.flat()
  const key = groupKey(query)
  const last = new Map<string, Row>()
  for (const row of inOrder.flat()) last.set(key(row), row)
  return [...last.values()]
}

/** The columns of groupBy are the first of the result. The first rows of a group are told apart by their rank. */
function groupKey(query: QueryCase): GroupKey {
  const keys = query.operators.find((operator) => operator.name === 'groupBy')?.args.length ?? 0
  const columns = query.expect?.columns ?? []
  const ranked = query.operators.some(({ name }) => name === 'top')
  const names = [...columns.slice(0, keys), ...(ranked ? columns.slice(-1) : [])]
  return (row) => names.map((name) => keyText(row[name])).join('')
}
