import { present } from '../common/assert.js'
import { groupLayout } from '../operator/aggregate.js'
import {
  joinStateSchema,
  keyGrouping,
  otherSide,
  STATE_COLUMNS,
  shuffleSchema,
  sideNumber,
  sideRules,
} from '../operator/join.js'
import type { Join, JoinSideName } from '../plan/physical-plan.js'
import { GroupPlaces, type GroupTable, HEAD_KEY_HASH } from '../state/group-table.js'
import { ROW_ALIVE, ROW_MATCHED, type RowStore, SEGMENT_BITS, SEGMENT_ROWS } from '../state/row-store.js'
import type { BlockBuilder } from '../types/block-builder.js'
import { columnSlots, type StructType } from '../types/data-type.js'
import { GroupInterpreter } from './group-interpreter.js'
import { interpret } from './interpreter.js'
import {
  type ColumnsFrom,
  type EmitFunction,
  type EntriesFunction,
  type KeepFunction,
  type LogFunction,
  NO_ROW,
  PAIRS,
  type ProbeFunction,
  STATE_OF_ROW,
} from './join-functions.js'
import { type Slots, slotReaders } from './row-interpreter.js'
import type { Value } from './value.js'

/** The functions of join-compiler.ts, interpreted: the reference for tests, and the fallback where code generation is forbidden. */

export function interpretProbe(join: Join, side: JoinSideName, ansi: boolean): ProbeFunction {
  const other = otherSide(side)
  const rules = sideRules(join, side)
  const rulesOfOther = sideRules(join, other)
  const readers = slotReaders(shuffleSchema(join[side].schema), undefined)
  const group = new GroupInterpreter(keyGrouping(join), false, ansi)
  const keys = join[side].keys.map((key) => interpret(key, { ansi }))
  const holds = join.condition === undefined ? undefined : interpret(join.condition, { ansi })
  const storedRow = storeReader(join[other].schema)
  return (views, pos, from, to, T, store, pairs, flush, rows, entries) => {
    let count = 0
    let kept = 0
    const push = (row: number, stored: number): void => {
      pairs[2 * count] = row
      pairs[2 * count + 1] = stored
      count += 1
      if (count < PAIRS) return
      flush(count)
      count = 0
    }
    for (let r = from; r < to; r++) {
      const [h, ...row] = readers.map((read) => read(views, pos, r) as Value | null)
      const values = keys.map((key) => key(row))
      const isNull = values.includes(null)
      if (isNull && !rules.preserved) continue
      const e = group.findOrInsert(T, values, h as number, [])
      let hit = false
      for (let x = isNull ? 0 : beginOf(T, e, other); x !== 0; ) {
        const q = x - 1
        x = store.next[q] as number
        if (holds !== undefined) {
          const stored = storedRow(store, q)
          if (holds(side === 'left' ? [...row, ...stored] : [...stored, ...row]) !== true) continue
        }
        hit = true
        if (rulesOfOther.endsWithMatch) {
          store.remove(T, q)
          store.forget(q)
          if (!rulesOfOther.preserved) push(r, q)
        } else {
          if (rulesOfOther.preserved) store.match(q)
          if (rules.pairs) push(r, q)
          if (rules.endsWithMatch) break
        }
      }
      if (rules.endsWithMatch && hit) {
        if (!rules.preserved) push(r, NO_ROW)
        continue
      }
      rows[kept] = r
      entries[kept] = (e << 1) | (hit ? 1 : 0)
      kept += 1
    }
    if (count > 0) flush(count)
    return kept
  }
}

export function interpretEmit(
  join: Join,
  from: { readonly left: ColumnsFrom; readonly right: ColumnsFrom },
): EmitFunction {
  const sides = (['left', 'right'] as const).slice(0, sideRules(join, 'left').pairs ? 2 : 1)
  const parts = sides.map((side) => ({
    where: from[side],
    schema: join[side].schema,
    readers: slotReaders(shuffleSchema(join[side].schema), undefined),
    storedRow: storeReader(join[side].schema),
  }))
  return (views, pos, pairs, count, store, B) => {
    for (let i = 0; i < count; i++) {
      const r = pairs[2 * i] as number
      const q = pairs[2 * i + 1] as number
      B.append(
        parts.flatMap(({ where, schema, readers, storedRow }) => {
          if (where === 'nowhere') return schema.fields.map(() => null)
          const row =
            where === 'store'
              ? storedRow(store, q)
              : readers.slice(1).map((read) => read(present(views, 'a block'), pos, r) as Value | null)
          return topLevel(schema, row)
        }),
      )
    }
  }
}

