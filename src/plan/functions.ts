import { MillraceError } from '../common/errors.js'
import { nearestName } from '../common/nearest-name.js'
import { foldNames } from './aggregate-specs.js'
import type { AggregateName, BoundExpression } from './expression.js'
import type { FunctionSpec } from './function-spec.js'
import { bitFunctions } from './functions-bits.js'
import { collectionFunctions } from './functions-collections.js'
import { jsonFunctions } from './functions-json.js'
import { lambdaFunctions } from './functions-lambdas.js'
import { numberFunctions } from './functions-numbers.js'
import { operatorFunctions } from './functions-operators.js'
import { stepFunctions } from './functions-steps.js'
import { stringFunctions } from './functions-strings.js'
import { textFunctions } from './functions-texts.js'
import { timeFunctions } from './functions-times.js'
import { castThrows } from './type-rules.js'

/** The registry of scalar functions and operators, by name. */
const registry: ReadonlyMap<string, FunctionSpec> = new Map(
  [
    ...operatorFunctions,
    ...numberFunctions,
    ...stringFunctions,
    ...timeFunctions,
    ...collectionFunctions,
    ...lambdaFunctions,
    ...bitFunctions,
    ...textFunctions,
    ...stepFunctions,
    ...jsonFunctions,
  ].map((spec) => [spec.name, spec]),
)

export const aggregateNames: readonly AggregateName[] = ['count', 'sum', 'avg', 'min', 'max', ...foldNames]

export const functionNames = (): readonly string[] => [...registry.keys()]

export function functionSpec(name: string): FunctionSpec {
  const spec = registry.get(name)
  if (spec === undefined) {
    throw new MillraceError('UNRESOLVED_ROUTINE', `there is no function named ${name}`, {
      detail: `the nearest name is ${nearestName(name, functionNames()) ?? 'none'}`,
      hint: 'docs/functions.md lists them all',
    })
  }
  return spec
}

/** Types a call: checks the number of arguments, inserts implicit casts. */
export function bindCall(name: string, args: readonly BoundExpression[], ansi: boolean): BoundExpression {
  const spec = functionSpec(name)
  checkArguments(name, args.length, spec.minArgs, spec.maxArgs)
  return spec.bind(args, ansi)
}

export function checkArguments(name: string, found: number, least: number, most: number): void {
  if (found >= least && found <= most) return
  const upTo = most === Number.POSITIVE_INFINITY ? 'or more' : `to ${most}`
  throw new MillraceError('WRONG_NUM_ARGS', `${name} does not take ${found} arguments`, {
    detail: `found ${found}, expected ${least === most ? least : `${least} ${upTo}`}`,
    hint: 'docs/functions.md lists what each function takes',
  })
}

/**
 * Can evaluating the expression throw? What cannot may be evaluated early, late or not at all; what can
 * is evaluated exactly where the rules of Spark say so.
 */
export function canThrow(expression: BoundExpression, ansi: boolean): boolean {
  switch (expression.kind) {
    case 'input':
    case 'literal':
      return false
    case 'field':
      return canThrow(expression.arg, ansi)
    case 'cast':
      return (
        castThrows(expression.arg.type, expression.type, ansi, expression.try === true) ||
        canThrow(expression.arg, ansi)
      )
    case 'case':
      return (
        expression.branches.some((b) => canThrow(b.when, ansi) || canThrow(b.then, ansi)) ||
        (expression.otherwise !== undefined && canThrow(expression.otherwise, ansi))
      )
    case 'call': {
      const { throws } = functionSpec(expression.fn)
      const own = throws === 'always' || (throws === 'ansi' && ansi && !isExactFloat(expression))
      if (own || expression.args.some((arg) => canThrow(arg, ansi))) return true
      return expression.lambdas?.some((lambda) => canThrow(lambda.body, ansi)) === true
    }
  }
}

const floatOperators = new Set(['add', 'sub', 'mul', 'neg', 'abs', 'round', 'bround'])

/** Floating point overflows to infinity and never throws; only its divisions do. */
function isExactFloat(expression: BoundExpression & { kind: 'call' }): boolean {
  return floatOperators.has(expression.fn) && (expression.type.kind === 'double' || expression.type.kind === 'float')
}
