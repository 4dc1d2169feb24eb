import { present } from '../common/assert.js'
import type { PhysicalPlan, UserCodeOperator } from '../plan/physical-plan.js'
import type { Deployment } from './protocol.js'
import { userCodeExits } from './user-errors.js'
import type { Callable } from './user-function.js'
import { userFunction } from './user-function.js'
import type { UserFunctions } from './user-pipeline.js'

/** All functions that the tasks of a deployment call; a promise where modules have to be loaded for them. */
export function userFunctionsOf({ plan }: Deployment): UserFunctions | Promise<UserFunctions> {
  forbidExit()
  const operators = operatorsOf(plan)
  const made = operators.map(({ code }) => userFunction(code.fn))
  const known = (all: readonly Callable[]): UserFunctions => {
    const byOperator = new Map(operators.map((operator, i) => [operator, present(all[i], 'a function')]))
    return (operator) => present(byOperator.get(operator), 'the function of an operator')
  }
  const here = made.filter((one): one is Callable => !(one instanceof Promise))
  return here.length === made.length ? known(here) : Promise.all(made.map(async (one) => await one)).then(known)
}

function operatorsOf({ stages }: PhysicalPlan): readonly UserCodeOperator[] {
  return stages.flatMap(({ pipeline }) => pipeline.filter((operator) => operator.op === 'userCode'))
}

const { exit } = process

/**
 * What would end the thread throws where it is called: then it is known who has called it, and at which row. Node itself ends a thread so that has thrown what
 * nobody has caught, and the process where it is kept from that.
 */
function forbidExit(): void {
  process.exit = (code) => {
    if (/_fatalException|UncaughtException/.test(new Error('where').stack ?? '')) exit.call(process, code)
    throw userCodeExits(code)
  }
}
