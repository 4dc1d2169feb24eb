import { powerOfTen } from '../common/decimal.js'
import { MillraceError } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import { type FunctionFamily, functionFamily } from '../plan/function-names.js'
import { type DataType, type DecimalType, typeName } from '../types/data-type.js'
import { checkedDecimal, decimalOfNumber, divideHalfUp, rescale, rescaleHalfEven } from './decimals.js'
import {
  type BoundCall,
  type Invocable,
  type KernelTable,
  type LambdaFunction,
  type MakeKernel,
  plain,
} from './kernel.js'
import * as numbers from './numbers.js'
import { assertHolds, raised } from './raised-error.js'
import { comparator, type Value } from './value.js'

export type { BoundCall, Invocable, Kernel } from './kernel.js'

/** Kernels by the family of their function (plan/function-names.ts). Those of operators and numbers stand here; a family is loaded with the first of its functions that is used. */
const families: Readonly<Record<FunctionFamily, () => KernelTable>> = {
  operators: () => kernels,
  numbers: () => kernels,
  strings: () => strings().stringKernels,
  times: () => times().timeKernels,
  collections: () => collections().collectionKernels,
  lambdas: () => lambdas().lambdaKernels,
  bits: () => bits().bitKernels,
  texts: () => texts().textCodeKernels,
  steps: () => steps().timeStepKernels,
  json: () => json().jsonKernels,
}

const strings = lazyModule(import.meta.url, './string-kernels.js', () => import('./string-kernels.js'))
const times = lazyModule(import.meta.url, './time-kernels.js', () => import('./time-kernels.js'))
const collections = lazyModule(import.meta.url, './collections.js', () => import('./collections.js'))
const lambdas = lazyModule(import.meta.url, './lambdas.js', () => import('./lambdas.js'))
const bits = lazyModule(import.meta.url, './bits.js', () => import('./bits.js'))
const texts = lazyModule(import.meta.url, './text-codes.js', () => import('./text-codes.js'))
const steps = lazyModule(import.meta.url, './time-steps.js', () => import('./time-steps.js'))
const json = lazyModule(import.meta.url, './json-functions.js', () => import('./json-functions.js'))

export function kernelFor(call: BoundCall, ansi: boolean, lambdas: readonly LambdaFunction[] = []): Invocable {
  const family = functionFamily(call.fn)
  const table = family === undefined ? {} : families[family]()
  const make = Object.hasOwn(table, call.fn) ? table[call.fn] : undefined
  if (make === undefined) {
    throw new MillraceError('UNRESOLVED_ROUTINE', `there is no code for the function ${call.fn}`, {
      detail: `found ${call.fn} in a bound expression`,
      hint: 'the plan was made by another version: build it again with this one',
    })
  }
  const first = call.args[0]?.type ?? call.type
  return make(first, call, ansi, lambdas) as Invocable
}

/** The functions of a family that have a kernel: not those that are bound as others, nor forms. */
export const kernelNames = (family: FunctionFamily): readonly string[] => Object.keys(families[family]())

/** One kernel for a number kept in a double, one for bigint, one for decimals. */
function byKind(
  integer: (a: number, b: number) => number,
  floating: (a: number, b: number) => number,
  big: (a: bigint, b: bigint) => bigint,
  dec: (call: BoundCall, ansi: boolean) => (a: bigint, b: bigint) => bigint | null,
): MakeKernel {
  return (first, call, ansi) => {
    switch (first.kind) {
      case 'double':
        return floating
      case 'float':
        return (a: number, b: number) => Math.fround(floating(a, b))
      case 'bigint': {
        const fit = numbers.bigintResult(ansi)
        return (a: bigint, b: bigint) => fit(big(a, b))
      }
      case 'decimal':
        return dec(call, ansi)
      default: {
        const fit = numbers.integerResult(first.kind, ansi)
        return (a: number, b: number) => fit(integer(a, b))
      }
    }
  }
}

