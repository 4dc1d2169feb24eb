import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { dirname } from 'node:path'

/**
 * The one door through which the world comes in: files, clocks, chance. Nothing else in src/ touches
 * node:fs, Date.now, Math.random or timers of its own, so that a test can stop the clock, replay the
 * chance and pull the plug. Reads and writes are synchronous (a cached 64 KiB read costs 8 µs that way and
 * 35 µs through a promise) and are therefore made on engine and worker threads only; `sync` is
 * asynchronous, since a disk may take its time.
 */
export interface Env {
  readonly fs: FileSystem
  /** Wall clock, epoch milliseconds. */
  now(): number
  /** Monotonic clock, milliseconds with fractions. */
  monotonic(): number
  /** Uniform in [0, 1). */
  random(): number
  randomBytes(count: number): Uint8Array
  /** Calls `callback` once after `ms`; the returned function cancels it. Timers do not keep a process alive. */
  timer(ms: number, callback: () => void): () => void
  /** Resolves after about `ms`, while the thread sleeps if it has nothing else to do. Left out where time only moves when a test moves it. */
  readonly rest?: (ms: number) => Promise<void>
  readonly processes: ProcessTable
  /**
   * Called as named steps of the work on files are passed: `roll: the old segment is sealed`, `delete: renamed`. The real world
   * leaves it out; a test kills the process there, or cuts the power.
   */
  readonly passing?: (step: string) => void
}

/** Who runs on this machine: what a directory lock needs to tell a living holder from a dead one. */
export interface ProcessTable {
  readonly ownId: number
  /** Differs after every boot of the machine; empty where the system does not say. */
  bootId(): string
  /** When the process started, in the system's own unit; undefined where there is none, empty where the system does not say. */
  startOf(id: number): string | undefined
}

export interface FileSystem {
  /** `read`: must exist. `append`: made where missing; writes go where they are told all the same. */
  open(path: string, mode: 'read' | 'append'): FileHandle
  exists(path: string): boolean
  /** With all its parents; no error where it is there. */
  makeDirectory(path: string): void
  /** Undefined where there is nothing of that name. */
  stat(path: string): FileStat | undefined
  /** Names, sorted; empty where the directory does not exist. */
  list(path: string): string[]
  rename(from: string, to: string): void
  remove(path: string): void
  /** A whole directory. */
  removeTree(path: string): void
  /** Renames, creations and removals in a directory are durable after this. */
  syncDirectory(path: string): void
  /** The same without blocking the thread. */
  syncDirectoryLater(path: string): Promise<void>
  /** Makes a file with this content; false, and nothing done, where one is there already. */
  createExclusive(path: string, content: string): boolean
  readFile(path: string): Uint8Array
  /** Temporary file, sync, rename, sync of the directory: after a crash the old content or the new, never half. */
  replaceFile(path: string, content: Uint8Array | string): void
}

export interface FileStat {
  readonly isDirectory: boolean
  readonly bytes: number
  /** When the content was last changed, epoch milliseconds with fractions. */
  readonly modifiedAt: number
}

export interface FileHandle {
  readonly path: string
  size(): number
  /** Fills `target` from `position`; returns how many bytes there were. */
  read(target: Uint8Array, position: number): number
  /** The same without blocking the thread, for one that has an event loop to keep. Where there is none, `read` is used. */
  readLater?(target: Uint8Array, position: number): Promise<number>
  /** Writes all of `source` at `position`. */
  write(source: Uint8Array, position: number): void
  truncate(bytes: number): void
  /** Resolves when everything written before the call is on the disk. After a rejection the handle must not be synced again. */
  sync(): Promise<void>
  syncNow(): void
  close(): void
}

class NodeFileHandle implements FileHandle {
  readonly #fd: number
  constructor(
    readonly path: string,
    fd: number,
  ) {
    this.#fd = fd
  }

