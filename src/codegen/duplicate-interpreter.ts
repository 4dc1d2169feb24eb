import { FORGOTTEN, isStamped, seenKeys } from '../operator/deduplicate.js'
import { shuffleSchema } from '../operator/join.js'
import type { Deduplicate } from '../plan/physical-plan.js'
import { columnSlots } from '../types/data-type.js'
import { DuplicateCell, type FirstRowsFunction } from './duplicate-functions.js'
import { GroupInterpreter } from './group-interpreter.js'
import { interpret } from './interpreter.js'
import { slotReaders } from './row-interpreter.js'
import type { Value } from './value.js'

/** The function of duplicate-compiler.ts, interpreted: the reference for tests, and the fallback where code generation is forbidden. */
export function interpretFirstRows(head: Deduplicate, ansi: boolean): FirstRowsFunction {
  const { within, expiresAt, lateByKey, schema } = head
  const stamped = isStamped(head)
  const readers = slotReaders(shuffleSchema(schema, stamped), undefined)
  const columnsFrom = stamped ? 2 : 1
  const group = new GroupInterpreter(seenKeys(head), false, ansi)
  const keys = head.keys.map((key) => interpret(key, { ansi }))
  const times = expiresAt.map((e) => interpret(e, { ansi }))
  const eventTime = within === undefined ? undefined : interpret(within.eventTime, { ansi })
  const topLevel = columnSlots(schema).filter((slot) => slot.parent === -1)
  return (views, pos, from, to, T, B, marks, lateBefore, counts, revived) => {
    counts.fill(0)
    const count = (cell: number): void => {
      counts[cell] = (counts[cell] as number) + 1
    }
    for (let r = from; r < to; r++) {
      const values = readers.map((read) => read(views, pos, r) as Value | null)
      const row = values.slice(columnsFrom)
      const time = eventTime === undefined ? leastTime(times.map((of) => of(row))) : (eventTime(row) as number | null)
      if (time === null) {
        count(DuplicateCell.nullEventTime)
        continue
      }
      if (time < lateBefore || (lateByKey === true && time < (values[1] as number))) {
        count(DuplicateCell.late)
        continue
      }
      const before = T.size
      const e = group.findOrInsert(
        T,
        keys.map((key) => key(row)),
        values[0] as number,
        [],
      )
      const { cellDoubles, numbers } = T.places
      const at = e * cellDoubles + (numbers[0] ?? 0)
      if (e < before) {
        if (within === undefined) continue
        const held = T.cells[at] as number
        if (stamped ? (values[1] as number) < held : held !== FORGOTTEN) continue
        if (held === FORGOTTEN) {
          revived[counts[DuplicateCell.revived] as number] = e
          count(DuplicateCell.revived)
        }
      }
      if (numbers.length > 0) T.cells[at] = time + (within?.delayMs ?? 0)
      T.mark(e, marks)
      B.append(topLevel.map((slot) => row[slot.index] ?? null))
    }
  }
}

/** A key without the time can come at any time. */
function leastTime(times: readonly (Value | null)[]): number {
  return Math.min(...times.map((time) => (time as number | null) ?? Number.POSITIVE_INFINITY))
}
