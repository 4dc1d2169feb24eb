import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { StructType } from '../../src/types/data-type.js'
import { type CaseMode, parseCase, type QueryCase, type Row } from './case-file.js'

/** What a query of crash-child.ts has delivered. */
export interface Epoch {
  readonly file: string
  readonly epoch: number
  readonly schema: StructType
  readonly rows: readonly Row[]
}

/**
 * Each run takes a sixth of the cases, another sixth with another MILLRACE_CASES (0 to 5), all of them with `all`. The processes that are killed inherit it.
 */
const sixths = 6
export const taken = process.env['MILLRACE_CASES'] ?? String(Math.floor(Math.random() * sixths))
process.env['MILLRACE_CASES'] = taken

const casesFolder = fileURLToPath(new URL('./cases/', import.meta.url))

export function crashCases(mode: CaseMode): { file: string; query: QueryCase }[] {
  return readdirSync(casesFolder)
    .filter((name) => name.endsWith('.txt'))
    .filter((_, i) => taken === 'all' || i % sixths === Number(taken))
    .map((file) => ({ file, query: parseCase(readFileSync(casesFolder + file, 'utf8'), file) }))
    .filter(({ query }) => query.modes.includes(mode) && query.expect !== undefined)
}
