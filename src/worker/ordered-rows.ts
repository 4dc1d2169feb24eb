import { type PipelineSpec, type RowsFunction, SOURCE_CELLS } from '../codegen/stage-functions.js'
import { comparator } from '../codegen/value.js'
import type { Limit, Sort } from '../plan/physical-plan.js'
import { type BufferViews, blockByteLength, blockRowCount, viewsOf } from '../types/block.js'
import { BlockBuilder } from '../types/block-builder.js'
import { valueReader } from '../types/block-reader.js'
import { BlockScratch } from '../types/block-scratch.js'
import { columnSlots, type StructType, structType } from '../types/data-type.js'

/**
 * The rows of a bounded input, sorted or cut to a limit once it has ended. With a limit little more than that many rows are held at a
 * time. Rows that sort alike stay in the order in which they came.
 */
export type MakeRowsFunction = (spec: PipelineSpec, schema: StructType) => RowsFunction<BlockBuilder>

interface Kept {
  readonly views: BufferViews
  readonly position: number
  readonly row: number
  readonly keys: readonly unknown[]
}

export class OrderedRows {
  readonly #copy: RowsFunction<BlockBuilder>
  readonly #keys: KeyReader | undefined
  readonly #limit: number
  readonly #cells = new Float64Array(SOURCE_CELLS)
  #kept: Kept[] = []

  /** `rowsFunction`: compiled or interpreted. */
  constructor(
    private readonly head: Sort | Limit,
    ansi: boolean,
    rowsFunction: MakeRowsFunction,
  ) {
    this.#copy = rowsFunction({ schema: head.schema, operators: [], ansi }, head.schema)
    this.#keys = head.op === 'sort' ? new KeyReader(head, ansi, rowsFunction) : undefined
    this.#limit = (head.op === 'limit' ? head.count : head.limit) ?? Number.POSITIVE_INFINITY
  }

  /** The block may be gone afterwards. */
  take(views: BufferViews, position: number): void {
    if (this.head.op === 'limit' && this.#kept.length >= this.#limit) return
    const rows = blockRowCount(views, position)
    const bytes = blockByteLength(views, position)
    const copy = viewsOf(new ArrayBuffer(bytes))
    copy.u8.set(views.u8.subarray(position, position + bytes))
    const keys = this.#keys?.read(copy, rows)
    for (let row = 0; row < rows; row++) this.#kept.push({ views: copy, position: 0, row, keys: keys?.[row] ?? [] })
    if (this.#kept.length > 2 * this.#limit + 4096) this.#cut()
  }

  /** Appends the rows that are left, and begins anew. */
  emit(builder: BlockBuilder): void {
    this.#cut()
    builder.ensureRows(builder.rows + this.#kept.length)
    for (const { views, position, row } of this.#kept) this.#copy(views, position, row, row + 1, this.#cells, builder)
    this.clear()
  }

  clear(): void {
    this.#kept = []
  }

  #cut(): void {
    const keys = this.#keys
    if (keys !== undefined) this.#kept.sort((a, b) => keys.compare(a.keys, b.keys))
    if (this.#kept.length > this.#limit) this.#kept.length = this.#limit
  }
}

/** The sort keys of the rows of a block, and their order. */
class KeyReader {
  readonly #rows: RowsFunction<BlockBuilder>
  readonly #builder: BlockBuilder
  readonly #block = new BlockScratch()
  readonly #readers: readonly ((views: BufferViews, position: number, row: number) => unknown)[]
  readonly #compare: readonly ((a: unknown, b: unknown) => number)[]

  constructor(sort: Sort, ansi: boolean, rowsFunction: MakeRowsFunction) {
    const schema = structType(sort.keys.map((key, i) => ({ name: `s${i}`, type: key.value.type, nullable: true })))
    const columns = sort.keys.map((key) => key.value)
    this.#rows = rowsFunction({ schema: sort.schema, operators: [{ op: 'project', columns, schema }], ansi }, schema)
    this.#builder = new BlockBuilder(schema)
    const slots = columnSlots(schema)
    this.#readers = slots.filter((s) => s.parent === -1).map((s) => valueReader(slots, s.index))
    this.#compare = sort.keys.map((key) => {
      const compare = comparator(key.value.type) as (a: unknown, b: unknown) => number
      const nulls = key.nullsFirst ? -1 : 1
      const direction = key.descending ? -1 : 1
      return (a, b) => {
        if (a === null || b === null) return a === b ? 0 : a === null ? nulls : -nulls
        return direction * compare(a, b)
      }
    })
  }

  read(views: BufferViews, rows: number): unknown[][] {
    this.#builder.reset()
    this.#builder.ensureRows(rows)
    this.#rows(views, 0, 0, rows, new Float64Array(SOURCE_CELLS), this.#builder)
    const block = this.#block.encode(this.#builder)
    const keys: unknown[][] = []
    for (let row = 0; row < rows; row++) keys.push(this.#readers.map((read) => read(block.views, block.position, row)))
    return keys
  }

  compare(a: readonly unknown[], b: readonly unknown[]): number {
    for (let i = 0; i < this.#compare.length; i++) {
      const order = (this.#compare[i] as (x: unknown, y: unknown) => number)(a[i], b[i])
      if (order !== 0) return order
    }
    return 0
  }
}
