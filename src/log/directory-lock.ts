import { dirname } from 'node:path'
import { makeDirectoryDurably } from '../common/durable-directory.js'
import type { Env } from '../common/env.js'
import { MillraceError, toErrorShape } from '../common/errors.js'
import { sealJson, unsealJson } from '../common/sealed-json.js'

/**
 * One engine at a time in a directory. The lock is a file that names its holder by pid, boot of the machine and start
 * time of the process, so that a holder that is gone is known to be gone, even where a new process has its pid (in a container
 * every run may be pid 1).
 */
export const FORMAT_VERSION = 1
const LOCK_FILE = 'lock'
const FORMAT_FILE = 'format.json'
const LOOK_MS = 1000

interface Holder {
  readonly pid: number
  readonly bootId: string
  readonly startTime: string
  readonly since: string
}

export class DirectoryLock {
  readonly #env: Env
  readonly #path: string
  readonly #content: string
  #lookedAt: number
  #isLost = false

  private constructor(env: Env, path: string, content: string) {
    this.#env = env
    this.#path = path
    this.#content = content
    this.#lookedAt = env.monotonic()
  }

  /** Makes the directory where there is none, checks that this version can read it and write to it, and locks it. */
  static acquire(env: Env, directory: string): DirectoryLock {
    const path = `${directory}/${LOCK_FILE}`
    try {
      makeDirectoryDurably(env.fs, directory)
      const content = describeSelf(env)
      if (!env.fs.createExclusive(path, content)) {
        takeOver(env, directory, path)
        if (!env.fs.createExclusive(path, content)) throw inUse(directory, readHolder(env, path))
      }
      const lock = new DirectoryLock(env, path, content)
      try {
        checkFormat(env, directory)
      } catch (error) {
        lock.release()
        throw error
      }
      return lock
    } catch (error) {
      throw notWritable(directory, error)
    }
  }

  /**
   * False once somebody else has the directory: a holder that cannot be seen from where the other runs (another container), and that was
   * stopped for a while, must find out before it writes again. The file is looked at once a second at most.
   */
  isHeld(): boolean {
    const now = this.#env.monotonic()
    if (!this.#isLost && now - this.#lookedAt >= LOOK_MS) {
      this.#lookedAt = now
      this.#isLost = !this.#namesUs()
    }
    return !this.#isLost
  }

  assertHeld(): void {
    if (!this.isHeld()) throw directoryLost(dirname(this.#path))
  }

  release(): void {
    if (this.#namesUs()) this.#env.fs.remove(this.#path)
  }

  #namesUs(): boolean {
    if (!this.#env.fs.exists(this.#path)) return false
    return Buffer.from(this.#env.fs.readFile(this.#path)).toString('utf8') === this.#content
  }
}

function directoryLost(directory: string): MillraceError {
  return new MillraceError('DIRECTORY_LOST', `directory ${directory} has been taken over by another engine`, {
    detail: 'its lock names another holder; this engine writes nothing more',
    hint: 'close this engine; two engines that cannot see one another must not be given the same directory',
  })
}

function describeSelf(env: Env): string {
  const { processes } = env
  const holder: Holder = {
    pid: processes.ownId,
    bootId: processes.bootId(),
    startTime: processes.startOf(processes.ownId) ?? '',
    since: new Date(env.now()).toISOString(),
  }
  // The token tells two engines of one process apart.
  return `${JSON.stringify({ ...holder, token: Buffer.from(env.randomBytes(8)).toString('hex') })}\n`
}

function readHolder(env: Env, path: string): Holder | undefined {
  try {
    const found = JSON.parse(Buffer.from(env.fs.readFile(path)).toString('utf8')) as Partial<Holder>
    if (typeof found.pid !== 'number') return undefined
    return { pid: found.pid, bootId: found.bootId ?? '', startTime: found.startTime ?? '', since: found.since ?? '' }
  } catch {
    return undefined
  }
}

function lives(env: Env, holder: Holder): boolean {
  const { processes } = env
  if (holder.bootId !== processes.bootId()) return false
  const start = processes.startOf(holder.pid)
  return start !== undefined && start === holder.startTime
}

/** Moves a dead holder's lock away. Of two that try, one moves what the other has just made, sees that, and gives it back. */
function takeOver(env: Env, directory: string, path: string): void {
  const holder = readHolder(env, path)
  if (holder !== undefined && lives(env, holder)) throw inUse(directory, holder)
  const aside = `${path}.stale-${env.processes.ownId}`
  try {
    env.fs.rename(path, aside)
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return
    throw error
  }
  const moved = readHolder(env, aside)
  if (moved !== undefined && lives(env, moved)) {
    env.fs.rename(aside, path)
    throw inUse(directory, moved)
  }
  env.fs.remove(aside)
}

function inUse(directory: string, holder: Holder | undefined): MillraceError {
  return new MillraceError('DIRECTORY_IN_USE', `directory ${directory} is in use by another engine`, {
    detail: holder === undefined ? 'its lock names nobody' : `held by process ${holder.pid} since ${holder.since}`,
    hint: 'close that engine or stop that process, or open another directory',
  })
}

function checkFormat(env: Env, directory: string): void {
  const path = `${directory}/${FORMAT_FILE}`
  if (!env.fs.exists(path)) {
    env.fs.replaceFile(path, sealJson({ version: FORMAT_VERSION }))
    return
  }
  let version: unknown
  let upgradingTo: unknown
  let fault: string | undefined
  try {
    const { value } = unsealJson(path, env.fs.readFile(path))
    version = value['version']
    upgradingTo = value['upgradingTo']
  } catch (error) {
    fault = toErrorShape(error).detail
  }
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1) {
    throw new MillraceError('FORMAT_UNREADABLE', `${path} names no version`, {
      detail: fault ?? 'expected {"version": 1}',
      hint: 'restore the file, or check that this is the right directory',
    })
  }
  // A version that changes the files says so here before it begins, and takes it away when it is done: between the two nothing is what it seems.
  if (upgradingTo !== undefined) {
    throw new MillraceError('UPGRADE_UNFINISHED', `the upgrade of directory ${directory} was not finished`, {
      detail: `it was on its way from format ${version} to ${JSON.stringify(upgradingTo)}, this version reads up to ${FORMAT_VERSION}`,
      hint: 'open it with the version of millrace that began the upgrade, which finishes it; or restore a copy',
    })
  }
  if (version > FORMAT_VERSION) {
    throw new MillraceError('FORMAT_TOO_NEW', `directory ${directory} was made by a newer version of millrace`, {
      detail: `its format is ${version}, this version reads up to ${FORMAT_VERSION}`,
      hint: 'update millrace, or open another directory',
    })
  }
}

function notWritable(directory: string, error: unknown): unknown {
  const code = (error as { code?: unknown }).code
  if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS' && code !== 'ENOTDIR') return error
  return new MillraceError('DIRECTORY_NOT_WRITABLE', `directory ${directory} cannot be written to`, {
    detail: String(error),
    hint: 'give this user the right to write there, or choose another dir',
    cause: error,
  })
}
