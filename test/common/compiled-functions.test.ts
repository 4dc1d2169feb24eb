import { expect, test } from 'vitest'
import { CompiledFunctions } from '../../src/common/compiled-functions.js'
import { FunctionSource } from '../../src/common/function-source.js'

type Add = (x: number) => number

function adder(addend: unknown, owner?: object): Add {
  const source = new FunctionSource()
  source.line(`return x + ${source.constant(addend)};`)
  return source.compile<Add>('add', ['x'], owner)
}

test('the same text with the same constants is one function, and another constant makes another', () => {
  const two = adder(2)
  expect(adder(2)).toBe(two)
  expect(adder(3)).not.toBe(two)
  expect([two(1), adder(3)(1)]).toEqual([3, 4])
  expect([adder(0)(-0), adder(-0)(-0)]).toEqual([0, -0])
})

test('constants that are equal and not the same are not shared', () => {
  const listed = (list: readonly number[]) => {
    const source = new FunctionSource()
    source.line(`return ${source.constant(list)};`)
    return source.compile<() => readonly number[]>('list', [])
  }
  const [a, b] = [[1], [1]]
  expect(listed(a)()).toBe(a)
  expect(listed(b)()).toBe(b)
})

test('what is made for an owner is shared with nobody else', () => {
  const owner = {}
  expect(adder(5, owner)).toBe(adder(5, owner))
  expect(adder(5, owner)).not.toBe(adder(5))
  expect(adder(5, {})).not.toBe(adder(5, owner))
})

test('the text that was asked for longest ago goes first, and so does the oldest variant of a text', () => {
  const functions = new CompiledFunctions(2)
  functions.keep('a', [], 'a')
  functions.keep('b', [], 'b')
  expect(functions.find('a', [])).toBe('a')
  functions.keep('c', [], 'c')
  expect(['a', 'b', 'c'].map((text) => functions.find(text, []))).toEqual(['a', undefined, 'c'])
  for (let i = 0; i < 5; i++) functions.keep('c', [i], i)
  expect([0, 1, 4].map((i) => functions.find('c', [i]))).toEqual([undefined, 1, 4])
})
