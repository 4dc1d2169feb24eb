import { cpSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { temporaryDirectory } from '../log/log-fixture.js'
import { expectedGroupFindings, readGroupsDirectory } from './groups-directory.js'
import { expectedFindings, readDirectory } from './millrace-directory.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const versions = readdirSync(here).filter((name) => /^millrace-\d/.test(name))
const withGroups = readdirSync(here).filter((name) => /^groups-\d/.test(name))

test('there is a directory of a version that was released', () => {
  expect(versions.length).toBeGreaterThan(0)
  expect(withGroups.length).toBeGreaterThan(0)
})

describe.each(versions)('a directory written by %s', (version) => {
  let directory: ReturnType<typeof temporaryDirectory>
  let data: string
  beforeEach(() => {
    directory = temporaryDirectory()
    data = join(directory.path, 'data')
    cpSync(join(here, version), data, { recursive: true })
  })
  afterEach(() => directory.remove())

  test('is opened: every record of every codec, and the state of its query', async () => {
    expect(await readDirectory(data)).toEqual(expectedFindings())
  })

  test('is recovered without the mark of its clean stop', async () => {
    rmSync(join(data, 'log', 'clean-shutdown.json'), { force: true })
    expect(await readDirectory(data)).toEqual(expectedFindings())
  })
})

test.each(withGroups)('a directory written by %s: offsets that were committed, and what a share group had in flight', async (version) => {
  const directory = temporaryDirectory()
  try {
    const data = join(directory.path, 'data')
    cpSync(join(here, version), data, { recursive: true })
    expect(await readGroupsDirectory(data)).toEqual(expectedGroupFindings())
  } finally {
    directory.remove()
  }
})