function decimalTypes(call: BoundCall): [a: DecimalType, b: DecimalType, result: DecimalType] {
  const [a, b] = call.args
  if (a?.type.kind !== 'decimal' || b?.type.kind !== 'decimal' || call.type.kind !== 'decimal') {
    throw new MillraceError('DATATYPE_MISMATCH', `${call.fn} of ${typeName(call.type)} needs two decimals`, {
      detail: `found ${call.args.map((arg) => typeName(arg.type)).join(' and ')}`,
      hint: 'the plan was made by another version: build it again with this one',
    })
  }
  return [a.type, b.type, call.type]
}

const decimalSum =
  (sign: 1n | -1n) =>
  (call: BoundCall, ansi: boolean): ((a: bigint, b: bigint) => bigint | null) => {
    const [ta, tb, type] = decimalTypes(call)
    const scale = Math.max(ta.scale, tb.scale)
    return (a, b) =>
      checkedDecimal(
        rescale(rescale(a, ta.scale, scale) + sign * rescale(b, tb.scale, scale), scale, type.scale),
        type,
        ansi,
      )
  }

function decimalProduct(call: BoundCall, ansi: boolean): (a: bigint, b: bigint) => bigint | null {
  const [ta, tb, type] = decimalTypes(call)
  return (a, b) => checkedDecimal(rescale(a * b, ta.scale + tb.scale, type.scale), type, ansi)
}

function decimalQuotient(call: BoundCall, ansi: boolean): (a: bigint, b: bigint) => bigint | null {
  const [ta, tb, type] = decimalTypes(call)
  const up = powerOfTen(Math.max(0, type.scale - ta.scale + tb.scale))
  const down = powerOfTen(Math.max(0, ta.scale - tb.scale - type.scale))
  return (a, b) => {
    if (b === 0n) return ansi ? numbers.divisionByZero() : null
    return checkedDecimal(divideHalfUp(a * up, b * down), type, ansi)
  }
}

const decimalRemainder =
  (positive: boolean) =>
  (call: BoundCall, ansi: boolean): ((a: bigint, b: bigint) => bigint | null) => {
    const [ta, tb, type] = decimalTypes(call)
    const scale = Math.max(ta.scale, tb.scale)
    return (a, b) => {
      if (b === 0n) return ansi ? numbers.remainderByZero() : null
      const x = rescale(a, ta.scale, scale)
      const y = rescale(b, tb.scale, scale)
      const r = positive ? numbers.positiveModuloDecimal(x, y) : x % y
      return checkedDecimal(rescale(r, scale, type.scale), type, ansi)
    }
  }

function dividing(inner: MakeKernel, byZero: () => never): MakeKernel {
  return (first, call, ansi) => {
    const kernel = inner(first, call, ansi, []) as Invocable
    if (first.kind === 'decimal') return kernel
    // `==` is meant: 0 and 0n, and −0.
    const isZero = first.kind === 'bigint' ? (b: Value) => b === 0n : (b: Value) => b === 0
    return (a: Value, b: Value) => (isZero(b) ? (ansi ? byZero() : null) : kernel(a, b))
  }
}

const comparing =
  (test: (order: number) => boolean): MakeKernel =>
  (first) => {
    const compare = comparator(first) as (a: Value, b: Value) => number
    return (a: Value, b: Value) => test(compare(a, b))
  }

function whole(round: (x: number) => number, direction: 1n | -1n): MakeKernel {
  return (first, call, ansi) => {
    if (first.kind === 'decimal') {
      const divisor = powerOfTen(first.scale)
      return (v: bigint) => {
        const quotient = v / divisor
        const inexact = v % divisor !== 0n && v > 0n === direction > 0n
        return inexact ? quotient + direction : quotient
      }
    }
    if (call.type.kind === first.kind) return (v: Value) => v
    const fit = numbers.integerResult('long', ansi)
    return (v: number) => {
      const r = round(v)
      return Number.isNaN(r) ? 0 : fit(r)
    }
  }
}

