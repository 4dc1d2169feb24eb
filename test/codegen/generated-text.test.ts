import { expect, test } from 'vitest'
import { col, concatWs, regexpReplace, when } from '../../src/api/functions.js'
import { compileExpression } from '../../src/codegen/expression-compiler.js'
import { FunctionSource } from '../../src/common/function-source.js'
import { bindExpression } from '../../src/plan/binder.js'
import { types } from '../../src/plan/type-rules.js'
import { structType } from '../../src/types/data-type.js'

const hostile = [
  "'; throw new Error('x'); //",
  '`$' + '{process.exit(1)}`',
  '*/ import("node:fs") /*',
  '\u2028evil()',
  '__proto__',
  'constructor',
]

test('no text of a user becomes code: neither names nor literals nor patterns', () => {
  for (const text of hostile) {
    const schema = structType([{ name: text, type: types.string, nullable: true }])
    const column = col(`\`${text.replaceAll('`', '``')}\``)
    const expression = when(column.eq(text), concatWs(text, column))
      .when(column.isin(text, `${text}2`), text)
      .when(column.like(text.replaceAll('\\', '')), `${text}3`)
      .otherwise(regexpReplace(column, 'a', text.replaceAll('$', '')))
    const bound = bindExpression(expression.expression, schema, { ansi: true, place: 'select' })
    const source = new FunctionSource()
    const bytes = { u8: 'u8', dv: 'dv', start: 's', end: 'e' }
    compileExpression(source, bound, () => ({ type: types.string, isNull: 'n', value: '', bytes }), { ansi: true })
    const code = source.text('f', ['u8', 'dv', 's', 'e', 'n'])
    expect(code).not.toContain(text)
    for (const word of text.match(/[a-z]{4,}/gi) ?? []) if (word !== 'throw') expect(code).not.toContain(word)
    // Nothing but names, numbers, operators and the empty string is ever printed.
    expect(code.replaceAll("''", '')).toMatch(/^[\w\s.,;:?()[\]{}=!<>&|+*/%-]+$/)
  }
})
