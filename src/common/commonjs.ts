import { createRequire } from 'node:module'

/**
 * CommonJS packages, loaded when they are first used. `import` of such a package makes Node scan its text for what it exports, by a
 * scanner in JavaScript that gets compiled on the way: on each thread that costs more than all these packages together.
 */
const require = createRequire(import.meta.url)

/** What the package exports; throws what Node throws where it is not installed. */
export function loadCommonJs(name: string): unknown {
  return require(name)
}
