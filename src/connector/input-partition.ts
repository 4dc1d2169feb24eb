import type { BufferViews } from '../types/block.js'
import type { LaneFile } from './files/lane.js'

/**
 * One input partition of a source, as the task that scans it sees it: a cursor over blocks. A block is
 * looked at between `next` and `release` and not a moment longer, since its memory may be recycled.
 * Offsets are dense enough that `offset` says where to go on.
 */
export interface InputPartition {
  /** The next offset to be read; moves behind the block on `release`. */
  readonly offset: number
  /** Of the block that `next` found; rows [from, to) are at or after `offset` and below the limit. */
  readonly views: BufferViews
  readonly position: number
  readonly from: number
  readonly to: number
  /** Finds the next block with rows below `limit`. False: there is nothing to read now. */
  next(limit: number): boolean
  /** Of a row of the block, before it is released. Of a topic read as Kafka's columns only where it was opened for it. */
  offsetAt(row: number): number
  /** Left out: false. The rows of the block are the first of an input partition of time by itself, of which this one holds several. */
  readonly begins?: boolean
  /** There is more to be read than was begun, whose event times nobody knows. */
  readonly holdsTime?: boolean
  /** What is to be read next has to be waited for. */
  readonly isWaiting?: boolean
  release(): void
  /** Of a lane of files. */
  addFiles?(files: readonly LaneFile[]): void
  /** Cheap: may something have come since `next` said no? */
  hasNew(): boolean
  close(): void
}
