import { existsSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { MillraceError } from '../common/errors.js'
import { describe } from '../types/invalid-value.js'

/** A function that a module exports, by its address: what a worker imports. Made by {@link fromModule}. */
export class ModuleFunction {
  constructor(
    readonly url: string,
    readonly name: string,
  ) {}
}

/**
 * The function that a module exports as `name`: `fromModule(import.meta.url, 'enrich')`, in CommonJS `fromModule(__filename, 'enrich')`, or of
 * another file `fromModule(new URL('./enrich.js', import.meta.url), 'enrich')`. Every worker imports the module once, so that what it does when it is
 * loaded it does there: a module that starts something belongs apart from its functions.
 */
export function fromModule(module: string | URL, name: string): ModuleFunction {
  if (typeof name !== 'string' || name === '') {
    throw new MillraceError('INVALID_ARGUMENT', 'fromModule() needs the name of an export', {
      detail: `found ${describe(name)}`,
      hint: "fromModule(import.meta.url, 'enrich'); the default export is called 'default'",
    })
  }
  return new ModuleFunction(urlOf(module), name)
}

function urlOf(module: unknown): string {
  const text = module instanceof URL ? module.href : module
  if (typeof text === 'string' && text.startsWith('data:')) return text
  const url =
    typeof text !== 'string'
      ? undefined
      : isAbsolute(text)
        ? pathToFileURL(text).href
        : text.startsWith('file:')
          ? text
          : undefined
  if (url === undefined) {
    throw new MillraceError('INVALID_ARGUMENT', 'fromModule() needs the address of a module', {
      detail: `found ${describe(module)}, expected a file: URL or an absolute path`,
      hint: "fromModule(import.meta.url, 'enrich'), or fromModule(new URL('./enrich.js', import.meta.url), 'enrich'); in CommonJS __filename",
    })
  }
  const path = fileURLToPath(url)
  if (existsSync(path)) return url
  throw new MillraceError('USER_MODULE_NOT_FOUND', `there is no module ${path}`, {
    detail: 'no file of that name',
    hint: "a bundle has other files than its sources: name the module as it is deployed, new URL('./enrich.js', import.meta.url)",
  })
}
