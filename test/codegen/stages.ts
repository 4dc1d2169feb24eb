import fc from 'fast-check'
import type { Row } from '../../src/codegen/interpreter.js'
import type { PipelineSpec } from '../../src/codegen/stage-functions.js'
import type { BoundExpression } from '../../src/plan/expression.js'
import { bindCall } from '../../src/plan/functions.js'
import type { NarrowOperator } from '../../src/plan/physical-plan.js'
import type { BlockRef } from '../../src/types/block.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { sameType, structType } from '../../src/types/data-type.js'
import { expressions, rows, schema, slots } from './expressions.js'

/** Random pipelines over the columns of expressions.ts, and blocks of random rows. */

export const input = (slot: number): BoundExpression => {
  const column = slots[slot]
  if (column === undefined) throw new Error(`no slot ${slot}`)
  return { kind: 'input', slot, type: column.type, nullable: column.nullable }
}

/** Nullable columns are replaced by expressions of their type; so every projection has the schema that it reads. */
function projection(values: readonly BoundExpression[]): NarrowOperator {
  const columns = slots.map((slot) => {
    const value = values.find((v) => sameType(v.type, slot.type))
    return slot.nullable && value !== undefined ? value : input(slot.index)
  })
  return { op: 'project', columns, schema }
}

export function operators(ansi: boolean): fc.Arbitrary<readonly NarrowOperator[]> {
  const filter = expressions(ansi).map((e): NarrowOperator => {
    const condition = e.type.kind === 'boolean' ? e : bindCall('isNotNull', [e], ansi)
    return { op: 'filter', condition }
  })
  const project = fc.array(expressions(ansi), { minLength: 1, maxLength: 5 }).map(projection)
  return fc.array(fc.oneof(filter, project), { maxLength: 3 })
}

export interface Data {
  readonly rows: readonly Row[]
  /** The same rows with the columns in another order in memory. */
  readonly shuffled: boolean
}

/** Many rows out of few, mixed column by column: values meet again, as keys do. */
export const mixedRows = (maxLength: number): fc.Arbitrary<readonly Row[]> =>
  fc
    .tuple(fc.array(rows, { minLength: 1, maxLength: 4 }), fc.nat(maxLength), fc.nat())
    .map(([base, count, seed]) =>
      Array.from({ length: count }, (_, i) =>
        slots.map((slot) => base[mix(seed, i, slot.index) % base.length]?.[slot.index] ?? null),
      ),
    )

export function mix(seed: number, i: number, j: number): number {
  let h = Math.imul(seed ^ Math.imul(i + 1, 0x9e3779b1), 0x85ebca6b) ^ Math.imul(j + 1, 0xc2b2ae35)
  h ^= h >>> 15
  h = Math.imul(h, 0x2c1b3c6d)
  return (h ^ (h >>> 13)) >>> 0
}

const physicalOrder = slots.map((_, i) => (i * 11 + 5) % slots.length)
const physicalSchema = structType(physicalOrder.map((slot) => schema.fields[slot] as (typeof schema.fields)[number]))
export const physicalSlots = slots.map((slot) => physicalOrder.indexOf(slot.index))

export function blockOf(data: readonly Row[], shuffled: boolean): BlockRef {
  const builder = new BlockBuilder(shuffled ? physicalSchema : schema)
  for (const row of data) builder.append(shuffled ? physicalOrder.map((slot) => row[slot]) : row)
  return builder.toBlock()
}

export function pipeline(
  ansi: boolean,
  shuffled: boolean,
  list: readonly NarrowOperator[],
  watermark?: PipelineSpec['watermark'],
): PipelineSpec {
  return {
    schema,
    operators: list,
    ansi,
    ...(shuffled ? { physicalSlots } : {}),
    ...(watermark === undefined ? {} : { watermark }),
  }
}
