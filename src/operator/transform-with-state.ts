import { copiedBytes } from '../common/bytes.js'
import type { TransformWithState } from '../plan/physical-plan.js'
import { arrayType, type DataType, type StructType, scalar, structType } from '../types/data-type.js'
import { decodeNested, encodeNested } from '../types/nested-value.js'
import { toUserValue } from '../types/row-reader.js'
import { fieldFromUser } from '../types/user-value.js'

/**
 * What a task of transformWithState keeps, and how it is written down. The state of a key is a set of items; an item has the name of its state and a place
 * in it, and both are text:
 *
 *   state           place                                  value
 *   a value         ''                                     the value
 *   a list          the number of the element, ever more   the element
 *   a map           the bytes of the map's key             the value
 *   __timers        when it expires                        none
 *   __rows          event time                             rows that wait for the watermark to reach it, in the order in which they came
 *   __state         (of no key) name of a state            its kind and types, by which a later run knows that it reads what was written
 *
 *   state row       hash of the key, the key, name, place, value (null: the item is gone), until when it lives (0: no end)
 *
 * An epoch writes the items that changed, a snapshot all of them; of rows for the same item the later one counts. Values are in the encoding of
 * types/nested-value.ts. Names of the user's never begin with two underscores.
 */
export const TIMERS = '__timers'
export const ROWS = '__rows'
export const DECLARED = '__state'

export const transformStateSchema: StructType = structType([
  { name: 'hash', type: scalar('int'), nullable: false },
  { name: 'key', type: scalar('binary'), nullable: false },
  { name: 'name', type: scalar('string'), nullable: false },
  { name: 'place', type: scalar('string'), nullable: false },
  { name: 'value', type: scalar('binary'), nullable: true },
  { name: 'until', type: scalar('double'), nullable: false },
])

/** A value of the user's as it is kept; throws RECORD_INVALID, with the path in it, where it is none of the type. */
export function keptValue(name: string, type: DataType, value: unknown): Uint8Array {
  const bytes = encodeNested(type, fieldFromUser({ name, type, nullable: false }, value, name))
  return copiedBytes(bytes, 0, bytes.length)
}

/** The same value again, and nobody else's. */
export function keptAs(type: DataType, bytes: Uint8Array): unknown {
  return toUserValue(type, decodeNested(type, bytes, 0))
}

/** The keys under the names that the user has given them. */
export function keyType({ input, columns, keyNames }: TransformWithState): StructType {
  return structType(keyNames.map((name, i) => ({ ...keyField(input, columns + i), name })))
}

/** The columns of the rows that the processor is given. */
export function givenRows(schema: StructType, columns: number): StructType {
  return structType(schema.fields.slice(0, columns))
}

/** Rows of one key and one event time, as they wait. */
export function waitingRows({ input, columns }: TransformWithState): ReturnType<typeof arrayType> {
  return arrayType(givenRows(input, columns), false)
}

function keyField(input: StructType, at: number): StructType['fields'][number] {
  const field = input.fields[at]
  if (field === undefined) throw new Error(`assertion failed: key column ${at}`)
  return field
}
