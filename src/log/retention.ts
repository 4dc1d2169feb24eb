import type { TopicConfig } from './partition-descriptor.js'

/**
 * Which segments retention takes, by Kafka's rules: whole segments only, from the oldest on, and each rule by itself is enough. Time counts from the
 * greatest timestamp in the segment. A log that is not read or written loses its last segment too. Pure, but for the question of
 * how old a segment is, which may need a look at a file.
 */
export interface RetentionLimits {
  /** -1 = none. */
  readonly retentionMs: number
  readonly retentionBytes: number
}

export interface RetainedSegment {
  readonly baseOffset: number
  readonly size: number
}

export type ExpiryReason = 'below the log start offset' | 'retention.ms' | 'retention.bytes'

const KEPT_FOR_EVER: RetentionLimits = { retentionMs: -1, retentionBytes: -1 }

/** A topic that is only compacted, or kept for ever, knows no age and no size. */
export function retentionLimits(config: TopicConfig): RetentionLimits {
  if (!String(config['cleanup.policy']).includes('delete')) return KEPT_FOR_EVER
  return { retentionMs: Number(config['retention.ms']), retentionBytes: Number(config['retention.bytes']) }
}

/** How many segments go, from the first on, and why the last of them does. */
export function expiredSegments(
  segments: readonly RetainedSegment[],
  limits: RetentionLimits,
  facts: {
    readonly nowMs: number
    readonly logStartOffset: number
    readonly logEndOffset: number
    /** Asked from the oldest on, until the first that is young enough. */
    readonly maxTimestamp: (segment: number) => number
  },
): { readonly count: number; readonly reason: ExpiryReason | undefined } {
  let reason: ExpiryReason | undefined
  let count = 0
  let bytes = 0
  for (const segment of segments) bytes += segment.size
  for (; count < segments.length; count++) {
    const segment = segments[count] as RetainedSegment
    const end = segments[count + 1]?.baseOffset ?? facts.logEndOffset
    if (end <= facts.logStartOffset) reason = 'below the log start offset'
    else if (limits.retentionBytes >= 0 && bytes - segment.size >= limits.retentionBytes) reason = 'retention.bytes'
    else if (limits.retentionMs >= 0 && facts.nowMs - facts.maxTimestamp(count) > limits.retentionMs) {
      reason = 'retention.ms'
    } else break
    bytes -= segment.size
  }
  return { count, reason }
}
