import { createRequire } from 'node:module'
import { builtFile } from '../common/built-file.js'
import type { PhysicalPlan } from '../plan/physical-plan.js'
import type * as StageCode from './stage-code.js'

/**
 * The functions that the workers run for a plan, as text: `explain('codegen')`. The compiler is much to load and of no other use in this thread, and
 * `explain` answers at once, so it is required when it is asked for. A loader may make a second copy of what is required; here that
 * does no harm, for a plan goes in and a text comes out.
 */
const require = createRequire(import.meta.url)

let compiler: typeof StageCode | undefined

/** Node 22 before 22.12 cannot require ES modules: there it is loaded when an engine is opened. */
export async function prepareGeneratedCode(): Promise<void> {
  if (!('require_module' in process.features)) compiler = await import('./stage-code.js')
}

export function generatedCode(plan: PhysicalPlan): string {
  compiler ??= require(builtFile(import.meta.url, './stage-code.js')) as typeof StageCode
  return compiler.stageCode(plan)
}
