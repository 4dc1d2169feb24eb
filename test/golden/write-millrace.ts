import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeDirectory } from './millrace-directory.js'

/**
 * node --import tsx test/golden/write-millrace.ts, on a Node that has zstd: writes test/golden/millrace-VERSION anew. Only before the
 * version is released: afterwards what is there is what users have on their disks.
 */
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const { version } = JSON.parse(readFileSync(here('../../package.json'), 'utf8')) as { version: string }
const scratch = mkdtempSync(join(tmpdir(), 'millrace-golden-'))

async function main(): Promise<void> {
  try {
    await writeDirectory(join(scratch, 'data'))
    const target = here(`./millrace-${version}`)
    rmSync(target, { recursive: true, force: true })
    cpSync(join(scratch, 'data'), target, { recursive: true, filter: (path) => !path.endsWith('/lock') })
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

void main()
