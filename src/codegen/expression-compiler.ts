import { present } from '../common/assert.js'
import type { FunctionSource } from '../common/function-source.js'
import { encodeUtf8 } from '../common/utf8.js'
import { expressionKey, inputSlots } from '../plan/bound-expression.js'
import type { BoundExpression } from '../plan/expression.js'
import { bindCall, canThrow, functionSpec } from '../plan/functions.js'
import { castMakesNull } from '../plan/type-rules.js'
import type { DataType } from '../types/data-type.js'
import { castFunction } from './casts.js'
import { arithmeticCode, castText } from './code-arithmetic.js'
import {
  type ComparisonOperator,
  comparisonText,
  countCodePoints,
  endsWithBytes,
  equalsLiteral,
  startsWithBytes,
} from './code-comparison.js'
import {
  anyNull,
  type CodeValue,
  grouped,
  literalText,
  materialize,
  placeholderText,
  unlessNull,
} from './code-value.js'
import { HASH_SEED, hashValue } from './hashing.js'
import { type BoundCall, kernelFor } from './kernels.js'
import * as strings from './strings.js'
import { placeholder } from './value.js'

export { type CodeValue, materialize } from './code-value.js'

/**
 * Bound expressions as statements of a generated function. Numbers stay in locals, nulls are a flag beside
 * the value, strings stay bytes as long as nobody needs more; what has no text of its own calls the
 * interpreter's kernel, so the two cannot disagree on it. Nothing is evaluated that the interpreter would not
 * evaluate, unless it cannot throw.
 *
 * Every slot that an expression uses is asked for once, before any code of the expression and outside of
 * every branch that it opens: what `input` emits is in the caller's scope. Equal parts of expressions are
 * computed once; what was computed in a branch is forgotten at its end.
 */
export interface CompileOptions {
  readonly ansi: boolean
}

export type InputCode = (slot: number) => CodeValue

export function compileExpression(
  source: FunctionSource,
  expression: BoundExpression,
  input: InputCode,
  options: CompileOptions,
): CodeValue {
  return new ExpressionCompiler(source, input, options).compile(expression)
}

/** A JavaScript condition that is true where the expression is true, false where it is false or null. */
export function compilePredicate(
  source: FunctionSource,
  expression: BoundExpression,
  input: InputCode,
  options: CompileOptions,
): string {
  return new ExpressionCompiler(source, input, options).predicate(expression)
}

/** For several expressions of one scope, which then share what they have in common. */
export class ExpressionCompiler {
  /** Values by the key of their expression, innermost branch last. */
  readonly #scopes: Map<string, CodeValue>[] = [new Map()]
  readonly #inputs = new Map<number, CodeValue>()

  constructor(
    private readonly source: FunctionSource,
    private readonly input: InputCode,
    private readonly options: CompileOptions,
  ) {}

  compile(expression: BoundExpression): CodeValue {
    for (const slot of inputSlots(expression)) {
      if (!this.#inputs.has(slot)) this.#inputs.set(slot, this.input(slot))
    }
    return this.#compile(expression)
  }

  predicate(expression: BoundExpression): string {
    const { isNull, value } = this.compile(expression)
    return unlessNull(isNull, value)
  }

  #compile(expression: BoundExpression): CodeValue {
    if (expression.kind === 'literal') return this.#literal(expression)
    if (expression.kind === 'input') {
      const value = present(this.#inputs.get(expression.slot), `slot ${expression.slot}`)
      // What the analyzer has proved beats what the column says.
      return expression.nullable || value.isNull === 'false' ? value : { ...value, isNull: 'false' }
    }
    const key = expressionKey(expression)
    const known = this.#lookup(key)
    if (known !== undefined) return known
    const value = this.#compute(expression)
    this.#remember(key, value)
    return value
  }

  #compute(expression: BoundExpression): CodeValue {
    switch (expression.kind) {
      case 'cast':
        return this.#cast(expression)
      case 'case':
        return this.#case(expression)
      case 'call':
        return this.#call(expression)
      default:
        throw new Error(`assertion failed: a ${expression.kind} of a computed struct cannot be compiled`)
    }
  }

