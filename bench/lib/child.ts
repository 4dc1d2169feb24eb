import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Bench, Context, Line } from './line.js'

/** One file of bench/main/ in a process of its own, so that no line runs on what another left in memory or compiled. */

export type ChildMessage =
  | { readonly kind: 'log'; readonly text: string }
  | { readonly kind: 'lines'; readonly lines: readonly Line[] }

/** What a line is told, as its process gets it: one JSON text. */
export type ChildOptions = Omit<Context, 'directory' | 'log'>

async function main(file: string, options: ChildOptions): Promise<void> {
  const send = (message: ChildMessage): void => {
    process.send?.(message)
  }
  const bench = ((await import(`../main/${file}.js`)) as { default: Bench }).default
  const directory = mkdtempSync(join(fileURLToPath(new URL('../out/', import.meta.url)), `${file}-`))
  try {
    const lines = await bench.run({ ...options, directory, log: (text) => send({ kind: 'log', text }) })
    send({ kind: 'lines', lines })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const [file = '', options = '{ "quick": false }'] = process.argv.slice(2)
main(file, JSON.parse(options) as ChildOptions).then(
  () => process.disconnect?.(),
  (error: unknown) => {
    console.error(error)
    process.exit(1)
  },
)
