import { present } from '../common/assert.js'
import type { BoundAggregate } from '../plan/expression.js'
import type { DataType } from '../types/data-type.js'
import { comparator, type Value } from './value.js'

type Item = Value | null
type Row = readonly Item[]
type List = Item[]

/** A Fold of folds.ts. */
interface TopFold {
  update(state: Value | null, row: Value): Value | null
  merge(state: Value | null, other: Value): Value | null
  finish(state: Value | null): Item
}

const listOf = (state: Value | null): List => (state ?? []) as unknown as List
const rowOf = (value: Value): Row => value as unknown as Row
const asValue = (list: readonly unknown[]): Value => list as unknown as Value

/**
 * The rows that come first, in their order. Rows that the order does not tell apart are told apart by all of their columns, so that which of them stay depends
 * on the rows alone and not on how they arrived.
 */
export function topRows({ top }: BoundAggregate, args: readonly DataType[]): TopFold {
  const { count, order } = present(top, 'how many rows, in which order')
  const compare = args.map((type) => comparator(type) as (a: Value, b: Value) => number)
  const isBefore = (a: Row, b: Row): boolean => {
    for (let i = 0; i < args.length; i++) {
      const [x, y] = [a[i] as Item, b[i] as Item]
      const by = order[i]
      if (x === null || y === null) {
        if (x !== y) return (x === null) === (by?.nullsFirst ?? true)
        continue
      }
      const sign = (compare[i] as (a: Value, b: Value) => number)(x, y)
      if (sign !== 0) return sign < 0 !== (by?.descending === true)
    }
    return false
  }
  const add = (list: List, row: Value): void => {
    if (list.length === count) {
      if (!isBefore(rowOf(row), rowOf(list[count - 1] as Value))) return
      list.pop()
    }
    let at = list.length
    list.push(row)
    for (; at > 0 && isBefore(rowOf(row), rowOf(list[at - 1] as Value)); at--) list[at] = list[at - 1] as Item
    list[at] = row
  }
  return {
    update: (state, row) => {
      const list = listOf(state)
      add(list, row)
      return asValue(list)
    },
    merge: (state, other) => {
      const list = listOf(state)
      for (const row of listOf(other)) add(list, row as Value)
      return asValue(list)
    },
    finish: (state) => asValue(listOf(state).map((row) => rowOf(row as Value)[args.length - 1])),
  }
}
