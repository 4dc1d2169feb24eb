import { dirname } from 'node:path'
import { formatValue } from '../codegen/text-values.js'
import type { Value } from '../codegen/value.js'
import { makeDirectoryDurably } from '../common/durable-directory.js'
import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { csvDialectOf, isOn } from '../connector/files/file-format.js'
import { listFiles, NULL_PARTITION } from '../connector/files/file-listing.js'
import { csvText, jsonText, type RowText, TextBuffer } from '../connector/files/row-text.js'
import { type BufferViews, blockRowCount } from '../types/block.js'
import { type ValueReader, valueReader } from '../types/block-reader.js'
import { columnSlots, type StructType } from '../types/data-type.js'
import type { FileSinkStart } from './engine-protocol.js'
import { commitsPath, FileCommits, folderTaken } from './file-commits.js'

/** Text of one file that waits in memory before it is written. */
const BUFFER_BYTES = 1 << 20

/** A file that rows are written into, under a hidden name in the folder where it will be seen. */
interface OpenFile {
  /** Where it will be seen, from the sink's folder on. */
  readonly name: string
  readonly openedAt: number
  readonly buffer: TextBuffer
  /** Bytes that are in the file. */
  written: number
  /** Bytes that belong to committed epochs. */
  committed: number
  hasChanged: boolean
}

/**
 * Writes a query's rows into files of a folder, on the engine thread. Nobody sees a file before it is whole: it has a hidden name until it is renamed, which happens between two
 * epochs, so that what is seen are whole epochs, each once. A file stays open over many epochs; how long it was at the end of each is in the folder's commit
 * log, on the disk before the epoch is committed, and a run that begins cuts what an epoch has left that was not. A batch has one epoch and needs no log.
 */
