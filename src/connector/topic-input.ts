import type { PartitionReader } from '../log/partition-reader.js'
import { COLUMNS_PAYLOAD_OFFSET } from '../record/batch-header.js'
import { deltasAt, firstRowFrom, offsetDelta } from '../record/sparse-offsets.js'
import type { BufferViews } from '../types/block.js'
import type { InputPartition } from './input-partition.js'

/** A partition of a typed topic: the block of each record batch, where it lies. */
export class TopicInput implements InputPartition {
  offset: number
  views!: BufferViews
  position = 0
  from = 0
  to = 0
  /** Where the place is once the batch is done with. */
  #end = 0

  constructor(
    private readonly reader: PartitionReader,
    offset: number,
  ) {
    reader.seek(offset)
    this.offset = reader.nextOffset
    reader.watch()
  }

  next(limit: number): boolean {
    const { reader } = this
    for (;;) {
      if (!reader.next(limit)) {
        // Where compaction has taken everything up to the limit there is nothing to hand out, and the place is behind it all the same.
        this.offset = Math.max(this.offset, Math.min(limit, reader.nextOffset))
        return false
      }
      const { views, baseOffset, recordCount } = reader
      const deltas = deltasAt(views, reader.position)
      this.views = views
      this.position = reader.position + COLUMNS_PAYLOAD_OFFSET
      this.from = firstRowFrom(views, deltas, recordCount, this.offset - baseOffset)
      this.to = firstRowFrom(views, deltas, recordCount, limit - baseOffset)
      this.#end = Math.min(limit, reader.lastOffset + 1)
      if (this.from < this.to) return true
      this.release()
    }
  }

  release(): void {
    const { reader } = this
    this.offset = this.#end
    reader.release()
    // A limit in the middle of a batch: the rest of it comes at the next call.
    if (this.offset <= reader.lastOffset) reader.seek(this.offset)
  }

  offsetAt(row: number): number {
    const { views, position, baseOffset } = this.reader
    return baseOffset + offsetDelta(views, deltasAt(views, position), row)
  }

  hasNew(): boolean {
    return this.reader.hasNew()
  }

  close(): void {
    this.reader.close()
  }
}
