import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compiled, expressions, interpreted, rows } from './expressions.js'

/** MILLRACE_RUNS=50000 for a long search. */
const numRuns = Number(process.env.MILLRACE_RUNS ?? 500)

describe.each([true, false])('with ansi %s', (ansi) => {
  test('compiled code gives what the interpreter gives, errors and the sign of zero included', () => {
    fc.assert(
      fc.property(expressions(ansi), fc.array(rows, { minLength: 1, maxLength: 4 }), (expression, data) => {
        const code = compiled(expression, ansi)
        const reference = interpreted(expression, ansi)
        for (const row of data) {
          const expected = reference(row)
          expect(code.run(row), code.text).toStrictEqual(expected)
          if (!expression.nullable) expect(expected).not.toStrictEqual({ value: null })
        }
      }),
      { numRuns },
    )
  }, 60_000)
})
