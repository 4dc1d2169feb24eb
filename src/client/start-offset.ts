import { MillraceError } from '../common/errors.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import { placeOf } from './assignor.js'
import type { Group } from './group.js'
import type { CommittedOffset } from './offset-record.js'
import type { OffsetReset } from './offset-reset.js'
import type { PartitionFetcher } from './partition-fetcher.js'
import type { Subscription } from './subscription.js'

/** Told where a position was not in the log: where from, where to, and why. */
export interface OffsetResetNotice {
  readonly topic: string
  readonly partition: number
  readonly from: number
  readonly to: number
  readonly reason: string
}

export interface StartOffsetRules {
  readonly reset: OffsetReset | undefined
  readonly subscription: Subscription
  readonly now: () => number
  readonly onReset: (notice: OffsetResetNotice) => void
}

/**
 * Where a partition begins for a consumer. In a group: behind what is committed; else where the group began with it, so that a partition that
 * moves before anything was committed loses nothing; else as `autoOffsetReset` and `fromBeginning` say.
 */
export function startOffset(
  fetcher: PartitionFetcher,
  topic: TopicDescriptor,
  rules: StartOffsetRules,
  group?: Group,
  committed?: CommittedOffset,
): number {
  if (committed !== undefined) {
    const { offset, lostFrom } = committed
    if (lostFrom !== undefined) tellLoss(fetcher, lostFrom, offset, rules)
    return inLog(fetcher, topic, offset, rules)
  }
  const place = placeOf(fetcher)
  const begun = group?.startOffsets.get(place)
  if (begun !== undefined) return inLog(fetcher, topic, begun, rules)
  const offset = withoutOffset(fetcher, topic, rules)
  group?.startOffsets.set(place, offset)
  return offset
}

/** For a position that the log does not have any more. */
export function resetOffset(
  fetcher: PartitionFetcher,
  topic: TopicDescriptor,
  rules: StartOffsetRules,
  error: MillraceError,
): number {
  const from = fetcher.position
  // Who has said nothing about it is not led past records in silence; who wants all from the beginning gets what is left of it.
  const reset = rules.reset ?? (rules.subscription.fromBeginning(topic.name) ? { kind: 'earliest' } : undefined)
  if (reset === undefined || reset.kind === 'none') throw error
  const to = offsetOf(reset, fetcher, rules.now())
  rules.onReset({ topic: fetcher.topic, partition: fetcher.partition, from, to, reason: error.summary })
  return to
}

function inLog(fetcher: PartitionFetcher, topic: TopicDescriptor, offset: number, rules: StartOffsetRules): number {
  const start = fetcher.logStartOffset()
  const end = fetcher.logEndOffset()
  if (offset > end) {
    // The topic's files are older than the group's, as after they were put back from a copy.
    tellLoss(fetcher, offset, end, rules)
    return end
  }
  if (offset >= start) return offset
  fetcher.position = offset
  return resetOffset(
    fetcher,
    topic,
    rules,
    new MillraceError('OFFSET_OUT_OF_RANGE', `${fetcher.topic}-${fetcher.partition} has no offset ${offset} any more`, {
      detail: `its log start offset is ${start}`,
      hint: "retention was faster than this group; say where to go on with autoOffsetReset: 'earliest', or mill.groups.resetOffsets",
    }),
  )
}

/** The power took records that fsync 'never' or 'interval' had not synced: the next ones get their offsets. */
function tellLoss(fetcher: PartitionFetcher, from: number, to: number, rules: StartOffsetRules): void {
  const reason = `the log ended at ${to}: what was committed behind it was lost`
  rules.onReset({ topic: fetcher.topic, partition: fetcher.partition, from, to, reason })
}

function withoutOffset(fetcher: PartitionFetcher, topic: TopicDescriptor, rules: StartOffsetRules): number {
  const { reset, subscription } = rules
  if (reset?.kind === 'none') {
    throw new MillraceError('NO_COMMITTED_OFFSET', `${fetcher.topic}-${fetcher.partition} has no committed offset`, {
      detail: "autoOffsetReset is 'none'",
      hint: "commit one with mill.groups.resetOffsets, or choose autoOffsetReset: 'earliest' or 'latest'",
    })
  }
  if (reset !== undefined && reset.kind !== 'latest') return offsetOf(reset, fetcher, rules.now())
  if (reset === undefined && subscription.fromBeginning(topic.name)) return fetcher.logStartOffset()
  return Math.max(fetcher.logStartOffset(), subscription.endAtSubscription(topic, fetcher.partition))
}

function offsetOf(reset: OffsetReset, fetcher: PartitionFetcher, now: number): number {
  switch (reset.kind) {
    case 'earliest':
      return fetcher.logStartOffset()
    case 'duration':
      return fetcher.offsetForTimestamp(now - reset.ms)
    default:
      return fetcher.logEndOffset()
  }
}
