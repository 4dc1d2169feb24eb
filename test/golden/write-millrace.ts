import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeGroupsDirectory } from './groups-directory.js'
import { writeDirectory } from './millrace-directory.js'

/**
 * node --import tsx test/golden/write-millrace.ts, on a Node that has zstd: writes test/golden/millrace-VERSION and groups-VERSION where they are not there.
 * One is taken away to be written anew only before the version is released: afterwards what is there is what users have on their disks.
 */
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const { version } = JSON.parse(readFileSync(here('../../package.json'), 'utf8')) as { version: string }
const scratch = mkdtempSync(join(tmpdir(), 'millrace-golden-'))

async function main(): Promise<void> {
  try {
    for (const [name, write] of Object.entries({ millrace: writeDirectory, groups: writeGroupsDirectory })) {
      const target = here(`./${name}-${version}`)
      if (existsSync(target)) continue
      await write(join(scratch, name))
      cpSync(join(scratch, name), target, { recursive: true, filter: (path) => !path.endsWith('/lock') })
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

void main()
