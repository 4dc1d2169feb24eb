import { MillraceError } from '../common/errors.js'
import type { Expression } from './expression.js'
import { bracketForms, type Inside, PREDICATE } from './sql-forms.js'
import { filteredAggregate, sqlFunction } from './sql-functions.js'
import { syntaxError, type Token } from './sql-lexer.js'
import { LiteralParser, text } from './sql-operands.js'
import { types } from './type-rules.js'

/**
 * Spark's SQL, the expressions of it: a Pratt parser. Binding powers are Spark's grammar, from loose to tight:
 *
 *   OR · AND · NOT · IS, IN, LIKE, BETWEEN · = < <=> … · | · ^ · & · << >> >>> · + - || · * / % DIV · unary - + ~ · :: [] .
 *
 * Nothing is resolved here but the names of functions. A place in the text is in every error.
 */
export function parseExpression(sql: string): Expression {
  const parser = new SqlParser(sql)
  const expression = parser.expression()
  parser.expectEnd()
  return expression
}

/** One column of a select: an expression, and perhaps `AS name`; or `*`, which is given back as the column `*`. */
export function parseSelected(sql: string): Expression {
  const parser = new SqlParser(sql)
  const expression = parser.selected()
  parser.expectEnd()
  return expression
}

/** A key of an order: an expression, and perhaps `DESC NULLS LAST`. */
export function parseSortKey(sql: string): Expression {
  const parser = new SqlParser(sql)
  const key = parser.sortKey()
  parser.expectEnd()
  return key
}

const OR = 1
const AND = 2
const NOT = 3
const COMPARISON = 5
const UNARY = 12

const binary: Readonly<Record<string, readonly [power: number, fn: string]>> = {
  '=': [COMPARISON, 'eq'],
  '==': [COMPARISON, 'eq'],
  '<>': [COMPARISON, 'neq'],
  '!=': [COMPARISON, 'neq'],
  '<': [COMPARISON, 'lt'],
  '<=': [COMPARISON, 'lte'],
  '>': [COMPARISON, 'gt'],
  '>=': [COMPARISON, 'gte'],
  '<=>': [COMPARISON, 'eqNullSafe'],
  '|': [6, 'bitOr'],
  '^': [7, 'bitXor'],
  '&': [8, 'bitAnd'],
  '<<': [9, 'shiftLeft'],
  '>>': [9, 'shiftRight'],
  '>>>': [9, 'shiftRightUnsigned'],
  '+': [10, 'add'],
  '-': [10, 'sub'],
  '||': [10, 'concat'],
  '*': [11, 'mul'],
  '/': [11, 'div'],
  '%': [11, 'mod'],
  DIV: [11, 'intDiv'],
}

/** Words that begin no operand; as names they need backticks. */
const reserved = new Set(['AND', 'OR', 'WHEN', 'THEN', 'ELSE', 'END', 'BETWEEN', 'IN', 'IS', 'LIKE', 'SELECT'])

/** Brackets within brackets. A text that is deeper was not written by a person. */
const NESTING_MAX = 200

const call = (fn: string, ...args: readonly Expression[]): Expression => ({ kind: 'call', fn, args })

class SqlParser extends LiteralParser {
  #depth = 0

  selected(): Expression {
    if (this.next.text === '*' && this.next.kind === 'sign' && this.tokens[this.at + 1]?.kind === 'end') {
      this.take()
      return { kind: 'column', name: '*' }
    }
    const arg = this.expression()
    this.acceptWord('AS')
    if (this.next.kind === 'word' || this.next.kind === 'name') return { kind: 'alias', name: this.take().text, arg }
    return arg
  }

  sortKey(): Expression {
    const arg = this.expression()
    const descending = this.acceptWord('DESC')
    if (!descending) this.acceptWord('ASC')
    if (!this.acceptWord('NULLS')) return { kind: 'sort', arg, descending }
    const nullsFirst = this.acceptWord('FIRST')
    if (!nullsFirst) this.expectWord('LAST')
    return { kind: 'sort', arg, descending, nullsFirst }
  }

