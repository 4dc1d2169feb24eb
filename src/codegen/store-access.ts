import { present } from '../common/assert.js'
import type { FunctionSource } from '../common/function-source.js'
import { SEGMENT_BITS, SEGMENT_ROWS } from '../state/row-store.js'
import type { BlockBuilder } from '../types/block-builder.js'
import { type ColumnSlot, columnSlots, type StructType } from '../types/data-type.js'
import type { CodeValue } from './code-value.js'

/** Where kept rows are. `prefix` begins the names of the locals that are made. */
export interface KeptRows {
  /** Finds the row, and gives its place in the columns. */
  find(source: FunctionSource, row: string, prefix: string): string
  /** The arrays of a column of the row that was found. */
  column(source: FunctionSource, slot: ColumnSlot, prefix: string): ColumnArrays
}

/** See ColumnBuffer. */
interface ColumnArrays {
  readonly values: string
  readonly big: string
  readonly valid: string
  readonly bytes: string
  readonly bytesView: string
}

/** Of a RowStore, whose list of segments is in the local `segments`. */
export function rowsOfStore(segments: string): KeptRows {
  return {
    find: (source, row, prefix) => {
      source.line(`const ${prefix}c = ${segments}[${row} >> ${SEGMENT_BITS}].columns;`)
      source.line(`const ${prefix}i = ${row} & ${SEGMENT_ROWS - 1};`)
      return `${prefix}i`
    },
    column: (source, slot, prefix) => {
      const c = `${prefix}${slot.index}_c`
      source.line(`const ${c} = ${prefix}c[${slot.index}];`)
      return {
        values: `${c}.values`,
        big: `${c}.big`,
        valid: `${c}.valid`,
        bytes: `${c}.bytes`,
        bytesView: `${c}.bytesView()`,
      }
    },
  }
}

/** Of a builder that does not change any more: its arrays are constants of the code. Without one only the text is wanted. */
export function rowsOfBuilder(builder: BlockBuilder | undefined): KeptRows {
  return {
    find: (_source, row) => row,
    column: (source, slot) => {
      const column = builder?.columns[slot.index]
      const constant = (of: unknown, name: string): string => source.constant(of ?? `${name} of column ${slot.index}`)
      return {
        values: constant(column?.values, 'values'),
        big: constant(column?.big, 'numbers'),
        valid: constant(column?.valid, 'nulls'),
        bytes: constant(column?.bytes, 'bytes'),
        bytesView: constant(column?.bytesView(), 'a view'),
      }
    },
  }
}

/**
 * Code that reads a kept row, whose number is in the local `row`. A slot is loaded once, where it is first asked for, so callers ask in the block
 * in which the row is known and not inside a branch of it.
 */
export class StoreInput {
  readonly slots: readonly ColumnSlot[]
  readonly #loaded = new Map<number, CodeValue>()
  readonly #columns = new Map<number, ColumnArrays>()
  #place: string | undefined

  constructor(
    private readonly source: FunctionSource,
    schema: StructType,
    private readonly row: string,
    private readonly rows: KeptRows,
    private readonly prefix: string,
    /** A condition under which there is no such row, and every column is null. Row 0 may be read even then. */
    private readonly absent = 'false',
  ) {
    this.slots = columnSlots(schema)
  }

  load(slot: number): CodeValue {
    const known = this.#loaded.get(slot)
    if (known !== undefined) return known
    const target = present(this.slots[slot], `slot ${slot}`)
    const value = this.#value(target)
    this.#loaded.set(slot, value)
    return value
  }

  #value(slot: ColumnSlot): CodeValue {
    const { source, prefix } = this
    const isNull = this.#nullness(slot)
    if (slot.physical === 'struct') {
      return { type: slot.type, isNull, value: 'undefined', fields: slot.children.map((child) => this.load(child)) }
    }
    const c = `${prefix}${slot.index}`
    const arrays = this.#arrays(slot)
    const i = this.#at()
    if (slot.physical === 'bytes') {
      source.line(`const ${c}_v = ${arrays.values}, ${c}_s = ${c}_v[${i}], ${c}_t = ${c}_v[${i} + 1];`)
      const bytes = { u8: arrays.bytes, dv: arrays.bytesView, start: `${c}_s`, end: `${c}_t` }
      return { type: slot.type, isNull, value: '', bytes }
    }
    source.line(`const ${c} = ${readExpression(slot, arrays, i)};`)
    return { type: slot.type, isNull, value: c }
  }

  #nullness(slot: ColumnSlot): string {
    const parent = slot.parent === -1 ? this.absent : this.#parentNull(slot.parent)
    if (!slot.nullable) return parent
    const own = `${this.#arrays(slot).valid}[${this.#at()}] === 0`
    const name = `${this.prefix}${slot.index}_null`
    this.source.line(`const ${name} = ${parent === 'false' ? own : `${parent} || ${own}`};`)
    return name
  }

  /** Of a field that is asked for without its struct. */
  #parentNull(slot: number): string {
    const target = present(this.slots[slot], `slot ${slot}`)
    const above = target.parent === -1 ? this.absent : this.#parentNull(target.parent)
    if (!target.nullable) return above
    const own = `${this.#arrays(target).valid}[${this.#at()}] === 0`
    return above === 'false' ? `(${own})` : `(${above} || ${own})`
  }

  #at(): string {
    this.#place ??= this.rows.find(this.source, this.row, this.prefix)
    return this.#place
  }

  #arrays(slot: ColumnSlot): ColumnArrays {
    this.#at()
    const known = this.#columns.get(slot.index)
    if (known !== undefined) return known
    const arrays = this.rows.column(this.source, slot, this.prefix)
    this.#columns.set(slot.index, arrays)
    return arrays
  }
}

/** A null's value is there too, as zero. */
function readExpression(slot: ColumnSlot, { values, big }: ColumnArrays, i: string): string {
  switch (slot.physical) {
    case 'bits':
      return `${values}[${i}] !== 0`
    case 'i128':
      return `(${big}[2 * ${i} + 1] << 64n) | BigInt.asUintN(64, ${big}[2 * ${i}])`
    case 'i64':
      return slot.type.kind === 'bigint'
        ? `${big}[${i}]`
        : `(${values}[2 * ${i}] >>> 0) + ${values}[2 * ${i} + 1] * 4294967296`
    default:
      return `${values}[${i}]`
  }
}
