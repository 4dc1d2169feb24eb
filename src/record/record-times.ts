import type { BufferViews } from '../types/block.js'
import { valueReader } from '../types/block-reader.js'
import { columnSlots, structType } from '../types/data-type.js'
import {
  baseOffsetOf,
  batchAttributes,
  batchRecordCount,
  COLUMNS_PAYLOAD_OFFSET,
  hasColumnsPayload,
  LOG_APPEND_TIME,
} from './batch-header.js'
import { RecordCursor } from './rows-payload.js'
import { deltasAt, offsetDelta } from './sparse-offsets.js'
import { TIMESTAMP_SLOT, topicRecordSchema } from './topic-record.js'

/** The columns in front of a value are the same in every typed topic, so their slots are too. */
const timestampOf = valueReader(columnSlots(topicRecordSchema(structType([]))), TIMESTAMP_SLOT)

/**
 * Offset of the first record of a plain batch whose time is not before `timestamp`, of a batch whose greatest time is not. Kafka's rule for a
 * batch of LogAppendTime: all its records have the batch's time.
 */
export function firstOffsetFrom(views: BufferViews, position: number, timestamp: number): number {
  const baseOffset = baseOffsetOf(views.dv, position)
  if ((batchAttributes(views.dv, position) & LOG_APPEND_TIME) !== 0) return baseOffset
  if (!hasColumnsPayload(views.dv, position)) {
    const cursor = RecordCursor.ofBatch(views, position)
    while (cursor.next()) if (cursor.timestamp >= timestamp) return cursor.offset
    return baseOffset
  }
  const records = batchRecordCount(views.dv, position)
  const deltas = deltasAt(views, position)
  for (let row = 0; row < records; row++) {
    const time = timestampOf(views, position + COLUMNS_PAYLOAD_OFFSET, row) as number
    if (time >= timestamp) return baseOffset + offsetDelta(views, deltas, row)
  }
  return baseOffset
}
