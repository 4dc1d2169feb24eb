import type { FileMetaData } from 'hyparquet'
import { castFunction } from '../../codegen/casts.js'
import type { FileHandle } from '../../common/env.js'
import { MillraceError } from '../../common/errors.js'
import type { BlockBuilder } from '../../types/block-builder.js'
import { type ColumnSlot, type DataType, typeName } from '../../types/data-type.js'
import type { LaneFile } from './lane.js'
import { BLOCK_ROWS, type FileRecords } from './line-records.js'
import { corrupt, loadParquet, parquetMetadata } from './parquet-package.js'
import { type RecordSchema, writeConstants } from './record-schema.js'

type Row = Readonly<Record<string, unknown>>

/**
 * The rows of a Parquet file, by hyparquet, which answers with promises: rows that are asked for are there some turns of the event loop later. An offset is the number of
 * a row. A column that the file does not have is null.
 */
export class ParquetRecords implements FileRecords {
  position: number
  #rows: readonly Row[] = []
  #next = 0
  #failure: { readonly error: unknown } | undefined
  #isReading = false
  #metadata: FileMetaData | undefined
  #isClosed = false

  constructor(
    private readonly file: LaneFile,
    private readonly handle: FileHandle,
    position: number,
    private readonly schema: RecordSchema,
    private readonly wake: () => void,
  ) {
    this.position = position
  }

  get isWaiting(): boolean {
    return this.#isReading
  }

  read(builder: BlockBuilder, limit: number, offsets: Float64Array): number {
    if (this.#failure !== undefined) throw this.#failure.error
    if (this.#isReading) return 0
    if (this.#next >= this.#rows.length) {
      if (this.position < Math.min(limit, this.file.length)) this.#fetch()
      return 0
    }
    builder.ensureRows(BLOCK_ROWS)
    const { fields, slots } = this.schema
    while (this.#next < this.#rows.length && this.position < limit) {
      const row = this.#rows[this.#next++] as Row
      const at = builder.rows
      for (let i = 0; i < slots.length; i++) {
        const { name, type } = fields.fields[i] as (typeof fields.fields)[number]
        builder.write((slots[i] as ColumnSlot).index, at, parquetValue(row[name], type, this.file, name))
      }
      writeConstants(builder, this.schema, at)
      offsets[at] = this.position
      builder.rows = at + 1
      this.position += 1
    }
    return builder.rows
  }

  close(): void {
    this.#isClosed = true
    if (!this.#isReading) this.handle.close()
  }

  #fetch(): void {
    this.#isReading = true
    this.#load()
      .catch((error: unknown) => {
        const isOurs = error instanceof MillraceError
        this.#failure = { error: isOurs ? error : corrupt(this.file.path, `hyparquet says: ${String(error)}`, error) }
      })
      .finally(() => {
        this.#isReading = false
        if (this.#isClosed) this.handle.close()
        else this.wake()
      })
  }

  async #load(): Promise<void> {
    const { parquetReadObjects } = await loadParquet()
    const { bytes } = this.file
    this.#metadata ??= parquetMetadata(this.handle, bytes)
    const metadata = this.#metadata
    const known = new Set(metadata.schema.map(({ name }) => name))
    const columns = this.schema.fields.fields.map(({ name }) => name).filter((name) => known.has(name))
    const rowStart = this.position
    const rowEnd = Math.min(rowStart + BLOCK_ROWS, this.file.length)
    const slice = (start: number, end: number = bytes): ArrayBuffer => {
      const target = new Uint8Array(end - start)
      this.handle.read(target, start)
      return target.buffer
    }
    this.#rows =
      columns.length === 0
        ? new Array<Row>(rowEnd - rowStart).fill({})
        : await parquetReadObjects({ file: { byteLength: bytes, slice }, metadata, columns, rowStart, rowEnd })
    this.#next = 0
  }
}

/** What hyparquet gives as a value of our type. */
function parquetValue(value: unknown, type: DataType, file: LaneFile, name: string): unknown {
  if (value === null || value === undefined) return null
  const inner = (of: unknown, its: DataType): unknown => parquetValue(of, its, file, name)
  const found = value instanceof Date ? 'date' : typeof value
  switch (type.kind) {
    case 'string':
      if (found === 'string') return value
      break
    case 'boolean':
      if (found === 'boolean') return value
      break
    case 'byte':
    case 'short':
    case 'int':
    case 'long':
    case 'bigint':
    case 'decimal':
      if (found === 'number' || found === 'bigint') {
        const text = String(value)
        const cast = castFunction({ kind: 'string' }, type, false, true) as (of: string) => unknown
        const result = cast(text)
        if (result !== null) return result
      }
      break
    case 'float':
    case 'double':
      if (found === 'number' || found === 'bigint') return Number(value)
      break
    case 'timestamp':
      if (found === 'date') return (value as Date).getTime()
      break
    case 'date':
      if (found === 'date') return Math.floor((value as Date).getTime() / 86_400_000)
      break
    case 'binary':
      if (value instanceof Uint8Array) return value
      if (found === 'string') return Buffer.from(value as string)
      break
    case 'array':
      if (Array.isArray(value)) return value.map((item) => inner(item, type.element))
      break
    case 'struct':
      if (found === 'object') return type.fields.map((field) => inner((value as Row)[field.name], field.type))
      break
    case 'map':
      if (found === 'object') {
        return Object.entries(value as Row).map(([key, item]) => [inner(key, type.key), inner(item, type.value)])
      }
      break
    default:
  }
  throw new MillraceError('PARQUET_TYPE_DIFFERS', `the column ${name} of ${file.path} is no ${typeName(type)}`, {
    detail: `found a value of type ${found}, ${String(value).slice(0, 60)}`,
    hint: 'give the schema the type that the file has',
  })
}
