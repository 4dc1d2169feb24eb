import type { Env } from '../common/env.js'
import { lazyModule } from '../common/lazy-module.js'
import { type FoundFile, listFiles } from '../connector/files/file-listing.js'
import type { LaneFile } from '../connector/files/lane.js'
import type { SourceSpec } from '../plan/logical-plan.js'

/** What a checkpoint says of the files of a source: those that were found, one record after the other; a record with `base` replaces all before it. */
export interface FilesRecord {
  readonly source: number
  readonly lanes: number
  /** By lane, the offset at which the first of its files begins. */
  readonly base?: readonly number[]
  /** Files that are done with, by which they are known again. */
  readonly seen?: readonly (readonly [path: string, modifiedAt: number])[]
  readonly files: readonly (readonly [lane: number, file: Omit<LaneFile, 'start'>])[]
}

const parquet = lazyModule(
  import.meta.url,
  '../connector/files/parquet-package.js',
  () => import('../connector/files/parquet-package.js'),
)

/** How often a folder is looked at, at most. */
const LISTED_EVERY_MS = 100
/** Looking takes no more than this part of the thread's time. */
const LISTING_SHARE = 0.05
/** Spark's `maxFileAge`: what is older than the newest file by so much is forgotten, and not read where it turns up. */
const FILE_AGE_MAX_MS = 7 * 86_400_000

/**
 * The files of one source, on the engine thread. New ones are found by listing, get their place at the end of a lane, and are written down before any
 * offset speaks of them. A file is known by its path and is read once.
 */
export class FileSource {
  readonly lanes: number
  /** By lane: files that are not known to be read. */
  readonly #files: LaneFile[][]
  readonly #ends: number[]
  /** By path; the order of places is the order in which they were found. */
  readonly #seen = new Map<string, number>()
  readonly #order = new Map<LaneFile, number>()
  #found = 0
  #newest = Number.NEGATIVE_INFINITY
  #nextListing = 0
  #isOpen = false
  #tell: (record: FilesRecord) => void = () => undefined
  #onFiles: (lane: number, files: readonly LaneFile[]) => void = () => undefined

  constructor(
    private readonly spec: SourceSpec,
    private readonly source: number,
    private readonly env: Env,
    private readonly lengthOf: (file: FoundFile) => number,
    /** What an earlier run has written down. */
    records: readonly FilesRecord[],
    lanesWanted: number,
  ) {
    this.lanes = records[0]?.lanes ?? lanesWanted
    this.#files = Array.from({ length: this.lanes }, () => [])
    this.#ends = new Array<number>(this.lanes).fill(0)
    for (const record of records) this.#restore(record)
  }

  /** The files that there are at the start; `tell` writes down what is found, now and later. */
  begin(tell: (record: FilesRecord) => void): void {
    this.#tell = tell
    this.#isOpen = true
    this.refresh()
    this.#isOpen = false
  }

  /** The tasks are there, and are told of what is found from now on. */
  follow(onFiles: (lane: number, files: readonly LaneFile[]) => void): void {
    this.#onFiles = onFiles
    this.#isOpen = this.spec.streaming
  }

