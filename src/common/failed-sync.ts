import type { FileSystem } from './env.js'

/**
 * After a sync that failed, the system holds the bytes for clean: it shows what the disk does not have, and a later sync passes over them and
 * succeeds. So whoever sees a sync fail leaves a note in the directory, and whoever opens its files next brings them to new files, whose
 * bytes are dirty, before anything is built on them. The note need not be durable: with the power goes the page cache that was not to be
 * trusted.
 */
const NOTE = 'sync-failed'
const COPY_BYTES = 1024 * 1024

export function noteFailedSync(fs: FileSystem, directory: string): void {
  try {
    fs.createExclusive(`${directory}/${NOTE}`, '')
  } catch {
    // The error that brought us here is the one to be told.
  }
}

export function hasFailedSync(fs: FileSystem, directory: string): boolean {
  return fs.exists(`${directory}/${NOTE}`)
}

/** What was in doubt is on the disk. */
export function forgetFailedSync(fs: FileSystem, directory: string): void {
  fs.remove(`${directory}/${NOTE}`)
}

/** Puts a copy in the place of a file, as it is seen: afterwards the disk has it, or the old file is as it was. */
export function writeAnew(fs: FileSystem, path: string): void {
  const temporary = `${path}.anew`
  fs.remove(temporary)
  const from = fs.open(path, 'read')
  try {
    const to = fs.open(temporary, 'append')
    try {
      const piece = new Uint8Array(COPY_BYTES)
      for (let position = 0; ; ) {
        const bytes = from.read(piece, position)
        if (bytes === 0) break
        to.write(piece.subarray(0, bytes), position)
        position += bytes
      }
      to.syncNow()
    } finally {
      to.close()
    }
  } finally {
    from.close()
  }
  fs.rename(temporary, path)
}
