import type { FileHandle } from '../../common/env.js'
import { MillraceError } from '../../common/errors.js'
import type { BlockBuilder } from '../../types/block-builder.js'
import { fileChanged } from './changed-file.js'
import type { LaneFile } from './lane.js'

/** Records of one file, from a place in it on. */
export interface FileRecords {
  /** Offset in the file of the next record. */
  readonly position: number
  /**
   * Fills the builder, which is empty, with a block of records that begin below `limit`; `offsets` gets where each began. 0 rows: there is none
   * below the limit that counts, and `position` is behind those that were passed over.
   */
  read(builder: BlockBuilder, limit: number, offsets: Float64Array): number
  /** Records are on their way; who waits is woken. */
  readonly isWaiting?: boolean
  close(): void
}

/** Makes rows of lines. */
export interface LineColumns {
  /** The first line of the file, where that is no record. */
  readonly header?: ((u8: Uint8Array, from: number, to: number) => void) | undefined
  /** Where the record that begins at `from` ends: at its line feed, or -1 where that is not below `end`. Left out: with its line. */
  readonly recordEnd?: ((u8: Uint8Array, from: number, end: number) => number) | undefined
  /** The record at [from, to) as the builder's next row; false where it is left out. */
  take(builder: BlockBuilder, u8: Uint8Array, from: number, to: number, offset: number): boolean
  /** There is room for so many bytes more. */
  prepare(builder: BlockBuilder, bytes: number): void
}

export const BLOCK_ROWS = 8192
/** Of text that becomes one block. */
const BLOCK_BYTES = 512 << 10
const READ_BYTES = 1 << 20
/** Of one record. */
const RECORD_BYTES_MAX = 64 << 20

const LF = 10
const CR = 13

/** The lines of a text file. It is read in pieces, and a line may be as long as 64 MiB. */
export class LineRecords implements FileRecords {
  #buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  /** Of what has been read and not been taken. */
  #at = 0
  #end = 0
  /** Of the byte behind the buffer. */
  #readTo: number

  constructor(
    private readonly file: LaneFile,
    private readonly handle: FileHandle,
    position: number,
    private readonly columns: LineColumns,
  ) {
    this.#readTo = position
    if (position > 0) return
    this.#fill()
    // A byte order mark.
    if (this.#buffer[0] === 0xef && this.#buffer[1] === 0xbb && this.#buffer[2] === 0xbf && this.#end >= 3) this.#at = 3
    const { header } = columns
    if (header === undefined || this.#at === this.#end) return
    const end = this.#recordEnd()
    header(this.#buffer, this.#at, this.#withoutReturn(end))
    this.#at = Math.min(end + 1, this.#end)
  }

  get position(): number {
    return this.#readTo - (this.#end - this.#at)
  }

  read(builder: BlockBuilder, limit: number, offsets: Float64Array): number {
    const { columns } = this
    builder.ensureRows(BLOCK_ROWS)
    columns.prepare(builder, BLOCK_BYTES)
    let room = BLOCK_BYTES
    while (builder.rows < BLOCK_ROWS) {
      const offset = this.position
      if (offset >= limit || offset >= this.file.length) break
      const end = this.#recordEnd()
      const start = this.#at
      if (end - start > room) {
        if (builder.rows > 0) break
        room = end - start
        columns.prepare(builder, room)
      }
      room -= end - start
      const row = builder.rows
      const to = this.#withoutReturn(end)
      this.#at = Math.min(end + 1, this.#end)
      if (to > start && columns.take(builder, this.#buffer, start, to, offset)) offsets[row] = offset
    }
    return builder.rows
  }

  close(): void {
    this.handle.close()
  }

  /** Of the record at hand: where its line feed is, or the file ends. */
  #recordEnd(): number {
    const { recordEnd } = this.columns
    for (;;) {
      const found =
        recordEnd === undefined ? this.#buffer.indexOf(LF, this.#at) : recordEnd(this.#buffer, this.#at, this.#end)
      if (found !== -1 && found < this.#end) return found
      if (!this.#fill()) return this.#end
    }
  }

  #withoutReturn(end: number): number {
    return end > this.#at && this.#buffer[end - 1] === CR ? end - 1 : end
  }

  /** Reads on behind what there is. False at the file's end. */
  #fill(): boolean {
    const left = this.file.length - this.#readTo
    if (left <= 0) return false
    const kept = this.#end - this.#at
    if (kept >= RECORD_BYTES_MAX) throw recordTooLong(this.file, this.position)
    const larger = kept * 2 > this.#buffer.length ? Buffer.allocUnsafeSlow(this.#buffer.length * 2) : this.#buffer
    this.#buffer.copy(larger, 0, this.#at, this.#end)
    this.#buffer = larger
    this.#at = 0
    this.#end = kept
    const wanted = Math.min(left, larger.length - kept)
    const read = this.handle.read(larger.subarray(kept, kept + wanted), this.#readTo)
    if (read < wanted) throw fileChanged(this.file, `${this.#readTo + read} bytes`)
    this.#readTo += read
    this.#end += read
    return true
  }
}

function recordTooLong({ path }: LaneFile, at: number): MillraceError {
  return new MillraceError('RECORD_TOO_LARGE', `a record of ${path} is longer than ${RECORD_BYTES_MAX >> 20} MiB`, {
    detail: `found no end of the record at byte ${at}`,
    hint: 'a file whose lines are not records is read with multiLine, or with another quote; or the file is no text',
  })
}
