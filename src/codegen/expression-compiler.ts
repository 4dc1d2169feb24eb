import type { FunctionSource } from '../common/function-source.js'
import { encodeUtf8 } from '../common/utf8.js'
import { inputSlots } from '../plan/bound-expression.js'
import type { BoundExpression } from '../plan/expression.js'
import { bindCall, canThrow, functionSpec } from '../plan/functions.js'
import { castMakesNull } from '../plan/type-rules.js'
import { castFunction } from './casts.js'
import { arithmeticCode, castText } from './code-arithmetic.js'
import {
  type ComparisonOperator,
  comparisonText,
  countCodePoints,
  endsWithBytes,
  startsWithBytes,
} from './code-comparison.js'
import { CodeEmitter, type CompileOptions } from './code-emitter.js'
import { arg, caseCode, formCode } from './code-forms.js'
import { anyNull, type CodeValue, grouped, placeholderText, structField, unlessNull } from './code-value.js'
import type { BoundCall } from './kernel.js'

export type { CompileOptions } from './code-emitter.js'
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
  readonly #emitter: CodeEmitter

  constructor(
    source: FunctionSource,
    private readonly input: InputCode,
    options: CompileOptions,
  ) {
    this.#emitter = new CodeEmitter(source, options, expressionCode)
  }

  compile(expression: BoundExpression): CodeValue {
    for (const slot of inputSlots(expression)) this.#emitter.declareInput(slot, this.input)
    return this.#emitter.value(expression)
  }

  predicate(expression: BoundExpression): string {
    const { isNull, value } = this.compile(expression)
    return unlessNull(isNull, value)
  }
}

function expressionCode(expression: BoundExpression, emit: CodeEmitter): CodeValue {
  switch (expression.kind) {
    case 'cast':
      return castCode(emit, expression)
    case 'case':
      return caseCode(emit, expression)
    case 'call':
      return formCode(emit, expression) ?? strictCode(emit, expression, expression.args)
    case 'field':
      return structField(emit.source, fieldOwner(emit, expression.arg), expression.index, expression.type)
    default:
      throw new Error(`assertion failed: a ${expression.kind} is no expression to compute`)
  }
}

/** A column's struct stays columns; what else is a struct may still be bytes of one. */
function fieldOwner(emit: CodeEmitter, struct: BoundExpression): CodeValue {
  const value = emit.value(struct)
  return value.fields === undefined ? emit.materialized(struct) : value
}

function castCode(emit: CodeEmitter, expression: BoundExpression & { kind: 'cast' }): CodeValue {
  const { arg, type } = expression
  const isTry = expression.try === true
  if (arg.type.kind === 'void') return { type, isNull: 'true', value: placeholderText(emit.source, type) }
  const { ansi } = emit.options
  const wraps = !ansi && !isTry
  const text = castText(arg.type, type, !wraps, 'x') === undefined ? undefined : emit.value(arg)
  if (text !== undefined) {
    const value = castText(arg.type, type, !wraps, text.value) as string
    // An int literal beside a double stays a literal, which makes comparisons with it shorter.
    if (typeof text.literal === 'number' && value === text.value) return { ...text, type }
    return { type, isNull: text.isNull, value: emit.local('v', value) }
  }
  const cast = emit.source.constant(castFunction(arg.type, type, ansi, isTry))
  const value = emit.materialized(arg)
  return emit.guarded(type, value.isNull, castMakesNull(arg.type, type, ansi, isTry), `${cast}(${value.value})`)
}

/**
 * Arguments from the left. An argument that can throw is not evaluated behind one that may be null; all
 * others are evaluated side by side.
 */
