import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import {
  bareErrors,
  checkerSilenced,
  cycles,
  danglingImports,
  LINES_MAX,
  layerViolations,
  linesWith,
  longFiles,
  type SourceText,
  worldViolations,
} from './architecture/rules.js'
import { firstSentence, tour } from './architecture/tour.js'

const root = fileURLToPath(new URL('..', import.meta.url))

/** All files below `folder` whose name ends so, with paths relative to `folder`. */
function readTree(folder: string, ends: readonly string[]): SourceText[] {
  if (!existsSync(`${root}${folder}`)) return []
  return readdirSync(`${root}${folder}`, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && ends.some((end) => entry.name.endsWith(end)))
    .map((entry) => `${entry.parentPath}/${entry.name}`)
    .sort()
    .map((path) => ({
      path: path.slice(root.length + folder.length).replace(/^\/+/, ''),
      text: readFileSync(path, 'utf8'),
    }))
}

const src = readTree('src', ['.ts'])
const file = (path: string, text: string): SourceText => ({ path, text })

describe('the house', () => {
  test('an import goes only downwards', () => {
    expect(layerViolations(src)).toEqual([])
  })

  test('every relative import names a file', () => {
    expect(danglingImports(src)).toEqual([])
  })

  test('no cycle between files', () => {
    expect(cycles(src)).toEqual([])
  })

  test('below api/ the world comes in through Env', () => {
    expect(worldViolations(src)).toEqual([])
  })

  test(`no file is longer than ${LINES_MAX} lines`, () => {
    expect(longFiles(src)).toEqual([])
  })

  test('nothing silences the type checker', () => {
    expect(checkerSilenced(src)).toEqual([])
  })

  test('no words of unfinished work', () => {
    expect(linesWith(src, /\b(TODO|FIXME|XXX|HACK)\b|not (yet )?implemented/i)).toEqual([])
  })

  test('every error has a detail and a hint', () => {
    expect(bareErrors(src)).toEqual([])
  })

  test('the tour in src/README.md is up to date (npm run tour)', () => {
    expect(readFileSync(`${root}src/README.md`, 'utf8')).toBe(tour())
  })

  test('every file opens with a comment that says why it is there', () => {
    const silent = src.filter(({ path, text }) => path !== 'index.ts' && firstSentence(text) === '')
    expect(silent.map(({ path }) => path)).toEqual([])
  })

  test('nothing leans on a folder beside the repository', () => {
    const beside = new RegExp(`${['\\.\\.', 'shared'].join('/')}\\b(?!\\.)`)
    const everywhere = ['src', 'test', 'bench/lib', 'bench/main', 'bench/micro', 'docs', 'examples', '.ci'].flatMap(
      (folder) => readTree(folder, ['']).map(({ path, text }) => file(`${folder}/${path}`, text)),
    )
    const top = readdirSync(root)
      .filter((name) => /\.(md|json|js|ts)$/.test(name))
      .map((name) => file(name, readFileSync(root + name, 'utf8')))
    expect(linesWith([...everywhere, ...top], beside)).toEqual([])
  })
})