  /** By lane, how far it reaches as of the last look. */
  latest(): number[] {
    if (this.env.monotonic() >= this.#nextListing) this.refresh()
    return [...this.#ends]
  }

  /** Looks at the folder now. */
  refresh(): void {
    if (!this.#isOpen) return
    const begun = this.env.monotonic()
    const { path = '', pathGlobFilter } = this.spec.options
    const found = listFiles(this.env.fs, path, pathGlobFilter).filter((file) => this.#isNew(file))
    found.sort((a, b) => a.modifiedAt - b.modifiedAt || (a.path < b.path ? -1 : 1))
    if (found.length > 0) this.#take(found)
    const now = this.env.monotonic()
    this.#nextListing = now + Math.max(LISTED_EVERY_MS, (now - begun) / LISTING_SHARE)
  }

  /** By lane, where the next micro-batch ends: so many files, or bytes, in the order in which they were found, and one file at least. */
  nextEnds(from: readonly number[]): number[] {
    const ends = this.latest()
    const { maxFilesPerTrigger, maxBytesPerTrigger } = this.spec.options
    if (maxFilesPerTrigger === undefined && maxBytesPerTrigger === undefined) return ends
    this.#forget(from)
    let files = Number(maxFilesPerTrigger ?? Number.POSITIVE_INFINITY)
    let bytes = Number(maxBytesPerTrigger ?? Number.POSITIVE_INFINITY)
    const next = [...from]
    const unread = this.#files.flatMap((own, lane) => own.map((file) => ({ lane, file })))
    unread.sort((a, b) => (this.#order.get(a.file) ?? 0) - (this.#order.get(b.file) ?? 0))
    for (const [i, { lane, file }] of unread.entries()) {
      if (files < 1 || (i > 0 && file.bytes > bytes)) break
      next[lane] = file.start + file.length
      files -= 1
      bytes -= file.bytes
    }
    return next
  }

  /** What lies at `offset` of a lane and behind it. */
  filesFrom(lane: number, offset: number): readonly LaneFile[] {
    return (this.#files[lane] ?? []).filter((file) => file.start + file.length > offset)
  }

  /** Everything in one record, for a checkpoint that begins anew. `offsets`: up to where its lanes are committed. */
  snapshot(offsets: readonly number[]): FilesRecord {
    this.#forget(offsets)
    const unread = new Set(this.#files.flat().map(({ path }) => path))
    return {
      source: this.source,
      lanes: this.lanes,
      base: this.#files.map((own, lane) => own[0]?.start ?? (this.#ends[lane] as number)),
      seen: [...this.#seen].filter(([path]) => !unread.has(path)),
      files: this.#files.flatMap((own, lane) => own.map(({ start: _, ...file }) => [lane, file] as const)),
    }
  }

  #isNew({ path, modifiedAt }: FoundFile): boolean {
    return !this.#seen.has(path) && (!this.spec.streaming || modifiedAt >= this.#newest - FILE_AGE_MAX_MS)
  }

  #take(found: readonly FoundFile[]): void {
    const files: (readonly [number, Omit<LaneFile, 'start'>])[] = []
    const byLane = new Map<number, LaneFile[]>()
    for (const file of found) {
      const length = this.lengthOf(file)
      const { path, bytes, modifiedAt, values } = file
      const known = { path, length, bytes, modifiedAt, values }
      const lane = this.#ends.indexOf(Math.min(...this.#ends))
      files.push([lane, known])
      const placed = this.#place(lane, known)
      if (placed !== undefined) byLane.set(lane, [...(byLane.get(lane) ?? []), placed])
    }
    this.#tell({ source: this.source, lanes: this.lanes, files })
    for (const [lane, own] of byLane) this.#onFiles(lane, own)
  }

  /** Undefined: there is nothing in it. */
  #place(lane: number, file: Omit<LaneFile, 'start'>): LaneFile | undefined {
    this.#see(file.path, file.modifiedAt)
    if (file.length === 0) return undefined
    const placed = { ...file, start: this.#ends[lane] as number }
    this.#ends[lane] = placed.start + file.length
    this.#files[lane]?.push(placed)
    this.#order.set(placed, this.#found++)
    return placed
  }

  #see(path: string, modifiedAt: number): void {
    this.#seen.set(path, modifiedAt)
    this.#newest = Math.max(this.#newest, modifiedAt)
  }

  #restore(record: FilesRecord): void {
    record.base?.forEach((offset, lane) => {
      this.#ends[lane] = offset
      this.#files[lane] = []
    })
    for (const [path, modifiedAt] of record.seen ?? []) this.#see(path, modifiedAt)
    for (const [lane, file] of record.files) this.#place(lane, file)
  }

  /** Files that are read, and, of what has been seen, those that are too old to be taken for new. */
  #forget(offsets: readonly number[]): void {
    this.#files.forEach((own, lane) => {
      const done = own.findIndex((file) => file.start + file.length > (offsets[lane] as number))
      for (const file of own.splice(0, done === -1 ? own.length : done)) this.#order.delete(file)
    })
    const unread = new Set(this.#files.flat().map(({ path }) => path))
    for (const [path, modifiedAt] of this.#seen) {
      if (modifiedAt < this.#newest - FILE_AGE_MAX_MS && !unread.has(path)) this.#seen.delete(path)
    }
  }
}

/** How many offsets a file has. */
const lengths = {
  text: () => (file: FoundFile) => file.bytes,
  parquet: (env: Env) => (file: FoundFile) => parquet().parquetRows(env.fs, file.path, file.bytes),
}

/** `records`: of all sources. A query has as many lanes as it had workers when it was first started. */
export function fileSourceOf(
  spec: SourceSpec,
  source: number,
  env: Env,
  records: readonly FilesRecord[],
  workers: number,
): FileSource {
  const own = records.filter((record) => record.source === source)
  return new FileSource(spec, source, env, lengths[spec.format === 'parquet' ? 'parquet' : 'text'](env), own, workers)
}
