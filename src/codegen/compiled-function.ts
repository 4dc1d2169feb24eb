import type { FunctionSource } from '../common/function-source.js'

/** A generated function beside its text. */
export interface CompiledFunction<F> {
  readonly run: F
  /** For `explain('codegen')`. */
  readonly text: string
}

export function interpreted<F>(run: F): CompiledFunction<F> {
  return { run, text: '(interpreted: code generation is forbidden in this process)' }
}

export function finish<F>(
  source: FunctionSource,
  name: string,
  parameters: readonly string[],
  owner?: object,
): CompiledFunction<F> {
  return { run: source.compile<F>(name, parameters, owner), text: source.text(name, parameters) }
}