describe('the rules themselves fail on a violation', () => {
  test('an import upwards', () => {
    const low = file('common/bytes.ts', `import type { Segment } from '../log/segment.js'`)
    const high = file('log/segment.ts', `import { assert } from '../common/assert.js'`)
    expect(layerViolations([low, high])).toEqual([
      'common/bytes.ts:1: imports upwards, log/segment.ts (log is above common)',
    ])
  })

  test('an import upwards that hides in an export, a type or a call', () => {
    const edge = (text: string): string[] => layerViolations([file('plan/planner.ts', text)])
    expect(edge(`export { x } from '../codegen/x.js'`)).toHaveLength(1)
    expect(edge(`export * from '../codegen/x.js'`)).toHaveLength(1)
    expect(edge(`let y: import('../codegen/x.js').Y`)).toHaveLength(1)
    expect(edge(`const y = await import('../codegen/x.js')`)).toHaveLength(1)
    expect(edge(`import y = require('../codegen/x.js')`)).toHaveLength(1)
    expect(edge(`// import { y } from '../codegen/x.js'`)).toEqual([])
    expect(edge(`const text = "import { y } from '../codegen/x.js'"`)).toEqual([])
  })

  test('index.ts may import anything and nobody imports it', () => {
    expect(layerViolations([file('index.ts', `export { Millrace } from './api/millrace.js'`)])).toEqual([])
    expect(layerViolations([file('cli/main.ts', `import { Millrace } from '../index.js'`)])).toHaveLength(1)
  })

  test('a room that is not on the list, and a way out of src/', () => {
    expect(layerViolations([file('utils/pad.ts', '')])).toHaveLength(1)
    expect(layerViolations([file('cli/main.ts', `import x from '../../test/x.js'`)])).toHaveLength(1)
  })

  test('a cycle of two and of three files, and of types', () => {
    const a = file('log/a.ts', `import { b } from './b.js'`)
    const b = file('log/b.ts', `import type { a } from './a.js'`)
    expect(cycles([a, b])).toEqual(['log/a.ts → log/b.ts → log/a.ts'])
    const viaC = file('log/b.ts', `export * from './c.js'`)
    const c = file('log/c.ts', `import './a.js'`)
    expect(cycles([a, viaC, c])).toEqual(['log/a.ts → log/b.ts → log/c.ts → log/a.ts'])
    expect(cycles([a, viaC, file('log/c.ts', '')])).toEqual([])
  })

  test('an error without a detail, without a hint, and without either', () => {
    const one = (options: string): string[] =>
      bareErrors([file('log/a.ts', `throw new MillraceError('CODE', 'message'${options})`)])
    expect(one(', { detail, hint }')).toEqual([])
    expect(one(', { ...rest, cause }')).toEqual([])
    expect(one(', options')).toEqual([])
    expect(one(', { detail: 1 }')).toEqual(['log/a.ts:1: an error without a hint'])
    expect(one(', { hint: 1 }')).toEqual(['log/a.ts:1: an error without a detail'])
    expect(one('')).toHaveLength(2)
  })

  test('an import of nothing', () => {
    expect(danglingImports([file('log/a.ts', `import './b.js'`)])).toHaveLength(1)
  })

  test('files, clocks, chance and timers outside Env', () => {
    const one = (text: string, path = 'worker/task.ts'): string[] => worldViolations([file(path, text)])
    expect(one(`import { readFileSync } from 'node:fs'`)).toHaveLength(1)
    expect(one(`import fs from 'fs/promises'`)).toHaveLength(1)
    expect(one('const t = Date.now()')).toHaveLength(1)
    expect(one('const clock = Date.now')).toHaveLength(1)
    expect(one('const t = new Date()')).toHaveLength(1)
    expect(one('const t = new Date(0)')).toEqual([])
    expect(one('const r = Math.random()')).toHaveLength(1)
    expect(one('const t = performance.now()')).toHaveLength(1)
    expect(one('setTimeout(f, 1)')).toHaveLength(1)
    expect(one('globalThis.setInterval(f, 1)')).toHaveLength(1)
    expect(one('env.timer(1, f); setImmediate(f); queueMicrotask(f)')).toEqual([])
    expect(one('// Date.now() is not for us')).toEqual([])
    expect(one('Date.now()', 'common/env.ts')).toEqual([])
    expect(one('setTimeout(f, 1)', 'cli/main.ts')).toEqual([])
  })

  test('a long file', () => {
    expect(longFiles([file('log/a.ts', 'x\n'.repeat(LINES_MAX))])).toEqual([])
    expect(longFiles([file('log/a.ts', 'x\n'.repeat(LINES_MAX + 1))])).toHaveLength(1)
  })

  test('any, in a cast and elsewhere, and comments for the checker', () => {
    expect(checkerSilenced([file('log/a.ts', 'const a = b as any')])).toHaveLength(1)
    expect(checkerSilenced([file('log/a.ts', 'const a: any[] = []')])).toHaveLength(1)
    expect(checkerSilenced([file('log/a.ts', `// @ts-${'ignore'}\nconst any = 1`)])).toHaveLength(1)
    expect(checkerSilenced([file('log/a.ts', '// any thread may come')])).toEqual([])
  })
})