function strictCode(emit: CodeEmitter, expression: BoundCall, args: readonly BoundExpression[]): CodeValue {
  const { ansi } = emit.options
  const guardFrom = args.findIndex((a, i) => canThrow(a, ansi) && args.slice(0, i).some((earlier) => earlier.nullable))
  if (guardFrom === -1) return applyCode(emit, expression)
  const before = args.slice(0, guardFrom).map((a) => emit.value(a))
  const isNull = anyNull(...before.map((v) => v.isNull))
  if (isNull === 'true') return { type: expression.type, isNull, value: placeholderText(emit.source, expression.type) }
  if (isNull === 'false') return applyCode(emit, expression)
  const [v, n] = emit.result(expression.type)
  emit.branch(`if (!${grouped(isNull)})`, () => {
    emit.assign(
      strictCode(
        emit,
        expression,
        expression.args.map((a, i) => (i < guardFrom ? { ...a, nullable: false } : a)),
      ),
      v,
      n,
    )
  })
  return { type: expression.type, isNull: n, value: v }
}

/** The call on arguments that are evaluated here, in order. */
function applyCode(emit: CodeEmitter, expression: BoundCall): CodeValue {
  const { fn, args, type } = expression
  const { ansi } = emit.options
  if (isComparison(fn)) {
    const a = emit.value(arg(expression, 0))
    const b = emit.value(arg(expression, 1))
    const isNull = anyNull(a.isNull, b.isNull)
    if (isNull === 'true') return { type, isNull, value: 'false' }
    return {
      type,
      isNull: emit.local('n', isNull),
      value: emit.local('v', comparisonText(emit.source, fn, a, b)),
    }
  }
  if (fn === 'not') {
    const a = emit.value(arg(expression, 0))
    return { type, isNull: a.isNull, value: emit.local('v', `!${a.value}`) }
  }
  const byBytes = bytesFunctionCode(emit, expression)
  if (byBytes !== undefined) return byBytes
  const values = args.map((a) => emit.materialized(a))
  const isNull = anyNull(...values.map((v) => v.isNull))
  if (isNull === 'true') return { type, isNull, value: placeholderText(emit.source, type) }
  const code = arithmeticCode(emit.source, fn, type, values, ansi)
  if (code !== undefined) {
    // The zero test of a quotient comes before the quotient: 1n / 0n throws by itself.
    const v = emit.local('v', code.value)
    const known = emit.local('n', isNull)
    if (code.fails !== undefined && code.raise !== undefined) {
      emit.source.line(`if (${unlessNull(known, code.fails(v))}) ${code.raise(v)};`)
    }
    if (code.isNull === undefined) return { type, isNull: known, value: v }
    return { type, isNull: emit.local('n', anyNull(known, code.isNull(v))), value: v }
  }
  const kernel = emit.source.constant(emit.kernel(expression))
  const makesNull = expression.nullable && kernelMakesNull(expression, ansi)
  return emit.guarded(type, isNull, makesNull, `${kernel}(${values.map((v) => v.value).join(', ')})`)
}

const byteFunctions = new Set(['octetLength', 'length', 'startsWith', 'endsWith'])

/** Functions that need not decode a column of text. */
function bytesFunctionCode(emit: CodeEmitter, expression: BoundCall): CodeValue | undefined {
  const { fn, type } = expression
  if (!byteFunctions.has(fn)) return undefined
  const value = emit.value(arg(expression, 0))
  if (value.bytes === undefined) return undefined
  const { u8, start, end } = value.bytes
  if (fn === 'octetLength' || (fn === 'length' && value.type.kind === 'binary')) {
    return emit.guarded(type, value.isNull, false, `${end} - ${start}`)
  }
  if (fn === 'length')
    return emit.guarded(type, value.isNull, false, `${emit.source.constant(countCodePoints)}(${u8}, ${start}, ${end})`)
  if (fn !== 'startsWith' && fn !== 'endsWith') return undefined
  const part = arg(expression, 1)
  if (part.kind !== 'literal' || typeof part.value !== 'string') return undefined
  const test = emit.source.constant(fn === 'startsWith' ? startsWithBytes : endsWithBytes)
  const bytes = emit.source.constant(encodeUtf8(part.value))
  return emit.guarded(type, value.isNull, false, `${test}(${u8}, ${start}, ${end}, ${bytes})`)
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
