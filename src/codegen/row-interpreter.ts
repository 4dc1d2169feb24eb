import { present } from '../common/assert.js'
import { inputSlots } from '../plan/bound-expression.js'
import type { BoundExpression } from '../plan/expression.js'
import type { BroadcastJoin, Explode, NarrowOperator } from '../plan/physical-plan.js'
import type { BlockBuilder } from '../types/block-builder.js'
import { type ValueReader, valueReader } from '../types/block-reader.js'
import { type ColumnSlot, columnSlots, type StructType } from '../types/data-type.js'
import { type EvaluationOptions, interpret } from './interpreter.js'
import { type PipelineSpec, type RowsFunction, SOURCE_CELLS, SourceCell } from './stage-functions.js'
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
export type TakeRow<Target> = (target: Target, watermark: number, row: number) => 'passed' | 'late' | 'nullEventTime'

/** The row with its matches in a table, one after the other. */
export interface MatchedRow extends RowLevel {
  /** `next` is called once for each row that comes out, and this level is at that row meanwhile. */
  each(next: () => void): void
}

/** Of broadcast-interpreter.ts; not imported here, since a query that is run where it is called has no table. */
export type MatchRows = (join: BroadcastJoin, row: RowLevel, spec: PipelineSpec) => MatchedRow

const noTables: MatchRows = ({ table }) => {
  throw new Error(`assertion failed: nobody looks rows up in ${table.name}`)
}

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

export function interpretToBuilder(spec: PipelineSpec, matchRows?: MatchRows): RowsFunction<BlockBuilder> {
  const append = (row: RowLevel, columns: readonly number[]) => (target: BlockBuilder) => {
    target.append(columns.map((slot) => row.load(slot)))
    return 'passed' as const
  }
  return interpretRows(spec, append, matchRows)
}

export function interpretRows<Target>(
  spec: PipelineSpec,
  /** `columns`: the slots of the row's columns. */
  taker: (row: RowLevel, columns: readonly number[]) => TakeRow<Target>,
  matchRows: MatchRows = noTables,
): RowsFunction<Target> {
  const stored = new StoredRow(slotReaders(spec.schema, spec.physicalSlots))
  const { watermark: stamp, stampSlot } = spec
  const timeOf = stamp === undefined ? undefined : evaluator(stamp.eventTime, stored, spec)
  const isSpark = stamp?.rule === 'spark'
  const dropsLate = stamp !== undefined && spec.operators.some((operator) => operator.op === 'dropLate')
  /** Of the row at hand. */
  let watermark: number | undefined
  let cells: Float64Array = new Float64Array(0)
  let into: Target | undefined
  let at = 0
  const count = (cell: number): void => {
    cells[cell] = (cells[cell] as number) + 1
  }
  /** False where the row is dropped. */
  const stampRow = (): boolean => {
    if (watermark !== undefined) return true
    watermark = stampSlot === undefined ? Number.NEGATIVE_INFINITY : (stored.load(stampSlot) as number)
    if (stamp === undefined) return true
    watermark = isSpark
      ? (cells[SourceCell.lateBefore] as number)
      : (cells[SourceCell.maxEventTime] as number) - stamp.delayMs
    const time = timeOf?.() as number | null
    if (time !== null && time > (cells[SourceCell.maxEventTime] as number)) cells[SourceCell.maxEventTime] = time
    if (!dropsLate || (time !== null && (isSpark ? time > watermark : time >= watermark))) return true
    count(time === null ? SourceCell.nullEventTime : SourceCell.late)
    return false
  }

  // One operator after the other, each with the rows of the one before; what it does with a row is to hand it on, or not, or more than once.
  const steps: ((next: () => void) => () => void)[] = []
  let level: RowLevel = stored
  let schema = spec.schema
  for (const operator of spec.operators) {
    switch (operator.op) {
      case 'dropLate':
        continue
      case 'userCode':
        throw new Error('assertion failed: user code inside a segment')
      case 'filter': {
        const passes = evaluator(operator.condition, level, spec)
        steps.push((next) => () => {
          if (passes() === true) next()
        })
        continue
      }
      case 'project': {
        const projected = new ProjectedRow(operator, level, spec)
        steps.push((next) => () => {
          projected.next()
          next()
        })
        level = projected
        break
      }
      case 'explode': {
        const exploded = new ExplodedRow(operator, level, spec)
        steps.push((next) => () => {
          if (stampRow()) exploded.each(next)
        })
        level = exploded
        break
      }
      case 'broadcastJoin': {
        const joined = matchRows(operator, level, spec)
        steps.push((next) => () => {
          // A row is stamped once, and not with each match.
          if (stampRow()) joined.each(next)
        })
        level = joined
      }
    }
    schema = operator.schema
  }
  const take = taker(
    level,
    topLevelOf(columnSlots(schema)).map((slot) => slot.index),
  )
  const last = (): void => {
    if (!stampRow()) return
    const outcome = take(into as Target, watermark as number, at)
    if (outcome === 'late') count(SourceCell.late)
    if (outcome === 'nullEventTime') count(SourceCell.nullEventTime)
    count(SourceCell.passed)
  }
  /** Of the row at hand: what it counts stays only where it does not fail. */
  const before = new Float64Array(SOURCE_CELLS)
  const first = steps.reduceRight<() => void>((next, step) => step(next), last)
  return (views, pos, from, to, S, target) => {
    cells = S
    into = target
    try {
      for (at = from; at < to; at++) {
        if (spec.namesFailing === true) before.set(S)
        for (const [slot, read] of stored.readers.entries()) stored.values[slot] = read(views, pos, at) as Value | null
        watermark = undefined
        // Spark moves filters below the watermark: what they drop does not move it.
        if (isSpark || stampRow()) first()
      }
    } catch (error) {
      if (spec.namesFailing === true) {
        S.set(before)
        S[SourceCell.row] = at
      }
      throw error
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

/** The row with the elements of its array, one after the other. */
class ExplodedRow implements MatchedRow {
  readonly values: Slots = []
  readonly #slots: readonly ColumnSlot[]
  /** The place in the array; before it are the row's own slots. */
  readonly #place: number
  readonly #array: () => Value | null

  constructor(
    { array, schema }: Explode,
    private readonly row: RowLevel,
    options: EvaluationOptions,
  ) {
    this.#slots = columnSlots(schema)
    this.#place = present(topLevelOf(this.#slots).at(-2), 'the place in the array').index
    this.#array = evaluator(array, row, options)
  }

  load(slot: number): Value | null {
    if (slot < this.#place) this.values[slot] = this.row.load(slot)
    return this.values[slot] ?? null
  }

  each(next: () => void): void {
    const list = (this.#array() ?? []) as unknown as readonly (Value | null)[]
    const element = present(this.#slots[this.#place + 1], 'the element')
    list.forEach((value, i) => {
      this.values[this.#place] = i + 1
      spread(this.#slots, element, value, this.values)
      next()
    })
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
