import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/**
 * DuckDB, the other opinion on what a query over bounded rows means. It has 70 MB, so it is no dependency: it is fetched by npm where it is missing, into
 * node_modules/.cache.
 */
export const DUCKDB_VERSION = '1.5.6-r.1'

const folder = fileURLToPath(new URL('../../../node_modules/.cache/millrace-duckdb/', import.meta.url))

/** What is used of `@duckdb/node-api`. */
export interface DuckDB {
  run(sql: string): Promise<unknown>
  runAndReadAll(sql: string): Promise<{ getRowObjectsJS(): Record<string, unknown>[] }>
  closeSync(): void
}

interface DuckDBModule {
  readonly DuckDBInstance: {
    create(path: string, options: Record<string, string>): Promise<{ connect(): Promise<DuckDB> }>
  }
}

/** A database in memory. */
export async function openDuckDB(): Promise<DuckDB> {
  const complete = join(folder, `.complete-${DUCKDB_VERSION}`)
  if (!existsSync(complete)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    const fetch = ['install', '--no-save', '--no-package-lock', '--silent', `@duckdb/node-api@${DUCKDB_VERSION}`]
    execFileSync('npm', fetch, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] })
    writeFileSync(complete, '')
  }
  const entry = createRequire(join(folder, 'package.json')).resolve('@duckdb/node-api')
  const { DuckDBInstance } = (await import(pathToFileURL(entry).href)) as DuckDBModule
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  await connection.run("SET TimeZone = 'UTC'")
  return connection
}
