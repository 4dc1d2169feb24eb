import { MillraceError } from '../common/errors.js'
import { BatchUnpacker, isCompressed } from '../record/batch-compression.js'
import {
  baseOffsetOf,
  batchByteLength,
  batchRecordCount,
  COLUMNS_PAYLOAD_OFFSET,
  COLUMNS_VERSION,
  COLUMNS_VERSION_MAX,
  hasColumnsPayload,
} from '../record/batch-header.js'
import { topicRecordSchema } from '../record/topic-record.js'
import { type BufferViews, blockRowCount } from '../types/block.js'
import { checkSlots } from '../types/block-check.js'
import { type ColumnSlot, columnSlots, type StructType } from '../types/data-type.js'

/**
 * Batches of files as readers want them: plain, and of a version that is known. What `open` leaves in the fields is good until it is
 * called again.
 */
export class BatchOpener {
  views!: BufferViews
  position = 0
  #unpacker: BatchUnpacker | undefined
  readonly #slots: readonly ColumnSlot[] | undefined

  /** `schema`: of a typed topic's values. With it every length and offset in a block is looked at, so that no reader is led outside of it. */
  constructor(schema?: StructType) {
    this.#slots = schema === undefined ? undefined : columnSlots(topicRecordSchema(schema))
  }

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
    if (!hasColumnsPayload(this.views.dv, this.position)) return
    assertKnownVersion(this.views, this.position, name)
    if (this.#slots !== undefined && batchRecordCount(this.views.dv, this.position) > 0) this.#checkBlock(this.#slots)
  }

  #checkBlock(slots: readonly ColumnSlot[]): void {
    const { views, position } = this
    const block = position + COLUMNS_PAYLOAD_OFFSET
    checkSlots(views, block, position + batchByteLength(views.dv, position), slots)
    const records = batchRecordCount(views.dv, position)
    const rows = blockRowCount(views, block)
    if (rows === records) return
    throw new MillraceError('RECORD_CORRUPT', `the batch at offset ${baseOffsetOf(views.dv, position)} is corrupt`, {
      detail: `found a block of ${rows} rows, expected ${records} as the header says`,
      hint: 'verify the log: mill.verify() names the damaged range',
    })
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
