import { dirname } from 'node:path'
import type { FileSystem } from './env.js'

/**
 * Makes a directory that is there after a loss of power. A name is durable once the directory that holds it is synced, so every level that is
 * missing needs a sync of the one above: to sync the parent alone leaves a path of two new levels hanging in the air.
 */
export function makeDirectoryDurably(fs: FileSystem, path: string): void {
  const missing: string[] = []
  for (let at = path; !fs.exists(at); at = dirname(at)) {
    missing.push(at)
    if (dirname(at) === at) break
  }
  if (missing.length === 0) return
  fs.makeDirectory(path)
  for (const made of missing.reverse()) fs.syncDirectory(dirname(made))
}
