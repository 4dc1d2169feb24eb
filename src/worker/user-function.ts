import { MillraceError } from '../common/errors.js'
import { codeGenerationAllowed } from '../common/function-source.js'
import type { UserFunction } from '../plan/user-code.js'
import { importModule } from './module-import.js'

/** The user's function on this thread. */
export type Callable = (argument: unknown) => unknown

/**
 * What compilers call in the code that they make of a function, and leave outside of it: esbuild's name keeper, the rest of an object, and, of vite, `import()`.
 * Each stands for the name by which the text calls it. One more than a compiler needs does no harm.
 */
const helpers: Readonly<Record<string, unknown>> = {
  __name: (value: unknown) => value,
  __objRest: rest,
  __rest: rest,
  __assign: Object.assign,
  __spreadValues: Object.assign,
  __spreadProps: Object.assign,
  __spreadArray: (to: unknown[], from: Iterable<unknown>) => [...to, ...from],
  __vi_import__: (name: string) => import(name),
  __vite_ssr_dynamic_import__: (name: string) => import(name),
  __vitest_dynamic_import__: (name: string) => import(name),
}

export const helperNames: readonly string[] = Object.keys(helpers)

function rest(value: Record<string, unknown>, without: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !without.includes(name)))
}

const inline = new Map<string, Callable>()
const INLINE_MAX = 256

/** A promise where a module has to be loaded; it rejects with words where there is no such function. */
export function userFunction(fn: UserFunction): Callable | Promise<Callable> {
  return fn.kind === 'inline' ? inlineFunction(fn.text, fn.name) : moduleFunction(fn.url, fn.name)
}

/**
 * The one place where text of a user's becomes code, which is what it was handed over for. It sees the globals of this thread and nothing of
 * ours; api/inline-function.ts has made sure that it is one function and refers to nothing else.
 */
function inlineFunction(text: string, name: string): Callable {
  const known = inline.get(text)
  if (known !== undefined) return known
  if (!codeGenerationAllowed()) {
    throw new MillraceError('CODE_GENERATION_FORBIDDEN', `the inline function ${name} cannot be made on a worker`, {
      detail: 'the process runs with --disallow-code-generation-from-strings, and the text of a function is a string',
      hint: "export it from a module: fromModule(import.meta.url, 'enrich')",
    })
  }
  const make = new Function(...helperNames, `'use strict'; return (${text}\n)`) as (...given: unknown[]) => Callable
  const made = make(...Object.values(helpers))
  if (inline.size >= INLINE_MAX) inline.clear()
  inline.set(text, made)
  return made
}

async function moduleFunction(url: string, name: string): Promise<Callable> {
  const module = await importModule(url)
  const found = exportOf(module, name)
  if (typeof found === 'function') return found as Callable
  throw new MillraceError('USER_FUNCTION_NOT_FOUND', `${url} exports no function ${name}`, {
    detail:
      found === undefined ? `its exports: ${Object.keys(module).join(', ') || 'none'}` : `${name} is ${typeof found}`,
    hint: `export function ${name}(row) { … }, or module.exports = { ${name} } in CommonJS`,
  })
}

/** Of CommonJS the exports may be those of the default alone. */
export function exportOf(module: Readonly<Record<string, unknown>>, name: string): unknown {
  if (name in module) return module[name]
  const { default: whole } = module
  return typeof whole === 'object' && whole !== null && name in whole ? Reflect.get(whole, name) : undefined
}
