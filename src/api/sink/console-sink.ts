import type { HostSink } from '../../execution/session.js'
import { type BlockRef, blockRowCount } from '../../types/block.js'
import type { StructType } from '../../types/data-type.js'
import type { Row } from '../../types/row-reader.js'
import { readRows } from '../../types/row-reader.js'
import { renderTable } from '../table-renderer.js'

/**
 * Prints each epoch that read something or has rows, as Spark prints each batch, an empty one too:
 *
 *   -------------------------------------------
 *   Batch: 3
 *   -------------------------------------------
 *   +----+-----+ …
 */
export interface ConsoleOptions {
  readonly numRows: number
  readonly truncate: boolean | number
}

const RULE = '-'.repeat(43)

interface EpochRows {
  readonly shown: Row[]
  count: number
}

export class ConsoleSink implements HostSink {
  readonly #epochs = new Map<number, EpochRows>()

  constructor(
    readonly schema: StructType,
    readonly options: ConsoleOptions,
    readonly print: (text: string) => void,
  ) {}

  rows(block: BlockRef, epoch: number): void {
    let rows = this.#epochs.get(epoch)
    if (rows === undefined) {
      rows = { shown: [], count: 0 }
      this.#epochs.set(epoch, rows)
    }
    rows.count += blockRowCount(block.views, block.position)
    // Rows that will not be shown are counted and never made.
    const room = this.options.numRows - rows.shown.length
    if (room > 0) rows.shown.push(...readRows(this.schema, block).slice(0, room))
  }

  forget(epoch: number): void {
    for (const known of this.#epochs.keys()) if (known >= epoch) this.#epochs.delete(known)
  }

  epoch(epoch: number, hasInput: boolean): void {
    const rows = this.#epochs.get(epoch) ?? { shown: [], count: 0 }
    if (rows.count === 0 && !hasInput) return
    this.#epochs.delete(epoch)
    const { truncate } = this.options
    const table = renderTable(this.schema, rows.shown, { truncate, more: rows.count > rows.shown.length })
    this.print(`${RULE}\nBatch: ${epoch}\n${RULE}\n${table}`)
  }
}
