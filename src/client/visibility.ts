import type { PartitionReader } from '../log/partition-reader.js'
import { CONTROL } from '../record/batch-header.js'

/**
 * Which record batches of one partition a reader is shown. Positions move over what is hidden, so that a commit after the last visible
 * record lies behind it too.
 */
export interface Visibility {
  /** Batches that begin at or behind this offset are not to be shown yet. Asked before every batch. */
  limitOffset(): number
  /** The batch that the reader is at is to be passed over. */
  hides(reader: PartitionReader): boolean
}

/** Isolation level read_uncommitted: all but control batches, which are never given to an application. */
export const everythingVisible: Visibility = {
  limitOffset: () => Number.MAX_SAFE_INTEGER,
  hides: (reader) => (reader.attributes & CONTROL) !== 0,
}
