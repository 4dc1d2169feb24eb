import type { Env, FileHandle } from '../common/env.js'
import {
  BASE_SEQUENCE,
  COLUMNS_PAYLOAD_OFFSET,
  LAST_OFFSET_DELTA,
  nextOffsetOf,
  sealBatch,
} from '../record/batch-header.js'
import { type BufferViews, viewsOf } from '../types/block.js'
import { sealCompacted } from './rows-compactor.js'
import { segmentPath } from './segment-files.js'

/** Bytes that are gathered before they are written. */
const WRITE_BYTES = 1024 * 1024

/** More offsets than one batch can name are left to another. */
const OFFSETS_MAX = 0x7fff_ffff

/**
 * The whole batches of a damaged partition, in a directory of their own: the same segments, without what is damaged. Indexes are made when the
 * directory is opened. Where offsets at the end are lost an empty batch stands for them, so that none is given a second time.
 */
export class SalvagedPartition {
  #handle: FileHandle | undefined
  #base = -1
  #firstBase = 0
  #size = 0
  #nextOffset = 0
  readonly #buffer = new Uint8Array(WRITE_BYTES)
  #buffered = 0

  constructor(
    readonly env: Env,
    readonly directory: string,
    readonly isTyped: boolean,
  ) {
    env.fs.makeDirectory(directory)
  }

  /** Where the copy begins; 0 where there is nothing in it. */
  get firstOffset(): number {
    return this.#firstBase
  }

  batch(segmentBase: number, views: BufferViews, position: number, byteLength: number): void {
    if (segmentBase !== this.#base) this.#begin(segmentBase)
    this.#append(views.u8.subarray(position, position + byteLength))
    this.#nextOffset = nextOffsetOf(views.dv, position)
  }

  finish(endOffset: number): void {
    if (endOffset > this.#nextOffset && this.#base === -1) this.#begin(this.#nextOffset)
    while (this.#nextOffset < endOffset) {
      const offsets = Math.min(OFFSETS_MAX, endOffset - this.#nextOffset)
      const byteLength = this.isTyped ? COLUMNS_PAYLOAD_OFFSET : BASE_SEQUENCE + 8
      const lost = viewsOf(new ArrayBuffer(COLUMNS_PAYLOAD_OFFSET))
      const none = { attributes: 0, recordCount: 0, baseTimestamp: -1, maxTimestamp: -1 }
      sealBatch(lost, 0, { baseOffset: this.#nextOffset, byteLength, ...none })
      lost.dv.setInt32(LAST_OFFSET_DELTA, offsets - 1)
      sealCompacted(lost, 0, byteLength, 0, 0, -1)
      this.#append(lost.u8.subarray(0, byteLength))
      this.#nextOffset += offsets
    }
    this.#end()
    this.env.fs.syncDirectory(this.directory)
  }

  #begin(base: number): void {
    this.#end()
    if (this.#base === -1) this.#firstBase = base
    this.#base = base
    this.#size = 0
    this.#handle = this.env.fs.open(segmentPath(this.directory, base, 'log'), 'append')
  }

  #append(bytes: Uint8Array): void {
    if (this.#buffered + bytes.length > WRITE_BYTES) this.#flush()
    if (bytes.length > WRITE_BYTES) {
      this.#handle?.write(bytes, this.#size)
      this.#size += bytes.length
      return
    }
    this.#buffer.set(bytes, this.#buffered)
    this.#buffered += bytes.length
  }

  #flush(): void {
    this.#handle?.write(this.#buffer.subarray(0, this.#buffered), this.#size)
    this.#size += this.#buffered
    this.#buffered = 0
  }

  #end(): void {
    if (this.#handle === undefined) return
    this.#flush()
    this.#handle.syncNow()
    this.#handle.close()
    this.#handle = undefined
  }
}
