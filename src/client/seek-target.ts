import { MillraceError } from '../common/errors.js'
import type { TopicPartition } from './assignor.js'
import { checkPlace } from './consumer-arguments.js'
import type { PartitionFetcher } from './partition-fetcher.js'

/** Where to go: an offset, or the first record that is not older than a time. */
export type SeekTarget = TopicPartition &
  ({ readonly offset: string | number } | { readonly timestamp: number | string | Date })

/** Throws where it cannot be a place in any partition. */
export function checkSeek(to: SeekTarget): void {
  checkPlace('seek', to, "{ topic, partition: 0, offset: '42' }")
  if ('timestamp' in to && isTime(to.timestamp)) return
  const offset = 'offset' in to ? to.offset : undefined
  if (Number.isSafeInteger(wholeNumber(offset)) && wholeNumber(offset) >= 0) return
  throw new MillraceError('INVALID_ARGUMENT', `offset is ${JSON.stringify(offset)}`, {
    detail: 'expected a whole number that is not negative, or one as text, or a timestamp',
    hint: "consumer.seek({ topic, partition: 0, offset: '42' }); seekToBeginning() and seekToEnd() go to the ends",
  })
}

/** Epoch milliseconds, as text too. */
function isTime(given: unknown): boolean {
  if (given instanceof Date) return Number.isFinite(given.getTime())
  return Number.isSafeInteger(typeof given === 'string' && /^-?\d+$/.test(given) ? Number(given) : given)
}

export function seekTo(fetcher: PartitionFetcher, to: SeekTarget): void {
  fetcher.seek('timestamp' in to ? fetcher.offsetForTimestamp(Number(to.timestamp)) : wholeNumber(to.offset))
}

/** NaN for what is none, which is refused where the offset is used, with its figures. */
export function wholeNumber(offset: unknown): number {
  if (typeof offset === 'number') return offset
  return typeof offset === 'string' && /^\d+$/.test(offset) ? Number(offset) : Number.NaN
}
