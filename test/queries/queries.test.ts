import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Millrace } from '../../dist/api/millrace.js'
import { sharedEngine } from '../engines.js'
import { parseCase, type QueryCase } from './case-file.js'
import { expectedRows } from './expected-rows.js'
import { runCase } from './run-case.js'
import { rowDifferences } from './same-rows.js'

/**
 * Every text case in every mode, with one worker or with three, by turns; MILLRACE_CASES=all: with both. The format is described in README.md.
 */
const folder = fileURLToPath(new URL('./cases/', import.meta.url))

const cases = readdirSync(folder)
  .filter((name) => name.endsWith('.txt'))
  .map((file) => ({ file, query: parseCase(readFileSync(folder + file, 'utf8'), file) }))

// One engine for all cases: that they run after and beside one another on the same threads is part of the test.
describe.each([1, 3])('workers: %i', (workers) => {
  let mill: Millrace

  beforeAll(async () => {
    mill = await sharedEngine(workers)
  })

  const both = process.env['MILLRACE_CASES'] === 'all'
  cases.forEach(({ file, query }, i) => {
    const modes = query.modes.filter((_, m) => both || (i + m) % 2 === (workers === 1 ? 0 : 1))
    it.concurrent.each(modes)(`${file}, %s: ${query.title}`, async (mode) => {
      await check(mill, query, mode)
    })
  })
})

async function check(mill: Millrace, query: QueryCase, mode: QueryCase['modes'][number]): Promise<void> {
  if (query.error !== undefined) {
    await expect(runCase(mill, query, mode)).rejects.toMatchObject({ code: query.error })
    return
  }
  const { rows, frame } = await runCase(mill, query, mode)
  expect(frame.columns).toEqual(query.expect?.columns)
  const differences = rowDifferences(rows, expectedRows(query, frame.schema), query.expect?.ordered === true)
  expect(differences).toEqual({ missing: [], surplus: [] })
}
