import { castFunction } from '../../codegen/casts.js'
import type { BlockBuilder } from '../../types/block-builder.js'
import type { ColumnSlot, StructType } from '../../types/data-type.js'
import { columnSlots, structType } from '../../types/data-type.js'
import type { LaneFile } from './lane.js'

/**
 * Where the columns of a scan get their values from in one file: from its records, from the folders that it lies in, or, the one for malformed records, from
 * what could not be read.
 */
export interface RecordSchema {
  /** What is looked for in the records. */
  readonly fields: StructType
  /** By field. */
  readonly slots: readonly ColumnSlot[]
  readonly corrupt: ColumnSlot | undefined
  /** The same for all rows of the file. */
  readonly constants: readonly { readonly slot: ColumnSlot; readonly value: unknown }[]
}

export function recordSchema(schema: StructType, file: LaneFile, corruptColumn: string): RecordSchema {
  const tops = columnSlots(schema).filter(({ parent }) => parent === -1)
  const texts = new Map(file.values)
  const fields: StructType['fields'][number][] = []
  const slots: ColumnSlot[] = []
  const constants: { slot: ColumnSlot; value: unknown }[] = []
  let corrupt: ColumnSlot | undefined
  schema.fields.forEach((field, i) => {
    const slot = tops[i] as ColumnSlot
    const text = texts.get(field.name)
    if (text !== undefined) {
      const cast = castFunction({ kind: 'string' }, field.type, false, true) as (text: string) => unknown
      constants.push({ slot, value: text === null ? null : cast(text) })
    } else if (field.name === corruptColumn && field.type.kind === 'string') corrupt = slot
    else {
      fields.push(field)
      slots.push(slot)
    }
  })
  return { fields: structType(fields), slots, corrupt, constants }
}

/** What a row has that its record does not say. */
export function writeConstants(builder: BlockBuilder, { constants, corrupt }: RecordSchema, row: number): void {
  for (let i = 0; i < constants.length; i++) {
    const { slot, value } = constants[i] as { slot: ColumnSlot; value: unknown }
    builder.write(slot.index, row, value)
  }
  if (corrupt !== undefined) builder.write(corrupt.index, row, null)
}
