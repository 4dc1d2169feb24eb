import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Millrace } from 'millrace'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Child, seededRandom } from './kill.js'

/** Rounds of all tests; MILLRACE_KILLS=200 for a long night. Without it one round in one of the modes, by the seed. */
const { MILLRACE_KILLS } = process.env
const KILLS = Math.ceil(Number(MILLRACE_KILLS ?? 2) / 2)
const SEED = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000)
const both = ['microBatch', 'continuous']
const modes = MILLRACE_KILLS === undefined ? [both[SEED % 2] as string] : both

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-failures-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

test.each(modes)(
  `killed with -9 again and again, every record is a row or a dead letter, exactly once: %s (seed ${SEED})`,
  async (mode) => {
    const random = seededRandom(SEED)
    const setup = await Millrace.open({ dir, workers: 1 })
    await setup.topics.create('in', { partitions: 3 })
    await setup.topics.create('out', { partitions: 2 })
    await setup.close()
    for (let round = 0; round < KILLS; round++) {
      const child = new Child('./failures-child.mjs', [dir, mode, 'run'])
      const sends = 2 + Math.floor(random() * 30)
      await child.until((lines) => lines.length > sends)
      const turns = Math.floor(random() * 40)
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
      await child.kill()
      expect(child.lines[0]).toBe('ready')
    }
    await new Child('./failures-child.mjs', [dir, mode, 'drain']).ended()

    const mill = await Millrace.open({ dir, workers: 1 })
    const read = async (topic: string): Promise<string[]> => {
      const rows = await mill.read.format('log').option('subscribe', topic).load().collect()
      return rows.map(({ value }) => new TextDecoder().decode(value as Uint8Array)).sort()
    }
    const [records, rows, letters] = [await read('in'), await read('out'), await read('in.dlq')]
    await mill.close()
    expect(rows).toEqual(records.filter((record) => !record.startsWith('poison')))
    expect(letters).toEqual(records.filter((record) => record.startsWith('poison')))
  },
  120_000,
)
