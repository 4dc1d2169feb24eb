import { present } from '../common/assert.js'
import { MillraceError } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import { nearestName } from '../common/nearest-name.js'
import type { BoundExpression } from './expression.js'
import { type FunctionFamily, functionFamily, functionNames } from './function-names.js'
import type { FunctionSpec } from './function-spec.js'
import type { HigherOrderFunction } from './functions-lambdas.js'
import { operatorFunctions } from './functions-operators.js'
import { stepFunctions } from './functions-steps.js'
import { castThrows } from './type-rules.js'

/**
 * The registry of scalar functions and operators. A query uses few of the families, so but for the operators each is loaded with the first of its functions
 * that is used.
 */
const families: Readonly<Record<FunctionFamily, () => readonly FunctionSpec[]>> = {
  operators: () => operatorFunctions,
  steps: () => stepFunctions,
  numbers: () => numbers().numberFunctions,
  strings: () => strings().stringFunctions,
  times: () => times().timeFunctions,
  collections: () => collections().collectionFunctions,
  lambdas: () => lambdas().lambdaFunctions,
  bits: () => bits().bitFunctions,
  texts: () => texts().textFunctions,
  json: () => json().jsonFunctions,
}

const numbers = lazyModule(import.meta.url, './functions-numbers.js', () => import('./functions-numbers.js'))
const strings = lazyModule(import.meta.url, './functions-strings.js', () => import('./functions-strings.js'))
const times = lazyModule(import.meta.url, './functions-times.js', () => import('./functions-times.js'))
const collections = lazyModule(
  import.meta.url,
  './functions-collections.js',
  () => import('./functions-collections.js'),
)
const lambdas = lazyModule(import.meta.url, './functions-lambdas.js', () => import('./functions-lambdas.js'))
const bits = lazyModule(import.meta.url, './functions-bits.js', () => import('./functions-bits.js'))
const texts = lazyModule(import.meta.url, './functions-texts.js', () => import('./functions-texts.js'))
const json = lazyModule(import.meta.url, './functions-json.js', () => import('./functions-json.js'))

/** Of the families that were used. */
const specs = new Map<string, FunctionSpec>()

export const familySpecs = (family: FunctionFamily): readonly FunctionSpec[] => families[family]()

/** A function that takes lambdas, which are bound with its other arguments; undefined for all others. */
export function higherOrderFunction(name: string): HigherOrderFunction | undefined {
  return functionFamily(name) === 'lambdas' ? lambdas().higherOrderFunctions.get(name) : undefined
}

export function functionSpec(name: string): FunctionSpec {
  const known = specs.get(name)
  if (known !== undefined) return known
  const family = functionFamily(name)
  if (family === undefined) {
    throw new MillraceError('UNRESOLVED_ROUTINE', `there is no function named ${name}`, {
      detail: `the nearest name is ${nearestName(name, functionNames()) ?? 'none'}`,
      hint: 'docs/functions.md lists them all',
    })
  }
  for (const spec of familySpecs(family)) specs.set(spec.name, spec)
  return present(specs.get(name), `function ${name} of ${family}`)
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
