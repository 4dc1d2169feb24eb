import type { Env, FileHandle } from '../common/env.js'
import { baseOffsetOf, batchAttributes, CONTROL } from '../record/batch-header.js'
import { type BufferViews, viewsOf } from '../types/block.js'
import { cleanedPath, segmentPath } from './segment-files.js'
import { SegmentIndexWriter } from './segment-index-writer.js'
import { encodeAborted, TransactionIndex } from './transaction-index.js'

/** Bytes that are gathered before they are written. */
const WRITE_BYTES = 256 * 1024

/** The file that compaction writes, and its indexes, under names that count for nothing until they are swapped in. */
export class CleanedSegment {
  size = 0
  readonly #handle: FileHandle
  readonly #index: SegmentIndexWriter
  #buffer: BufferViews = viewsOf(new ArrayBuffer(WRITE_BYTES))
  #buffered = 0
  #closed = false
  /** Offsets of the transaction markers in it. */
  readonly #markers = new Set<number>()
  #aborted: Uint8Array | undefined

  constructor(
    readonly env: Env,
    readonly directory: string,
    readonly baseOffset: number,
    indexIntervalBytes: number,
  ) {
    this.remove()
    this.#handle = env.fs.open(cleanedPath(directory, baseOffset, 'log'), 'append')
    this.#index = new SegmentIndexWriter(env.fs, directory, baseOffset, indexIntervalBytes, { cleaned: true })
  }

  get maxTimestamp(): number {
    return this.#index.maxTimestamp
  }

  append(views: BufferViews, position: number, byteLength: number): void {
    if ((batchAttributes(views.dv, position) & CONTROL) !== 0) this.#markers.add(baseOffsetOf(views.dv, position))
    if (this.#buffered + byteLength > this.#buffer.u8.length) {
      this.#flush()
      if (byteLength > this.#buffer.u8.length) this.#buffer = viewsOf(new ArrayBuffer((byteLength + 7) & ~7))
    }
    this.#buffer.u8.set(views.u8.subarray(position, position + byteLength), this.#buffered)
    this.#index.note(views.dv, position, this.size)
    this.#buffered += byteLength
    this.size += byteLength
  }

  /** The aborted transactions of the segments that it stands for, as long as their markers stay: a reader may still be in the old files. */
  keepAborted(bases: readonly number[]): void {
    const entries: Uint8Array[] = []
    for (const base of bases) {
      const index = TransactionIndex.load(this.env.fs, segmentPath(this.directory, base, 'txnindex'))
      for (let i = 0; i < index.count; i++) {
        const aborted = index.entry(i)
        if (this.#markers.has(aborted.lastOffset)) entries.push(encodeAborted(aborted))
      }
    }
    if (entries.length > 0) this.#aborted = Buffer.concat(entries)
  }

  /** Whole on the disk when it resolves; without `durable` with the system. */
  async finish(durable: boolean): Promise<void> {
    this.#flush()
    this.#index.seal()
    this.env.passing?.('clean: written')
    try {
      if (durable) {
        await this.#handle.sync()
        await this.#index.sync()
      }
      if (this.#aborted !== undefined) await this.#writeAborted(this.#aborted, durable)
    } finally {
      this.#close()
    }
    this.env.passing?.('clean: synced')
  }

  /** Given up. */
  discard(): void {
    this.#close()
    this.remove()
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#handle.close()
  }

  remove(): void {
    for (const suffix of ['log', 'index', 'timeindex', 'txnindex'] as const) {
      this.env.fs.remove(cleanedPath(this.directory, this.baseOffset, suffix))
    }
  }

  async #writeAborted(entries: Uint8Array, durable: boolean): Promise<void> {
    const file = this.env.fs.open(cleanedPath(this.directory, this.baseOffset, 'txnindex'), 'append')
    try {
      file.write(entries, 0)
      if (durable) await file.sync()
    } finally {
      file.close()
    }
  }

  #flush(): void {
    if (this.#buffered === 0) return
    this.#handle.write(this.#buffer.u8.subarray(0, this.#buffered), this.size - this.#buffered)
    this.#buffered = 0
  }
}
