import type { parseTypeAt } from '../types/ddl.js'
import type { Expression } from './expression.js'
import { extractForm, sqlFunction } from './sql-functions.js'
import type { Token } from './sql-lexer.js'
import { types } from './type-rules.js'

/** The functions that have words between their brackets: CAST(x AS int), TRIM(BOTH 'x' FROM y), EXTRACT(YEAR FROM ts). */

const call = (fn: string, ...args: readonly Expression[]): Expression => ({ kind: 'call', fn, args })
const text = (value: string): Expression => ({ kind: 'literal', value, type: types.string })

/** As tight as IN and BETWEEN bind: an operand that stands before one of them. */
export const PREDICATE = 4

/** What a form may use of the parser. */
export interface Inside {
  expression(power?: number): Expression
  list(): readonly Expression[]
  word(word: string): boolean
  expectWord(word: string): void
  comma(): void
  close(): void
  isWordBefore(sign: string): boolean
  identifier(): string
  type(): ReturnType<typeof parseTypeAt>['type']
  call(name: Token): Expression
}

export type BracketForm = (p: Inside, name: Token) => Expression

const castForm =
  (isTry: boolean): BracketForm =>
  (p) => {
    const arg = p.expression()
    p.expectWord('AS')
    const to = p.type()
    p.close()
    return { kind: 'cast', to, arg, ...(isTry ? { try: true } : {}) }
  }

/** `substring(x FROM 2 FOR 3)`, and with commas. */
const substringForm: BracketForm = (p) => {
  const args = [p.expression()]
  if (p.word('FROM')) {
    args.push(p.expression())
    if (p.word('FOR')) args.push(p.expression())
    p.close()
  } else {
    p.comma()
    args.push(...p.list())
  }
  return sqlFunction('substring', args, false)
}

/** `trim(BOTH 'x' FROM y)`. */
const trimForm: BracketForm = (p) => {
  const side = p.word('LEADING') ? 'ltrim' : p.word('TRAILING') ? 'rtrim' : 'trim'
  if (side === 'trim') p.word('BOTH')
  if (p.word('FROM')) {
    const value = p.expression()
    p.close()
    return call(side, value)
  }
  const first = p.expression()
  if (p.word('FROM')) {
    const value = p.expression()
    p.close()
    return call(side, value, first)
  }
  p.close()
  return call(side, first)
}

/** The first argument is a unit without quotes. */
const unitForm =
  (fn: string, plain: string): BracketForm =>
  (p, name) => {
    if (!p.isWordBefore(',')) return p.call({ ...name, text: plain })
    const unit = p.identifier()
    p.comma()
    const rest = p.list()
    // Of two arguments the word is a column.
    if (rest.length < 2) return sqlFunction(plain, [{ kind: 'column', name: unit }, ...rest], false)
    return call(fn, text(unit.toUpperCase()), ...rest)
  }

export const bracketForms: Readonly<Record<string, BracketForm>> = {
  CAST: castForm(false),
  TRY_CAST: castForm(true),
  EXTRACT: (p) => {
    const field = p.identifier()
    p.expectWord('FROM')
    const source = p.expression()
    p.close()
    return extractForm(field, source)
  },
  POSITION: (p) => {
    const part = p.expression(PREDICATE)
    if (p.word('IN')) {
      const value = p.expression()
      p.close()
      return call('locate', part, value)
    }
    p.comma()
    return call('locate', part, ...p.list())
  },
  SUBSTRING: substringForm,
  SUBSTR: substringForm,
  TRIM: trimForm,
  OVERLAY: (p) => {
    const args = [p.expression()]
    if (p.word('PLACING')) {
      args.push(p.expression())
      p.expectWord('FROM')
      args.push(p.expression())
      if (p.word('FOR')) args.push(p.expression())
      p.close()
    } else {
      p.comma()
      args.push(...p.list())
    }
    return call('overlay', ...args)
  },
  TIMESTAMPDIFF: unitForm('timestampDiff', 'timestamp_diff'),
  TIMESTAMPADD: unitForm('timestampAdd', 'timestamp_add'),
  DATEDIFF: unitForm('timestampDiff', 'datediff'),
  DATE_DIFF: unitForm('timestampDiff', 'datediff'),
  DATEADD: unitForm('timestampAdd', 'date_add'),
  DATE_ADD: unitForm('timestampAdd', 'date_add'),
}
