import { createRequire, register } from 'node:module'
import { MillraceError } from '../common/errors.js'

/**
 * A module of the user's, on a worker. Threads inherit the process's loaders (`node --import tsx`), and newer versions of Node read TypeScript themselves. Where
 * neither is so (vitest on Node 20) the types are taken out by what the project has for it, esbuild or TypeScript, through the hooks of
 * typescript-hooks.ts.
 */
type Module = Readonly<Record<string, unknown>>

let registered = false

export async function importModule(url: string): Promise<Module> {
  // Before the first try: what could not be loaded once is not tried again by Node 20.
  if (isTypeScript(url) && !readsTypeScript()) registerHooks(url)
  try {
    return (await import(url)) as Module
  } catch (error) {
    if (isUnreadTypeScript(error) && registerHooks(url)) return await importModule(url)
    throw loadFailed(url, error)
  }
}

function isUnreadTypeScript(error: unknown): boolean {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown }
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION') return /\.[cm]?tsx?\b/.test(String(message))
  // A module that names another as it will be called once it is compiled.
  return code === 'ERR_MODULE_NOT_FOUND' || code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX'
}

const isTypeScript = (url: string): boolean => /\.[cm]?tsx?$/.test(url)

/** Newer versions of Node say so. */
const readsTypeScript = (): boolean => Boolean(Reflect.get(process.features, 'typescript'))

/** False where that is done, and where the project has nothing that reads TypeScript. */
function registerHooks(url: string): boolean {
  if (registered || !url.startsWith('file:')) return false
  const require = createRequire(url)
  const resolvers: readonly (readonly [name: string, find: () => string])[] = [
    ['esbuild', () => require.resolve('esbuild')],
    ['esbuild', () => createRequire(require.resolve('tsx')).resolve('esbuild')],
    ['typescript', () => require.resolve('typescript')],
  ]
  for (const [name, find] of resolvers) {
    try {
      const file = find()
      registered = true
      register('./typescript-hooks.js', import.meta.url, { data: { name, file } })
      return true
    } catch {
      // The next one.
    }
  }
  return false
}

function loadFailed(url: string, error: unknown): unknown {
  if (error instanceof MillraceError) return error
  const cause = error instanceof Error ? error : new Error(String(error))
  const { code } = cause as { code?: unknown }
  return new MillraceError('USER_MODULE_FAILED', `a worker cannot load ${url}`, {
    detail: `${typeof code === 'string' ? `${code}: ` : ''}${cause.message}`,
    hint:
      code === 'ERR_UNKNOWN_FILE_EXTENSION'
        ? 'it is TypeScript: run the program with tsx, or with Node 22.18 or newer, or install esbuild or typescript beside it'
        : 'the module is loaded on every worker: what it does when it is loaded must be possible there',
    cause,
  })
}
