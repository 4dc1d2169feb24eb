import { present } from '../common/assert.js'
import type { BoundExpression } from '../plan/expression.js'
import { canThrow, functionSpec } from '../plan/functions.js'
import type { DataType } from '../types/data-type.js'
import { comparisonText, equalsLiteral } from './code-comparison.js'
import type { CodeEmitter } from './code-emitter.js'
import { anyNull, type CodeValue, grouped, literalText, orNull, unlessNull } from './code-value.js'
import { HASH_SEED, hashValue } from './hashing.js'
import type { BoundCall } from './kernel.js'
import * as strings from './strings.js'
import { placeholder } from './value.js'

/**
 * Code of the forms that decide for themselves what is evaluated: three-valued logic, choices, lists. Each
 * does what its namesake in interpreter.ts does.
 */

/** The forms that look at nulls themselves or leave arguments out; undefined for all other functions. */
export function formCode(emit: CodeEmitter, expression: BoundCall): CodeValue | undefined {
  const { fn } = expression
  switch (fn) {
    case 'and':
    case 'or':
      return logicCode(emit, expression, fn)
    case 'isNull': {
      const { isNull } = emit.value(arg(expression, 0))
      return { type: expression.type, isNull: 'false', value: emit.local('v', isNull) }
    }
    case 'isNotNull': {
      const { isNull } = emit.value(arg(expression, 0))
      return {
        type: expression.type,
        isNull: 'false',
        value: emit.local('v', isNull === 'false' ? 'true' : `!${grouped(isNull)}`),
      }
    }
    case 'isNaN': {
      const v = emit.value(arg(expression, 0))
      return {
        type: expression.type,
        isNull: 'false',
        value: emit.local('v', unlessNull(v.isNull, `${v.value} !== ${v.value}`)),
      }
    }
    case 'eqNullSafe':
      return eqNullSafeCode(emit, expression)
    case 'coalesce':
      return coalesceCode(emit, expression)
    case 'greatest':
    case 'least':
      return extremeCode(emit, expression, fn === 'greatest' ? 'gt' : 'lt')
    case 'in':
      return inCode(emit, expression)
    case 'concatWs':
      return concatWsCode(emit, expression)
    case 'hash':
      return hashCode(emit, expression)
  }
  return functionSpec(fn).seesNulls === true ? seeingCode(emit, expression) : undefined
}

/** All arguments are evaluated, and their nulls are the kernel's affair. */
function seeingCode(emit: CodeEmitter, expression: BoundCall): CodeValue {
  const { type, nullable } = expression
  const values = expression.args.map((a) => orNull(emit.materialized(a)))
  const kernel = emit.source.constant(emit.kernel(expression))
  return emit.guarded(type, 'false', nullable, `${kernel}(${values.join(', ')})`)
}

/** Side by side where the right costs little and cannot throw; else the right only where it decides. */
function logicCode(emit: CodeEmitter, expression: BoundCall, fn: 'and' | 'or'): CodeValue {
  const { type } = expression
  const rightExpression = arg(expression, 1)
  const left = emit.value(arg(expression, 0))
  if (!canThrow(rightExpression, emit.options.ansi) && isCheap(rightExpression)) {
    const right = emit.value(rightExpression)
    return logicSideBySideCode(emit, fn, type, left, right)
  }
  const v = emit.source.fresh('v')
  const n = emit.source.fresh('n')
  // Where the left alone decides, the result is false for `and`, true for `or`.
  emit.source.line(`let ${v} = ${fn === 'or'}, ${n} = false;`)
  const undecided = fn === 'and' ? left.value : `!${left.value}`
  const open = left.isNull === 'false' ? undecided : left.isNull === 'true' ? 'true' : `${left.isNull} || ${undecided}`
  emit.branch(`if (${open})`, () => {
    const right = emit.value(rightExpression)
    const decided = fn === 'and' ? `!${grouped(right.value)}` : right.value
    emit.source.line(`${n} = ${right.isNull};`)
    emit.source.line(
      `if (!${n}) { ${v} = ${right.value}; ${n} = ${left.isNull === 'false' ? 'false' : `${grouped(left.isNull)} && !(${decided})`}; }`,
    )
  })
  return { type, isNull: n, value: v }
}

