import { type JsonValue, parseJson } from '../../codegen/json-text.js'
import type { FileHandle } from '../../common/env.js'
import { MillraceError } from '../../common/errors.js'
import type { BlockBuilder } from '../../types/block-builder.js'
import { fileChanged } from './changed-file.js'
import type { JsonColumns } from './json-columns.js'
import type { LaneFile } from './lane.js'
import { BLOCK_ROWS, type FileRecords } from './line-records.js'

/** A file that is parsed as a whole. */
const DOCUMENT_BYTES_MAX = 256 << 20

/**
 * A file that is one JSON text over many lines: an object, or an array of objects. Its offsets are the numbers of its records, and behind the last one its length
 * in bytes, since every record has at least two.
 */
export class JsonDocument implements FileRecords {
  position: number
  #items: readonly (JsonValue | undefined)[]
  readonly #text: string

  constructor(
    private readonly file: LaneFile,
    handle: FileHandle,
    position: number,
    private readonly columns: JsonColumns,
  ) {
    this.position = position
    try {
      if (file.length > DOCUMENT_BYTES_MAX) throw tooLarge(file)
      const bytes = Buffer.allocUnsafeSlow(file.length)
      const read = handle.read(bytes, 0)
      if (read < bytes.length) throw fileChanged(file, `${read} bytes`)
      this.#text = bytes.toString().replace(/^\uFEFF/, '')
    } finally {
      handle.close()
    }
    const value = parseJson(this.#text, true)
    this.#items = value?.kind === 'array' ? value.items : this.#text.trim() === '' ? [] : [value]
    if (this.#items.length <= position) this.position = file.length
  }

  read(builder: BlockBuilder, limit: number, offsets: Float64Array): number {
    const items = this.#items
    builder.ensureRows(BLOCK_ROWS)
    while (builder.rows < BLOCK_ROWS && this.position < Math.min(limit, items.length)) {
      const row = builder.rows
      this.columns.item(builder, items[this.position], this.#text, this.position)
      if (builder.rows > row) offsets[row] = this.position
      this.position += 1
    }
    if (this.position >= items.length) this.position = this.file.length
    return builder.rows
  }

  close(): void {
    this.#items = []
  }
}

function tooLarge({ path, length }: LaneFile): MillraceError {
  return new MillraceError('FILE_TOO_LARGE', `${path} is too large to be read as one JSON text`, {
    detail: `found ${length} bytes, expected at most ${DOCUMENT_BYTES_MAX}`,
    hint: 'write it as one object a line and leave multiLine out',
  })
}
