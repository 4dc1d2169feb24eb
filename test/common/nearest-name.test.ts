import { expect, test } from 'vitest'
import { nearestName } from '../../src/common/nearest-name.js'

test.each([
  ['user-clikcs', ['orders', 'user-clicks'], 'user-clicks'],
  ['PAGE', ['ts', 'page'], 'page'],
  ['pagee', ['page', 'pages'], 'page'],
  ['wholly-other', ['page', 'ts'], undefined],
  ['x', [], undefined],
])('%s among %j was meant as %s', (given, known, meant) => {
  expect(nearestName(given, known)).toBe(meant)
})
