import type { PartitionReader } from '../log/partition-reader.js'
import { COLUMNS_PAYLOAD_OFFSET } from '../record/batch-header.js'
import type { BufferViews } from '../types/block.js'
import type { InputPartition } from './input-partition.js'

/** A partition of a typed topic: the block of each record batch, where it lies. */
export class TopicInput implements InputPartition {
  offset: number
  views!: BufferViews
  position = 0
  from = 0
  to = 0

  constructor(
    private readonly reader: PartitionReader,
    offset: number,
  ) {
    this.offset = offset
    reader.seek(offset)
    reader.watch()
  }

  next(limit: number): boolean {
    const reader = this.reader
    if (!reader.next(limit)) {
      // Markers and what was aborted have been passed.
      this.offset = Math.max(this.offset, Math.min(limit, reader.nextOffset))
      return false
    }
    this.views = reader.views
    this.position = reader.position + COLUMNS_PAYLOAD_OFFSET
    this.from = Math.max(0, this.offset - reader.baseOffset)
    this.to = Math.min(reader.recordCount, limit - reader.baseOffset)
    return true
  }

  release(): void {
    this.offset = this.reader.baseOffset + this.to
    this.reader.release()
    // A limit in the middle of a batch: the rest of it comes at the next call.
    if (this.to < this.reader.recordCount) this.reader.seek(this.offset)
  }

  hasNew(): boolean {
    return this.reader.hasNew()
  }

  close(): void {
    this.reader.close()
  }
}
