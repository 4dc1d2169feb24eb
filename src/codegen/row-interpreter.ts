import { present } from '../common/assert.js'
import { inputSlots } from '../plan/bound-expression.js'
import type { BoundExpression } from '../plan/expression.js'
import type { NarrowOperator } from '../plan/physical-plan.js'
import type { BlockBuilder } from '../types/block-builder.js'
import { type ValueReader, valueReader } from '../types/block-reader.js'
import { type ColumnSlot, columnSlots, type StructType } from '../types/data-type.js'
import { type EvaluationOptions, interpret } from './interpreter.js'
import type { PipelineSpec, RowsFunction } from './stage-functions.js'
import type { Value } from './value.js'

/**
 * Filters and projections over the rows of a block, interpreted: half of stage-interpreter.ts, and what runs a small query where it is
 * called. Nothing of aggregation is imported here, since that caller has no use for it.
 *
 * As in compiled code, a projected column is computed where it is first used, and then all columns that the expression there uses: a column that
 * nobody asks for, or not for this row, cannot fail.
 */

export type Slots = (Value | null)[]

/** The row that is looked at now, before or after a projection. */
export interface RowLevel {
  /** Of the slots that were loaded for this row. */
  readonly values: Slots
  load(slot: number): Value | null
}

/** What becomes of a row behind the last operator. */
export type TakeRow<Target> = (target: Target, watermark: number) => 'passed' | 'late' | 'nullEventTime'

/** The value of the expression for the row that the level holds. */
export function evaluator(
  expression: BoundExpression,
  level: RowLevel,
  options: EvaluationOptions,
): () => Value | null {
  const slots = inputSlots(expression)
  const evaluate = interpret(expression, options)
  return () => {
    for (let i = 0; i < slots.length; i++) level.load(slots[i] as number)
    return evaluate(level.values)
  }
}

export function interpretToBuilder(spec: PipelineSpec): RowsFunction<BlockBuilder> {
  return interpretRows(spec, (row, columns) => (target: BlockBuilder) => {
    target.append(columns.map((slot) => row.load(slot)))
    return 'passed'
  })
}

export function interpretRows<Target>(
  spec: PipelineSpec,
  /** `columns`: the slots of the row's columns. */
  taker: (row: RowLevel, columns: readonly number[]) => TakeRow<Target>,
): RowsFunction<Target> {
  const stored = new StoredRow(slotReaders(spec.schema, spec.physicalSlots))
  const stamp = spec.watermark
  const timeOf = stamp === undefined ? undefined : evaluator(stamp.eventTime, stored, spec)
  const projections: ProjectedRow[] = []
  const filters: (() => Value | null)[] = []
  let level: RowLevel = stored
  let schema = spec.schema
  for (const operator of spec.operators) {
    if (operator.op === 'filter') filters.push(evaluator(operator.condition, level, spec))
    else if (operator.op === 'project') {
      const projected = new ProjectedRow(operator, level, spec)
      projections.push(projected)
      level = projected
      schema = operator.schema
    }
  }
  const isSpark = stamp?.rule === 'spark'
  const dropsLate = stamp !== undefined && spec.operators.some((operator) => operator.op === 'dropLate')
  const take = taker(
    level,
    topLevelOf(columnSlots(schema)).map((slot) => slot.index),
  )
  /** The watermark that the row is stamped with; undefined where it is dropped. */
  const stampRow = (S: Float64Array): number | undefined => {
    if (stamp === undefined) return Number.NEGATIVE_INFINITY
    const watermark = isSpark ? (S[4] as number) : (S[0] as number) - stamp.delayMs
    const time = timeOf?.() as number | null
    if (time !== null && time > (S[0] as number)) S[0] = time
    if (!dropsLate || (time !== null && (isSpark ? time > watermark : time >= watermark))) return watermark
    const cell = time === null ? 2 : 1
    S[cell] = (S[cell] as number) + 1
    return undefined
  }
  return (views, pos, from, to, S, target) => {
    for (let r = from; r < to; r++) {
      for (const [slot, read] of stored.readers.entries()) stored.values[slot] = read(views, pos, r) as Value | null
      for (const projection of projections) projection.next()
      let watermark = isSpark ? undefined : stampRow(S)
      if (!isSpark && watermark === undefined) continue
      if (!filters.every((passes) => passes() === true)) continue
      if (isSpark) watermark = stampRow(S)
      if (watermark === undefined) continue
      const outcome = take(target, watermark)
      if (outcome === 'late') S[1] = (S[1] as number) + 1
      if (outcome === 'nullEventTime') S[2] = (S[2] as number) + 1
      S[3] = (S[3] as number) + 1
    }
  }
}

class StoredRow implements RowLevel {
  readonly values: Slots = []

  constructor(readonly readers: readonly ValueReader[]) {}

  load(slot: number): Value | null {
    return this.values[slot] ?? null
  }
}

class ProjectedRow implements RowLevel {
  readonly values: Slots = []
  readonly #slots: readonly ColumnSlot[]
  /** By slot: that of the column which it is a part of. */
  readonly #roots: readonly number[]
  /** By slot of a column. */
  readonly #columns: (() => Value | null)[] = []
  readonly #isKnown: boolean[] = []

  constructor(
    { columns, schema }: NarrowOperator & { readonly op: 'project' },
    below: RowLevel,
    options: EvaluationOptions,
  ) {
    this.#slots = columnSlots(schema)
    const roots: number[] = []
    for (const slot of this.#slots) roots.push(slot.parent === -1 ? slot.index : (roots[slot.parent] as number))
    this.#roots = roots
    for (const [i, slot] of topLevelOf(this.#slots).entries()) {
      this.#columns[slot.index] = evaluator(present(columns[i], 'a column'), below, options)
    }
  }

  /** Nothing is known of the next row. */
  next(): void {
    this.#isKnown.length = 0
  }

  load(slot: number): Value | null {
    const root = this.#roots[slot] as number
    if (this.#isKnown[root] !== true) {
      spread(this.#slots, present(this.#slots[root], 'a slot'), present(this.#columns[root], 'a column')(), this.values)
      this.#isKnown[root] = true
    }
    return this.values[slot] ?? null
  }
}

const topLevelOf = (slots: readonly ColumnSlot[]): readonly ColumnSlot[] => slots.filter((slot) => slot.parent === -1)

/** A struct's value into the slots of its fields. */
function spread(slots: readonly ColumnSlot[], slot: ColumnSlot, value: Value | null, out: Slots): void {
  out[slot.index] = value
  slot.children.forEach((child, i) => {
    const inner = value === null ? null : ((value as readonly (Value | null)[])[i] ?? null)
    spread(slots, present(slots[child], 'a child slot'), inner, out)
  })
}

export function slotReaders(schema: StructType, physicalSlots: readonly number[] | undefined): readonly ValueReader[] {
  const slots = columnSlots(schema)
  if (physicalSlots === undefined) return slots.map((slot) => valueReader(slots, slot.index))
  const at = (slot: number): number => (slot === -1 ? -1 : present(physicalSlots[slot], 'a physical slot'))
  const physical: ColumnSlot[] = []
  for (const slot of slots) {
    physical[at(slot.index)] = {
      ...slot,
      index: at(slot.index),
      parent: at(slot.parent),
      children: slot.children.map(at),
    }
  }
  return slots.map((slot) => valueReader(physical, at(slot.index)))
}
