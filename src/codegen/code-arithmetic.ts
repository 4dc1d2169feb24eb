import type { FunctionSource } from '../common/function-source.js'
import { isFloating } from '../plan/type-rules.js'
import type { DataType } from '../types/data-type.js'
import type { CodeValue } from './code-value.js'
import { divisionByZero, integerOverflow, remainderByZero, smallIntegerOverflow } from './numbers.js'

/**
 * Arithmetic as JavaScript text, operator by operator and type by type; the same results as the kernels
 * bit for bit. The text may be evaluated on the placeholders of nulls: only `fails` must not be.
 */
export interface ArithmeticCode {
  readonly value: string
  /** Of a local that holds `value`: where true the result is null. */
  readonly isNull?: (local: string) => string
  /** Of that local: where true `raise` must be called. */
  readonly fails?: (local: string) => string
  readonly raise?: (local: string) => string
}

const LIMIT = String(Number.MAX_SAFE_INTEGER)

/** Undefined where the kernel is to be called. */
export function arithmeticCode(
  source: FunctionSource,
  fn: string,
  type: DataType,
  operands: readonly CodeValue[],
  ansi: boolean,
): ArithmeticCode | undefined {
  const [a, b] = operands
  if (a === undefined) return undefined
  const x = a.value
  const y = b?.value ?? ''
  if (isFloating(type)) return floatingCode(source, fn, type, x, y, b, ansi)
  if (type.kind === 'bigint') return bigintCode(source, fn, x, y, ansi)
  if (!isSmall(type) && type.kind !== 'long') return undefined
  if (fn === 'mod' || fn === 'intDiv') return divisionCode(source, fn, type, x, y, b, ansi)
  const plain = { add: `${x} + ${y}`, sub: `${x} - ${y}`, mul: `${x} * ${y}`, neg: `0 - ${x}`, abs: `Math.abs(${x})` }[
    fn
  ]
  if (plain === undefined) return undefined
  // The product of integers may be −0, which no integer is.
  const exact = fn === 'mul' ? `${x} * ${y} + 0` : plain
  if (type.kind === 'long') {
    const beyond = (v: string): string => `(${v} > ${LIMIT} || ${v} < -${LIMIT})`
    if (!ansi) return { value: exact, isNull: beyond }
    return { value: exact, fails: beyond, raise: (v) => `${source.constant(integerOverflow)}(${v})` }
  }
  const wrap = wrapText(type)
  if (!ansi) return { value: fn === 'mul' && type.kind === 'int' ? `Math.imul(${x}, ${y})` : wrap(`(${plain})`) }
  const raise = source.constant(type.kind === 'int' ? integerOverflow : smallIntegerOverflow)
  return { value: exact, fails: (v) => `${v} !== ${wrap(v)}`, raise: (v) => `${raise}(${v})` }
}

const isSmall = (type: DataType): boolean => type.kind === 'byte' || type.kind === 'short' || type.kind === 'int'

export function wrapText(type: DataType): (v: string) => string {
  const shift = type.kind === 'byte' ? 24 : type.kind === 'short' ? 16 : 0
  return (v) => (shift === 0 ? `(${v} | 0)` : `((${v} << ${shift}) >> ${shift})`)
}

function zeroDivisor(divisor: CodeValue | undefined, zero: string): string | undefined {
  if (divisor === undefined) return undefined
  const { literal } = divisor
  if (typeof literal === 'number' || typeof literal === 'bigint') {
    if (Number(literal) !== 0) return undefined
  }
  return `${divisor.value} === ${zero}`
}

function guardedDivision(
  source: FunctionSource,
  value: string,
  isZero: string | undefined,
  raiser: () => never,
  ansi: boolean,
): ArithmeticCode {
  if (isZero === undefined) return { value }
  if (!ansi) return { value, isNull: () => isZero }
  return { value, fails: () => isZero, raise: () => `${source.constant(raiser)}()` }
}

function divisionCode(
  source: FunctionSource,
  fn: string,
  type: DataType,
  x: string,
  y: string,
  divisor: CodeValue | undefined,
  ansi: boolean,
): ArithmeticCode {
  const isZero = zeroDivisor(divisor, '0')
  if (fn === 'intDiv') return guardedDivision(source, `Math.trunc(${x} / ${y}) + 0`, isZero, divisionByZero, ansi)
  const value = type.kind === 'long' ? `${x} % ${y} + 0` : `(${x} % ${y}) | 0`
  return guardedDivision(source, value, isZero, remainderByZero, ansi)
}

function floatingCode(
  source: FunctionSource,
  fn: string,
  type: DataType,
  x: string,
  y: string,
  divisor: CodeValue | undefined,
  ansi: boolean,
): ArithmeticCode | undefined {
  const plain = {
    add: `${x} + ${y}`,
    sub: `${x} - ${y}`,
    mul: `${x} * ${y}`,
    div: `${x} / ${y}`,
    mod: `${x} % ${y}`,
    neg: `-${x}`,
    abs: `Math.abs(${x})`,
  }[fn]
  if (plain === undefined) return undefined
  const value = type.kind === 'float' ? `Math.fround(${plain})` : plain
  if (fn !== 'div' && fn !== 'mod') return { value }
  return guardedDivision(
    source,
    value,
    zeroDivisor(divisor, '0'),
    fn === 'div' ? divisionByZero : remainderByZero,
    ansi,
  )
}

function bigintCode(
  source: FunctionSource,
  fn: string,
  x: string,
  y: string,
  ansi: boolean,
): ArithmeticCode | undefined {
  const plain = { add: `${x} + ${y}`, sub: `${x} - ${y}`, mul: `${x} * ${y}`, neg: `-${x}` }[fn]
  if (plain === undefined) return undefined
  if (!ansi) return { value: `BigInt.asIntN(64, ${plain})` }
  return {
    value: plain,
    fails: (v) => `${v} !== BigInt.asIntN(64, ${v})`,
    raise: (v) => `${source.constant(integerOverflow)}(${v})`,
  }
}

/** Casts between numbers and times that are one operation; undefined where the cast's function is to be called. */
export function castText(from: DataType, to: DataType, ansi: boolean, x: string): string | undefined {
  const integral = isSmall(from) || from.kind === 'long'
  if (integral) {
    if (to.kind === 'double') return x
    if (to.kind === 'float') return `Math.fround(${x})`
    if (to.kind === 'boolean') return `${x} !== 0`
    if (to.kind === 'long') return x
    if (isSmall(to) && isSmall(from) && sizeOf(from) <= sizeOf(to)) return x
    if (isSmall(to) && !ansi) return wrapText(to)(x)
    return undefined
  }
  if (isFloating(from)) {
    if (to.kind === 'double') return x
    if (to.kind === 'float') return `Math.fround(${x})`
    return to.kind === 'boolean' ? `${x} !== 0` : undefined
  }
  if (from.kind === 'boolean' && (isSmall(to) || to.kind === 'long' || isFloating(to))) return `(${x} ? 1 : 0)`
  if (from.kind === 'date' && to.kind === 'timestamp') return `${x} * 86400000`
  if (from.kind === 'timestamp') {
    if (to.kind === 'date') return `Math.floor(${x} / 86400000)`
    if (to.kind === 'double') return `${x} / 1000`
    if (to.kind === 'long') return `Math.floor(${x} / 1000)`
  }
  return undefined
}

const sizeOf = (type: DataType): number => (type.kind === 'byte' ? 1 : type.kind === 'short' ? 2 : 4)
