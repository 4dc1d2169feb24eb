import { posix } from 'node:path'
import type TS from 'typescript'
import ts from '../typescript.js'

/**
 * The rules of the house as pure functions over file texts, so that they can be shown to fail on small made-up
 * houses (architecture.test.ts does that) as well as to hold in src/. Paths are relative to src/ with `/`.
 */

/** The rooms from the ground up. A room imports from itself and from the rooms before it. */
export const rooms = [
  'common',
  'types',
  'record',
  'log',
  'dead-letter',
  'checkpoint',
  'schema',
  'client',
  'plan',
  'state',
  'exchange',
  'operator',
  'codegen',
  'connector',
  'worker',
  'execution',
  'api',
  'server',
  'testing',
  'cli',
] as const

/** The public names; it stands above every room and nobody imports it. */
const INDEX = 'index.ts'
/** From this room upwards a file may use clocks, timers and files of its own. */
const FIRST_FREE_ROOM = 'api'
/** The one door to the world below that. */
const ENV = 'common/env.ts'
export const LINES_MAX = 450

export interface SourceText {
  readonly path: string
  readonly text: string
}

interface ImportEdge {
  readonly from: string
  readonly to: string
  readonly line: number
}

const roomOf = (path: string): string => path.slice(0, Math.max(0, path.indexOf('/')))
const rank = (room: string): number => (rooms as readonly string[]).indexOf(room)

const options: TS.CreateSourceFileOptions = {
  languageVersion: ts.ScriptTarget.Latest,
  jsDocParsingMode: ts.JSDocParsingMode.ParseNone,
}

/** Each file is parsed once for all rules. */
const parsed = new WeakMap<SourceText, TS.SourceFile>()

function parse(file: SourceText): TS.SourceFile {
  const source = parsed.get(file) ?? ts.createSourceFile(file.path, file.text, options, true, ts.ScriptKind.TS)
  parsed.set(file, source)
  return source
}

const lineOf = (source: TS.SourceFile, node: TS.Node): number =>
  source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1

interface Specifier {
  readonly name: string
  readonly line: number
}

const specified = new WeakMap<TS.SourceFile, readonly Specifier[]>()

/** Every module specifier of a file: import, export from, `import('…')` as a value and as a type, require. */
function specifiers(source: TS.SourceFile): readonly Specifier[] {
  const found = specified.get(source) ?? findSpecifiers(source)
  specified.set(source, found)
  return found
}

