import type { BroadcastJoin, Grouping, Join, JoinSide } from '../plan/physical-plan.js'
import { columnSlots, structType } from '../types/data-type.js'
import { keyGrouping } from './join.js'

/**
 * The table of a broadcast join is what one side of a join keeps (operator/join.ts), with nobody on the other side. Rows with a null in their key are left
 * out, since nothing is equal to it.
 */

/** The join that fills the table, as its left side: whose chains begin in the first cell of a key. */
export function fillingJoin({ keys, table }: BroadcastJoin): Join {
  const side = (of: Pick<JoinSide, 'schema' | 'keys'>): JoinSide => ({ ...of, expiresAt: [] })
  return {
    op: 'join',
    how: 'inner',
    left: side(table),
    right: side({ schema: structType([]), keys }),
    schema: table.schema,
  }
}

export function broadcastGrouping(join: BroadcastJoin): Grouping {
  return keyGrouping(fillingJoin(join))
}

/** How many slots the rows have that come into a join. */
export function rowSlots({ how, schema, table }: BroadcastJoin): number {
  const slots = columnSlots(schema).length
  return how === 'leftSemi' || how === 'leftAnti' ? slots : slots - columnSlots(table.schema).length
}
