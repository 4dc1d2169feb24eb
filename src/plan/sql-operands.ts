import { MillraceError } from '../common/errors.js'
import type { DataType } from '../types/data-type.js'
import { parseTypeAt } from '../types/ddl.js'
import type { Expression } from './expression.js'
import type { Token } from './sql-lexer.js'
import {
  hexLiteral,
  type IntervalPart,
  intervalLiteral,
  intervalParts,
  intervalUnit,
  numberLiteral,
  rangedInterval,
} from './sql-literals.js'
import { TokenStream } from './sql-tokens.js'
import { types } from './type-rules.js'

/** The operands that hold no expression: numbers, texts, intervals, names, types. */

export const text = (value: string): Expression => ({ kind: 'literal', value, type: types.string })

export class LiteralParser extends TokenStream {
  protected identifier(): string {
    const token = this.take()
    if (token.kind !== 'word' && token.kind !== 'name') this.fail(token, 'expected a name')
    return token.text
  }

  protected number(negative: boolean): Expression {
    const token = this.take()
    const literal = numberLiteral(token.text, negative)
    return literal ?? this.fail(token, `the number ${negative ? '-' : ''}${token.text} does not fit its type`)
  }

  /** Texts side by side are one. */
  protected text(): Expression {
    const first = this.take()
    if (first.prefix === 'X') return hexLiteral(first.text) ?? this.fail(first, 'that is not hexadecimal')
    let value = first.text
    while (this.next.kind === 'text' && this.next.prefix !== 'X') value += this.take().text
    return text(value)
  }

  /** `a.b.c`: the points belong to the name of a column. */
  protected path(first: Token): Expression {
    const quoted = (part: string): string =>
      /^[\p{L}_][\p{L}\p{N}_]*$/u.test(part) ? part : `\`${part.replaceAll('`', '``')}\``
    let name = quoted(first.text)
    while (this.isSign('.')) {
      this.take()
      name += `.${quoted(this.identifier())}`
    }
    return { kind: 'column', name }
  }

  protected interval(): Expression | undefined {
    const start = this.at
    const token = this.take()
    const parts: IntervalPart[] = []
    for (;;) {
      const negative = this.isSign('-') && this.tokens[this.at + 1]?.kind !== 'word'
      const from = this.at
      if (negative) this.take()
      const value = this.next
      if (value.kind !== 'number' && value.kind !== 'text') {
        this.at = from
        break
      }
      this.take()
      const unit = this.next.kind === 'word' ? intervalUnit(this.next.text) : undefined
      const sign = negative ? '-' : ''
      if (unit === undefined) {
        const inText = value.kind === 'text' ? intervalParts(value.text) : undefined
        if (inText === undefined || parts.length > 0)
          this.fail(this.next, `expected a unit of time, found ${this.found()}`)
        parts.push(...inText.map((p) => ({ ...p, amount: String(Number(p.amount) * (negative ? -1 : 1)) })))
        break
      }
      this.take()
      if (this.acceptWord('TO')) {
        const to = intervalUnit(this.identifier()) ?? ''
        return (
          rangedInterval(`${sign}${value.text}`, unit, to) ?? this.fail(value, `that is no interval ${unit} TO ${to}`)
        )
      }
      parts.push({ amount: negative ? String(-Number(value.text)) : value.text, unit })
    }
    if (parts.length === 0) {
      this.at = start
      return undefined
    }
    return intervalLiteral(parts) ?? this.fail(token, 'that is no interval')
  }

  protected type(): DataType {
    const start = this.next
    try {
      const { type, end } = parseTypeAt(this.sql, start.start)
      // The type was read from the text itself: go on behind it.
      while (this.next.kind !== 'end' && this.next.start < end) {
        const token = this.take()
        // `>>` may close two types, or close one and stand behind it: only the first is a type's.
        if (token.end > end) this.fail(token, `${JSON.stringify(token.text)} was not expected here`)
      }
      return type
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== 'DDL_INVALID') throw error
      return this.fail(start, error.message.replace(/^schema text, position \d+: /, ''), error.hint)
    }
  }
}