function findSpecifiers(source: TS.SourceFile): Specifier[] {
  const found: Specifier[] = []
  const add = (node: TS.Node | undefined): void => {
    if (node !== undefined && ts.isStringLiteralLike(node)) found.push({ name: node.text, line: lineOf(source, node) })
  }
  const visit = (node: TS.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal)
    else if (ts.isImportEqualsDeclaration(node) && ts.isExternalModuleReference(node.moduleReference)) {
      add(node.moduleReference.expression)
    } else if (ts.isCallExpression(node)) {
      const callee = node.expression
      const required = ts.isIdentifier(callee) && callee.text === 'require'
      if (callee.kind === ts.SyntaxKind.ImportKeyword || required) add(node.arguments[0])
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function importEdges(files: readonly SourceText[]): ImportEdge[] {
  const edges: ImportEdge[] = []
  for (const file of files) {
    for (const { name, line } of specifiers(parse(file))) {
      if (!name.startsWith('.')) continue
      const target = posix.normalize(posix.join(posix.dirname(file.path), name)).replace(/\.js$/, '.ts')
      edges.push({ from: file.path, to: target, line })
    }
  }
  return edges
}

/** An import goes only downwards. */
export function layerViolations(files: readonly SourceText[]): string[] {
  const problems: string[] = []
  for (const file of files) {
    if (file.path !== INDEX && rank(roomOf(file.path)) === -1) {
      problems.push(`${file.path}: is in no known room (${rooms.join(' ')})`)
    }
  }
  for (const { from, to, line } of importEdges(files)) {
    if (to.startsWith('../')) problems.push(`${from}:${line}: imports ${to}, outside src/`)
    else if (to === INDEX) problems.push(`${from}:${line}: imports index.ts, which stands above every room`)
    else if (from !== INDEX && rank(roomOf(to)) > rank(roomOf(from))) {
      problems.push(`${from}:${line}: imports upwards, ${to} (${roomOf(to)} is above ${roomOf(from)})`)
    }
  }
  return problems
}

/** Every relative import names a file that is there. */
export function danglingImports(files: readonly SourceText[]): string[] {
  const known = new Set(files.map((file) => file.path))
  return importEdges(files)
    .filter(({ to }) => !known.has(to))
    .map(({ from, to, line }) => `${from}:${line}: imports ${to}, which is not there`)
}

/** Cycles between files, each named once, imports of types included: files in a cycle cannot be read one after the other. */
export function cycles(files: readonly SourceText[]): string[] {
  const next = new Map<string, string[]>(files.map((file) => [file.path, []]))
  for (const { from, to } of importEdges(files)) next.get(from)?.push(to)
  const found: string[] = []
  const state = new Map<string, 'open' | 'done'>()
  const path: string[] = []
  const visit = (file: string): void => {
    state.set(file, 'open')
    path.push(file)
    for (const to of next.get(file) ?? []) {
      if (state.get(to) === 'open') found.push([...path.slice(path.indexOf(to)), to].join(' → '))
      else if (state.get(to) === undefined && next.has(to)) visit(to)
    }
    path.pop()
    state.set(file, 'done')
  }
  for (const file of files) if (state.get(file.path) === undefined) visit(file.path)
  return found
}

const worldModules = new Set(['fs', 'fs/promises', 'timers', 'timers/promises'])
const worldMembers = new Set(['Date.now', 'Math.random', 'performance.now', 'process.hrtime'])
const worldGlobals = new Set(['setTimeout', 'setInterval'])

/** Below api/ the world comes in through common/env.ts alone. */
export function worldViolations(files: readonly SourceText[]): string[] {
  const problems: string[] = []
  for (const file of files) {
    if (file.path === ENV || file.path === INDEX || rank(roomOf(file.path)) >= rank(FIRST_FREE_ROOM)) continue
    const source = parse(file)
    const report = (what: string, line: number): void => {
      problems.push(`${file.path}:${line}: ${what} (take it from Env)`)
    }
    for (const { name, line } of specifiers(source)) {
      if (worldModules.has(name.replace(/^node:/, ''))) report(`imports ${name}`, line)
    }
    const visit = (node: TS.Node): void => {
      if (ts.isPropertyAccessExpression(node)) {
        const member = `${node.expression.getText(source)}.${node.name.text}`.replace(/^globalThis\./, '')
        if (worldMembers.has(member)) report(member, lineOf(source, node))
        else if (worldGlobals.has(member)) report(member, lineOf(source, node))
      } else if (ts.isNewExpression(node)) {
        const clock = node.expression.getText(source) === 'Date' && (node.arguments?.length ?? 0) === 0
        if (clock) report('new Date()', lineOf(source, node))
      } else if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) {
        if (worldGlobals.has(node.expression.text)) report(node.expression.text, lineOf(source, node))
      }
      ts.forEachChild(node, visit)
    }
    visit(source)
  }
  return problems
}

export function longFiles(files: readonly SourceText[]): string[] {
  return files
    .map(({ path, text }) => ({ path, lines: text.replace(/\n$/, '').split('\n').length }))
    .filter(({ lines }) => lines > LINES_MAX)
    .map(({ path, lines }) => `${path}: ${lines} lines, at most ${LINES_MAX} (there are probably two nouns in it)`)
}

const silencers = ['ignore', 'nocheck', 'expect-error'].map((word) => `@ts-${word}`)

/** The type checker is not talked out of its opinion. */
export function checkerSilenced(files: readonly SourceText[]): string[] {
  const problems: string[] = []
  for (const file of files) {
    file.text.split('\n').forEach((line, i) => {
      for (const silencer of silencers) if (line.includes(silencer)) problems.push(`${file.path}:${i + 1}: ${silencer}`)
    })
    const source = parse(file)
    const visit = (node: TS.Node): void => {
      if (node.kind === ts.SyntaxKind.AnyKeyword) problems.push(`${file.path}:${lineOf(source, node)}: the type any`)
      ts.forEachChild(node, visit)
    }
    visit(source)
  }
  return problems
}

/** Lines that match, as `path:line: text`. */
export function linesWith(files: readonly SourceText[], pattern: RegExp): string[] {
  return files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
  )
}

/** An error says what was found and expected, and how to mend it; where its options come as a value they are somebody else's to give. */
export function bareErrors(files: readonly SourceText[]): string[] {
  const problems: string[] = []
  for (const file of files) {
    const source = parse(file)
    const visit = (node: TS.Node): void => {
      if (ts.isNewExpression(node) && node.expression.getText(source) === 'MillraceError') {
        const options = node.arguments?.[2]
        const names =
          options === undefined
            ? []
            : ts.isObjectLiteralExpression(options) && !options.properties.some(ts.isSpreadAssignment)
              ? options.properties.map((property) => property.name?.getText(source))
              : ['detail', 'hint']
        for (const name of ['detail', 'hint']) {
          if (!names.includes(name)) problems.push(`${file.path}:${lineOf(source, node)}: an error without a ${name}`)
        }
      }
      ts.forEachChild(node, visit)
    }
    visit(source)
  }
  return problems
}
