import { MillraceError } from '../common/errors.js'
import { type PartitionDescriptor, partitionName } from './partition-descriptor.js'

/**
 * Why a partition takes no more. A full disk is the one that ends by itself: the same bytes are written again when there is space. After any
 * other failure nobody can say what the disk holds, and only opening the engine anew, which verifies the files, makes the partition whole.
 */
export function diskFull(partition: PartitionDescriptor, cause: unknown): MillraceError {
  return new MillraceError('DISK_FULL', `there is no space left for partition ${partitionName(partition)}`, {
    detail: String(cause),
    hint: 'make room on the disk, then send again',
    retriable: true,
    cause,
  })
}

export function readOnly(
  partition: PartitionDescriptor,
  what: 'write' | 'sync',
  file: string,
  cause: unknown,
): MillraceError {
  return new MillraceError(
    'PARTITION_READ_ONLY',
    `partition ${partitionName(partition)} is read-only since a ${what} of it failed`,
    {
      detail: `${file}: ${String(cause)}`,
      hint: 'check the disk, then open the engine again: it verifies the files',
      cause,
    },
  )
}

export function nowhereToSpill(partition: PartitionDescriptor): MillraceError {
  return new MillraceError(
    'MEMORY_BUDGET_EXCEEDED',
    `partition ${partitionName(partition)} has no directory to spill to`,
    {
      detail: 'the memory budget is spent, and what is kept in memory alone cannot be let go',
      hint: 'open with a larger memoryBudget, or give the topic a shorter retention',
    },
  )
}