function logicSideBySideCode(
  emit: CodeEmitter,
  fn: 'and' | 'or',
  type: DataType,
  left: CodeValue,
  right: CodeValue,
): CodeValue {
  const [l, r] = [grouped(left.value), grouped(right.value)]
  const sign = fn === 'and' ? '&&' : '||'
  const [L, R] = [left.isNull, right.isNull]
  if (L === 'false' && R === 'false') return { type, isNull: 'false', value: emit.local('v', `${l} ${sign} ${r}`) }
  // A null decides nothing: the result is null unless the other side decides.
  const open = (x: string): string => (fn === 'and' ? x : `!${x}`)
  const isNull = `${grouped(L)} ? (${grouped(R)} || ${open(r)}) : (${grouped(R)} && ${open(l)})`
  const value =
    fn === 'and' ? `${unlessNull(L, l)} && ${unlessNull(R, r)}` : `(${unlessNull(L, l)}) || (${unlessNull(R, r)})`
  return { type, isNull: emit.local('n', isNull), value: emit.local('v', value) }
}

function eqNullSafeCode(emit: CodeEmitter, expression: BoundCall): CodeValue {
  const a = emit.value(arg(expression, 0))
  const b = emit.value(arg(expression, 1))
  const { type } = expression
  if (a.isNull === 'true' || b.isNull === 'true') {
    const other = a.isNull === 'true' ? b : a
    return { type, isNull: 'false', value: emit.local('v', other.isNull) }
  }
  const equal = comparisonText(emit.source, 'eq', a, b)
  if (a.isNull === 'false' && b.isNull === 'false') return { type, isNull: 'false', value: emit.local('v', equal) }
  const text = `${grouped(a.isNull)} ? ${grouped(b.isNull)} : (${unlessNull(b.isNull, `(${equal})`)})`
  return { type, isNull: 'false', value: emit.local('v', text) }
}

function coalesceCode(emit: CodeEmitter, expression: BoundCall): CodeValue {
  const [first, ...rest] = expression.args
  const head = emit.value(present(first, 'an argument of coalesce'))
  if (head.isNull === 'false' || rest.length === 0) return head
  const [v, n] = emit.result(expression.type)
  emit.assign(head, v, n)
  for (const next of rest) {
    emit.branch(`if (${n})`, () => emit.assign(emit.value(next), v, n))
    if (!next.nullable) return { type: expression.type, isNull: 'false', value: v }
  }
  return { type: expression.type, isNull: n, value: v }
}

function extremeCode(emit: CodeEmitter, expression: BoundCall, better: 'gt' | 'lt'): CodeValue {
  const { type } = expression
  const values = expression.args.map((a) => emit.materialized(a))
  const [v, n] = emit.result(type)
  for (const value of values) {
    if (value.isNull === 'true') continue
    const isBetter = comparisonText(emit.source, better, value, { type, isNull: 'false', value: v })
    emit.source.line(
      `if (${unlessNull(value.isNull, `(${n} || ${isBetter})`)}) { ${v} = ${value.value}; ${n} = false; }`,
    )
  }
  return { type, isNull: expression.nullable ? n : 'false', value: v }
}

function inCode(emit: CodeEmitter, expression: BoundCall): CodeValue {
  const { type } = expression
  const [subject, ...list] = expression.args
  const value = emit.value(present(subject, 'the value of in'))
  if (value.isNull === 'true') return { type, isNull: 'true', value: 'false' }
  const literals = list.filter((item) => item.kind === 'literal')
  if (literals.length === list.length && value.type.kind !== 'binary') {
    const known = literals.map((item) => item.value).filter((item) => item !== null)
    const found = emit.guarded(type, value.isNull, false, membershipCode(emit, expression, value, known))
    if (known.length === list.length) return found
    return { type, isNull: emit.local('n', anyNull(found.isNull, `!${found.value}`)), value: found.value }
  }
  const [v, n] = emit.result(type)
  emit.branch(value.isNull === 'false' ? '' : `if (!${grouped(value.isNull)})`, () => {
    const present = { ...value, isNull: 'false' }
    emit.source.line(`${n} = false;`)
    for (const item of list) {
      emit.branch(`if (!${v})`, () => {
        const x = emit.value(item)
        if (x.isNull === 'true') {
          emit.source.line(`${n} = true;`)
          return
        }
        const equal = comparisonText(emit.source, 'eq', present, x)
        if (x.isNull === 'false') emit.source.line(`if (${equal}) { ${v} = true; ${n} = false; }`)
        else emit.source.line(`if (${x.isNull}) ${n} = true; else if (${equal}) { ${v} = true; ${n} = false; }`)
      })
    }
  })
  return { type, isNull: n, value: v }
}

