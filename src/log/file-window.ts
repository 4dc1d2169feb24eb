import type { FileHandle } from '../common/env.js'
import { type BufferViews, viewsOf } from '../types/block.js'
import { FILE_READ_ALIGNMENT, FILE_READ_BYTES } from './limits.js'

/**
 * A sliding window over a file: about a megabyte at a time, beginning at a multiple of a page, so that what lies at a
 * multiple of 8 in the file does so in memory too. What was handed out is good until the next `ensure`.
 */
export class FileWindow {
  views: BufferViews
  #start = 0
  #end = 0

  constructor(
    readonly handle: FileHandle,
    views?: BufferViews,
    /** A file that grows no more needs no larger window. */
    fileBytes = FILE_READ_BYTES,
  ) {
    this.views = views ?? viewsOf(new ArrayBuffer(Math.min(FILE_READ_BYTES, wholePages(fileBytes))))
  }

  /** A window over another file, in the same memory. */
  reuse(handle: FileHandle): FileWindow {
    return new FileWindow(handle, this.views)
  }

  /** Makes `bytes` at `position` readable; false where the file ends before. Not more than `bytes` are promised. */
  ensure(position: number, bytes: number): boolean {
    if (position >= this.#start && position + bytes <= this.#end) return true
    const start = position - (position % FILE_READ_ALIGNMENT)
    const needed = position + bytes - start
    if (needed > this.views.u8.length) {
      this.views = viewsOf(new ArrayBuffer(wholePages(needed)))
    }
    this.#start = start
    this.#end = start + this.handle.read(this.views.u8, start)
    return position + bytes <= this.#end
  }

  /** Where in `views` the file's `position` lies. */
  at(position: number): number {
    return position - this.#start
  }

  /** The file may have grown, or been written over: what is in the window counts for nothing. */
  forget(): void {
    this.#start = 0
    this.#end = 0
  }
}

const wholePages = (bytes: number): number => (Math.ceil(bytes / FILE_READ_ALIGNMENT) + 1) * FILE_READ_ALIGNMENT
