import { tag } from './tag.js'

/** Functions of a module that the tests name, in TypeScript that has to be compiled and not only stripped. */
enum Tier {
  low = 'low',
  high = 'high',
}

export function enrich(row: { readonly id: number }): { id: number; tier: string } {
  return { id: row.id, tier: tag(row.id < 5 ? Tier.low : Tier.high) }
}

export const limit = 5