/** A few literals one by one, many by a set: a set has one NaN and one zero, as SQL has. */
function membershipCode(
  emit: CodeEmitter,
  expression: BoundCall,
  value: CodeValue,
  literals: readonly unknown[],
): string {
  if (literals.length === 0) return 'false'
  if (literals.length <= 8) {
    if (value.bytes !== undefined && literals.every((item) => typeof item === 'string')) {
      const range = value.bytes
      return literals.map((item) => equalsLiteral(emit.source, range, item)).join(' || ')
    }
    if (value.bytes === undefined && literals.every((item) => typeof item === 'number' && !Number.isNaN(item))) {
      return literals.map((item) => `${value.value} === ${literalText(emit.source, item as number)}`).join(' || ')
    }
  }
  const set = emit.source.constant(new Set(literals))
  return `${set}.has(${emit.materialized(arg(expression, 0)).value})`
}

function concatWsCode(emit: CodeEmitter, expression: BoundCall): CodeValue {
  const [separator, ...parts] = expression.args
  const s = emit.value(present(separator, 'the separator'))
  if (s.isNull === 'true') return { type: expression.type, isNull: 'true', value: "''" }
  const join = emit.source.constant(strings.concatWs)
  const call = (): string => {
    const texts = parts.map((part) => {
      const v = emit.materialized(part)
      return v.isNull === 'false' ? v.value : `${grouped(v.isNull)} ? null : ${v.value}`
    })
    return `${join}(${[emit.materialized(arg(expression, 0)).value, ...texts].join(', ')})`
  }
  if (s.isNull === 'false') return { type: expression.type, isNull: 'false', value: emit.local('v', call()) }
  const [v, n] = emit.result(expression.type)
  emit.branch(`if (!${grouped(s.isNull)})`, () => {
    emit.source.line(`${v} = ${call()}; ${n} = false;`)
  })
  return { type: expression.type, isNull: n, value: v }
}

function hashCode(emit: CodeEmitter, expression: BoundCall): CodeValue {
  const h = emit.source.fresh('h')
  const hash = emit.source.constant(hashValue)
  emit.source.line(`let ${h} = ${HASH_SEED};`)
  for (const part of expression.args) {
    const v = emit.materialized(part)
    if (v.isNull === 'true') continue
    const step = `${h} = ${hash}(${emit.source.constant(part.type)}, ${v.value}, ${h});`
    emit.source.line(v.isNull === 'false' ? step : `if (!${grouped(v.isNull)}) ${step}`)
  }
  return { type: expression.type, isNull: 'false', value: h }
}

export function caseCode(emit: CodeEmitter, expression: BoundExpression & { kind: 'case' }): CodeValue {
  const { type, branches, otherwise } = expression
  const [v, n] = emit.result(type)
  const branchFrom = (i: number): void => {
    const branch = branches[i]
    if (branch === undefined) {
      if (otherwise !== undefined) emit.assign(emit.value(otherwise), v, n)
      return
    }
    const when = emit.value(branch.when)
    emit.branch(`if (${unlessNull(when.isNull, when.value)})`, () => emit.assign(emit.value(branch.then), v, n))
    if (i + 1 < branches.length || otherwise !== undefined) emit.branch('else', () => branchFrom(i + 1))
  }
  branchFrom(0)
  return { type, isNull: expression.nullable ? n : 'false', value: v }
}

export function arg(call: BoundCall, i: number): BoundExpression {
  return present(call.args[i], `argument ${i} of ${call.fn}`)
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
  'eq',
  'neq',
  'lt',
  'lte',
  'gt',
  'gte',
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
