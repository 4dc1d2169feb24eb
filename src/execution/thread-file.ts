import { fileURLToPath } from 'node:url'

/**
 * The JavaScript file that a thread is started from, beside the module that asks. A module that runs from its
 * TypeScript source (tests, tsx) gets the built file: a thread can only be started from a real one.
 */
export function threadFile(moduleUrl: string, name: string): string {
  const url = moduleUrl.endsWith('.ts') ? moduleUrl.replace(/\/src\/(?!.*\/src\/)/, '/dist/') : moduleUrl
  return fileURLToPath(new URL(name, url))
}
