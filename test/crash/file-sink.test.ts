import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Millrace, t } from 'millrace'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Child, seededRandom } from './kill.js'

/** A kill is a quarter of these, each in another mode than the one before; MILLRACE_KILLS=200 for a long night. */
const KILLS = Math.ceil(Number(process.env.MILLRACE_KILLS ?? 8) / 4)
const SEED = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000)

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-once-files-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

test(`killed with -9 again and again, in one mode and the other, files have each record once, and no half file is ever seen (seed ${SEED})`, async () => {
  const random = seededRandom(SEED)
  const setup = await Millrace.open({ dir, workers: 1 })
  await setup.topics.create('in', { partitions: 3, schema: t.struct({ n: t.long, m: t.int }) })
  await setup.close()
  const seen = (): number[] =>
    readdirSync(join(dir, 'out'), { recursive: true })
      .map(String)
      .filter((name) => /(^|\/)part-[^/]*\.json$/.test(name))
      .flatMap((name) => {
        const text = readFileSync(join(dir, 'out', name), 'utf8')
        expect(text.endsWith('\n'), `${name} is whole`).toBe(true)
        const m = Number(/m=(\d)/.exec(name)?.[1])
        const numbers = text
          .slice(0, -1)
          .split('\n')
          .map((line) => (JSON.parse(line) as { n: number }).n)
        expect(numbers.every((n) => n % 3 === m)).toBe(true)
        return numbers
      })
  for (let round = 0; round < KILLS; round++) {
    const child = new Child('./file-sink-child.mjs', [dir, round % 2 === 0 ? 'microBatch' : 'continuous', 'run'])
    const sends = 2 + Math.floor(random() * 25)
    await child.until((lines) => lines.length > sends)
    const turns = Math.floor(random() * 40)
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
    await child.kill()
    expect(child.lines[0]).toBe('ready')
    const now = seen()
    expect(new Set(now).size, 'nothing is there twice').toBe(now.length)
  }
  await new Child('./file-sink-child.mjs', [dir, KILLS % 2 === 0 ? 'microBatch' : 'continuous', 'drain']).ended()
  const mill = await Millrace.open({ dir, workers: 1 })
  const input = await mill.read.topic('in').collect()
  await mill.close()
  const sorted = (numbers: number[]): number[] => numbers.sort((a, b) => a - b)
  expect(sorted(seen())).toEqual(sorted(input.map((row) => row.n as number)))
}, 120_000)
