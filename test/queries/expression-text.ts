/**
 * The little language of the cases' queries: columns by name, numbers, strings in double quotes,
 * `true false null`, function calls, the operators below, and `name: expression` for a named result.
 */
export type Node =
  | { readonly kind: 'column'; readonly name: string }
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Node[] }

/** One argument of an operator line. */
export interface Argument {
  readonly name?: string
  readonly value: Node
}

/** Precedence and the name of the Column's method. */
const operators: Readonly<Record<string, readonly [number, string]>> = {
  or: [1, 'or'],
  and: [2, 'and'],
  '=': [3, 'eq'],
  '!=': [3, 'neq'],
  '<': [3, 'lt'],
  '<=': [3, 'lte'],
  '>': [3, 'gt'],
  '>=': [3, 'gte'],
  '+': [4, 'plus'],
  '-': [4, 'minus'],
  '*': [5, 'multiply'],
  '/': [5, 'divide'],
  '%': [5, 'mod'],
}

export function parseArguments(text: string): Argument[] {
  const parser = new Parser(tokensOf(text))
  const args: Argument[] = []
  do {
    args.push(parser.argument())
  } while (parser.accept(','))
  parser.end()
  return args
}

function tokensOf(text: string): string[] {
  const token =
    /\s*("(?:[^"\\]|\\.)*"|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[\p{L}_][\p{L}\p{N}_.]*|<=|>=|!=|[-+*/%=<>(),:])/uy
  const tokens: string[] = []
  while (token.lastIndex < text.length) {
    const at = token.lastIndex
    const match = token.exec(text)
    if (match === null) {
      if (text.slice(at).trim() === '') break
      throw new Error(`cannot read '${text.slice(at).trim()}' in '${text}'`)
    }
    tokens.push(match[1] ?? '')
  }
  return tokens
}

class Parser {
  #at = 0
  constructor(readonly tokens: readonly string[]) {}

  accept(token: string): boolean {
    if (this.tokens[this.#at] !== token) return false
    this.#at += 1
    return true
  }

  end(): void {
    if (this.#at < this.tokens.length)
      throw new Error(`'${this.tokens[this.#at]}' is left over in ${this.tokens.join(' ')}`)
  }

  argument(): Argument {
    if (this.tokens[this.#at + 1] === ':') {
      const name = this.tokens[this.#at] ?? ''
      this.#at += 2
      return { name, value: this.#expression(0) }
    }
    return { value: this.#expression(0) }
  }

  #expression(above: number): Node {
    let left = this.#primary()
    for (;;) {
      const operator = operators[this.tokens[this.#at] ?? '']
      if (operator === undefined || operator[0] <= above) return left
      this.#at += 1
      left = { kind: 'call', name: operator[1], args: [left, this.#expression(operator[0])] }
    }
  }

  #primary(): Node {
    const token = this.tokens[this.#at] ?? ''
    this.#at += 1
    if (token === '(') {
      const inner = this.#expression(0)
      if (!this.accept(')')) throw new Error(`a ')' is missing in ${this.tokens.join(' ')}`)
      return inner
    }
    if (token === 'not') return { kind: 'call', name: 'not', args: [this.#expression(2)] }
    if (token === '-') {
      const number = this.#primary()
      if (number.kind !== 'literal' || typeof number.value !== 'number')
        throw new Error("'-' stands before numbers only")
      return { kind: 'literal', value: -number.value }
    }
    if (token.startsWith('"')) return { kind: 'literal', value: JSON.parse(token) as string }
    if (/^\d/.test(token)) return { kind: 'literal', value: Number(token) }
    if (token === 'true' || token === 'false') return { kind: 'literal', value: token === 'true' }
    if (token === 'null') return { kind: 'literal', value: null }
    if (!/^[\p{L}_]/u.test(token)) throw new Error(`'${token}' is not an expression, in ${this.tokens.join(' ')}`)
    if (!this.accept('(')) return { kind: 'column', name: token }
    const args: Node[] = []
    if (!this.accept(')')) {
      do {
        args.push(this.#expression(0))
      } while (this.accept(','))
      if (!this.accept(')')) throw new Error(`a ')' is missing in ${this.tokens.join(' ')}`)
    }
    return { kind: 'call', name: token, args }
  }
}
