import type { BoundAggregate } from '../plan/expression.js'
import type { Grouping, Join, JoinSide, JoinSideName } from '../plan/physical-plan.js'
import { type Field, type StructType, scalar, structType } from '../types/data-type.js'

/**
 * What the tasks of a join keep and send. Rows travel with the hash of their key before them, so that it is made once:
 *
 *   shuffle     hash, the row's columns (to other operators than joins: hash, where it is asked for the row's watermark, columns)
 *   state       hash, side (0 left, 1 right), state of the row, its id, the left columns, the right columns (of the other side null)
 *
 * Each side's rows lie in a RowStore (state/row-store.ts), those of one key in a chain. The chains begin in a GroupTable by key.
 */
export function shuffleSchema(row: StructType, stamped = false): StructType {
  const stamp: readonly Field[] = stamped ? [{ name: '__watermark', type: scalar('double'), nullable: false }] : []
  return structType([{ name: '__hash', type: scalar('int'), nullable: false }, ...stamp, ...row.fields])
}

/** Columns before those of the rows. */
export const STATE_COLUMNS = 4

export function joinStateSchema({ left, right }: Join): StructType {
  const optional = (prefix: string, { schema }: JoinSide): readonly Field[] =>
    schema.fields.map(({ name, type }) => ({ name: `${prefix}${name}`, type, nullable: true }))
  return structType([
    { name: 'hash', type: scalar('int'), nullable: false },
    { name: 'side', type: scalar('int'), nullable: false },
    { name: 'state', type: scalar('int'), nullable: false },
    { name: 'id', type: scalar('double'), nullable: false },
    ...optional('l.', left),
    ...optional('r.', right),
  ])
}

export const sideNumber = (side: JoinSideName): 0 | 1 => (side === 'left' ? 0 : 1)
export const otherSide = (side: JoinSideName): JoinSideName => (side === 'left' ? 'right' : 'left')

const chain: BoundAggregate = { fn: 'count', type: scalar('long'), nullable: false, name: 'chain' }

/** The table of keys as the table of a grouping: its two counts are the beginnings of the chains, a row's number + 1, or 0. */
export function keyGrouping({ left, right }: Join): Grouping {
  return {
    keys: left.keys.map((value, i) => ({
      name: `k${i}`,
      value: { ...value, nullable: value.nullable || right.keys[i]?.nullable === true },
    })),
    aggregates: [chain, { ...chain, name: 'chain2' }],
    closesWindows: false,
    outputMode: 'append',
  }
}

/** How the rows of one side are treated. */
export interface SideRules {
  /** A pair comes out as left and right columns; else only the row of the left does, once. */
  readonly pairs: boolean
  /** Rows come out without a match when none can come any more. */
  readonly preserved: boolean
  /** A row that has found a match is not kept: it has come out, or never will. */
  readonly endsWithMatch: boolean
}

export function sideRules({ how }: Join, side: JoinSideName): SideRules {
  const isLeft = side === 'left'
  return {
    pairs: how !== 'leftSemi' && how !== 'leftAnti',
    preserved: how === 'full' || (isLeft ? how === 'left' || how === 'leftAnti' : how === 'right'),
    endsWithMatch: isLeft && (how === 'leftSemi' || how === 'leftAnti'),
  }
}