  #lookup(key: string): CodeValue | undefined {
    for (const scope of this.#scopes) {
      const value = scope.get(key)
      if (value !== undefined) return value
    }
    return undefined
  }

  #remember(key: string, value: CodeValue): void {
    this.#scopes[this.#scopes.length - 1]?.set(key, value)
  }

  /** A branch: what `body` computes is known only inside. */
  #branch(open: string, body: () => void, close = '}'): void {
    this.source.block(
      open,
      () => {
        this.#scopes.push(new Map())
        body()
        this.#scopes.pop()
      },
      close,
    )
  }

  /** As a JavaScript value; a column that is bytes is decoded once per scope. */
  #materialized(expression: BoundExpression): CodeValue {
    const value = this.#compile(expression)
    if (value.bytes === undefined) return value
    const key = `text ${expressionKey(expression)}`
    const known = this.#lookup(key)
    if (known !== undefined) return known
    const text = materialize(this.source, value)
    this.#remember(key, text)
    return text
  }

  #literal(expression: BoundExpression & { kind: 'literal' }): CodeValue {
    const { value, type } = expression
    if (value === null) return { type, isNull: 'true', value: placeholderText(this.source, type) }
    return { type, isNull: 'false', value: literalText(this.source, value), literal: value }
  }

  #constant(prefix: string, text: string): string {
    if (/^\w+$/.test(text)) return text
    const name = this.source.fresh(prefix)
    this.source.line(`const ${name} = ${text};`)
    return name
  }

  // Casts

  #cast(expression: BoundExpression & { kind: 'cast' }): CodeValue {
    const { arg, type } = expression
    const isTry = expression.try === true
    if (arg.type.kind === 'void') return { type, isNull: 'true', value: placeholderText(this.source, type) }
    const { ansi } = this.options
    const wraps = !ansi && !isTry
    const text = castText(arg.type, type, !wraps, 'x') === undefined ? undefined : this.#compile(arg)
    if (text !== undefined) {
      const value = castText(arg.type, type, !wraps, text.value) as string
      return { type, isNull: text.isNull, value: this.#constant('v', value) }
    }
    const cast = this.source.constant(castFunction(arg.type, type, ansi, isTry))
    const value = this.#materialized(arg)
    return this.#guarded(type, value.isNull, castMakesNull(arg.type, type, ansi, isTry), `${cast}(${value.value})`)
  }

  /** `call` where nothing is null. */
  #guarded(type: DataType, isNull: string, makesNull: boolean, call: string): CodeValue {
    if (isNull === 'true') return { type, isNull, value: placeholderText(this.source, type) }
    if (isNull === 'false' && !makesNull) return { type, isNull, value: this.#constant('v', call) }
    const v = this.source.fresh('v')
    if (!makesNull) {
      this.source.line(`let ${v} = ${placeholderText(this.source, type)};`)
      this.source.line(`if (!${grouped(isNull)}) ${v} = ${call};`)
      return { type, isNull: this.#constant('n', isNull), value: v }
    }
    const n = this.source.fresh('n')
    this.source.line(`let ${v} = ${placeholderText(this.source, type)}, ${n} = true;`)
    this.source.block(isNull === 'false' ? '' : `if (!${grouped(isNull)})`, () => {
      const result = this.source.fresh('r')
      this.source.line(`const ${result} = ${call};`)
      this.source.line(`if (${result} !== null) { ${v} = ${result}; ${n} = false; }`)
    })
    return { type, isNull: n, value: v }
  }

  // Calls

  #call(expression: BoundCall): CodeValue {
    const { fn, args } = expression
    switch (fn) {
      case 'and':
      case 'or':
        return this.#logic(expression, fn)
      case 'isNull': {
        const { isNull } = this.#compile(arg(expression, 0))
        return { type: expression.type, isNull: 'false', value: this.#constant('v', isNull) }
      }
      case 'isNotNull': {
        const { isNull } = this.#compile(arg(expression, 0))
        return {
          type: expression.type,
          isNull: 'false',
          value: this.#constant('v', isNull === 'false' ? 'true' : `!${grouped(isNull)}`),
        }
      }
      case 'isNaN': {
        const v = this.#compile(arg(expression, 0))
        return {
          type: expression.type,
          isNull: 'false',
          value: this.#constant('v', unlessNull(v.isNull, `${v.value} !== ${v.value}`)),
        }
      }
      case 'eqNullSafe':
        return this.#eqNullSafe(expression)
      case 'coalesce':
        return this.#coalesce(expression)
      case 'greatest':
      case 'least':
        return this.#extreme(expression, fn === 'greatest' ? 'gt' : 'lt')
      case 'in':
        return this.#in(expression)
      case 'concatWs':
        return this.#concatWs(expression)
      case 'hash':
        return this.#hash(expression)
    }
    return this.#strict(expression, args)
  }

  /**
   * Arguments from the left. An argument that can throw is not evaluated behind one that may be null; all
   * others are evaluated side by side.
   */
  #strict(expression: BoundCall, args: readonly BoundExpression[]): CodeValue {
    const { ansi } = this.options
    const guardFrom = args.findIndex(
      (a, i) => canThrow(a, ansi) && args.slice(0, i).some((earlier) => earlier.nullable),
    )
    if (guardFrom === -1) return this.#apply(expression)
    const before = args.slice(0, guardFrom).map((a) => this.#compile(a))
    const isNull = anyNull(...before.map((v) => v.isNull))
    if (isNull === 'true')
      return { type: expression.type, isNull, value: placeholderText(this.source, expression.type) }
    if (isNull === 'false') return this.#apply(expression)
    const [v, n] = this.#result(expression.type)
    this.#branch(`if (!${grouped(isNull)})`, () => {
      this.#assign(
        this.#strict(
          expression,
          expression.args.map((a, i) => (i < guardFrom ? { ...a, nullable: false } : a)),
        ),
        v,
        n,
      )
    })
    return { type: expression.type, isNull: n, value: v }
  }

  /** Locals for a result that branches assign: null to begin with. */
  #result(type: DataType): readonly [value: string, isNull: string] {
    const v = this.source.fresh('v')
    const n = this.source.fresh('n')
    this.source.line(`let ${v} = ${placeholderText(this.source, type)}, ${n} = true;`)
    return [v, n]
  }

  #assign(result: CodeValue, v: string, n: string): void {
    if (result.isNull === 'true') {
      this.source.line(`${n} = true;`)
      return
    }
    const value = materialize(this.source, result)
    this.source.line(`${v} = ${value.value}; ${n} = ${value.isNull};`)
  }

  /** The call on arguments that are evaluated here, in order. */
  #apply(expression: BoundCall): CodeValue {
    const { fn, args, type } = expression
    const { ansi } = this.options
    const first = arg(expression, 0)
    if (isComparison(fn)) {
      const a = this.#compile(first)
      const b = this.#compile(arg(expression, 1))
      const isNull = anyNull(a.isNull, b.isNull)
      if (isNull === 'true') return { type, isNull, value: 'false' }
      return {
        type,
        isNull: this.#constant('n', isNull),
        value: this.#constant('v', comparisonText(this.source, fn, a, b)),
      }
    }
    if (fn === 'not') {
      const a = this.#compile(first)
      return { type, isNull: a.isNull, value: this.#constant('v', `!${a.value}`) }
    }
    const byBytes = this.#bytesFunction(expression)
    if (byBytes !== undefined) return byBytes
    const values = args.map((a) => this.#materialized(a))
    const isNull = anyNull(...values.map((v) => v.isNull))
    if (isNull === 'true') return { type, isNull, value: placeholderText(this.source, type) }
    const code = arithmeticCode(this.source, fn, type, values, ansi)
    if (code !== undefined) {
      // The zero test of a quotient comes before the quotient: 1n / 0n throws by itself.
      const v = this.#constant('v', code.value)
      const known = this.#constant('n', isNull)
      if (code.fails !== undefined && code.raise !== undefined) {
        this.source.line(`if (${unlessNull(known, code.fails(v))}) ${code.raise(v)};`)
      }
      if (code.isNull === undefined) return { type, isNull: known, value: v }
      return { type, isNull: this.#constant('n', anyNull(known, code.isNull(v))), value: v }
    }
    const kernel = this.source.constant(kernelFor(expression, ansi))
    const makesNull = expression.nullable && kernelMakesNull(expression, ansi)
    return this.#guarded(type, isNull, makesNull, `${kernel}(${values.map((v) => v.value).join(', ')})`)
  }

  /** Functions that need not decode a column of text. */
  #bytesFunction(expression: BoundCall): CodeValue | undefined {
    const { fn, type } = expression
    const value = this.#compile(arg(expression, 0))
    if (value.bytes === undefined) return undefined
    const { u8, start, end } = value.bytes
    if (fn === 'octetLength' || (fn === 'length' && value.type.kind === 'binary')) {
      return this.#guarded(type, value.isNull, false, `${end} - ${start}`)
    }
    if (fn === 'length')
      return this.#guarded(
        type,
        value.isNull,
        false,
        `${this.source.constant(countCodePoints)}(${u8}, ${start}, ${end})`,
      )
    if (fn !== 'startsWith' && fn !== 'endsWith') return undefined
    const part = arg(expression, 1)
    if (part.kind !== 'literal' || typeof part.value !== 'string') return undefined
    const test = this.source.constant(fn === 'startsWith' ? startsWithBytes : endsWithBytes)
    const bytes = this.source.constant(encodeUtf8(part.value))
    return this.#guarded(type, value.isNull, false, `${test}(${u8}, ${start}, ${end}, ${bytes})`)
  }

  // Forms that look at nulls themselves

  /** Side by side where the right costs little and cannot throw; else the right only where it decides. */
  #logic(expression: BoundCall, fn: 'and' | 'or'): CodeValue {
    const { type } = expression
    const rightExpression = arg(expression, 1)
    const left = this.#compile(arg(expression, 0))
    if (!canThrow(rightExpression, this.options.ansi) && isCheap(rightExpression)) {
      const right = this.#compile(rightExpression)
      return this.#logicSideBySide(fn, type, left, right)
    }
    const v = this.source.fresh('v')
    const n = this.source.fresh('n')
    // Where the left alone decides, the result is false for `and`, true for `or`.
    this.source.line(`let ${v} = ${fn === 'or'}, ${n} = false;`)
    const undecided = fn === 'and' ? left.value : `!${left.value}`
    const open =
      left.isNull === 'false' ? undecided : left.isNull === 'true' ? 'true' : `${left.isNull} || ${undecided}`
    this.#branch(`if (${open})`, () => {
      const right = this.#compile(rightExpression)
      const decided = fn === 'and' ? `!${grouped(right.value)}` : right.value
      this.source.line(`${n} = ${right.isNull};`)
      this.source.line(
        `if (!${n}) { ${v} = ${right.value}; ${n} = ${left.isNull === 'false' ? 'false' : `${grouped(left.isNull)} && !(${decided})`}; }`,
      )
    })
    return { type, isNull: n, value: v }
  }

  #logicSideBySide(fn: 'and' | 'or', type: DataType, left: CodeValue, right: CodeValue): CodeValue {
    const [l, r] = [grouped(left.value), grouped(right.value)]
    const sign = fn === 'and' ? '&&' : '||'
    const [L, R] = [left.isNull, right.isNull]
    if (L === 'false' && R === 'false')
      return { type, isNull: 'false', value: this.#constant('v', `${l} ${sign} ${r}`) }
    // A null decides nothing: the result is null unless the other side decides.
    const open = (x: string): string => (fn === 'and' ? x : `!${x}`)
    const isNull = `${grouped(L)} ? (${grouped(R)} || ${open(r)}) : (${grouped(R)} && ${open(l)})`
    const value =
      fn === 'and' ? `${unlessNull(L, l)} && ${unlessNull(R, r)}` : `(${unlessNull(L, l)}) || (${unlessNull(R, r)})`
    return { type, isNull: this.#constant('n', isNull), value: this.#constant('v', value) }
  }

  #eqNullSafe(expression: BoundCall): CodeValue {
    const a = this.#compile(arg(expression, 0))
    const b = this.#compile(arg(expression, 1))
    const { type } = expression
    if (a.isNull === 'true' || b.isNull === 'true') {
      const other = a.isNull === 'true' ? b : a
      return { type, isNull: 'false', value: this.#constant('v', other.isNull) }
    }
    const equal = comparisonText(this.source, 'eq', a, b)
    if (a.isNull === 'false' && b.isNull === 'false')
      return { type, isNull: 'false', value: this.#constant('v', equal) }
    const text = `${grouped(a.isNull)} ? ${grouped(b.isNull)} : (${unlessNull(b.isNull, `(${equal})`)})`
    return { type, isNull: 'false', value: this.#constant('v', text) }
  }

  #coalesce(expression: BoundCall): CodeValue {
    const [first, ...rest] = expression.args
    const head = this.#compile(present(first, 'an argument of coalesce'))
    if (head.isNull === 'false' || rest.length === 0) return head
    const [v, n] = this.#result(expression.type)
    this.#assign(head, v, n)
    for (const next of rest) {
      this.#branch(`if (${n})`, () => this.#assign(this.#compile(next), v, n))
      if (!next.nullable) return { type: expression.type, isNull: 'false', value: v }
    }
    return { type: expression.type, isNull: n, value: v }
  }

  #extreme(expression: BoundCall, better: 'gt' | 'lt'): CodeValue {
    const { type } = expression
    const values = expression.args.map((a) => this.#materialized(a))
    const [v, n] = this.#result(type)
    for (const value of values) {
      if (value.isNull === 'true') continue
      const isBetter = comparisonText(this.source, better, value, { type, isNull: 'false', value: v })
      this.source.line(
        `if (${unlessNull(value.isNull, `(${n} || ${isBetter})`)}) { ${v} = ${value.value}; ${n} = false; }`,
      )
    }
    return { type, isNull: expression.nullable ? n : 'false', value: v }
  }

  #in(expression: BoundCall): CodeValue {
    const { type } = expression
    const [subject, ...list] = expression.args
    const value = this.#compile(present(subject, 'the value of in'))
    if (value.isNull === 'true') return { type, isNull: 'true', value: 'false' }
    const literals = list.filter((item) => item.kind === 'literal')
    if (literals.length === list.length && value.type.kind !== 'binary') {
      const known = literals.map((item) => item.value).filter((item) => item !== null)
      const found = this.#guarded(type, value.isNull, false, this.#membership(expression, value, known))
      if (known.length === list.length) return found
      return { type, isNull: this.#constant('n', anyNull(found.isNull, `!${found.value}`)), value: found.value }
    }
    const [v, n] = this.#result(type)
    this.#branch(value.isNull === 'false' ? '' : `if (!${grouped(value.isNull)})`, () => {
      const present = { ...value, isNull: 'false' }
      this.source.line(`${n} = false;`)
      for (const item of list) {
        this.#branch(`if (!${v})`, () => {
          const x = this.#compile(item)
          if (x.isNull === 'true') {
            this.source.line(`${n} = true;`)
            return
          }
          const equal = comparisonText(this.source, 'eq', present, x)
          if (x.isNull === 'false') this.source.line(`if (${equal}) { ${v} = true; ${n} = false; }`)
          else this.source.line(`if (${x.isNull}) ${n} = true; else if (${equal}) { ${v} = true; ${n} = false; }`)
        })
      }
    })
    return { type, isNull: n, value: v }
  }

  /** A few literals one by one, many by a set: a set has one NaN and one zero, as SQL has. */
  #membership(expression: BoundCall, value: CodeValue, literals: readonly unknown[]): string {
    if (literals.length === 0) return 'false'
    if (literals.length <= 8) {
      if (value.bytes !== undefined && literals.every((item) => typeof item === 'string')) {
        const range = value.bytes
        return literals.map((item) => equalsLiteral(this.source, range, item)).join(' || ')
      }
      if (value.bytes === undefined && literals.every((item) => typeof item === 'number' && !Number.isNaN(item))) {
        return literals.map((item) => `${value.value} === ${literalText(this.source, item as number)}`).join(' || ')
      }
    }
    const set = this.source.constant(new Set(literals))
    return `${set}.has(${this.#materialized(arg(expression, 0)).value})`
  }

  #concatWs(expression: BoundCall): CodeValue {
    const [separator, ...parts] = expression.args
    const s = this.#compile(present(separator, 'the separator'))
    if (s.isNull === 'true') return { type: expression.type, isNull: 'true', value: "''" }
    const join = this.source.constant(strings.concatWs)
    const call = (): string => {
      const texts = parts.map((part) => {
        const v = this.#materialized(part)
        return v.isNull === 'false' ? v.value : `${grouped(v.isNull)} ? null : ${v.value}`
      })
      return `${join}(${[this.#materialized(arg(expression, 0)).value, ...texts].join(', ')})`
    }
    if (s.isNull === 'false') return { type: expression.type, isNull: 'false', value: this.#constant('v', call()) }
    const [v, n] = this.#result(expression.type)
    this.#branch(`if (!${grouped(s.isNull)})`, () => {
      this.source.line(`${v} = ${call()}; ${n} = false;`)
    })
    return { type: expression.type, isNull: n, value: v }
  }

  #hash(expression: BoundCall): CodeValue {
    const h = this.source.fresh('h')
    const hash = this.source.constant(hashValue)
    this.source.line(`let ${h} = ${HASH_SEED};`)
    for (const part of expression.args) {
      const v = this.#materialized(part)
      if (v.isNull === 'true') continue
      const step = `${h} = ${hash}(${this.source.constant(part.type)}, ${v.value}, ${h});`
      this.source.line(v.isNull === 'false' ? step : `if (!${grouped(v.isNull)}) ${step}`)
    }
    return { type: expression.type, isNull: 'false', value: h }
  }

  #case(expression: BoundExpression & { kind: 'case' }): CodeValue {
    const { type, branches, otherwise } = expression
    const [v, n] = this.#result(type)
    const emit = (i: number): void => {
      const branch = branches[i]
      if (branch === undefined) {
        if (otherwise !== undefined) this.#assign(this.#compile(otherwise), v, n)
        return
      }
      const when = this.#compile(branch.when)
      this.#branch(`if (${unlessNull(when.isNull, when.value)})`, () => this.#assign(this.#compile(branch.then), v, n))
      if (i + 1 < branches.length || otherwise !== undefined) this.#branch('else', () => emit(i + 1))
    }
    emit(0)
    return { type, isNull: expression.nullable ? n : 'false', value: v }
  }
}

