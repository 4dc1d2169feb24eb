import { type GroupLayout, GroupTable, sameLayout } from './group-table.js'

/** A partial aggregate's table: a few megabytes, which stay untouched (and so unused) until there are groups. */
export const PARTIAL_GROUPS = 32_768

/** Tables that this thread keeps for the next query. */
const SPARE_MAX = 4
/** The bytes of the keys that a spare table holds on to. */
const SPARE_ARENA_BYTES = 1 << 20

/**
 * Tables of partial aggregates, which have a fixed capacity and are constants of the code that fills them. A table that its task
 * is done with is kept for the next one with the same layout, and with the table the code for it, which is quick by then.
 */
const spare: GroupTable[] = []

/** `onFull` has to empty the table. */
export function takePartialTable(layout: GroupLayout, onFull: () => void): GroupTable {
  const at = spare.findLastIndex((table) => sameLayout(table.layout, layout))
  const [found] = at === -1 ? [] : spare.splice(at, 1)
  if (found === undefined) return new GroupTable(layout, PARTIAL_GROUPS, onFull)
  found.handOver(onFull)
  return found
}

export function givePartialTable(table: GroupTable): void {
  if (table.arena.length > SPARE_ARENA_BYTES || spare.includes(table)) return
  if (spare.length === SPARE_MAX) spare.shift()
  spare.push(table)
}
