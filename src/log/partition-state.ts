import { toErrorShape } from '../common/errors.js'
import { PartitionStatus } from './partition-control.js'
import type { PartitionLog } from './partition-log.js'
import type { DamagedRange } from './recovery.js'

/** What `topics.describe` says of one partition. */
export interface PartitionState {
  readonly partition: number
  readonly logStartOffset: number
  readonly logEndOffset: number
  /** Where readers of committed records stop: below it every transaction has ended. */
  readonly lastStableOffset: number
  readonly writtenOffset: number
  readonly syncedOffset: number
  readonly bytes: number
  readonly segments: number
  readonly status: 'ok' | 'disk full' | 'read-only'
  readonly damaged: readonly DamagedRange[]
  /** Below it compaction has been; 0 where it has not. */
  readonly cleanedTo: number
  /** Why compaction leaves the partition alone, where it does. */
  readonly uncleanable?: string
}

export function partitionState(log: PartitionLog, uncleanable: Error | undefined): PartitionState {
  const status = log.control.status()
  return {
    partition: log.descriptor.partition,
    logStartOffset: log.control.logStartOffset(),
    logEndOffset: log.control.logEndOffset(),
    lastStableOffset: log.control.lastStableOffset(),
    writtenOffset: log.writtenOffset,
    syncedOffset: log.syncedOffset,
    bytes: log.logBytes(),
    segments: log.segments().length,
    status: status === PartitionStatus.noSpace ? 'disk full' : status === PartitionStatus.failed ? 'read-only' : 'ok',
    damaged: log.damaged,
    cleanedTo: log.cleanedTo,
    ...(uncleanable === undefined ? {} : { uncleanable: toErrorShape(uncleanable).message }),
  }
}