function arg(call: BoundCall, i: number): BoundExpression {
  return present(call.args[i], `argument ${i} of ${call.fn}`)
}

const comparisons = new Set(['eq', 'neq', 'lt', 'lte', 'gt', 'gte'])
const isComparison = (fn: string): fn is ComparisonOperator => comparisons.has(fn)

/** Does the function make a null of values that are none? */
function kernelMakesNull(call: BoundCall, ansi: boolean): boolean {
  if (!functionSpec(call.fn).strict) return true
  return bindCall(
    call.fn,
    call.args.map((a): BoundExpression => ({ ...a, nullable: false })),
    ansi,
  ).nullable
}

/** Worth evaluating rather than branching around: comparisons and arithmetic of numbers, a few levels of them. */
function isCheap(expression: BoundExpression, depth = 3): boolean {
  switch (expression.kind) {
    case 'input':
    case 'literal':
      return true
    case 'call': {
      if (depth === 0) return false
      if (!cheapFunctions.has(expression.fn)) return false
      const numeric = expression.args.every((a) => typeof placeholder(a.type) === 'number' || a.type.kind === 'boolean')
      const onlyNullness = expression.fn === 'isNull' || expression.fn === 'isNotNull'
      return (numeric || onlyNullness) && expression.args.every((a) => isCheap(a, depth - 1))
    }
    default:
      return false
  }
}

const cheapFunctions = new Set([
  ...comparisons,
  'and',
  'or',
  'not',
  'add',
  'sub',
  'mul',
  'neg',
  'abs',
  'isNull',
  'isNotNull',
  'isNaN',
])