  expectEnd(): void {
    if (this.next.kind !== 'end') this.fail(this.next, `${this.found()} was not expected here`)
  }

  expression(power = 0): Expression {
    this.#depth += 1
    if (this.#depth > NESTING_MAX) this.fail(this.next, `the expression is nested deeper than ${NESTING_MAX}`)
    let left = this.#prefix()
    for (;;) {
      const next = this.#infix(left, power)
      if (next === undefined) break
      left = next
    }
    this.#depth -= 1
    return left
  }

  // What may follow an operand

  #infix(left: Expression, power: number): Expression | undefined {
    const token = this.next
    if (token.kind === 'sign') {
      const after = this.#postfix(left)
      if (after !== undefined) return after
    }
    const operator = binary[token.kind === 'word' ? token.upper : token.kind === 'sign' ? token.text : '']
    if (operator !== undefined) {
      const [own, fn] = operator
      if (own <= power) return undefined
      this.take()
      return call(fn, left, this.expression(own))
    }
    if (token.kind !== 'word') return undefined
    if (token.upper === 'AND' && AND > power) return this.#logic('and', left, AND)
    if (token.upper === 'OR' && OR > power) return this.#logic('or', left, OR)
    return PREDICATE > power ? this.#predicate(left) : undefined
  }

  #logic(fn: 'and' | 'or', left: Expression, power: number): Expression {
    this.take()
    return call(fn, left, this.expression(power))
  }

  #postfix(left: Expression): Expression | undefined {
    if (this.acceptSign('[')) {
      const key = this.expression()
      this.expectSign(']')
      return call('getItem', left, key)
    }
    if (this.acceptSign('::')) return { kind: 'cast', to: this.type(), arg: left }
    if (!this.isSign('.')) return undefined
    this.take()
    const field = this.take()
    if (field.kind !== 'word' && field.kind !== 'name')
      this.fail(field, 'expected the name of a field behind the point')
    return call('getItem', left, text(field.text))
  }

  #predicate(left: Expression): Expression | undefined {
    const start = this.at
    const negated = this.acceptWord('NOT')
    const found = this.#positivePredicate(left)
    if (found === undefined) {
      this.at = start
      return negated || !this.acceptWord('IS') ? undefined : this.#isPredicate(left)
    }
    return negated ? call('not', found) : found
  }

  #positivePredicate(left: Expression): Expression | undefined {
    if (this.acceptWord('BETWEEN')) {
      const low = this.expression(PREDICATE)
      this.expectWord('AND')
      return call('between', left, low, this.expression(PREDICATE))
    }
    if (this.acceptWord('IN')) {
      this.expectSign('(')
      return call('in', left, ...this.#list(')'))
    }
    if (this.acceptWord('RLIKE') || this.acceptWord('REGEXP')) return call('rlike', left, this.expression(PREDICATE))
    const ignoringCase = this.isWord('ILIKE')
    if (!ignoringCase && !this.isWord('LIKE')) return undefined
    this.take()
    const like = (pattern: Expression, escaping: readonly Expression[]): Expression =>
      call(ignoringCase ? 'ilike' : 'like', left, pattern, ...escaping)
    const all = this.isWord('ALL')
    if ((all || this.isWord('ANY') || this.isWord('SOME')) && this.isSign('(', 1)) {
      this.at += 2
      const tests = this.#list(')').map((pattern) => like(pattern, []))
      return tests.reduce((a, b) => call(all ? 'and' : 'or', a, b))
    }
    const pattern = this.expression(PREDICATE)
    return like(pattern, this.acceptWord('ESCAPE') ? [this.expression(PREDICATE)] : [])
  }

  #isPredicate(left: Expression): Expression {
    const negated = this.acceptWord('NOT')
    const not = (e: Expression): Expression => (negated ? call('not', e) : e)
    if (this.acceptWord('NULL') || this.acceptWord('UNKNOWN')) return call(negated ? 'isNotNull' : 'isNull', left)
    if (this.acceptWord('TRUE'))
      return not(call('eqNullSafe', left, { kind: 'literal', value: true, type: types.boolean }))
    if (this.acceptWord('FALSE'))
      return not(call('eqNullSafe', left, { kind: 'literal', value: false, type: types.boolean }))
    if (!this.acceptWord('DISTINCT'))
      this.fail(this.next, `expected NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM, found ${this.found()}`)
    this.expectWord('FROM')
    const same = call('eqNullSafe', left, this.expression(PREDICATE))
    return negated ? same : call('not', same)
  }

  // Operands

  #prefix(): Expression {
    const token = this.next
    switch (token.kind) {
      case 'end':
        return this.fail(token, this.at === 0 ? 'the text is empty' : 'the expression ends too early')
      case 'number':
        return this.number(false)
      case 'text':
        return this.text()
      case 'name':
        return this.#name()
      case 'sign':
        return this.#signed(token)
      case 'word':
        return this.#word(token)
    }
  }

  #signed(token: Token): Expression {
    this.take()
    switch (token.text) {
      case '-':
        // A number's own sign: −2147483648 is an int, 2147483648 is none.
        if (this.next.kind === 'number') return this.number(true)
        return call('neg', this.expression(UNARY))
      case '+':
        return this.expression(UNARY)
      case '~':
        return call('bitNot', this.expression(UNARY))
      case '!':
        return call('not', this.expression(NOT))
      case '(':
        return this.#bracketed()
      case '*':
        return this.fail(token, '"*" stands for all columns in select and count alone', 'count(*)')
      default:
        return this.fail(token, `${JSON.stringify(token.text)} was not expected here`)
    }
  }

  #bracketed(): Expression {
    const lambda = this.#lambdaParameters()
    if (lambda !== undefined) return { kind: 'lambda', parameters: lambda, body: this.expression() }
    const items = this.#list(')')
    if (items.length === 0) this.fail(this.next, 'the brackets are empty')
    return items.length === 1 ? (items[0] as Expression) : call('struct', ...items)
  }

  /** `a, b) ->` behind an open bracket. */
  #lambdaParameters(): readonly string[] | undefined {
    const names: string[] = []
    let at = this.at
    for (;;) {
      const token = this.tokens[at]
      if (token?.kind !== 'word' && token?.kind !== 'name') return undefined
      names.push(token.text)
      const sign = this.tokens[at + 1]
      if (sign?.kind !== 'sign' || (sign.text !== ',' && sign.text !== ')')) return undefined
      at += 2
      if (sign.text === ')') break
    }
    const arrow = this.tokens[at]
    if (arrow?.kind !== 'sign' || arrow.text !== '->') return undefined
    this.at = at + 1
    return names
  }

  #list(close: string): Expression[] {
    const items: Expression[] = []
    if (this.acceptSign(close)) return items
    do items.push(this.#argument())
    while (this.acceptSign(','))
    this.expectSign(close)
    return items
  }

  /** An argument may have a name, which a struct makes its field's. */
  #argument(): Expression {
    const arg = this.expression()
    if (!this.acceptWord('AS')) return arg
    return { kind: 'alias', name: this.identifier(), arg }
  }

  #name(): Expression {
    const token = this.take()
    if (this.acceptSign('->')) return { kind: 'lambda', parameters: [token.text], body: this.expression() }
    if (this.acceptSign('(')) return this.#callOf(token)
    return this.path(token)
  }

  #word(token: Token): Expression {
    const form = this.isSign('(', 1) ? bracketForms[token.upper] : undefined
    const before = this.at
    switch (token.upper) {
      case 'NULL':
        this.take()
        return { kind: 'literal', value: null, type: types.void }
      case 'TRUE':
      case 'FALSE':
        this.take()
        return { kind: 'literal', value: token.upper === 'TRUE', type: types.boolean }
      case 'NOT':
        this.take()
        return call('not', this.expression(NOT))
      case 'CASE':
        this.take()
        return this.#case()
      case 'DATE':
      case 'TIMESTAMP':
        if (this.tokens[before + 1]?.kind !== 'text') break
        this.take()
        return { kind: 'cast', to: token.upper === 'DATE' ? types.date : types.timestamp, arg: text(this.take().text) }
      case 'INTERVAL': {
        const interval = this.interval()
        if (interval !== undefined) return interval
        break
      }
      case 'EXISTS':
        if (this.isSign('(', 1) && this.isWord('SELECT', 2))
          this.fail(token, 'a query inside an expression is not supported')
        break
    }
    if (form !== undefined) {
      this.at += 2
      return form(this.#inside, token)
    }
    if (reserved.has(token.upper))
      this.fail(token, `${token.text} cannot stand here`, 'a name of that kind is written in backticks')
    return this.#name()
  }

  #case(): Expression {
    const subject = this.isWord('WHEN') ? undefined : this.expression()
    const branches: { when: Expression; then: Expression }[] = []
    while (this.acceptWord('WHEN')) {
      const tested = this.expression()
      this.expectWord('THEN')
      const when = subject === undefined ? tested : call('eq', subject, tested)
      branches.push({ when, then: this.expression() })
    }
    if (branches.length === 0) this.fail(this.next, `expected WHEN, found ${this.found()}`)
    const otherwise = this.acceptWord('ELSE') ? { otherwise: this.expression() } : {}
    this.expectWord('END')
    return { kind: 'case', branches, ...otherwise }
  }

  /** The arguments of a function whose bracket is open. */
  #callOf(name: Token): Expression {
    const distinct = this.acceptWord('DISTINCT')
    if (!distinct && this.isWord('ALL') && !this.isSign(',', 1) && !this.isSign(')', 1)) this.take()
    const star = this.isSign('*') && this.isSign(')', 1)
    if (star) this.take()
    const args = this.#list(')')
    if (star && name.text.toUpperCase() !== 'COUNT') this.fail(name, `${name.text}(*) has no meaning`)
    if (this.isWord('OVER')) this.fail(this.next, 'window functions are not supported', 'group by the key instead')
    try {
      return this.#filtered(sqlFunction(name.text, args, distinct))
    } catch (error) {
      if (error instanceof MillraceError && error.code === 'UNRESOLVED_ROUTINE') {
        const [what = ''] = error.message.split('\n')
        const { detail } = syntaxError(this.sql, name.start, '')
        throw new MillraceError(error.code, what, {
          detail: `${error.detail ?? ''}\n${detail ?? ''}`,
          hint: error.hint,
        })
      }
      throw error
    }
  }

  /** `FILTER (WHERE …)` behind an aggregate. */
  #filtered(e: Expression): Expression {
    if (e.kind !== 'aggregate' || !this.isWord('FILTER') || !this.isSign('(', 1)) return e
    this.at += 2
    this.expectWord('WHERE')
    const when = this.expression()
    this.expectSign(')')
    return filteredAggregate(e, when)
  }

  /** What the forms with words in their brackets may use. */
  readonly #inside: Inside = {
    expression: (power) => this.expression(power),
    list: () => this.#list(')'),
    word: (word) => this.acceptWord(word),
    expectWord: (word) => this.expectWord(word),
    comma: () => this.expectSign(','),
    close: () => this.expectSign(')'),
    isWordBefore: (sign) => this.next.kind === 'word' && this.isSign(sign, 1),
    identifier: () => this.identifier(),
    type: () => this.type(),
    call: (name) => this.#callOf(name),
  }
}
