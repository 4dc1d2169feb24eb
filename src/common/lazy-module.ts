import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { present } from './assert.js'

/**
 * Modules that not every program needs, loaded by their first use. Each module costs half a millisecond and more, on each thread that loads it, and calls that
 * answer at once (`mill.producer()`, `df.explain()`) cannot wait for an `import()`, so these are required, which Node can do with ES modules, and gives the
 * same instances as an `import`. test/architecture/loading.test.ts holds what may be loaded so: nothing of it may be on its way by `import()` when
 * it is required, which Node refuses.
 *
 *   const sender = lazyModule(import.meta.url, './topic-sender.js', () => import('./topic-sender.js'))
 *   new (sender().TopicSender)(…)
 *
 * Where that cannot be, they are imported ahead, and {@link modulesLoaded} is awaited before they are used: Node 22 before 22.12 cannot require
 * ES modules, and where a loader translates what is required (tsx), or a module runs from its TypeScript source (vitest), there would be a second copy of what
 * is shared.
 */
const require = createRequire(import.meta.url)

/** Tells this copy of the module from another. */
export const identity = Symbol('lazy-module')

let sharesInstances: boolean | undefined

/** Whether what is required is what would be imported, this module for one. */
function canRequire(): boolean {
  if (!import.meta.url.endsWith('.js') || Reflect.get(process.features, 'require_module') !== true) return false
  try {
    return (require(fileURLToPath(import.meta.url)) as { identity: symbol }).identity === identity
  } catch {
    return false
  }
}

const ahead: Promise<void>[] = []

export function lazyModule<Module>(importer: string, name: string, load: () => Promise<Module>): () => Module {
  let module: Module | undefined
  sharesInstances ??= canRequire()
  if (sharesInstances) return () => (module ??= require(fileURLToPath(new URL(name, importer))) as Module)
  ahead.push(
    load().then((loaded) => {
      module = loaded
    }),
  )
  return () => present(module, `the module ${name}, for which modulesLoaded() waits,`)
}

/** Resolves when everything that had to be imported ahead is there; at once where nothing had to. */
export async function modulesLoaded(): Promise<void> {
  // What is imported may name more.
  for (let next = ahead.shift(); next !== undefined; next = ahead.shift()) await next
}
