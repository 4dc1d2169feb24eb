import { expect, test } from 'vitest'
import { kernelNames } from '../../src/codegen/kernels.js'
import { functionFamilies, namesOfFamily } from '../../src/plan/function-names.js'
import { familySpecs } from '../../src/plan/functions.js'
import { functionPage, functionPageOnDisk } from '../architecture/function-page.js'

test('docs/functions.md is up to date (npm run functions)', () => {
  expect(functionPageOnDisk()).toBe(functionPage())
})

test.each(functionFamilies)('family %s: the functions that are named are those that are bound', (family) => {
  expect(familySpecs(family).map((spec) => spec.name)).toStrictEqual(namesOfFamily(family))
})

test.each(functionFamilies)('family %s: every kernel is the code of a function that is named there', (family) => {
  // Operators and numbers are always there, in one table.
  const named = namesOfFamily(family)
  const known = ['operators', 'numbers'].includes(family)
    ? [...namesOfFamily('operators'), ...namesOfFamily('numbers')]
    : named
  expect(kernelNames(family).length).toBeGreaterThan(0)
  expect(kernelNames(family).filter((name) => !known.includes(name))).toStrictEqual([])
})
