import { spawnSync } from 'node:child_process'
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
/** By `lazyModule`, which names the file and, for where it cannot be required, its `import()`. */
const required = (file: string) =>
  targets(file, /^(?:export )?const \w+ = lazyModule\(import\.meta\.url, '(\.[^']+)'/gm)
const importedLater = (file: string) => targets(file, /(?<!\(\) => )\bimport\(['"](\.[^'"]+)['"]\)/g)

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

/** All that the files may ever lead to, by calls of either kind too. */
function everReached(from: ReadonlySet<string>): Set<string> {
  const seen = new Set(from)
  for (const file of seen)
    for (const target of [...imported(file), ...required(file), ...importedLater(file)]) seen.add(target)
  return seen
}

const atImport = loadedWith('index.js')

/** Of the host's thread, once an engine is open. */
const opened = loadedWith('index.js', 'execution/threads.js', 'execution/session.js', 'api/frames.js')

const bytesOf = (files: ReadonlySet<string>): number => {
  let bytes = 0
  for (const file of files) bytes += readFileSync(dist + file).length
  return bytes
}

// Half a millisecond and more for each. What goes beyond a limit is better loaded by the first call that needs it (common/lazy-module.ts).
test.each([
  ["import('millrace')", atImport, 42, 175_000],
  ['the first row of a query in memory', opened, 140, 620_000],
  ['an engine thread that opens a new log', loadedWith('execution/engine-main.js'), 82, 365_000],
  ['a worker thread', loadedWith('worker/entry.js'), 130, 648_000],
])('%s loads few modules', (_what, loaded, modulesMax, bytesMax) => {
  expect(loaded.size).toBeLessThanOrEqual(modulesMax)
  expect(bytesOf(loaded)).toBeLessThanOrEqual(bytesMax)
})

test('an engine is opened, and a small query answered, without what reads records, writes them, or compiles stages', () => {
  expect(opened.has('execution/local-run.js')).toBe(true)
  const others = [
    'log/partition-reader.js',
    'client/topic-sender.js',
    'client/producer.js',
    'client/consumer.js',
    'record/compression.js',
    'codegen/stage-compiler.js',
    'api/writer.js',
  ]
  expect([...opened].filter((file) => others.includes(file) || file.startsWith('worker/scan'))).toEqual([])
})

test('what is loaded with the package itself requires nothing later: where modules cannot be required, only open() waits for them', () => {
  expect([...atImport].flatMap(required)).toEqual([])
  expect([...opened].flatMap(required).length).toBeGreaterThan(10)
})

test.each([
  ['host', opened],
  ['engine', loadedWith('execution/engine-main.js')],
  ['worker', loadedWith('worker/entry.js')],
])('%s thread: what is required at once is never being imported at that moment, which Node refuses', (thread, base) => {
  const reached = [...everReached(base)]
  const onlyThere = [...loadedWith(...reached.flatMap(required))].filter((file) => !base.has(file))
  const later = reached.flatMap(importedLater)
  expect(onlyThere.length).toBeGreaterThan(10)
  if (thread === 'host') expect(later.length).toBeGreaterThan(0)
  const elsewhere = loadedWith(...later.filter((file) => !base.has(file)))
  expect(onlyThere.filter((file) => elsewhere.has(file))).toEqual([])
})

test.each([
  ['modules cannot be required', ['--no-experimental-require-module']],
  ['a loader makes copies of what is required', ['--import', 'tsx']],
  ['they can be', []],
])('programs find one copy of every module where %s', (_where, options) => {
  const program = `
    import { col, Millrace, t, upper } from ${JSON.stringify(`${dist}index.js`)}
    const mill = await Millrace.open({ workers: 1 })
    const rows = mill.createDataFrame([{ a: 'x' }, { a: 'y' }], t.struct({ a: t.string }))
    const local = await rows.filter(col('a').neq('x')).select(upper('a')).collect()
    await mill.topics.create('letters')
    await mill.producer().send({ topic: 'letters', messages: [{ value: 'x' }] })
    const letters = mill.read.format('log').option('subscribe', 'letters').load()
    const joined = letters.as('l').join(rows.as('r'), col('l.value').cast('string').eq(col('r.a')))
    const counted = await joined.groupBy('a').count().collect()
    rows.explain('codegen')
    const unknown = await mill.consumer().subscribe({ topics: ['others'] }).catch((error) => error.constructor.name)
    await mill.close()
    console.error(JSON.stringify([local, counted, unknown]))
  `
  const { stderr } = spawnSync(process.execPath, [...options, '--input-type=module', '--eval', program], {
    encoding: 'utf8',
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
  })
  expect(stderr.trim()).toBe(JSON.stringify([[{ 'upper(a)': 'Y' }], [{ a: 'x', count: 1 }], 'MillraceError']))
})
