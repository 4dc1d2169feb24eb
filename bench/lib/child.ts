import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Bench, Line } from './line.js'

/** One file of bench/main/ in a process of its own, so that no line runs on what another left in memory or compiled. */

export type ChildMessage =
  | { readonly kind: 'log'; readonly text: string }
  | { readonly kind: 'lines'; readonly lines: readonly Line[] }

async function main(file: string, quick: boolean): Promise<void> {
  const send = (message: ChildMessage): void => {
    process.send?.(message)
  }
  const bench = ((await import(`../main/${file}.js`)) as { default: Bench }).default
  const directory = mkdtempSync(join(fileURLToPath(new URL('../out/', import.meta.url)), `${file}-`))
  try {
    const lines = await bench.run({ quick, directory, log: (text) => send({ kind: 'log', text }) })
    send({ kind: 'lines', lines })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const [file = '', size] = process.argv.slice(2)
main(file, size === 'quick').then(
  () => process.disconnect?.(),
  (error: unknown) => {
    console.error(error)
    process.exit(1)
  },
)
