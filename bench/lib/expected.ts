import type { ClickMessage } from './clicks.js'

/** The slow references that results are held against: one record at a time, with Maps. */

export interface Totals {
  readonly count: number
  readonly sum: number
}

/** Count and sum of price by user and tumbling window, keyed `userId@windowStart`. */
export function groupsOf(batches: readonly ClickMessage[][], rounds: number, windowMs: number): Map<string, Totals> {
  const groups = new Map<string, { count: number; sum: number }>()
  for (const batch of batches) {
    for (const { value } of batch) {
      const key = `${value.userId}@${Math.floor(value.ts / windowMs) * windowMs}`
      const group = groups.get(key)
      if (group === undefined) groups.set(key, { count: rounds, sum: rounds * value.price })
      else {
        group.count += rounds
        group.sum += rounds * value.price
      }
    }
  }
  return groups
}

export function totalsOf(batches: readonly ClickMessage[][], rounds: number, keep: (price: number) => boolean): Totals {
  let count = 0
  let sum = 0
  for (const batch of batches) {
    for (const { value } of batch) {
      if (!keep(value.price)) continue
      count += rounds
      sum += rounds * value.price * value.quantity
    }
  }
  return { count, sum }
}

/** Sums of doubles in another order differ in the last digits. */
export const nearly = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b))
