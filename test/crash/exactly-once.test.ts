import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Millrace, t } from 'millrace'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Child, killedModes, seededRandom } from './kill.js'

/** A kill is a quarter of these. CI does 25; MILLRACE_KILLS=200 for a long night. */
const KILLS = Math.ceil(Number(process.env.MILLRACE_KILLS ?? 4) / 4)
const SEED = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000)

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-once-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

test.each(killedModes(SEED))(
  `killed with -9 again and again, transactions are whole, and a query copies what they committed exactly once: %s (seed ${SEED})`,
  async (mode) => {
    const random = seededRandom(SEED)
    const setup = await Millrace.open({ dir, workers: 1 })
    const Item = t.struct({ n: t.long })
    await setup.topics.create('in', { partitions: 3, schema: Item })
    await setup.topics.create('out', { partitions: 2, schema: Item })
    await setup.close()
    const acknowledged: number[] = []
    for (let round = 0; round < KILLS; round++) {
      const child = new Child('./log-sink-child.mjs', [dir, mode, 'run'])
      const commits = 2 + Math.floor(random() * 15)
      await child.until((lines) => lines.length > commits)
      const turns = Math.floor(random() * 40)
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
      await child.kill()
      expect(child.lines[0]).toBe('ready')
      for (const line of child.lines.slice(1)) {
        const [, from, to] = line.split(' ').map(Number) as [number, number, number]
        for (let n = from; n < to; n++) acknowledged.push(n)
      }
    }
    await new Child('./log-sink-child.mjs', [dir, mode, 'drain']).ended()

    const mill = await Millrace.open({ dir, workers: 1 })
    const read = async (topic: string): Promise<number[]> => {
      const rows = await mill.read.topic(topic).collect()
      return rows.map((row) => row.n as number).sort((a, b) => a - b)
    }
    const input = await read('in')
    const output = await read('out')
    await mill.close()
    expect(output).toEqual(input)
    expect(new Set(input).size, 'nothing is there twice').toBe(input.length)
    const found = new Set(input)
    for (const n of acknowledged) expect(found.has(n), `record ${n} was committed`).toBe(true)
    // A transaction has ten records, in three partitions.
    for (const n of input) {
      const first = n - (n % 10)
      for (let i = first; i < first + 10; i++) expect(found.has(i), `all of the transaction of ${n}`).toBe(true)
    }
  },
  120_000,
)
