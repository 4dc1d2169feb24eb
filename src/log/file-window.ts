import type { FileHandle } from '../common/env.js'
import { type BufferViews, viewsOf } from '../types/block.js'
import { FILE_READ_ALIGNMENT, FILE_READ_BYTES } from './limits.js'

/**
 * A sliding window over a file: about a megabyte at a time, beginning at a multiple of a page, so that what lies at a
 * multiple of 8 in the file does so in memory too. What was handed out is good until the next `ensure`.
 *
 * A thread with an event loop to keep lets `load` read the next piece into a second memory of the window, which takes the place of the first
 * when it is there; until then the window is as it was.
 */
export class FileWindow {
  views: BufferViews
  #start = 0
  #end = 0
  #spare: BufferViews | undefined
  /** Counts what makes a piece that is being loaded worthless. */
  #generation = 0

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
    this.#generation += 1
    return position + bytes <= this.#end
  }

  /** Whether `bytes` at `position` are in it. */
  holds(position: number, bytes: number): boolean {
    return position >= this.#start && position + bytes <= this.#end
  }

  /** Makes at least `bytes` at `position` readable, if nobody asks for something else meanwhile. The handle may be closed meanwhile. */
  async load(position: number, bytes: number): Promise<void> {
    const { handle } = this
    if (handle.readLater === undefined) return
    const start = position - (position % FILE_READ_ALIGNMENT)
    const needed = position + bytes - start
    const spare = this.#spare
    const pages = Math.ceil(Math.max(needed, FILE_READ_BYTES) / FILE_READ_ALIGNMENT)
    const views =
      spare !== undefined && spare.u8.length >= needed ? spare : viewsOf(new ArrayBuffer(pages * FILE_READ_ALIGNMENT))
    this.#spare = undefined
    this.#generation += 1
    const generation = this.#generation
    const read = await handle.readLater(views.u8, start)
    if (this.#generation !== generation) return
    this.#spare = this.views
    this.views = views
    this.#start = start
    this.#end = start + read
  }

  /** Where in `views` the file's `position` lies. */
  at(position: number): number {
    return position - this.#start
  }

  /** The file may have grown, or been written over: what is in the window counts for nothing. */
  forget(): void {
    this.#start = 0
    this.#end = 0
    this.#generation += 1
  }
}

const wholePages = (bytes: number): number => (Math.ceil(bytes / FILE_READ_ALIGNMENT) + 1) * FILE_READ_ALIGNMENT