export class FileSink {
  readonly #text: RowText
  /** By what their folder says. */
  readonly #current = new Map<string, OpenFile>()
  /** All that are not seen yet. */
  readonly #open = new Set<OpenFile>()
  readonly #partitions: readonly {
    readonly name: string
    readonly read: ValueReader
    readonly text: (v: Value) => string
  }[]
  readonly #folder: string
  readonly #log: FileCommits | undefined
  /** Of files, in the order in which they were made. */
  #number = 0
  /** Tells files from those of other runs. */
  readonly #mark: string
  /** The epoch whose rows are taken: those of the next wait until it is committed, so that a file ends with it. */
  #epoch: number
  #closed: string[] = []
  #cancelTimer: (() => void) | undefined
  #isClosed = false

  constructor(
    private readonly start: FileSinkStart,
    schema: StructType,
    private readonly env: Env,
    /** Whose folder it is; left out of a batch. */
    owner: string | undefined,
    /** The first epoch to come. */
    firstEpoch: number,
    /** Hears of failures, and that the rows of the next epoch can be offered. */
    private readonly run: { fail(error: unknown): void; onRing(): void },
  ) {
    const { path, format, options, partitionBy } = start
    this.#folder = path
    this.#epoch = firstEpoch
    this.#mark = Buffer.from(env.randomBytes(6)).toString('hex')
    const slots = columnSlots(schema)
    this.#partitions = partitionBy.map((name) => {
      const slot = slots.find(({ parent, path: [own] }) => parent === -1 && own === name)
      return {
        name,
        read: valueReader(slots, slot?.index ?? 0),
        text: formatValue(slot?.type ?? { kind: 'string' }) as (v: Value) => string,
      }
    })
    const names = new Set(schema.fields.map(({ name }) => name).filter((name) => !partitionBy.includes(name)))
    this.#text =
      format === 'json'
        ? jsonText(schema, names, isOn(options, 'ignoreNullFields', true))
        : csvText(schema, names, csvDialectOf(options), isOn(options, 'quoteAll'))
    this.#log = this.#doing(path, () => this.#begin(owner, firstEpoch - 1))
  }

  #begin(owner: string | undefined, committed: number): FileCommits | undefined {
    const { env } = this
    const stat = env.fs.stat(this.#folder)
    if (stat !== undefined && !stat.isDirectory) {
      throw new MillraceError('SINK_NOT_WRITABLE', `${this.#folder} is a file, and files are to be written below it`, {
        detail: `found a file of ${stat.bytes} bytes, expected a folder or nothing`,
        hint: 'choose a folder',
      })
    }
    makeDirectoryDurably(env.fs, this.#folder)
    if (owner === undefined) {
      if (env.fs.exists(commitsPath(this.#folder))) throw folderTaken(this.#folder, 'a stream', 'none')
      return undefined
    }
    const { log, open } = FileCommits.open(env, this.#folder, owner, committed)
    this.#makeGood(open)
    log.begin(committed)
    return log
  }

  /** What an earlier run has left: files end where their last committed epoch did, and are seen; what was never committed goes. */
  #makeGood(open: ReadonlyMap<string, number>): void {
    const { fs } = this.env
    for (const [name, bytes] of open) {
      const hidden = this.#hidden(name)
      // It was renamed, and nothing was written of that.
      if (!fs.exists(hidden)) continue
      const file = fs.open(hidden, 'append')
      try {
        if (file.size() < bytes) throw damaged(hidden, file.size(), bytes)
        file.truncate(bytes)
        file.syncNow()
      } finally {
        file.close()
      }
      if (bytes > 0) fs.rename(hidden, this.#seen(name))
      fs.syncDirectory(dirname(hidden))
    }
    this.#removeHidden(this.#folder)
  }

  #removeHidden(folder: string): void {
    const { fs } = this.env
    for (const name of fs.list(folder)) {
      const path = `${folder}/${name}`
      if (name.startsWith('.part-')) fs.remove(path)
      else if (name.includes('=') && fs.stat(path)?.isDirectory === true) this.#removeHidden(path)
    }
  }

  /** False: the epoch before is not committed yet; the block is to be offered again. */
  write(epoch: number, views: BufferViews, position: number): boolean {
    if (this.#isClosed || epoch !== this.#epoch) return false
    try {
      const rows = blockRowCount(views, position)
      for (let row = 0; row < rows; row++) {
        const file = this.#fileOf(views, position, row)
        this.#text.write(views, position, row, file.buffer)
        if (file.buffer.length >= BUFFER_BYTES) this.#flush(file)
      }
    } catch (error) {
      this.run.fail(error)
      return false
    }
    return true
  }

  #fileOf(views: BufferViews, position: number, row: number): OpenFile {
    let folder = ''
    for (const { name, read, text } of this.#partitions) {
      const value = read(views, position, row) as Value | null
      folder += `${escaped(name)}=${value === null ? NULL_PARTITION : escaped(text(value)) || NULL_PARTITION}/`
    }
    const known = this.#current.get(folder)
    if (known !== undefined && known.written + known.buffer.length < this.start.rollBytes) return known
    const { format } = this.start
    const name = `${folder}part-${String(this.#number++).padStart(5, '0')}-${this.#mark}.${format}`
    const openedAt = this.env.monotonic()
    const file = { name, openedAt, buffer: new TextBuffer(), written: 0, committed: 0, hasChanged: true }
    file.buffer.put(this.#text.head)
    this.#current.set(folder, file)
    this.#open.add(file)
    return file
  }

  #flush(file: OpenFile): void {
    const { buffer } = file
    if (buffer.length === 0) return
    const path = this.#hidden(file.name)
    this.#doing(path, () => {
      const { fs } = this.env
      if (file.written === 0) makeDirectoryDurably(fs, dirname(path))
      const handle = fs.open(path, 'append')
      try {
        handle.write(buffer.bytes.subarray(0, buffer.length), file.written)
      } finally {
        handle.close()
      }
    })
    file.written += buffer.length
    buffer.length = 0
    file.hasChanged = true
  }

  /** All rows of the epoch have been taken: they are on the disk, and where they end too. */
  async prepare(epoch: number): Promise<void> {
    const changed: OpenFile[] = []
    for (const file of this.#open) {
      if (file.buffer.length > 0) this.#flush(file)
      if (file.hasChanged) changed.push(file)
    }
    const { fs } = this.env
    for (const file of changed) {
      const path = this.#hidden(file.name)
      await this.#doingLater(path, async () => {
        const handle = fs.open(path, 'append')
        try {
          await handle.sync()
        } finally {
          handle.close()
        }
        if (file.committed === 0) await fs.syncDirectoryLater(dirname(path))
      })
    }
    this.env.passing?.('files: rows are synced')
    const closed = this.#closed
    if (this.#log === undefined || (changed.length === 0 && closed.length === 0)) return
    this.#closed = []
    const lengths = (files: Iterable<OpenFile>): Record<string, number> =>
      Object.fromEntries([...files].map(({ name, written }) => [name, written]))
    const written = { epoch, open: lengths(changed), closed }
    await this.#doingLater(commitsPath(this.#folder), () => this.#log?.append(written, () => lengths(this.#open)))
    this.env.passing?.('files: the commit log is synced')
  }

  /** The epoch is committed, and rows of the next are taken. Files that are large or old enough are seen from now on. */
  commit(epoch: number): void {
    this.#epoch = epoch + 1
    for (const file of this.#open) {
      file.committed = file.written
      file.hasChanged = false
    }
    if (this.#log === undefined) this.#show()
    else this.#roll((file) => this.#isDue(file))
    this.#setTimer()
    this.run.onRing()
  }

  /** Everything that is committed is to be seen. */
  roll(): void {
    if (!this.#isClosed) this.#roll(() => true)
  }

  #isDue({ committed, openedAt }: OpenFile): boolean {
    return committed >= this.start.rollBytes || this.env.monotonic() - openedAt >= this.start.rollAgeMs
  }

  /** One that has rows of an epoch that is not committed waits for it. */
  #roll(isWanted: (file: OpenFile) => boolean): void {
    const { fs } = this.env
    const folders = new Set<string>()
    for (const file of this.#open) {
      if (!isCommitted(file) || !isWanted(file)) continue
      const path = this.#hidden(file.name)
      this.#doing(path, () => fs.rename(path, this.#seen(file.name)))
      folders.add(dirname(path))
      this.#forget(file)
      this.#closed.push(file.name)
    }
    for (const folder of folders) this.#doing(folder, () => fs.syncDirectory(folder))
  }

  #forget(file: OpenFile): void {
    this.#open.delete(file)
    for (const [folder, current] of this.#current) if (current === file) this.#current.delete(folder)
  }

  /** A batch: all files at once, then the mark that there are no more, and last what they take the place of. */
  #show(): void {
    const { fs } = this.env
    const old = this.start.saveMode === 'overwrite' ? listFiles(fs, this.#folder) : []
    this.#roll(() => true)
    this.#doing(this.#folder, () => {
      fs.replaceFile(`${this.#folder}/_SUCCESS`, '')
      for (const { path } of old) fs.remove(path)
    })
  }

  #setTimer(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    if (this.#open.size === 0 || this.#isClosed) return
    let oldest = Number.POSITIVE_INFINITY
    for (const file of this.#open) if (isCommitted(file)) oldest = Math.min(oldest, file.openedAt)
    // The others wait for their epoch.
    if (oldest === Number.POSITIVE_INFINITY) return
    const ms = Math.max(1, oldest + this.start.rollAgeMs - this.env.monotonic())
    this.#cancelTimer = this.env.timer(Math.min(ms, 2 ** 31 - 1), () => {
      try {
        this.#roll((file) => this.#isDue(file))
        // A timer may be early by a part of a millisecond.
        this.#setTimer()
      } catch (error) {
        this.run.fail(error)
      }
    })
  }

  /** `hasEnded`: at an epoch; else what is committed of the open files is for the next run to say. */
  close(hasEnded: boolean): void {
    if (this.#isClosed) return
    this.#cancelTimer?.()
    if (hasEnded) this.roll()
    this.#isClosed = true
    this.#log?.close()
    if (this.#log !== undefined) return
    for (const { name } of this.#open) this.env.fs.remove(this.#hidden(name))
  }

  #seen(name: string): string {
    return `${this.#folder}/${name}`
  }

  #hidden(name: string): string {
    const at = name.lastIndexOf('/') + 1
    return `${this.#folder}/${name.slice(0, at)}.${name.slice(at)}`
  }

  #doing<T>(path: string, work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw notWritable(path, error)
    }
  }

  async #doingLater(path: string, work: () => Promise<void> | undefined): Promise<void> {
    try {
      await work()
    } catch (error) {
      throw notWritable(path, error)
    }
  }
}

/** All rows of it are of committed epochs. */
function isCommitted({ committed, written, buffer }: OpenFile): boolean {
  return committed > 0 && written === committed && buffer.length === 0
}

function notWritable(path: string, cause: unknown): unknown {
  if (cause instanceof MillraceError) return cause
  return new MillraceError('SINK_NOT_WRITABLE', `${path} cannot be written`, {
    detail: `found ${cause instanceof Error ? cause.message : String(cause)}`,
    hint: 'check that the folder may be written and that there is room on the disk; started again, a query goes on from its checkpoint',
    retriable: true,
    cause,
  })
}

function damaged(path: string, found: number, expected: number): MillraceError {
  return new MillraceError('SINK_FOLDER_DAMAGED', `${path} has lost rows of committed epochs`, {
    detail: `found ${found} bytes, expected at least ${expected}`,
    hint: 'restore the file; or write into another folder, with a new checkpointLocation',
  })
}

/** For the name of a folder, as Hive does it. */
function escaped(text: string): string {
  return text.replace(
    /[\u0000-\u001f"#%'*/:=?\\\u007f{[\]^]|^[._]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}