/** Before this digit every decimal is 0 or does not fit, so that the powers of ten stay small whatever is asked for. */
const FIRST_DIGIT = -40

function rounding(halfEven: boolean): MakeKernel {
  const double = halfEven ? numbers.roundDoubleHalfEven : numbers.roundDouble
  return (first, call, ansi) => {
    switch (first.kind) {
      case 'double':
        return (v: number, digits = 0) => double(v, digits)
      case 'float':
        return (v: number, digits = 0) => Math.fround(double(v, digits))
      case 'decimal': {
        const type = call.type as DecimalType
        const change = halfEven ? rescaleHalfEven : rescale
        return (v: bigint, digits = 0) => {
          if (digits >= 0) return checkedDecimal(change(v, first.scale, Math.min(digits, first.scale)), type, ansi)
          const place = Math.max(digits, FIRST_DIGIT)
          return checkedDecimal(change(v, first.scale, place) * powerOfTen(-place), type, ansi)
        }
      }
      case 'bigint': {
        const fit = numbers.bigintResult(ansi)
        return (v: bigint, digits = 0) => fit(numbers.roundBigint(v, digits, halfEven))
      }
      default: {
        // Spark's error is the wider one whatever the integer.
        const fit = numbers.integerResult(first.kind, ansi)
        return (v: number, digits = 0) => fit(numbers.roundInteger(v, digits, halfEven))
      }
    }
  }
}

/** The operator under ANSI, and null where that is an error. */
function orNull(fn: string): MakeKernel {
  return (first, call) => {
    const kernel = (kernels[fn] as MakeKernel)(first, { ...call, fn }, true, []) as Invocable
    return (a: Value, b: Value) => {
      try {
        return kernel(a, b)
      } catch {
        return null
      }
    }
  }
}

/** floor and ceil at a digit, of a decimal. */
function roundedTo(
  first: DataType,
  call: BoundCall,
  ansi: boolean,
  direction: 1n | -1n,
): (v: bigint, digits: number) => bigint | null {
  const type = call.type as DecimalType
  if (first.kind === 'double') {
    const asDecimal: DecimalType = { kind: 'decimal', precision: 30, scale: 15 }
    const rounded = roundedTo(asDecimal, call, ansi, direction)
    return (value: bigint | number, digits) => {
      if (!Number.isFinite(value)) return null
      const exact = checkedDecimal(decimalOfNumber(Number(value), 15), asDecimal, ansi)
      return exact === null ? null : rounded(exact, digits)
    }
  }
  const scale = first.kind === 'decimal' ? first.scale : 0
  return (v, digits) => {
    if (digits >= scale) return checkedDecimal(v, type, ansi)
    const place = Math.max(digits, FIRST_DIGIT)
    const divisor = powerOfTen(scale - place)
    const inexact = v % divisor !== 0n && v > 0n === direction > 0n
    const units = v / divisor + (inexact ? direction : 0n)
    return checkedDecimal(place >= 0 ? units : units * powerOfTen(-place), type, ansi)
  }
}

const raiseError = plain((message: string | null): never => {
  throw raised(message ?? 'null')
})

const math = (f: (x: number) => number): MakeKernel => plain(f)
const degrees = 180 / Math.PI
const radians = Math.PI / 180

