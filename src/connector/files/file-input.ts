import type { Env, FileHandle } from '../../common/env.js'
import { lazyModule } from '../../common/lazy-module.js'
import type { ScanInput } from '../../plan/physical-plan.js'
import type { BufferViews } from '../../types/block.js'
import { BlockBuilder } from '../../types/block-builder.js'
import { BlockScratch } from '../../types/block-scratch.js'
import type { InputPartition } from '../input-partition.js'
import { fileChanged } from './changed-file.js'
import { CsvColumns } from './csv-columns.js'
import { corruptColumnOf, csvDialectOf, isOn, parseModeOf } from './file-format.js'
import { notReadable } from './file-listing.js'
import { JsonColumns } from './json-columns.js'
import { JsonDocument } from './json-document.js'
import type { LaneFile } from './lane.js'
import { BLOCK_ROWS, type FileRecords, LineRecords } from './line-records.js'
import { recordSchema } from './record-schema.js'

const parquet = lazyModule(import.meta.url, './parquet-records.js', () => import('./parquet-records.js'))

/**
 * One lane of files: one after the other, in the order in which they were found. Each is an input partition by itself as far as time goes: it
 * begins with no event time seen, and what is known to be unread holds the watermark back.
 */
export class FileInput implements InputPartition {
  offset: number
  views: BufferViews
  position = 0
  readonly from = 0
  to = 0
  /** The rows of the block are the first of a file. */
  begins = false
  readonly #files: LaneFile[]
  readonly #builder: BlockBuilder
  readonly #scratch = new BlockScratch()
  readonly #offsets = new Float64Array(BLOCK_ROWS)
  #records: FileRecords | undefined
  #isNew = true
  #nextOffset: number

  constructor(
    private readonly env: Env,
    private readonly scan: ScanInput,
    files: readonly LaneFile[],
    offset: number,
    /** What was waited for is there. */
    private readonly wake: () => void = () => undefined,
  ) {
    this.offset = offset
    this.#nextOffset = offset
    this.#files = [...files]
    this.#builder = new BlockBuilder(scan.schema)
    this.views = this.#scratch.encode(this.#builder).views
  }

  addFiles(files: readonly LaneFile[]): void {
    this.#files.push(...files)
  }

  /** Behind the file at hand there are others. */
  get holdsTime(): boolean {
    return this.#files.length > 1 || (this.#files.length === 1 && this.#records === undefined)
  }

  next(limit: number): boolean {
    for (;;) {
      const file = this.#files[0]
      if (file === undefined || this.offset >= limit) return false
      if (this.#records === undefined) {
        this.#records = this.#open(file, this.offset - file.start)
        this.#isNew = this.offset === file.start
      }
      const records = this.#records
      this.#builder.reset()
      const rows = records.read(this.#builder, limit - file.start, this.#offsets)
      this.#nextOffset = file.start + records.position
      if (rows > 0) {
        this.begins = this.#isNew
        this.#isNew = false
        const block = this.#scratch.encode(this.#builder)
        this.views = block.views
        this.position = block.position
        this.to = rows
        return true
      }
      const before = this.offset
      this.release()
      if (this.offset === before) return false
    }
  }

  release(): void {
    this.offset = this.#nextOffset
    const file = this.#files[0]
    if (file === undefined || this.offset < file.start + file.length) return
    this.#records?.close()
    this.#records = undefined
    this.#files.shift()
  }

  offsetAt(row: number): number {
    return (this.#files[0]?.start ?? 0) + (this.#offsets[row] as number)
  }

  get isWaiting(): boolean {
    return this.#records?.isWaiting === true
  }

  hasNew(): boolean {
    return this.#files.length > 0
  }

  close(): void {
    this.#records?.close()
    this.#records = undefined
  }

  #open(file: LaneFile, position: number): FileRecords {
    const { source, schema } = this.scan
    const { options } = source
    const mode = parseModeOf(options)
    const handle = this.#handle(file)
    try {
      const records = recordSchema(schema, file, corruptColumnOf(options))
      if (source.format === 'parquet') {
        return new (parquet().ParquetRecords)(file, handle, position, records, this.wake)
      }
      if (source.format === 'csv') {
        const inFolders = new Set(file.values.map(([name]) => name))
        const corrupt = corruptColumnOf(options)
        const columns = source.schema.fields.filter(({ name }) => !inFolders.has(name) && name !== corrupt)
        const dialect = csvDialectOf(options)
        const csv = new CsvColumns(this.#builder, { kind: 'struct', fields: columns }, records, dialect, mode, file)
        return new LineRecords(file, handle, position, csv)
      }
      const json = new JsonColumns(this.#builder, records, mode, file)
      if (isOn(options, 'multiLine')) return new JsonDocument(file, handle, position, json)
      return new LineRecords(file, handle, position, json)
    } catch (error) {
      handle.close()
      throw error
    }
  }

  #handle(file: LaneFile): FileHandle {
    const { fs } = this.env
    let stat: ReturnType<typeof fs.stat>
    let handle: FileHandle
    try {
      stat = fs.stat(file.path)
      handle = fs.open(file.path, 'read')
    } catch (cause) {
      throw notReadable(file.path, cause)
    }
    if (stat?.bytes === file.bytes && stat.modifiedAt === file.modifiedAt) return handle
    handle.close()
    throw fileChanged(
      file,
      `${stat?.bytes ?? 0} bytes, last changed at ${new Date(stat?.modifiedAt ?? 0).toISOString()}`,
    )
  }
}
