import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

interface Manifest {
  readonly version: string
  readonly engines: { readonly node: string }
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}
const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as Manifest

const run = (args: readonly string[]): string =>
  execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8', timeout: 20_000 })

/** Of a package, wherever it stands but in a comment. */
const IMPORT = /^(?! *(?:\*|\/\/)).*?(?:\bfrom|\bimport|\bimport\() ?'([@a-z][^'\s]*)'/gm

/** Imports of packages in the TypeScript and JavaScript files below some folders. */
function importedBy(folders: readonly string[]): Set<string> {
  const found = new Set<string>()
  for (const folder of folders) {
    for (const entry of readdirSync(`${root}${folder}`, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.(ts|js|mjs|cjs)$/.test(entry.name)) continue
      const text = readFileSync(`${entry.parentPath}/${entry.name}`, 'utf8')
      for (const [, name = ''] of text.matchAll(IMPORT)) {
        const parts = name.split('/')
        found.add(parts.slice(0, name.startsWith('@') ? 2 : 1).join('/'))
      }
      for (const [, name = ''] of text.matchAll(/\bloadCommonJs\('([^']+)'\)/g)) found.add(name)
    }
  }
  return found
}

describe('the package', () => {
  test('every export names files that the build made', () => {
    for (const [name, target] of Object.entries(manifest.exports)) {
      for (const path of typeof target === 'string' ? [target] : Object.values(target)) {
        expect(existsSync(`${root}${path}`), `${name} → ${path}`).toBe(true)
      }
    }
  })

  test('packs the build, the licence and the README, and neither tests nor build state', () => {
    const [packed] = JSON.parse(
      execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8' }),
    ) as [{ files: { path: string }[] }]
    const paths = packed.files.map((file) => file.path)
    expect(paths).toEqual(
      expect.arrayContaining(['LICENSE', 'README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts']),
    )
    expect(paths.filter((path) => !/^(dist\/|LICENSE$|README\.md$|CHANGELOG\.md$|package\.json$)/.test(path))).toEqual(
      [],
    )
    expect(paths.filter((path) => path.includes('tsbuildinfo') || path.includes('.test.'))).toEqual([])
  })

  test('the changelog knows this version', () => {
    expect(readFileSync(`${root}CHANGELOG.md`, 'utf8')).toContain(`## ${manifest.version}`)
  })

  test('the lock file names no host', () => {
    expect(readFileSync(`${root}package-lock.json`, 'utf8')).not.toContain('"resolved"')
  })

  test('every runtime dependency is imported by src/, and src/ imports nothing else', () => {
    const used = [...importedBy(['src'])].filter((name) => !name.startsWith('node:') && name !== 'millrace')
    // The checksum has a fallback, Arrow is the user's own; the flights and their reader are for the demonstration in
    // this repository alone.
    const notInstalled = ['@node-rs/crc32', 'apache-arrow', 'hyparquet', 'vega-datasets']
    const runtime = used.filter((name) => !notInstalled.includes(name)).sort()
    expect(runtime).toEqual(Object.keys(manifest.dependencies).sort())
  })

  test('piscina, fast-json-stable-stringify, murmurhash3js, benchmark and vitest are used', () => {
    const used = importedBy(['src', 'bench', 'test'])
    for (const name of ['piscina', 'fast-json-stable-stringify', 'murmurhash3js', 'benchmark', 'vitest']) {
      expect(used.has(name), name).toBe(true)
    }
  })
})

describe('the built package finds its worker files', () => {
  const consumer = (file: string): string => fileURLToPath(new URL(`./package/${file}`, import.meta.url))

  test('from an ES module', () => {
    expect(run([consumer('consumer.mjs')])).toBe('[{"a":2}]')
  })

  test('from CommonJS', () => {
    expect(run([consumer('consumer.cjs')])).toBe('[{"a":2}]')
  })

  test('from TypeScript under tsx', () => {
    expect(run(['--import', 'tsx', consumer('consumer.ts')])).toBe('[{"a":2}]')
  })
})
