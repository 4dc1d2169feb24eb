import { fileURLToPath } from 'node:url'

/**
 * The JavaScript file beside the module that asks, for what Node itself has to load: a thread is started from it. A module that runs from its
 * TypeScript source (tests, tsx) gets the built file.
 */
export function builtFile(moduleUrl: string, name: string): string {
  const url = moduleUrl.endsWith('.ts') ? moduleUrl.replace(/\/src\/(?!.*\/src\/)/, '/dist/') : moduleUrl
  return fileURLToPath(new URL(name, url))
}
