import type { FileSystem } from '../common/env.js'
import { batchByteLength, batchMaxTimestamp, nextOffsetOf } from '../record/batch-header.js'
import { OFFSET_ENTRY_BYTES } from './offset-index.js'
import { cleanedPath, segmentPath } from './segment-files.js'
import { TIME_ENTRY_BYTES } from './time-index.js'

/** Entries held back before they are written: a lookup may have to scan that many index intervals further. */
const PENDING_ENTRIES_MAX = 64

/**
 * Grows both indexes of one segment as batches are noted in order. Entries are written a few dozen at a time through a
 * handle that is closed again, since a handle for each index of a thousand partitions would be a thousand descriptors.
 */
export class SegmentIndexWriter {
  readonly #offsets = new Uint8Array(PENDING_ENTRIES_MAX * OFFSET_ENTRY_BYTES)
  readonly #times = new Uint8Array((PENDING_ENTRIES_MAX + 1) * TIME_ENTRY_BYTES)
  readonly #offsetView = new DataView(this.#offsets.buffer)
  readonly #timeView = new DataView(this.#times.buffer)
  #offsetEntries = 0
  #timeEntries = 0
  #bytesSinceEntry = 0
  #lastIndexedTimestamp = -1
  maxTimestampOffset = 0
  /** Written since the last sync. */
  readonly #written = new Set<'index' | 'timeindex'>()
  #isIncomplete = false
  maxTimestamp = -1
  offsetBytes: number
  timeBytes: number

  constructor(
    readonly fs: FileSystem,
    readonly directory: string,
    readonly baseOffset: number,
    readonly indexIntervalBytes: number,
    /** Bytes of the index files that are there already; `cleaned`: under the names of what compaction is writing. */
    private readonly start: {
      readonly offsetBytes?: number
      readonly timeBytes?: number
      readonly cleaned?: boolean
    } = {},
  ) {
    this.offsetBytes = start.offsetBytes ?? 0
    this.timeBytes = start.timeBytes ?? 0
  }

  /** Goes on behind what an earlier run has written. */
  resume(maxTimestamp: number, maxTimestampOffset: number, lastIndexedTimestamp: number): void {
    this.maxTimestamp = maxTimestamp
    this.maxTimestampOffset = maxTimestampOffset
    this.#lastIndexedTimestamp = lastIndexedTimestamp
  }

  /** The batch whose header is at `at` of `dv` lies at `filePosition` of the segment. */
  note(dv: DataView, at: number, filePosition: number): void {
    const lastOffset = nextOffsetOf(dv, at) - 1
    const timestamp = batchMaxTimestamp(dv, at)
    if (timestamp > this.maxTimestamp) {
      this.maxTimestamp = timestamp
      this.maxTimestampOffset = lastOffset
    }
    if (this.#bytesSinceEntry > this.indexIntervalBytes) {
      this.#offsetView.setInt32(this.#offsetEntries * OFFSET_ENTRY_BYTES, lastOffset - this.baseOffset)
      this.#offsetView.setInt32(this.#offsetEntries * OFFSET_ENTRY_BYTES + 4, filePosition)
      this.#offsetEntries += 1
      this.#noteTime()
      this.#bytesSinceEntry = 0
      if (this.#offsetEntries === PENDING_ENTRIES_MAX) this.flush()
    }
    this.#bytesSinceEntry += batchByteLength(dv, at)
  }

  /** A disk that refuses an index entry must not hold up the log: the entries are dropped, and a lookup scans a little further. */
  flush(): void {
    try {
      if (this.#offsetEntries > 0) {
        const entries = this.#offsets.subarray(0, this.#offsetEntries * OFFSET_ENTRY_BYTES)
        this.offsetBytes = this.#write('index', entries, this.offsetBytes)
      }
      if (this.#timeEntries > 0) {
        const entries = this.#times.subarray(0, this.#timeEntries * TIME_ENTRY_BYTES)
        // Kafka's tools open the one with the other. Empty it says nothing, so it need not be durable.
        if (this.offsetBytes === 0) this.fs.open(this.#path('index'), 'append').close()
        this.timeBytes = this.#write('timeindex', entries, this.timeBytes)
      }
    } catch {
      // Nothing but retention depends on it, and that on the last entry alone, which `seal` tries again.
      this.#lastIndexedTimestamp = -1
      this.#isIncomplete = true
    }
    this.#offsetEntries = 0
    this.#timeEntries = 0
  }

  /** The segment takes no more: its greatest timestamp becomes the last entry, which retention by time goes by. */
  seal(): void {
    this.#isIncomplete = false
    this.#noteTime()
    this.flush()
    // Without it the headers are asked.
    if (this.#isIncomplete) this.fs.remove(this.#path('timeindex'))
  }

  /** What a sealed segment's indexes say counts after a crash too: retention goes by it. One that the disk refuses goes, and is done without. */
  async sync(): Promise<void> {
    for (const suffix of this.#written) {
      try {
        const file = this.fs.open(this.#path(suffix), 'append')
        try {
          await file.sync()
        } finally {
          file.close()
        }
      } catch {
        this.fs.remove(this.#path(suffix))
      }
    }
    this.#written.clear()
  }

  syncNow(): void {
    for (const suffix of this.#written) {
      const file = this.fs.open(this.#path(suffix), 'append')
      try {
        file.syncNow()
      } finally {
        file.close()
      }
    }
    this.#written.clear()
  }

  #noteTime(): void {
    if (this.maxTimestamp <= this.#lastIndexedTimestamp) return
    this.#timeView.setBigInt64(this.#timeEntries * TIME_ENTRY_BYTES, BigInt(this.maxTimestamp))
    this.#timeView.setInt32(this.#timeEntries * TIME_ENTRY_BYTES + 8, this.maxTimestampOffset - this.baseOffset)
    this.#timeEntries += 1
    this.#lastIndexedTimestamp = this.maxTimestamp
  }

  #write(suffix: 'index' | 'timeindex', entries: Uint8Array, position: number): number {
    const file = this.fs.open(this.#path(suffix), 'append')
    try {
      file.write(entries, position)
    } finally {
      file.close()
    }
    this.#written.add(suffix)
    return position + entries.length
  }

  #path(suffix: 'index' | 'timeindex'): string {
    return (this.start.cleaned === true ? cleanedPath : segmentPath)(this.directory, this.baseOffset, suffix)
  }
}
