import { codeGenerationAllowed } from '../common/function-source.js'
import type { BlockRef } from './block.js'
import { BlockBuilder, ScratchFull } from './block-builder.js'
import { type ColumnSlot, columnSlots, type Field, type StructType } from './data-type.js'
import { invalidValue } from './invalid-value.js'
import { isWorthJoining, joinedTileRows } from './joined-text.js'
import {
  type EncodeGroup,
  type RowEncoderOptions,
  RowWriterSource,
  rootPath,
  type ValidateGroup,
} from './row-writer-source.js'
import { fieldFromUser, isBytes, isFieldsObject } from './user-value.js'

export type { RowEncoderOptions } from './row-writer-source.js'

/**
 * From objects to columns: a schema is compiled once to functions that check every declared field of an
 * object and write it into the scratch columns of a BlockBuilder, without anything in between. A value that
 * does not fit throws RECORD_INVALID with its path; what was written to the scratch by then is worth nothing
 * and is reset. Fields that the schema does not name are not looked at.
 *
 * Measured for 7 fields: a property through a constant key is as quick as one by a literal name, so no name
 * of a user's is in the code.
 */
export interface RowEncoder {
  /**
   * Writes objects[i] for i in [from, to) as row rows[i - from] of part parts[i - from]. The builder has parts and room
   * for the rows; `builder.rows` is the caller's. Objects are walked in their own order, whatever the order of
   * the rows: that is the order of their memory, and the other way round cost 60 ns a record.
   */
  encode(
    builder: BlockBuilder,
    objects: readonly unknown[],
    from: number,
    to: number,
    rows: Int32Array,
    parts: Int32Array,
  ): void
  /** Checks objects[from…to) and adds to sizes[i - from] the most bytes that object i takes as strings and bytes. */
  validate(objects: readonly unknown[], from: number, to: number, sizes: Float64Array): void
}

const rowsOptions: RowEncoderOptions = { root: 'rows', unwrap: false, firstSlot: 0 }

/** Leaf columns of one generated function. Wider schemas get several, since the optimizer gives up on very long ones. */
const GROUP_SLOTS_MAX = 32
/** Rows that one group writes before the next takes its turn, so that the objects are still in the cache. */
const TILE_ROWS = 256

export function compileRowEncoder(schema: StructType, options: RowEncoderOptions = rowsOptions): RowEncoder {
  return codeGenerationAllowed() ? generatedRowEncoder(schema, options) : interpretedRowEncoder(schema, options)
}

/** Rows of one block of createDataFrame(), at most. */
export const BLOCK_ROWS_MAX = 65536

/** Rows as blocks in shared memory. */
export function blocksFromRows(
  schema: StructType,
  rows: readonly unknown[],
  blockRowsMax = BLOCK_ROWS_MAX,
): BlockRef[] {
  const encoder = compileRowEncoder(schema)
  const builder = new BlockBuilder(schema)
  const blocks: BlockRef[] = []
  let step = Math.min(blockRowsMax, rows.length)
  const identity = new Int32Array(step).map((_, i) => i)
  const zeros = new Int32Array(step)
  builder.setParts(1)
  for (let at = 0; at < rows.length; ) {
    const count = Math.min(step, rows.length - at)
    builder.reset()
    builder.ensureRows(count)
    try {
      encoder.encode(builder, rows, at, at + count, identity.subarray(0, count), zeros.subarray(0, count))
    } catch (error) {
      if (!(error instanceof ScratchFull) || count === 1) throw error
      step = count >> 1
      continue
    }
    builder.rows = count
    builder.selectPart(0)
    blocks.push(builder.toBlock())
    at += count
  }
  return blocks
}

function generatedRowEncoder(schema: StructType, options: RowEncoderOptions): RowEncoder {
  const groups = fieldGroups(schema)
  // Each is compiled when it is first asked for: few records at a time, many, and validation alone, which is rare.
  let encoders: EncodeGroup[] | undefined
  let joining: EncodeGroup[] | undefined
  let validators: ValidateGroup[] | undefined
  return {
    encode(builder, objects, from, to, rows, parts) {
      let chosen: EncodeGroup[]
      let tileRows = TILE_ROWS
      if (isWorthJoining(to - from, builder.partCount)) {
        joining ??= groups.map((group) => new RowWriterSource(schema, options, group).joiningEncoder())
        chosen = joining
        tileRows = joinedTileRows(builder.partCount)
      } else {
        encoders ??= groups.map((group) => new RowWriterSource(schema, options, group).encoder())
        chosen = encoders
      }
      for (let tile = from; tile < to; tile += tileRows) {
        const end = Math.min(to, tile + tileRows)
        for (let g = 0; g < chosen.length; g++)
          (chosen[g] as EncodeGroup)(builder, objects, tile, end, rows, parts, from)
      }
    },
    validate(objects, from, to, sizes) {
      validators ??= groups.map((group) => new RowWriterSource(schema, options, group).validator())
      for (let tile = from; tile < to; tile += TILE_ROWS) {
        const end = Math.min(to, tile + TILE_ROWS)
        for (let g = 0; g < validators.length; g++) (validators[g] as ValidateGroup)(objects, tile, end, sizes, from)
      }
    },
  }
}

/** [first, last) top-level fields of each generated function. */
function fieldGroups(schema: StructType): { readonly from: number; readonly to: number }[] {
  const groups: { from: number; to: number }[] = []
  let slots = 0
  schema.fields.forEach((field, i) => {
    const width = columnSlots({ kind: 'struct', fields: [field] }).length
    const last = groups[groups.length - 1]
    if (last === undefined || slots + width > GROUP_SLOTS_MAX) {
      groups.push({ from: i, to: i + 1 })
      slots = width
    } else {
      last.to = i + 1
      slots += width
    }
  })
  return groups
}

/** The reference, and what runs where code generation is forbidden. */
export function interpretedRowEncoder(schema: StructType, options: RowEncoderOptions = rowsOptions): RowEncoder {
  const root: Field = { name: '', type: schema, nullable: false }
  const top = columnSlots(schema).filter((slot) => slot.parent === -1)
  const valuesOf = (objects: readonly unknown[], index: number): readonly unknown[] => {
    const value = options.unwrap ? unwrapped(objects, index, options) : objects[index]
    return fieldFromUser(root, value, rootPath(options, index)) as readonly unknown[]
  }
  return {
    encode(builder, objects, from, to, rows, parts) {
      for (let i = from; i < to; i++) {
        const values = valuesOf(objects, i)
        const row = rows[i - from] as number
        const part = parts[i - from] as number
        builder.selectPart(part)
        for (let f = 0; f < top.length; f++)
          builder.write(options.firstSlot + (top[f] as ColumnSlot).index, row, values[f])
        builder.storePart(part)
      }
    },
    validate(objects, from, to, sizes) {
      for (let i = from; i < to; i++) sizes[i - from] = (sizes[i - from] as number) + bytesBound(valuesOf(objects, i))
    },
  }
}

function bytesBound(value: unknown): number {
  if (typeof value === 'string') return value.length * 3
  if (isBytes(value)) return value.length
  let sum = 0
  if (Array.isArray(value)) for (const part of value) sum += bytesBound(part)
  return sum
}

function unwrapped(objects: readonly unknown[], index: number, options: RowEncoderOptions): unknown {
  const message = objects[index]
  if (!isFieldsObject(message)) throw invalidValue(`${options.root}[${index}]`, message, 'an object with a value')
  return (message as { value?: unknown }).value
}
