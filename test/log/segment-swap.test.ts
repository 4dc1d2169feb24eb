import { afterEach, expect, test } from 'vitest'
import type { MillraceError } from '../../src/common/errors.js'
import { sealJson } from '../../src/common/sealed-json.js'
import { finishSwaps } from '../../src/log/segment-swap.js'
import { envOf, MemoryFileSystem } from './memory-file-system.js'

const directory = '/log/t-0'
const log = (base: number): string => `${directory}/${String(base).padStart(20, '0')}.log`
const list = `${directory}/${'0'.repeat(20)}.replaces`
let faults: MillraceError[] = []

afterEach(() => {
  faults = []
})

/** A directory as a crash leaves it behind a swap whose list has this content. */
function finish(content: string): MemoryFileSystem {
  const fs = new MemoryFileSystem()
  for (const base of [0, 10, 20]) fs.replaceFile(log(base), 'x')
  fs.replaceFile(list, content)
  finishSwaps(envOf(fs), directory, (fault) => faults.push(fault))
  return fs
}

test('a list of replaced segments is carried out', () => {
  const fs = finish(sealJson({ bases: [10] }))
  expect([0, 10, 20].map((base) => fs.exists(log(base)))).toEqual([true, false, true])
  expect(fs.exists(list)).toBe(false)
  expect(faults).toEqual([])
})

test.each([
  ['a flipped bit', sealJson({ bases: [10] }).replace('10', '20')],
  ['no list', sealJson({ bases: 'all' })],
  ['a list of other things', sealJson({ bases: [10, 'x'] })],
  ['nothing', ''],
])('one that is damaged removes nothing and is told of: %s', (_, content) => {
  const fs = finish(content)
  expect([0, 10, 20].map((base) => fs.exists(log(base)))).toEqual([true, true, true])
  expect(faults).toMatchObject([{ code: 'REPLACES_CORRUPT', summary: `${list} is not believed` }])
})
