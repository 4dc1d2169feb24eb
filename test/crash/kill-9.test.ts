import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Millrace, t } from 'millrace'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Child, killedModes, seededRandom } from './kill.js'

/** Rounds of each test; of the test of queries half as many. CI does 25; MILLRACE_KILLS=200 for a long night. */
const KILLS = Number(process.env.MILLRACE_KILLS ?? 2)
const SEED = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000)

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-kill-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

test(`a record that was acknowledged survives kill -9, in order, and nothing is invented (seed ${SEED})`, async () => {
  const random = seededRandom(SEED)
  const acknowledged: [number, number][] = []
  let first = 0
  for (let round = 0; round < KILLS; round++) {
    const child = new Child('./ingest-child.mjs', [dir, String(first)])
    const sends = 1 + Math.floor(random() * 40)
    await child.until((lines) => lines.length > sends)
    await child.kill()
    expect(child.lines[0], 'the engine opens again').toBe('ready')
    for (const line of child.lines.slice(1)) acknowledged.push(line.split(' ').map(Number) as [number, number])
    // Numbers of a send that was not acknowledged are not used again, so that every number is sent once.
    first = (acknowledged.at(-1)?.[1] ?? 0) + 50 * (round + 1) + 1000
  }
  const mill = await Millrace.open({ dir, workers: 1 })
  const rows = await mill.read.format('log').option('subscribe', 'items').load().collect()
  const values = await mill.read.topic('items').collect()
  await mill.close()
  const seen = new Set(values.map((row) => row.n as number))
  expect(seen.size, 'no record twice').toBe(values.length)
  for (const [from, to] of acknowledged) {
    for (let n = from; n < to; n++) expect(seen.has(n), `record ${n} was acknowledged`).toBe(true)
  }
  const lastOf = new Map<string, { offset: number; n: number }>()
  for (const row of rows) {
    const value = JSON.parse(Buffer.from(row.value as Uint8Array).toString('utf8')) as { n: number; text: string }
    expect(value.text).toBe(`record ${value.n}`)
    const partition = String(row.partition)
    const before = lastOf.get(partition)
    if (before !== undefined) {
      expect(row.offset, 'offsets are dense').toBe(before.offset + 1)
      expect(value.n, 'order within a partition is the order of sends').toBeGreaterThan(before.n)
    }
    lastOf.set(partition, { offset: row.offset as number, n: value.n })
  }
}, 120_000)

test.each(killedModes(SEED))(
  `a query that is killed with -9 again and again gives each group once, with the right sums: %s (seed ${SEED})`,
  async (mode) => {
    const random = seededRandom(SEED)
    const setup = await Millrace.open({ dir, workers: 1 })
    const Event = t.struct({ user: t.string, at: t.timestamp, value: t.long })
    await setup.topics.create('events', { partitions: 4, schema: Event })
    await setup.close()

    const output = join(dir, 'output.jsonl')
    const kills = Math.ceil(KILLS / 2)
    for (let round = 0; round < kills; round++) {
      // One worker and two in turn: state changes its tasks with every other life.
      const child = new Child('./query-child.mjs', [dir, output, mode, 'run', String(1 + (round % 2))])
      const epochs = 1 + Math.floor(random() * 12)
      await child.until(
        (said) => said.includes('ready') && said.filter((line) => line.startsWith('epoch')).length >= epochs,
      )
      expect(child.lines, 'the query goes on from its checkpoint').toContain('ready')
      const turns = Math.floor(random() * 40)
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
      await child.kill()
    }
    const last = new Child('./query-child.mjs', [dir, output, mode, 'drain'])
    await last.ended()

    // What is in the log is what counts: sends that were cut off may be there or not.
    const expected = new Map<string, [number, number]>()
    const mill = await Millrace.open({ dir, workers: 1 })
    for (const row of await mill.read.topic('events', Event).collect()) {
      const key = `${row.user} ${Math.floor(row.at / 1000) * 1000}`
      const [n, total] = expected.get(key) ?? [0, 0]
      expected.set(key, [n + 1, total + row.value])
    }
    await mill.close()

    const byEpoch = new Map<number, string>()
    const seen = new Map<string, [number, number]>()
    for (const line of readFileSync(output, 'utf8').split('\n').slice(0, -1)) {
      const { epoch, rows } = JSON.parse(line) as { epoch: number; rows: Record<string, never>[] }
      const text = JSON.stringify(rows.map((row) => JSON.stringify(row)).sort())
      const before = byEpoch.get(epoch)
      if (before !== undefined) {
        expect(text, `epoch ${epoch} was delivered again`).toBe(before)
        continue
      }
      byEpoch.set(epoch, text)
      for (const row of rows as unknown as { window: { start: number }; user: string; n: number; total: number }[]) {
        const key = `${row.user} ${row.window.start}`
        expect(seen.has(key), `${key} is emitted once`).toBe(false)
        seen.set(key, [row.n, row.total])
      }
    }
    expect(new Map([...seen].sort())).toEqual(new Map([...expected].sort()))
  },
  120_000,
)