/** Of operators and numbers. */
const kernels: KernelTable = {
  add: byKind(
    (a, b) => a + b,
    (a, b) => a + b,
    (a, b) => a + b,
    decimalSum(1n),
  ),
  sub: byKind(
    (a, b) => a - b,
    (a, b) => a - b,
    (a, b) => a - b,
    decimalSum(-1n),
  ),
  mul: (first, call, ansi) => {
    // Two ints multiply beyond 2^53, where a double no longer has the low bits that wrapping keeps.
    if (first.kind === 'int' && !ansi) return (a: number, b: number) => Math.imul(a, b)
    return byKind(
      (a, b) => a * b,
      (a, b) => a * b,
      (a, b) => a * b,
      decimalProduct,
    )(first, call, ansi, [])
  },
  div: dividing(
    byKind(
      (a, b) => a / b,
      (a, b) => a / b,
      (a, b) => a / b,
      decimalQuotient,
    ),
    numbers.divisionByZero,
  ),
  intDiv: dividing(
    byKind(
      (a, b) => Math.trunc(a / b),
      (a, b) => a / b,
      (a, b) => a / b,
      decimalQuotient,
    ),
    numbers.divisionByZero,
  ),
  mod: dividing(
    byKind(
      (a, b) => a % b,
      (a, b) => a % b,
      (a, b) => a % b,
      decimalRemainder(false),
    ),
    numbers.remainderByZero,
  ),
  pmod: dividing((first, call, ansi) => {
    const integer = first.kind === 'int' ? numbers.positiveModuloInt : numbers.positiveModulo
    const make = byKind(integer, numbers.positiveModulo, numbers.positiveModuloBigint, decimalRemainder(true))
    return make(first, call, ansi, [])
  }, numbers.remainderByZero),
  neg: (first, call, ansi) => {
    if (first.kind === 'double' || first.kind === 'float') return (v: number) => -v
    if (first.kind === 'decimal') return (v: bigint) => -v
    return byKind(
      (a) => 0 - a,
      (a) => -a,
      (a) => -a,
      decimalProduct,
    )(first, call, ansi, [])
  },
  abs: (first, call, ansi) => {
    if (first.kind === 'decimal') return (v: bigint) => (v < 0n ? -v : v)
    return byKind(Math.abs, Math.abs, (a) => (a < 0n ? -a : a), decimalProduct)(first, call, ansi, [])
  },
  eq: comparing((o) => o === 0),
  neq: comparing((o) => o !== 0),
  lt: comparing((o) => o < 0),
  lte: comparing((o) => o <= 0),
  gt: comparing((o) => o > 0),
  gte: comparing((o) => o >= 0),
  not: plain((b: boolean) => !b),

  floor: whole(Math.floor, -1n),
  ceil: whole(Math.ceil, 1n),
  round: rounding(false),
  bround: rounding(true),
  sqrt: math(Math.sqrt),
  cbrt: math(Math.cbrt),
  exp: math(Math.exp),
  expm1: math(Math.expm1),
  sign: math(numbers.sign),
  sin: math(Math.sin),
  cos: math(Math.cos),
  tan: math(Math.tan),
  asin: math(Math.asin),
  acos: math(Math.acos),
  atan: math(Math.atan),
  sinh: math(Math.sinh),
  cosh: math(Math.cosh),
  tanh: math(Math.tanh),
  degrees: math((x) => x * degrees),
  radians: math((x) => x * radians),
  ln: plain(numbers.logarithm(Math.log)),
  log10: plain(numbers.logarithm(Math.log10)),
  log2: plain(numbers.logarithm(Math.log2)),
  log1p: plain(numbers.logarithm(Math.log1p, -1)),
  pow: plain(Math.pow),
  atan2: plain((y: number, x: number) => Math.atan2(y + 0, x + 0)),
  hypot: plain((a: number, b: number) => Math.hypot(a, b)),
  log: plain(numbers.logOfBase),
  asinh: math(Math.asinh),
  acosh: math(Math.acosh),
  atanh: math(Math.atanh),
  sec: math((x) => 1 / Math.cos(x)),
  csc: math((x) => 1 / Math.sin(x)),
  cot: math((x) => 1 / Math.tan(x)),
  rint: math(numbers.roundHalfEven),
  floorTo: (first, call, ansi) => roundedTo(first, call, ansi, -1n),
  ceilTo: (first, call, ansi) => roundedTo(first, call, ansi, 1n),
  tryAdd: orNull('add'),
  trySubtract: orNull('sub'),
  tryMultiply: orNull('mul'),
  tryDivide: orNull('div'),
  tryMod: orNull('mod'),
  typeof: (first) => () => typeName(first),
  raiseError,
  assertTrue: plain(assertHolds),
}
