import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

/** What is loaded when, by the imports of the built files. */
const dist = fileURLToPath(new URL('../../dist/', import.meta.url))

function targets(file: string, pattern: RegExp): string[] {
  const text = readFileSync(dist + file, 'utf8')
  return [...text.matchAll(pattern)].map(([, name]) => posix.join(posix.dirname(file), name as string))
}

const imported = (file: string) => targets(file, /^(?:import|export)\s+(?:[\w$*{}\s,]+\sfrom\s+)?'(\.[^']+)'/gm)
const importedLater = (file: string) => targets(file, /\bimport\(['"](\.[^'"]+)['"]\)/g)

/** These files, and all that is loaded with them. */
function loadedWith(...files: readonly string[]): Set<string> {
  const seen = new Set<string>()
  const visit = (file: string): void => {
    if (seen.has(file)) return
    seen.add(file)
    for (const target of imported(file)) visit(target)
  }
  for (const file of files) visit(file)
  return seen
}

/** Of the host's thread, once an engine is open. */
const opened = loadedWith('index.js', 'execution/threads.js', 'execution/session.js', 'api/frames.js')

test('an engine is opened, and a small query answered, without what reads records, writes them, or compiles stages', () => {
  expect(opened.has('execution/local-run.js')).toBe(true)
  const others = [
    'log/partition-reader.js',
    'client/topic-sender.js',
    'record/compression.js',
    'codegen/stage-compiler.js',
  ]
  expect([...opened].filter((file) => others.includes(file) || file.startsWith('worker/scan'))).toEqual([])
})

test('what explain() requires at once is never being imported at that moment, which Node refuses', () => {
  const onlyThere = [...loadedWith('api/stage-code.js')].filter((file) => !opened.has(file))
  const later = [...opened].flatMap((file) => importedLater(file)).filter((file) => file !== 'api/stage-code.js')
  expect(later.length).toBeGreaterThan(3)
  const elsewhere = loadedWith(...later.filter((file) => !opened.has(file)))
  expect(onlyThere.length).toBeGreaterThan(10)
  expect(onlyThere.filter((file) => elsewhere.has(file))).toEqual([])
})
