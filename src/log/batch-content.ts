import { toErrorShape } from '../common/errors.js'
import { batchByteLength, batchRecordCount, COLUMNS_PAYLOAD_OFFSET, hasColumnsPayload } from '../record/batch-header.js'
import { RecordCursor } from '../record/rows-payload.js'
import { sparseFault } from '../record/sparse-offsets.js'
import { topicRecordSchema } from '../record/topic-record.js'
import { type BufferViews, blockRowCount } from '../types/block.js'
import { checkSlots } from '../types/block-check.js'
import { type ColumnSlot, columnSlots, type StructType } from '../types/data-type.js'
import { BatchOpener } from './batch-opener.js'

/**
 * Whether a batch whose header and checksum hold has inside what its header says: unpacked, every record walked. A checksum says that bytes are as
 * they were written, not that they were ever right; so this is for whoever looks for damage, and for whoever must choose between two batches
 * that contradict each other.
 */
export class BatchContent {
  readonly #opener = new BatchOpener()
  readonly #slots: readonly ColumnSlot[] | undefined

  /** `schema`: of a typed topic's values. Without it columns are looked at no further than their number of rows. */
  constructor(schema?: StructType) {
    this.#slots = schema === undefined ? undefined : columnSlots(topicRecordSchema(schema))
  }

  /** What is wrong inside of the batch at `at`, `name`: of the log, for messages. */
  fault(packed: BufferViews, at: number, name: string): string | undefined {
    try {
      if (batchRecordCount(packed.dv, at) > 0) this.#inside(packed, at, name)
      return undefined
    } catch (error) {
      const { message, detail } = toErrorShape(error)
      return detail === undefined ? message : `${message}; ${detail}`
    }
  }

  #inside(packed: BufferViews, at: number, name: string): void {
    this.#opener.open(packed, at, name)
    const { views, position } = this.#opener
    const rows = batchRecordCount(views.dv, position)
    if (!hasColumnsPayload(views.dv, position)) {
      const cursor = RecordCursor.ofBatch(views, position)
      let before = -1
      while (cursor.next()) {
        if (cursor.offset <= before) throw new Error(`offset ${cursor.offset} after ${before}`)
        before = cursor.offset
      }
      return
    }
    const end = position + batchByteLength(views.dv, position)
    const block = position + COLUMNS_PAYLOAD_OFFSET
    if (this.#slots !== undefined) checkSlots(views, block, end, this.#slots)
    const found = blockRowCount(views, block)
    if (found !== rows) throw new Error(`${found} rows, the header says ${rows}`)
    const sparse = sparseFault(views, position, end - position, rows)
    if (sparse !== undefined) throw new Error(sparse)
  }
}