export function interpretKeep(join: Join, side: JoinSideName, restoring: boolean, ansi: boolean): KeepFunction {
  const { schema, expiresAt } = join[side]
  const readers = restoring
    ? slotReaders(joinStateSchema(join), undefined)
    : slotReaders(shuffleSchema(schema), undefined)
  const offset = restoring ? offsetOf(join, side) : 1
  const own = readers.slice(offset, offset + columnSlots(schema).length)
  const times = expiresAt.map((e) => interpret(e, { ansi }))
  return (views, pos, rows, from, to, B, store, first) => {
    for (let i = from; i < to; i++) {
      const row = own.map((read) => read(views, pos, rows[i] as number) as Value | null)
      B.append(topLevel(schema, row))
      if (times.length === 0) continue
      const expiry = times.map((time) => (time(row) as number | null) ?? Number.NEGATIVE_INFINITY)
      store.expiresAt[first + i - from] = Math.min(...expiry)
    }
  }
}

export function interpretEntries(join: Join, side: JoinSideName, ansi: boolean): EntriesFunction {
  const readers = slotReaders(joinStateSchema(join), undefined)
  const offset = offsetOf(join, side)
  const group = new GroupInterpreter(keyGrouping(join), false, ansi)
  const keys = join[side].keys.map((key) => interpret(key, { ansi }))
  return (views, pos, rows, count, T, entries) => {
    for (let i = 0; i < count; i++) {
      const state = readers.map((read) => read(views, pos, rows[i] as number) as Value | null)
      const row = state.slice(offset)
      const values = keys.map((key) => key(row))
      entries[i] = group.findOrInsert(T, values, state[0] as number, []) << 1
    }
  }
}

export function interpretLog(join: Join, side: JoinSideName): LogFunction {
  const { headInts } = new GroupPlaces(groupLayout(keyGrouping(join), false))
  const storedRow = storeReader(join[side].schema)
  return (rows, from, to, store, T, B: BlockBuilder) => {
    for (let i = from; i < to; i++) {
      const q = rows[i] as number
      const row = topLevel(join[side].schema, storedRow(store, q))
      const others = join[otherSide(side)].schema.fields.map(() => null)
      B.append([
        T.heads[(store.entry[q] as number) * headInts + HEAD_KEY_HASH],
        sideNumber(side),
        ((store.states[q] as number) & (ROW_ALIVE | ROW_MATCHED)) | STATE_OF_ROW,
        store.ids[q],
        ...(side === 'left' ? [...row, ...others] : [...others, ...row]),
      ])
    }
  }
}

const offsetOf = (join: Join, side: JoinSideName): number =>
  STATE_COLUMNS + (side === 'left' ? 0 : columnSlots(join.left.schema).length)

function beginOf(T: GroupTable, e: number, side: JoinSideName): number {
  const { cellDoubles, numbers } = T.places
  return T.cells[e * cellDoubles + (numbers[sideNumber(side)] as number)] as number
}

function topLevel(schema: StructType, row: Slots): (Value | null)[] {
  return columnSlots(schema)
    .filter((slot) => slot.parent === -1)
    .map((slot) => row[slot.index] ?? null)
}

/** Reads the value of every slot of a row that is kept. */
function storeReader(schema: StructType): (store: RowStore, row: number) => Slots {
  const readers = slotReaders(schema, undefined)
  return (store, row) => {
    const segment = present(store.segments[row >> SEGMENT_BITS], 'a segment')
    const place = row & (SEGMENT_ROWS - 1)
    const { views, position } = segment.toBlock(place, place + 1)
    return readers.map((read) => read(views, position, 0) as Value | null)
  }
}
