import { present } from '../common/assert.js'
import type { PhysicalPlan, TransformWithState, UserCodeOperator } from '../plan/physical-plan.js'
import type { Deployment } from './protocol.js'
import { type ProcessorMaker, processorMaker } from './stateful-processor.js'
import { userCodeExits } from './user-errors.js'
import { userFunction } from './user-function.js'
import type { UserFunctions } from './user-pipeline.js'

/** The processors of the user's, which are made for each task. */
export type Processors = (head: TransformWithState) => ProcessorMaker

export interface UserCodeOf {
  readonly functions: UserFunctions
  readonly processors: Processors
}

/** All functions and processors that the tasks of a deployment call; a promise where modules have to be loaded for them. */
export function userCodeOf({ plan }: Deployment): UserCodeOf | Promise<UserCodeOf> {
  forbidExit()
  const functions = loaded(operatorsOf(plan), ({ code }) => userFunction(code.fn))
  const processors = loaded(headsOf(plan), ({ processor }) => processorMaker(processor))
  if (!(functions instanceof Promise) && !(processors instanceof Promise)) return { functions, processors }
  return Promise.all([functions, processors]).then(([f, p]) => ({ functions: f, processors: p }))
}

/** What each of them is given for, once all is there. */
function loaded<K, V>(keys: readonly K[], load: (key: K) => V | Promise<V>): ((key: K) => V) | Promise<(key: K) => V> {
  const made = keys.map(load)
  const known = (all: readonly V[]): ((key: K) => V) => {
    const byKey = new Map(keys.map((key, i) => [key, present(all[i], 'user code')]))
    return (key) => present(byKey.get(key), 'the user code of an operator')
  }
  const here = made.filter((one): one is V => !(one instanceof Promise))
  return here.length === made.length ? known(here) : Promise.all(made).then(known)
}

function operatorsOf({ stages }: PhysicalPlan): readonly UserCodeOperator[] {
  return stages.flatMap(({ pipeline }) => pipeline.filter((operator) => operator.op === 'userCode'))
}

function headsOf({ stages }: PhysicalPlan): readonly TransformWithState[] {
  return stages.flatMap(({ head }) => (head?.op === 'transformWithState' ? [head] : []))
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
