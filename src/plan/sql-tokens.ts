import { MillraceError } from '../common/errors.js'
import { syntaxError, type Token, tokenize } from './sql-lexer.js'

/** A place among the tokens of a text: what stands next, and how to go on or to say that it cannot. */
export class TokenStream {
  protected readonly tokens: readonly Token[]
  protected at = 0

  constructor(readonly sql: string) {
    if (typeof sql !== 'string') {
      throw new MillraceError('PARSE_SYNTAX_ERROR', 'expr() takes a text', {
        detail: `found ${sql === null ? 'null' : typeof sql}`,
        hint: "expr('price * 2 > 5')",
      })
    }
    this.tokens = tokenize(sql)
  }

  protected get next(): Token {
    return this.tokens[this.at] as Token
  }

  protected take(): Token {
    const token = this.next
    if (token.kind !== 'end') this.at += 1
    return token
  }

  protected isWord(word: string, ahead = 0): boolean {
    const token = this.tokens[this.at + ahead]
    return token?.kind === 'word' && token.upper === word
  }

  protected isSign(sign: string, ahead = 0): boolean {
    const token = this.tokens[this.at + ahead]
    return token?.kind === 'sign' && token.text === sign
  }

  protected acceptWord(word: string): boolean {
    if (!this.isWord(word)) return false
    this.at += 1
    return true
  }

  protected acceptSign(sign: string): boolean {
    if (!this.isSign(sign)) return false
    this.at += 1
    return true
  }

  protected expectWord(word: string): void {
    if (!this.acceptWord(word)) this.fail(this.next, `expected ${word}, found ${this.found()}`)
  }

  protected expectSign(sign: string): void {
    if (!this.acceptSign(sign)) this.fail(this.next, `expected "${sign}", found ${this.found()}`)
  }

  protected found(): string {
    const { kind, text: content } = this.next
    return kind === 'end' ? 'the end' : JSON.stringify(content.slice(0, 40))
  }

  protected fail(token: Token, what: string, hint?: string): never {
    throw syntaxError(this.sql, token.start, what, hint)
  }
}
