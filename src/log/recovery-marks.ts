import type { Env } from '../common/env.js'
import { MillraceError, toErrorShape } from '../common/errors.js'
import { sealJson, unsealJson } from '../common/sealed-json.js'

/**
 * Two small files beside the partitions: recovery points (offsets below which all is synced; written now and then, so they may lag but
 * never lead) and the clean-shutdown mark, which exists only between a clean stop and the next start. Both carry a checksum: a mark that
 * does not hold is said and believed by nobody.
 *
 * Recovery points are there from the first opening on, before there is a topic, and are on the disk before a log start offset moves or
 * compaction takes anything away. So a partition that they do not name is new, begins at offset 0, and nothing of it was promised.
 */
const RECOVERY_POINTS = 'recovery-points.json'
const CLEAN_SHUTDOWN = 'clean-shutdown.json'

/** Where a partition stood when it was closed. */
export interface CleanEnd {
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly lastSegment: number
  readonly lastSegmentBytes: number
  readonly mustRoll: boolean
  /** Of the last segment, and its offset: its time index was not synced, and may be gone with the power. */
  readonly maxTimestamp?: number
  readonly maxTimestampOffset?: number
  /** There is a producer snapshot at the log end offset. */
  readonly hasProducers?: boolean
}

export interface RecoveryPoint {
  readonly recoveryPoint: number
  readonly logStartOffset: number
  /** Compaction has been below it; left out where it has not begun. */
  readonly cleanedTo?: number
  /** What was acknowledged was synced, so that no stop takes anything of it. */
  readonly synced?: boolean
  /** See leader-epochs.ts; left out where there is none but the first. */
  readonly leaderEpochs?: readonly (readonly [epoch: number, startOffset: number])[]
}

/**
 * What recovery may rely on. `kept`: every partition begins where the points say, and offsets are missing below its recovery point alone.
 * `older`: a file without a checksum, of an earlier version, of which only the points themselves are certain. `lost`: there is none that holds.
 */
export type MarksTrust = 'kept' | 'older' | 'lost'

export interface KnownPoints {
  readonly points: ReadonlyMap<string, RecoveryPoint>
  readonly trust: MarksTrust
}

export class RecoveryMarks {
  /** Files that were found damaged, for the logger. */
  readonly faults: MillraceError[] = []
  readonly #env: Env
  readonly #directory: string

  constructor(env: Env, directory: string) {
    this.#env = env
    this.#directory = directory
  }

  get pointsPath(): string {
    return `${this.#directory}/${RECOVERY_POINTS}`
  }

  /**
   * By partition; empty where the file is missing or does not hold, and then everything is scanned. `begins`: there is no topic yet, and from now
   * on a partition that is not named is a new one.
   */
  readPoints(begins = false): KnownPoints {
    if (begins && !this.#env.fs.exists(this.pointsPath)) this.#env.fs.replaceFile(this.pointsPath, sealJson({}))
    return this.#read<RecoveryPoint>(RECOVERY_POINTS)
  }

  /** The rename follows the sync of the content, and a crash between leaves the older points, which are only more careful. */
  async writePoints(points: Readonly<Record<string, RecoveryPoint>>): Promise<void> {
    const path = this.pointsPath
    const temporary = `${path}.next`
    this.#env.fs.remove(temporary)
    const file = this.#env.fs.open(temporary, 'append')
    try {
      file.write(Buffer.from(sealJson(points)), 0)
      await file.sync()
    } finally {
      file.close()
    }
    this.#env.fs.rename(temporary, path)
    // Segments are deleted once this says so: it must be there first.
    await this.#env.fs.syncDirectoryLater(this.#directory)
  }

  /** The same at once, while the engine is opened. */
  replacePoints(points: Readonly<Record<string, RecoveryPoint>>): void {
    this.#env.fs.replaceFile(this.pointsPath, sealJson(points))
  }

  /** Reads the mark and takes it away for good, before anything is written. */
  takeCleanEnds(): ReadonlyMap<string, CleanEnd> {
    const path = `${this.#directory}/${CLEAN_SHUTDOWN}`
    if (!this.#env.fs.exists(path)) return new Map()
    const ends = this.#read<CleanEnd>(CLEAN_SHUTDOWN).points
    this.#env.fs.remove(path)
    this.#env.fs.syncDirectory(this.#directory)
    return ends
  }

  writeCleanEnds(ends: Readonly<Record<string, CleanEnd>>): void {
    this.#env.fs.replaceFile(`${this.#directory}/${CLEAN_SHUTDOWN}`, sealJson(ends))
  }

  #read<T>(name: string): { readonly points: ReadonlyMap<string, T>; readonly trust: MarksTrust } {
    const path = `${this.#directory}/${name}`
    if (!this.#env.fs.exists(path)) return { points: new Map(), trust: 'lost' }
    try {
      const { value, isSealed } = unsealJson(path, this.#env.fs.readFile(path))
      return { points: new Map(Object.entries(value) as [string, T][]), trust: isSealed ? 'kept' : 'older' }
    } catch (error) {
      const { message, detail } = toErrorShape(error)
      this.faults.push(
        new MillraceError('RECOVERY_MARKS_CORRUPT', `${path} is not believed`, {
          detail: detail === undefined ? message : `${message}; ${detail}`,
          hint: 'nothing is lost by it: the segments are walked from their beginning, and what is not whole among them is reported and kept',
          cause: error,
        }),
      )
      return { points: new Map(), trust: 'lost' }
    }
  }
}
