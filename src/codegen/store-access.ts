import { present } from '../common/assert.js'
import type { FunctionSource } from '../common/function-source.js'
import { SEGMENT_BITS, SEGMENT_ROWS } from '../state/row-store.js'
import { type ColumnSlot, columnSlots, type StructType } from '../types/data-type.js'
import type { CodeValue } from './code-value.js'

/**
 * Code that reads a row of a RowStore: row number in the local `row`, the store's list of segments in `segments`. A slot is loaded once, where it is
 * first asked for, so callers ask in the block in which the row is known and not inside a branch of it.
 */
export class StoreInput {
  readonly slots: readonly ColumnSlot[]
  readonly #loaded = new Map<number, CodeValue>()
  #isOpen = false

  constructor(
    private readonly source: FunctionSource,
    schema: StructType,
    private readonly row: string,
    private readonly segments: string,
    private readonly prefix: string,
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
    if (!this.#isOpen) {
      this.#isOpen = true
      source.line(`const ${prefix}c = ${this.segments}[${this.row} >> ${SEGMENT_BITS}].columns;`)
      source.line(`const ${prefix}i = ${this.row} & ${SEGMENT_ROWS - 1};`)
    }
    const c = `${prefix}${slot.index}`
    source.line(`const ${c}_c = ${prefix}c[${slot.index}];`)
    const isNull = this.#nullness(slot, c)
    if (slot.physical === 'struct') {
      return { type: slot.type, isNull, value: 'undefined', fields: slot.children.map((child) => this.load(child)) }
    }
    const i = `${prefix}i`
    if (slot.physical === 'bytes') {
      source.line(`const ${c}_v = ${c}_c.values, ${c}_s = ${c}_v[${i}], ${c}_t = ${c}_v[${i} + 1];`)
      const bytes = { u8: `${c}_c.bytes`, dv: `${c}_c.bytesView()`, start: `${c}_s`, end: `${c}_t` }
      return { type: slot.type, isNull, value: '', bytes }
    }
    source.line(`const ${c} = ${readExpression(slot, `${c}_c`, i)};`)
    return { type: slot.type, isNull, value: c }
  }

  #nullness(slot: ColumnSlot, c: string): string {
    const parent = slot.parent === -1 ? 'false' : this.#parentNull(slot.parent)
    if (!slot.nullable) return parent
    const own = `${c}_c.valid[${this.prefix}i] === 0`
    this.source.line(`const ${c}_null = ${parent === 'false' ? own : `${parent} || ${own}`};`)
    return `${c}_null`
  }

  /** Of a field that is asked for without its struct. */
  #parentNull(slot: number): string {
    const target = present(this.slots[slot], `slot ${slot}`)
    const above = target.parent === -1 ? 'false' : this.#parentNull(target.parent)
    if (!target.nullable) return above
    const own = `${this.prefix}c[${slot}].valid[${this.prefix}i] === 0`
    return above === 'false' ? `(${own})` : `(${above} || ${own})`
  }
}

/** A null's value is there too, as zero. */
function readExpression(slot: ColumnSlot, column: string, i: string): string {
  switch (slot.physical) {
    case 'bits':
      return `${column}.values[${i}] !== 0`
    case 'i128':
      return `(${column}.big[2 * ${i} + 1] << 64n) | BigInt.asUintN(64, ${column}.big[2 * ${i}])`
    case 'i64':
      return slot.type.kind === 'bigint'
        ? `${column}.big[${i}]`
        : `(${column}.values[2 * ${i}] >>> 0) + ${column}.values[2 * ${i} + 1] * 4294967296`
    default:
      return `${column}.values[${i}]`
  }
}
