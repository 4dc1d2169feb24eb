import type { TopicConfig } from './partition-descriptor.js'

/** When a partition is due for compaction, and how far it may go, by Kafka's settings. Pure. */
export interface CompactableSegment {
  readonly baseOffset: number
  readonly size: number
}

export function isCompacted(config: TopicConfig): boolean {
  return String(config['cleanup.policy']).includes('compact')
}

/**
 * Up to where segments may be compacted: never the one that is appended to (`activeBaseOffset`), none that holds a record of a transaction that may
 * still be aborted, and none that holds a record younger than `min.compaction.lag.ms`.
 */
export function compactionEnd(
  segments: readonly CompactableSegment[],
  activeBaseOffset: number,
  config: TopicConfig,
  facts: {
    readonly nowMs: number
    readonly lastStableOffset: number
    readonly maxTimestamp: (segment: number) => number
  },
): number {
  const lagMs = Number(config['min.compaction.lag.ms'])
  for (let i = 0; i < segments.length; i++) {
    const { baseOffset } = segments[i] as CompactableSegment
    if (baseOffset >= activeBaseOffset) break
    if ((segments[i + 1]?.baseOffset ?? activeBaseOffset) > facts.lastStableOffset) return baseOffset
    if (lagMs > 0 && facts.maxTimestamp(i) > facts.nowMs - lagMs) return baseOffset
  }
  return activeBaseOffset
}

/** Whether enough of it is dirty, or something dirty is older than `max.compaction.lag.ms` allows. */
export function compactionIsDue(
  segments: readonly CompactableSegment[],
  cleanedTo: number,
  end: number,
  config: TopicConfig,
  nowMs: number,
  maxTimestamp: (segment: number) => number,
): boolean {
  let clean = 0
  let dirty = 0
  let isOverdue = false
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i] as CompactableSegment
    if (segment.baseOffset >= end) break
    const next = segments[i + 1]?.baseOffset ?? end
    if (next <= cleanedTo) {
      clean += segment.size
      continue
    }
    dirty += segment.size
    if (nowMs - maxTimestamp(i) > Number(config['max.compaction.lag.ms'])) isOverdue = true
  }
  if (dirty === 0) return false
  return isOverdue || dirty / (clean + dirty) > Number(config['min.cleanable.dirty.ratio'])
}
