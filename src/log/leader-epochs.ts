/**
 * Where a partition's log has begun anew after a stop that may have taken its tail. What was acknowledged without a sync (`fsync` 'interval' and 'never')
 * may be gone with the power, and the next records get its offsets. Whoever keeps an offset for longer than the process lives, as groups do, keeps
 * the epoch of that time with it: an offset of an earlier epoch counts up to where the next one has begun, and what lies behind it was another record.
 * These are Kafka's leader epochs; a partition that never lost anything is in epoch 0.
 *
 *   epoch 0   r0 r1 r2 r3 r4            a group has read all of it, and committed 5 in epoch 0
 *   epoch 1   r0 r1 │ n2 n3 n4 n5       the power took r2 to r4: epoch 1 starts at 2, and so the group goes on at 2
 */
export interface LeaderEpoch {
  readonly epoch: number
  /** The log end offset when it began. */
  readonly startOffset: number
}

/** Of one partition; beyond it two are remembered as one. */
const LEADER_EPOCHS_MAX = 100

const MINUTE_MS = 60_000

/** The epoch that a partition is in. */
export function currentEpoch(epochs: readonly LeaderEpoch[]): number {
  return epochs[epochs.length - 1]?.epoch ?? 0
}

/** Offsets of an epoch mean the same records today below this one; Infinity for the epoch that the partition is in. */
export function endOfEpoch(epochs: readonly LeaderEpoch[], epoch: number): number {
  // Start offsets grow from epoch to epoch: the next one is the least of all that follow.
  for (const next of epochs) if (next.epoch > epoch) return next.startOffset
  return Number.POSITIVE_INFINITY
}

/**
 * The epochs of a partition whose log was found to end at `logEndOffset`. Those that began there or behind it say nothing more than the new one, and of those
 * below the log start only the last counts. Where there are too many of them an old one is taken for its forerunner: a group that was idle since reads some records once more.
 */
export function withNextEpoch(
  epochs: readonly LeaderEpoch[],
  epoch: number,
  { logStartOffset, logEndOffset }: { readonly logStartOffset: number; readonly logEndOffset: number },
): readonly LeaderEpoch[] {
  const next = epochs.filter(({ startOffset }) => startOffset < logEndOffset)
  next.push({ epoch, startOffset: logEndOffset })
  while (next.length > 1 && (next[1] as LeaderEpoch).startOffset <= logStartOffset) next.shift()
  while (next.length > LEADER_EPOCHS_MAX) {
    const [oldest, second] = next as [LeaderEpoch, LeaderEpoch]
    next.splice(0, 2, { epoch: second.epoch, startOffset: oldest.startOffset })
  }
  return next
}

/** Where the epochs of before are lost: above any that there can have been, since these count stops and a machine does not start every minute. */
export function epochOfTime(now: number): number {
  return Math.floor(now / MINUTE_MS)
}
