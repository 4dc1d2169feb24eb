import { MillraceError } from '../common/errors.js'
import { type DataType, type ScalarKind, typeName } from '../types/data-type.js'
import type { BoundExpression, LiteralValue } from './expression.js'
import { castTo, commonType, isIntegral, isInterval, isNested, isNumeric, types } from './type-rules.js'

/**
 * What the plan knows of a function: its arguments, the casts it asks for, its result type and
 * nullability. What it computes is in codegen/kernels.ts; a test holds the two lists equal.
 */
export interface FunctionSpec {
  readonly name: string
  readonly minArgs: number
  readonly maxArgs: number
  /** `ansi`: throws under ANSI only. A function that never throws may be evaluated early or not at all. */
  readonly throws: 'never' | 'ansi' | 'always'
  /** Null where any argument is null; arguments are evaluated from the left and not beyond a null. */
  readonly strict: boolean
  /** Not strict, and nothing else is special: all arguments are evaluated and the kernel gets them with their nulls. */
  readonly seesNulls?: true
  /** For docs/functions.md, where the parameters alone do not say it: `array<T>, T`. */
  readonly signature?: string
  /** Inserts the implicit casts, types the result; may also write the call as something else. */
  readonly bind: (args: readonly BoundExpression[], ansi: boolean) => BoundExpression
}

/** What a parameter takes; everything else that can be cast to it without surprise is cast. */
export type ParameterKind =
  | 'string'
  | 'binary'
  | 'boolean'
  | 'int'
  | 'long'
  | 'double'
  | 'date'
  | 'timestamp'
  | 'number'
  | 'interval'
  | 'any'

export interface FunctionOptions {
  readonly throws?: FunctionSpec['throws']
  /** True where the function makes a null of arguments that are none (a logarithm of −1). */
  readonly makesNull?: boolean | ((args: readonly BoundExpression[], ansi: boolean) => boolean)
  /** Parameters from this index on may be left out. */
  readonly optionalFrom?: number
}

/** A strict function with fixed parameter kinds; the result is a type, or follows from the bound arguments. */
export function strictFunction(
  name: string,
  parameters: readonly ParameterKind[],
  result: DataType | ((args: readonly BoundExpression[], ansi: boolean) => DataType),
  options: FunctionOptions = {},
): FunctionSpec {
  return {
    name,
    minArgs: options.optionalFrom ?? parameters.length,
    maxArgs: parameters.length,
    throws: options.throws ?? 'never',
    strict: true,
    bind: (args, ansi) => {
      const bound = args.map((arg, i) => coerce(name, i, arg, parameters[i] ?? 'any', ansi))
      const type = typeof result === 'function' ? result(bound, ansi) : result
      const { makesNull = false } = options
      const madeNull = typeof makesNull === 'function' ? makesNull(bound, ansi) : makesNull
      return call(name, bound, type, madeNull || bound.some((a) => a.nullable))
    },
    signature: signatureOf(parameters, options.optionalFrom, result),
  }
}

/** A function whose types are a matter of its own; see FunctionSpec for `seesNulls`. */
export function customFunction(
  name: string,
  [minArgs, maxArgs]: readonly [number, number],
  signature: string,
  throws: FunctionSpec['throws'],
  bind: FunctionSpec['bind'],
  seesNulls = false,
): FunctionSpec {
  const spec = { name, minArgs, maxArgs, signature, throws, strict: !seesNulls, bind }
  return seesNulls ? { ...spec, seesNulls } : spec
}

function signatureOf(parameters: readonly ParameterKind[], optionalFrom = parameters.length, result: unknown): string {
  const list = parameters.map((kind, i) => (i >= optionalFrom ? `[${kind}]` : kind)).join(', ')
  return `(${list})${typeof result === 'object' ? ` → ${typeName(result as DataType)}` : ''}`
}

export function call(fn: string, args: readonly BoundExpression[], type: DataType, nullable: boolean): BoundExpression {
  return { kind: 'call', fn, args, type, nullable }
}

export function boundLiteral(value: LiteralValue, type: DataType): BoundExpression {
  return { kind: 'literal', value, type, nullable: value === null }
}

const scalarOf: Partial<Record<ParameterKind, ScalarKind>> = {
  string: 'string',
  binary: 'binary',
  boolean: 'boolean',
  int: 'int',
  long: 'long',
  double: 'double',
  date: 'date',
  timestamp: 'timestamp',
}

function accepts(kind: ParameterKind, type: DataType): boolean {
  if (type.kind === 'void') return kind !== 'interval'
  switch (kind) {
    case 'any':
      return true
    case 'interval':
      return isInterval(type)
    case 'number':
      return isNumeric(type) || type.kind === 'string'
    case 'string':
      return !isNested(type)
    case 'binary':
      return type.kind === 'string' || type.kind === 'binary'
    case 'boolean':
      return type.kind === 'boolean' || type.kind === 'string'
    case 'int':
      return type.kind === 'byte' || type.kind === 'short' || type.kind === 'int' || type.kind === 'string'
    case 'long':
      return isIntegral(type) || type.kind === 'string'
    case 'double':
      return isNumeric(type) || type.kind === 'string'
    case 'date':
    case 'timestamp':
      return type.kind === 'date' || type.kind === 'timestamp' || type.kind === 'string'
  }
}

export function coerce(
  fn: string,
  index: number,
  arg: BoundExpression,
  kind: ParameterKind,
  ansi: boolean,
): BoundExpression {
  if (!accepts(kind, arg.type))
    throw mismatch(fn, `argument ${index + 1} is a ${typeName(arg.type)}, a ${kind} was expected`)
  if (kind === 'any' || kind === 'interval') return arg
  if (kind === 'number') return isNumeric(arg.type) ? arg : castTo(arg, types.double, ansi)
  const scalarKind = scalarOf[kind]
  return scalarKind === undefined ? arg : castTo(arg, types[scalarKind], ansi)
}

export function mismatch(fn: string, detail: string): MillraceError {
  return new MillraceError('DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE', `${fn} does not take these arguments`, {
    detail,
    hint: "cast the argument, for example col('x').cast('int')",
  })
}

/** All arguments in their common type. */
export function unify(
  fn: string,
  args: readonly BoundExpression[],
  ansi: boolean,
): { args: BoundExpression[]; type: DataType } {
  let type: DataType = types.void
  for (const arg of args) {
    const wider = commonType(type, arg.type, ansi)
    if (wider === undefined) {
      throw new MillraceError('DATATYPE_MISMATCH.DATA_DIFF_TYPES', `${fn} needs arguments of one type`, {
        detail: `found ${args.map((a) => typeName(a.type)).join(', ')}`,
        hint: 'cast them to one type',
      })
    }
    type = wider
  }
  const common = type
  return { args: args.map((arg) => castTo(arg, common, ansi)), type }
}
