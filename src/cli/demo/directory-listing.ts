import { readdirSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'

/** Where the demo's files are: the folders below `dir` with their sizes. */
export function directoryListing(dir: string): string {
  const folders: { readonly path: string; readonly bytes: number; readonly files: number }[] = []
  const visit = (path: string, depth: number): { bytes: number; files: number } => {
    let bytes = 0
    let files = 0
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const child = join(path, entry.name)
      if (entry.isDirectory()) {
        const inside = visit(child, depth + 1)
        bytes += inside.bytes
        files += inside.files
      } else {
        bytes += statSync(child).size
        files += 1
      }
    }
    // The partitions are many; the folder that holds them speaks for them.
    if (depth === 1) folders.push({ path, bytes, files })
    return { bytes, files }
  }
  const all = visit(dir, 0)
  const lines = folders
    .sort((a, b) => a.path.localeCompare(b.path))
    .map(
      ({ path, bytes, files }) =>
        `  ${relative(dir, path).padEnd(16)} ${megabytes(bytes).padStart(10)}  ${files} files`,
    )
  return [`files: ${dir}, ${megabytes(all.bytes)} in all`, ...lines].join('\n')
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
