import { MillraceError } from '../common/errors.js'
import type { OriginalRecords } from '../connector/original-records.js'
import type { BufferViews } from '../types/block.js'
import { type StructType, structType } from '../types/data-type.js'
import { compileRowsReader, type Row, type RowsReader } from '../types/row-reader.js'
import type { FailureGuard, RowOrigin } from './failure-guard.js'

/** Rows that are of no one record, behind a join, an aggregate, a function over several rows: what a letter has of them is their columns. */
export class OwnRows {
  #read: RowsReader | undefined

  constructor(
    private readonly guard: FailureGuard,
    private readonly schema: StructType,
  ) {}

  /** Those of a block, as long as it is there. */
  at(views: BufferViews, position: number): RowOrigin {
    return {
      describe: (row) => `row ${row} of rows that are of no one record`,
      original: (row) => this.guard.letterOf(this.#row(views, position, row)),
    }
  }

  #row(views: BufferViews, position: number, row: number): Row {
    this.#read ??= compileRowsReader(structType(this.schema.fields.filter(({ name }) => !hidden.has(name))))
    const rows: Row[] = []
    this.#read(views, position, row, row + 1, rows)
    return rows[0] ?? {}
  }
}

/** Behind the columns of a row on its way through user code, see operator/user-code.ts. */
const hidden: ReadonlySet<string> = new Set(['__row', '__stamp'])

/** Rows of a block that was made of another: what is asked of them is asked of the rows that they were made of. */
export class SourceRows implements RowOrigin {
  constructor(
    private readonly own: RowOrigin,
    /** In the block that the stage was given; undefined where a row is of several. */
    private readonly sourceOf: (row: number) => number | undefined,
    private readonly origin: RowOrigin | undefined,
  ) {}

  describe(row: number): string {
    const source = this.sourceOf(row)
    if (source === undefined || this.origin === undefined) return this.own.describe(row)
    return this.origin.describe(source)
  }

  original(row: number): ReturnType<RowOrigin['original']> {
    const source = this.sourceOf(row)
    return source === undefined || this.origin === undefined ? this.own.original(row) : this.origin.original(source)
  }
}

/** Rows of one input partition. `offsets`: of each row, asked for while the block is there. */
export class ScannedRows implements RowOrigin {
  /** Of rows from `#from` on, where the block is gone. */
  #kept: readonly number[] | undefined
  #from = 0

  constructor(
    private readonly name: string,
    private readonly topic: { readonly topic: string; readonly partition: number } | undefined,
    private readonly records: OriginalRecords | undefined,
    private readonly input: { offsetAt(row: number): number },
  ) {}

  /** The block is about to be released, and rows [from, to) of it are under way. */
  keep(from: number, to: number): void {
    this.#from = from
    this.#kept = Array.from({ length: to - from }, (_, n) => this.input.offsetAt(from + n))
  }

  forget(): void {
    this.#kept = undefined
  }

  describe(row: number): string {
    return `offset ${this.#offset(row)} of ${this.name}`
  }

  original(row: number): ReturnType<RowOrigin['original']> {
    const offset = this.#offset(row)
    const { topic } = this
    const record = this.records?.at(offset)
    if (topic === undefined || record === undefined) {
      throw new MillraceError('RECORD_GONE', `the record that failed cannot be read again for its dead letter`, {
        detail: `${this.describe(row)} was read a moment ago and is not there any more`,
        hint: "give the topic a longer retention.ms than the query lags behind, or onError({ then: 'skip' })",
      })
    }
    return { topic: topic.topic, place: { partition: topic.partition, offset }, record }
  }

  #offset(row: number): number {
    return this.#kept === undefined ? this.input.offsetAt(row) : (this.#kept[row - this.#from] as number)
  }
}
