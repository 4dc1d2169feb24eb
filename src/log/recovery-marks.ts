import type { Env } from '../common/env.js'
import type { CleanEnd } from './recovery.js'

/**
 * Two small files beside the partitions: recovery points (offsets below which all is synced; written now and then, so they may lag but
 * never lead) and the clean-shutdown mark, which exists only between a clean stop and the next start.
 */
const RECOVERY_POINTS = 'recovery-points.json'
const CLEAN_SHUTDOWN = 'clean-shutdown.json'

export interface RecoveryPoint {
  readonly recoveryPoint: number
  readonly logStartOffset: number
  /** Compaction has been below it; left out where it has not begun. */
  readonly cleanedTo?: number
}

export class RecoveryMarks {
  readonly #env: Env
  readonly #directory: string

  constructor(env: Env, directory: string) {
    this.#env = env
    this.#directory = directory
  }

  /** By partition name; empty where the file is missing or makes no sense, and then everything is scanned. */
  readPoints(): ReadonlyMap<string, RecoveryPoint> {
    return this.#read<RecoveryPoint>(RECOVERY_POINTS)
  }

  /** The rename follows the sync of the content, and a crash between leaves the older points, which are only more careful. */
  async writePoints(points: Readonly<Record<string, RecoveryPoint>>): Promise<void> {
    const path = `${this.#directory}/${RECOVERY_POINTS}`
    const temporary = `${path}.next`
    this.#env.fs.remove(temporary)
    const file = this.#env.fs.open(temporary, 'append')
    try {
      file.write(Buffer.from(JSON.stringify(points)), 0)
      await file.sync()
    } finally {
      file.close()
    }
    this.#env.fs.rename(temporary, path)
    // Segments are deleted once this says so: it must be there first.
    await this.#env.fs.syncDirectoryLater(this.#directory)
  }

  /** Reads the mark and takes it away for good, before anything is written. */
  takeCleanEnds(): ReadonlyMap<string, CleanEnd> {
    const path = `${this.#directory}/${CLEAN_SHUTDOWN}`
    if (!this.#env.fs.exists(path)) return new Map()
    const ends = this.#read<CleanEnd>(CLEAN_SHUTDOWN)
    this.#env.fs.remove(path)
    this.#env.fs.syncDirectory(this.#directory)
    return ends
  }

  writeCleanEnds(ends: Readonly<Record<string, CleanEnd>>): void {
    this.#env.fs.replaceFile(`${this.#directory}/${CLEAN_SHUTDOWN}`, JSON.stringify(ends))
  }

  #read<T>(name: string): ReadonlyMap<string, T> {
    try {
      const content = Buffer.from(this.#env.fs.readFile(`${this.#directory}/${name}`)).toString('utf8')
      return new Map(Object.entries(JSON.parse(content) as Record<string, T>))
    } catch {
      return new Map()
    }
  }
}
