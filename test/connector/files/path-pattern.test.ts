import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { nodeEnv } from '../../../src/common/env.js'
import { listFiles } from '../../../src/connector/files/file-listing.js'
import { nameTest } from '../../../src/connector/files/path-pattern.js'

test.each([
  ['*.json', ['a.json', '.json'], ['a.jsonl', 'a.json/b']],
  ['a?[0-9][^x]', ['ab0y'], ['ab0x', 'abcy']],
  ['{one,two*}.csv', ['one.csv', 'two2.csv'], ['three.csv']],
  ['a.b+(c)', ['a.b+(c)'], ['aab+(c)']],
  ['a[b', ['a[b'], ['ab']],
])('%s names what it names', (pattern, yes, no) => {
  const names = nameTest(pattern)
  expect(yes.filter((name) => !names(name))).toEqual([])
  expect(no.filter((name) => !name.includes('/') && names(name))).toEqual([])
})

const dir = mkdtempSync(join(tmpdir(), 'millrace-list-'))
afterAll(() => rmSync(dir, { recursive: true }))

test('a folder is all below it but what is hidden, and folders say what is the same for their rows', () => {
  for (const path of [
    'a.json',
    'day=1/b.json',
    'day=__HIVE_DEFAULT_PARTITION__/x%3Dy=z%20/c.json',
    '.d.json',
    '_log/e.json',
    'day=1/_f.json',
  ]) {
    mkdirSync(join(dir, path, '..'), { recursive: true })
    writeFileSync(join(dir, path), '{}')
  }
  const found = (path: string, filter?: string) =>
    listFiles(nodeEnv.fs, `${dir}${path}`, filter).map((file) => [file.path.slice(dir.length + 1), file.values])
  expect(found('')).toEqual([
    ['a.json', []],
    ['day=1/b.json', [['day', '1']]],
    [
      'day=__HIVE_DEFAULT_PARTITION__/x%3Dy=z%20/c.json',
      [
        ['day', null],
        ['x=y', 'z '],
      ],
    ],
  ])
  expect(found('', 'a*')).toEqual([['a.json', []]])
  expect(found('/day=*/*.json')).toEqual([['day=1/b.json', [['day', '1']]]])
  expect(found('/*.csv')).toEqual([])
  expect(() => found('/none')).toThrow(expect.objectContaining({ code: 'PATH_NOT_FOUND' }))
})
