import type { FoundFile } from './file-listing.js'

/**
 * The files of a source, in a fixed number of lanes: a lane is an input partition whose offsets go on from file to file, so that a folder with
 * a million files has few offsets. Which file lies where in which lane is written down before an offset speaks of it.
 */
export interface LaneFile {
  readonly path: string
  /** Offset of the lane at its beginning. */
  readonly start: number
  /** How many offsets it has: bytes of text, rows of Parquet. */
  readonly length: number
  /** To tell a file that was changed. */
  readonly bytes: number
  readonly modifiedAt: number
  readonly values: FoundFile['values']
}
