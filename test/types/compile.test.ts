import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { compileFixtures, differences, marksOf } from './compile.js'

const folder = fileURLToPath(new URL('./fixtures/', import.meta.url))
const files = readdirSync(folder).filter((name) => name.endsWith('.ts'))

describe('what compiles and what does not', () => {
  const results = compileFixtures(files.map((name) => folder + name))

  test.each(files)('%s: an error on every marked line and on no other', (name) => {
    expect(results.get(name)).toEqual([])
  })
})

describe('the marks', () => {
  const text = "const a = 1\nconst b: string = 1 //! not assignable\nconst c = 'x' //!\n"

  test('are found with their lines', () => {
    expect(marksOf(text)).toEqual([
      { line: 2, text: 'not assignable' },
      { line: 3, text: '' },
    ])
  })

  test('hold an error that is not marked, a mark without an error, and an error with another text', () => {
    const right = { line: 2, text: "Type 'number' is not assignable to type 'string'." }
    const any = { line: 3, text: 'anything' }
    expect(differences(text, [right, any])).toEqual([])
    expect(differences(text, [right, any, { line: 1, text: 'oh' }])).toHaveLength(1)
    expect(differences(text, [right])).toHaveLength(1)
    expect(differences(text, [{ line: 2, text: 'oh' }, any])).toHaveLength(1)
  })
})
