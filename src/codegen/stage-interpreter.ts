import { present } from '../common/assert.js'
import { aggregateStateSchema, windowNumbers } from '../operator/aggregate.js'
import type { BoundExpression } from '../plan/expression.js'
import { firstWindow, type GroupingWindow, lastWindow, sliceStart } from '../plan/grouping-window.js'
import type { FinalAggregate, Grouping, NarrowOperator } from '../plan/physical-plan.js'
import type { GroupTable } from '../state/group-table.js'
import { keyGroupOf, ownerOf } from '../state/hash.js'
import type { BlockBuilder } from '../types/block-builder.js'
import { type ValueReader, valueReader } from '../types/block-reader.js'
import { type ColumnSlot, columnSlots, type StructType } from '../types/data-type.js'
import { GroupInterpreter } from './group-interpreter.js'
import { type Evaluate, interpret } from './interpreter.js'
import type { MergeFunction, PipelineSpec, ResultFunction, RowsFunction, StateFunction } from './stage-functions.js'
import type { Value } from './value.js'

/** The functions of stage-compiler.ts, interpreted: the reference for tests, and the fallback where code generation is forbidden. */

export type Slots = (Value | null)[]

export function interpretToBuilder(spec: PipelineSpec): RowsFunction<BlockBuilder> {
  return interpretRows(spec, (row, schema, target) => {
    target.append(schema.map((slot) => row[slot] ?? null))
    return 'passed'
  })
}

export function interpretToTable(spec: PipelineSpec, grouping: Grouping): RowsFunction<GroupTable> {
  const group = new GroupInterpreter(grouping, true, spec.ansi)
  const keys = grouping.keys.map((key) => interpret(key.value, spec))
  const args = grouping.aggregates.map((a) => (a.arg === undefined ? undefined : interpret(a.arg, spec)))
  const rowWindow =
    grouping.window === undefined ? undefined : interpretWindow(grouping.window, grouping.closesWindows, spec)
  return interpretRows(spec, (row, _schema, T, watermark) => {
    const window = rowWindow === undefined ? [] : rowWindow(row, watermark)
    if (typeof window === 'string') return window
    const values = keys.map((key) => key(row))
    const arguments_ = args.map((arg) => arg?.(row))
    const e = group.findOrInsert(T, values, group.hash(values), window)
    arguments_.forEach((argument, i) => group.update(T, e, i, argument))
    return 'passed'
  })
}

/** The numbers of WindowCode for a row, or why it has none. */
function interpretWindow(
  window: GroupingWindow,
  closes: boolean,
  spec: PipelineSpec,
): (row: Slots, watermark: number) => readonly number[] | 'late' | 'nullEventTime' {
  const timeOf = interpret(window.eventTime, spec)
  const gapOf = window.kind === 'session' ? interpret(window.gap, spec) : undefined
  return (row, watermark) => {
    const time = timeOf(row) as number | null
    if (time === null) return 'nullEventTime'
    const until = closes ? watermark : Number.NEGATIVE_INFINITY
    switch (window.kind) {
      case 'tumbling': {
        const start = Math.floor((time - window.startMs) / window.sizeMs) * window.sizeMs + window.startMs
        return start + window.sizeMs <= until ? 'late' : [start]
      }
      case 'sliding': {
        if (lastWindow(window, time) + window.sizeMs <= until) return 'late'
        const first = firstWindow(window, time)
        return [sliceStart(window, time), first + window.sizeMs <= until ? firstWindow(window, until) : first]
      }
      case 'session': {
        const gap = (gapOf as Evaluate)(row) as number | null
        if (gap === null || !(gap > 0)) return 'nullEventTime'
        return time + gap <= until ? 'late' : [time, Math.max(time, until), time + gap]
      }
    }
  }
}

