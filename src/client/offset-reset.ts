import { MillraceError } from '../common/errors.js'
import { describe } from '../types/invalid-value.js'

/**
 * Where a consumer begins that has no committed offset, or whose offset is not in the log any more: Kafka's auto.offset.reset.
 *
 *   'earliest' | 'latest' | 'none' | 'by_duration:PnDTnHnMn.nS'
 */
export type AutoOffsetReset = 'earliest' | 'latest' | 'none' | `by_duration:${string}`

export type OffsetReset =
  | { readonly kind: 'earliest' | 'latest' | 'none' }
  /** The first record that is not older than this. */
  | { readonly kind: 'duration'; readonly ms: number }

const PREFIX = 'by_duration:'

export function parseOffsetReset(given: unknown): OffsetReset {
  if (given === 'earliest' || given === 'latest' || given === 'none') return { kind: given }
  if (typeof given === 'string' && given.startsWith(PREFIX)) {
    const ms = parseIsoDuration(given.slice(PREFIX.length))
    if (ms !== undefined) return { kind: 'duration', ms }
  }
  throw new MillraceError(
    'INVALID_ARGUMENT',
    `autoOffsetReset is ${typeof given === 'string' ? `'${given}'` : describe(given)}`,
    {
      detail: "expected 'earliest', 'latest', 'none' or 'by_duration:' and an ISO 8601 duration that is not negative",
      hint: 'by_duration:PT1H begins an hour ago, by_duration:P2DT12H two and a half days ago',
    },
  )
}

// Days, then hours, minutes and seconds with a fraction, as java.time.Duration reads them; a part may be left out, but not all.
const ISO_DURATION = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,9})?)S)?)?$/i

function parseIsoDuration(text: string): number | undefined {
  const match = ISO_DURATION.exec(text)
  if (match === null || /^P$|T$/i.test(text)) return undefined
  const [, days, hours, minutes, seconds] = match
  const ms =
    Number(days ?? 0) * 86_400_000 +
    Number(hours ?? 0) * 3_600_000 +
    Number(minutes ?? 0) * 60_000 +
    Math.round(Number(seconds ?? 0) * 1000)
  return Number.isSafeInteger(ms) ? ms : undefined
}
