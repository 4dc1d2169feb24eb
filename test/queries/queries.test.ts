import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parseCase, parseCell, type QueryCase } from './case-file.js'
import { runCase } from './run-case.js'
import { rowDifferences } from './same-rows.js'

/** Every text case in every mode, with one worker and with three. The format is described in README.md. */
const folder = fileURLToPath(new URL('./cases/', import.meta.url))

for (const file of readdirSync(folder).filter((name) => name.endsWith('.txt'))) {
  const query = parseCase(readFileSync(folder + file, 'utf8'), file)
  describe(`${file}: ${query.title}`, () => {
    for (const mode of query.modes) {
      for (const workers of [1, 3]) {
        it(`${mode}, ${workers} ${workers === 1 ? 'worker' : 'workers'}`, async () => {
          await check(query, mode, workers)
        })
      }
    }
  })
}

async function check(query: QueryCase, mode: QueryCase['modes'][number], workers: number): Promise<void> {
  if (query.error !== undefined) {
    await expect(runCase(query, { mode, workers })).rejects.toMatchObject({ code: query.error })
    return
  }
  const { rows, frame } = await runCase(query, { mode, workers })
  const { columns = [], rows: cells = [], ordered = false } = query.expect ?? {}
  expect(frame.columns).toEqual(columns)
  const expected = cells.map((line) =>
    Object.fromEntries(frame.schema.fields.map((field, i) => [field.name, parseCell(line[i] ?? 'null', field.type)])),
  )
  expect(rowDifferences(rows, expected, ordered)).toEqual({ missing: [], surplus: [] })
}