export function interpretRows<Target>(
  spec: PipelineSpec,
  take: (
    row: Slots,
    schema: readonly number[],
    target: Target,
    watermark: number,
  ) => 'passed' | 'late' | 'nullEventTime',
): RowsFunction<Target> {
  const readers = slotReaders(spec.schema, spec.physicalSlots)
  const stamp = spec.watermark
  const timeOf = stamp === undefined ? undefined : interpret(stamp.eventTime, spec)
  const steps = spec.operators.flatMap((operator) => (operator.op === 'dropLate' ? [] : [step(operator, spec)]))
  const isSpark = stamp?.rule === 'spark'
  const dropsLate = stamp !== undefined && spec.operators.some((operator) => operator.op === 'dropLate')
  let schema = spec.schema
  for (const operator of spec.operators) if (operator.op === 'project') schema = operator.schema
  const topLevel = columnSlots(schema)
    .filter((slot) => slot.parent === -1)
    .map((slot) => slot.index)
  return (views, pos, from, to, S, target) => {
    for (let r = from; r < to; r++) {
      let row: Slots | undefined = readers.map((read) => read(views, pos, r) as Value | null)
      const scanned = row
      let watermark = Number.NEGATIVE_INFINITY
      const stampRow = (): boolean => {
        if (stamp === undefined) return true
        watermark = isSpark ? (S[4] as number) : (S[0] as number) - stamp.delayMs
        const time = timeOf?.(scanned) as number | null
        if (time !== null && time > (S[0] as number)) S[0] = time
        if (!dropsLate || (time !== null && (isSpark ? time > watermark : time >= watermark))) return true
        const cell = time === null ? 2 : 1
        S[cell] = (S[cell] as number) + 1
        return false
      }
      if (!isSpark && !stampRow()) continue
      for (const next of steps) if (row !== undefined) row = next(row)
      if (row === undefined || (isSpark && !stampRow())) continue
      const outcome = take(row, topLevel, target, watermark)
      if (outcome === 'late') S[1] = (S[1] as number) + 1
      if (outcome === 'nullEventTime') S[2] = (S[2] as number) + 1
      S[3] = (S[3] as number) + 1
    }
  }
}

/** Undefined: the row is filtered out. */
function step(
  operator: Exclude<NarrowOperator, { op: 'dropLate' }>,
  spec: PipelineSpec,
): (row: Slots) => Slots | undefined {
  if (operator.op === 'filter') {
    const condition = interpret(operator.condition, spec)
    return (row) => (condition(row) === true ? row : undefined)
  }
  const slots = columnSlots(operator.schema)
  const topLevel = slots.filter((slot) => slot.parent === -1)
  const columns = operator.columns.map((column: BoundExpression) => interpret(column, spec))
  return (row) => {
    const out: Slots = []
    topLevel.forEach((slot, i) => spread(slots, slot, present(columns[i], 'a column')(row), out))
    return out
  }
}

/** A struct's value into the slots of its fields. */
export function spread(slots: readonly ColumnSlot[], slot: ColumnSlot, value: Value | null, out: Slots): void {
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

export function interpretMerge(grouping: Grouping, ansi: boolean, replace: boolean): MergeFunction {
  const group = new GroupInterpreter(grouping, false, ansi)
  const readers = slotReaders(aggregateStateSchema(grouping), undefined)
  const keyCount = grouping.keys.length
  const cellsFrom = 1 + keyCount + windowNumbers(grouping, true)
  return (views, pos, from, to, tableFor, marks, target, tasks, place) => {
    let refused = 0
    for (let r = from; r < to; r++) {
      const row = readers.map((read) => read(views, pos, r) as Value | null)
      const [start = 0, countsFrom = 0, end = 0] = row.slice(1 + keyCount, cellsFrom) as number[]
      const T = tableFor(start, countsFrom)
      if (T === undefined) {
        refused += 1
        continue
      }
      const h = row[0] as number
      if (tasks > 1 && ownerOf(keyGroupOf(h), tasks) !== target) continue
      let e = group.findOrInsert(T, row.slice(1, 1 + keyCount), h, [])
      if (place !== undefined) e = place(e, start, countsFrom, end)
      if (e < 0) {
        refused += 1
        continue
      }
      const cells = row.slice(cellsFrom)
      if (replace) group.replace(T, e, cells)
      else group.merge(T, e, cells)
      T.mark(e, marks)
    }
    return refused
  }
}

export function interpretState(grouping: Grouping, partial: boolean, ansi: boolean): StateFunction {
  const group = new GroupInterpreter(grouping, partial, ansi)
  return (T, list, from, to, B, windowStart, target, tasks, countsFrom = 0) => {
    for (let i = from; i < to; i++) {
      const e = list === null ? i : (list[i] as number)
      const row = group.stateRow(T, e, [windowStart, countsFrom])
      if (tasks === 1 || ownerOf(keyGroupOf(row[0] as number), tasks) === target) B.append(row)
    }
  }
}

export function interpretResult(final: FinalAggregate, ansi: boolean): ResultFunction {
  const group = new GroupInterpreter(final.grouping, false, ansi)
  return (T, list, from, to, B, windowStart) => {
    for (let i = from; i < to; i++) {
      B.append(group.resultRow(T, list === null ? i : (list[i] as number), final, windowStart))
    }
  }
}
