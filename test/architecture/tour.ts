import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { rooms } from './rules.js'

/**
 * src/README.md, made from the files: the rooms from the ground up, each file with the first sentence of its header
 * comment. `npm run tour` writes it; architecture.test.ts holds it to what is there.
 */
const src = fileURLToPath(new URL('../../src/', import.meta.url))

const about: Readonly<Partial<Record<(typeof rooms)[number], string>>> = {
  common: 'Errors, assertions, the door to the world, doorbells, bytes. Nothing of streaming.',
  types:
    'Data types, schemas, blocks of columns; builders from objects and readers back to them, generated for each schema.',
  record: 'Record batches: header, rows payload, columns payload; which partition a record goes to.',
  log: 'Partitions in shared memory and in segment files: append, read, recovery, sync, topics.',
  'dead-letter': 'What is done with records that fail for good.',
  checkpoint: 'The append-only file of a query: intent, delta, commit.',
  schema: 'The schema registry.',
  client: 'Producer and consumer.',
  plan: 'Expressions, functions, logical plan, analyzer, optimizer, physical plan, as frozen data. Nothing here runs.',
  state: 'Typed hash tables and their hashes.',
  exchange: 'Channels of shared memory between tasks.',
  operator: 'The operators that hold state.',
  codegen: 'Two evaluators of expressions, compiled and interpreted, and the compiler of stages.',
  connector: 'Sources and sinks behind common contracts.',
  worker: 'Worker threads: tasks, the cooperative scheduler, the piscina entry.',
  execution: 'Queries: epochs, triggers, the three modes, watermarks, the engine thread.',
  api: 'What a user touches: Millrace, DataFrame, Column, readers, writers, StreamingQuery.',
  server: 'HTTP.',
  testing: 'The testing kit.',
  cli: 'Programs: the demonstration.',
}

/** The first sentence of the header: the first comment of several lines at the margin, or else the first comment there. */
export function firstSentence(text: string): string {
  const comments = [...text.matchAll(/^\/\*\*([\s\S]*?)\*\//gm)].map(([, inner = '']) => inner)
  const comment = comments.find((inner) => inner.includes('\n')) ?? comments[0] ?? ''
  const words = comment
    .split('\n')
    .map((line) => line.replace(/^\s*\*? ?/, ''))
    .join('\n')
    .split(/\n\s*\n/)[0]
    ?.replace(/\s+/g, ' ')
    .trim()
  return /^(.*?[.:])(\s|$)/.exec(words ?? '')?.[1]?.replace(/:$/, '.') ?? words ?? ''
}

export function tour(): string {
  const lines = [
    '# A tour of the rooms',
    '',
    'From the ground up; an import goes only downwards. `docs/architecture.md` says how a record walks through them. Each file',
    'opens with the paragraph whose first sentence stands here (`npm run tour` writes this page).',
    '',
  ]
  for (const room of rooms) {
    const files = filesOf(room)
    if (files.length === 0) continue
    lines.push(`## ${room}/`, '', about[room] ?? '', '')
    for (const file of files) {
      const sentence = firstSentence(readFileSync(`${src}${room}/${file}`, 'utf8'))
      lines.push(`- \`${file}\`${sentence === '' ? '' : ` ${sentence}`}`)
    }
    lines.push('')
  }
  lines.push('## index.ts', '', 'The public names, one by one.', '')
  return lines.join('\n')
}

function filesOf(room: string): string[] {
  try {
    return readdirSync(`${src}${room}`, { recursive: true, encoding: 'utf8' })
      .map((name) => name.replaceAll('\\', '/'))
      .filter((name) => name.endsWith('.ts'))
      .sort()
  } catch {
    return []
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(`${src}README.md`, tour())
