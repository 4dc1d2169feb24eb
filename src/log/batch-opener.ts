import { MillraceError } from '../common/errors.js'
import { BatchUnpacker, isCompressed } from '../record/batch-compression.js'
import {
  baseOffsetOf,
  batchByteLength,
  COLUMNS_VERSION,
  COLUMNS_VERSION_MAX,
  hasColumnsPayload,
} from '../record/batch-header.js'
import type { BufferViews } from '../types/block.js'

/**
 * Batches of files as readers want them: plain, and of a version that is known. What `open` leaves in the fields is good until it is
 * called again.
 */
export class BatchOpener {
  views!: BufferViews
  position = 0
  #unpacker: BatchUnpacker | undefined

  /** The batch at `position`, whose header and checksum have been found right. */
  open(views: BufferViews, position: number, name: string): void {
    if (isCompressed(views.dv, position)) {
      this.#unpacker ??= new BatchUnpacker()
      this.views = this.#unpacker.unpack(views, position)
      this.position = 0
    } else {
      this.views = views
      this.position = position
    }
    if (hasColumnsPayload(this.views.dv, this.position)) assertKnownVersion(this.views, this.position, name)
  }
}

function assertKnownVersion(views: BufferViews, position: number, name: string): void {
  const version =
    batchByteLength(views.dv, position) > COLUMNS_VERSION ? (views.u8[position + COLUMNS_VERSION] as number) : 0
  if (version <= COLUMNS_VERSION_MAX) return
  throw new MillraceError(
    'FORMAT_NEWER',
    `offset ${baseOffsetOf(views.dv, position)} of ${name} was written by a newer version`,
    {
      detail: `found version ${version} of the columns payload, expected at most ${COLUMNS_VERSION_MAX}`,
      hint: 'open the directory with the version that wrote it, or a later one',
    },
  )
}