  size(): number {
    return fs.fstatSync(this.#fd).size
  }

  read(target: Uint8Array, position: number): number {
    let done = 0
    while (done < target.length) {
      const n = fs.readSync(this.#fd, target, done, target.length - done, position + done)
      if (n === 0) break
      done += n
    }
    return done
  }

  readLater(target: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const readOn = (done: number): void => {
        fs.read(this.#fd, target, done, target.length - done, position + done, (error, n) => {
          if (error !== null) reject(error)
          else if (n === 0 || done + n === target.length) resolve(done + n)
          else readOn(done + n)
        })
      }
      readOn(0)
    })
  }

  write(source: Uint8Array, position: number): void {
    let done = 0
    while (done < source.length) {
      done += fs.writeSync(this.#fd, source, done, source.length - done, position + done)
    }
  }

  truncate(bytes: number): void {
    fs.ftruncateSync(this.#fd, bytes)
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#fd, (error) => (error ? reject(error) : resolve()))
    })
  }

  syncNow(): void {
    fs.fdatasyncSync(this.#fd)
  }

  close(): void {
    fs.closeSync(this.#fd)
  }
}

const nodeFileSystem: FileSystem = {
  open(path, mode) {
    const flags = mode === 'read' ? fs.constants.O_RDONLY : fs.constants.O_RDWR | fs.constants.O_CREAT
    return new NodeFileHandle(path, fs.openSync(path, flags, 0o600))
  },
  exists: (path) => fs.existsSync(path),
  makeDirectory(path) {
    fs.mkdirSync(path, { recursive: true, mode: 0o700 })
  },
  stat(path) {
    try {
      const stat = fs.statSync(path)
      return { isDirectory: stat.isDirectory(), bytes: stat.size, modifiedAt: stat.mtimeMs }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
      throw error
    }
  },
  list(path) {
    try {
      return fs.readdirSync(path).sort()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  },
  rename: (from, to) => fs.renameSync(from, to),
  remove: (path) => fs.rmSync(path, { force: true }),
  removeTree: (path) => fs.rmSync(path, { recursive: true, force: true }),
  syncDirectory(path) {
    const fd = fs.openSync(path, fs.constants.O_RDONLY)
    try {
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
  },
  syncDirectoryLater(path) {
    return new Promise((resolve, reject) => {
      fs.open(path, fs.constants.O_RDONLY, (openError, fd) => {
        if (openError !== null) return reject(openError)
        fs.fsync(fd, (error) => {
          fs.closeSync(fd)
          if (error === null) resolve()
          else reject(error)
        })
      })
    })
  },
  createExclusive(path, content) {
    try {
      fs.writeFileSync(path, content, { flag: 'wx', mode: 0o600 })
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    }
  },
  readFile: (path) => fs.readFileSync(path),
  replaceFile(path, content) {
    const temporary = `${path}.tmp`
    const fd = fs.openSync(temporary, 'w', 0o600)
    try {
      fs.writeFileSync(fd, content)
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
    fs.renameSync(temporary, path)
    nodeFileSystem.syncDirectory(dirname(path))
  },
}

const nodeProcesses: ProcessTable = {
  ownId: process.pid,
  bootId() {
    try {
      return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    } catch {
      return ''
    }
  },
  startOf(id) {
    try {
      // Field 22 of stat, counted after the command's name, which may hold spaces and parentheses itself.
      const stat = fs.readFileSync(`/proc/${id}/stat`, 'latin1')
      return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
    } catch {
      try {
        process.kill(id, 0)
        return ''
      } catch (error) {
        return (error as NodeJS.ErrnoException).code === 'EPERM' ? '' : undefined
      }
    }
  },
}

/** The real world. */
export const nodeEnv: Env = {
  fs: nodeFileSystem,
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  randomBytes: (count) => randomBytes(count),
  timer(ms, callback) {
    const timeout = setTimeout(callback, ms)
    timeout.unref()
    return () => clearTimeout(timeout)
  },
  rest: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  processes: nodeProcesses,
}
