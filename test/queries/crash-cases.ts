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

const casesFolder = fileURLToPath(new URL('./cases/', import.meta.url))

export function crashCases(mode: CaseMode): { file: string; query: QueryCase }[] {
  return readdirSync(casesFolder)
    .filter((name) => name.endsWith('.txt'))
    .map((file) => ({ file, query: parseCase(readFileSync(casesFolder + file, 'utf8'), file) }))
    .filter(({ query }) => query.modes.includes(mode) && query.expect !== undefined)
}
