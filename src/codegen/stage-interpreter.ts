import { aggregateStateSchema, windowNumbers } from '../operator/aggregate.js'
import { firstWindow, type GroupingWindow, lastWindow, sliceStart } from '../plan/grouping-window.js'
import type { FinalAggregate, Grouping } from '../plan/physical-plan.js'
import type { GroupTable } from '../state/group-table.js'
import { keyGroupOf, ownerOf } from '../state/hash.js'
import type { BlockBuilder } from '../types/block-builder.js'
import { interpretMatches } from './broadcast-interpreter.js'
import { GroupInterpreter } from './group-interpreter.js'
import {
  evaluator,
  interpretRows,
  interpretToBuilder,
  type RowLevel,
  slotReaders,
  type TakeRow,
} from './row-interpreter.js'
import type { MergeFunction, PipelineSpec, ResultFunction, RowsFunction, StateFunction } from './stage-functions.js'
import type { Value } from './value.js'

/**
 * The functions of stage-compiler.ts, interpreted: the reference for tests, and the fallback where code generation is forbidden. Rows that no
 * aggregate takes are in row-interpreter.ts.
 */

export function interpretToTable(spec: PipelineSpec, grouping: Grouping): RowsFunction<GroupTable> {
  const group = new GroupInterpreter(grouping, true, spec.ansi)
  const toTable = (row: RowLevel): TakeRow<GroupTable> => {
    const keys = grouping.keys.map((key) => evaluator(key.value, row, spec))
    const args = grouping.aggregates.map((a) => (a.arg === undefined ? undefined : evaluator(a.arg, row, spec)))
    const rowWindow =
      grouping.window === undefined ? undefined : interpretWindow(grouping.window, grouping.closesWindows, row, spec)
    return (T, watermark) => {
      const window = rowWindow === undefined ? [] : rowWindow(watermark)
      if (typeof window === 'string') return window
      const values = keys.map((key) => key())
      const arguments_ = args.map((arg) => arg?.())
      const e = group.findOrInsert(T, values, group.hash(values), window)
      arguments_.forEach((argument, i) => group.update(T, e, i, argument))
      return 'passed'
    }
  }
  return interpretRows(spec, toTable, interpretMatches)
}

/** The numbers of WindowCode for a row, or why it has none. */
function interpretWindow(
  window: GroupingWindow,
  closes: boolean,
  row: RowLevel,
  spec: PipelineSpec,
): (watermark: number) => readonly number[] | 'late' | 'nullEventTime' {
  const timeOf = evaluator(window.eventTime, row, spec)
  const gapOf = window.kind === 'session' ? evaluator(window.gap, row, spec) : undefined
  return (watermark) => {
    const time = timeOf() as number | null
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
        const gap = gapOf?.() as number | null
        if (gap === null || !(gap > 0)) return 'nullEventTime'
        return time + gap <= until ? 'late' : [time, Math.max(time, until + 1), time + gap]
      }
    }
  }
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

export function interpretToRows(spec: PipelineSpec): RowsFunction<BlockBuilder> {
  return interpretToBuilder(spec, interpretMatches)
}
