import type { BoundAggregate } from '../plan/expression.js'
import type { Deduplicate, Grouping } from '../plan/physical-plan.js'
import { scalar } from '../types/data-type.js'

/**
 * The keys that have been seen, as the table of a grouping: of a key that is forgotten some day its one cell says when, in milliseconds of event
 * time. So the state rows are those of an aggregate (operator/aggregate.ts): hash, key, that time.
 */
export function seenKeys(deduplicate: Deduplicate): Grouping {
  return {
    keys: deduplicate.keys.map((value, i) => ({ name: `k${i}`, value })),
    aggregates: forgets(deduplicate) ? [expiry] : [],
    closesWindows: false,
    outputMode: 'append',
  }
}

const expiry: BoundAggregate = { fn: 'count', type: scalar('long'), nullable: false, name: 'expiry' }

export function forgets({ expiresAt, within }: Deduplicate): boolean {
  return expiresAt.length > 0 || within !== undefined
}

/** Whether a row comes with the watermark of its record. By Spark's rule what is within the watermark is decided for all rows of an epoch at once. */
export function isStamped({ within, lateByKey, rule }: Deduplicate): boolean {
  return within === undefined ? lateByKey === true : rule !== 'spark'
}

/** In place of its time: the key is forgotten, and its entry waits to be taken out. */
export const FORGOTTEN = Number.NEGATIVE_INFINITY
