import { expect, test } from 'vitest'
import { kernelNames } from '../../src/codegen/kernels.js'
import { functionNames } from '../../src/plan/functions.js'
import { functionPage, functionPageOnDisk } from '../architecture/function-page.js'

test('docs/functions.md is up to date (npm run functions)', () => {
  expect(functionPageOnDisk()).toBe(functionPage())
})

test('every kernel is the code of a function', () => {
  const known = new Set(functionNames())
  expect(kernelNames().filter((name) => !known.has(name))).toStrictEqual([])
})
