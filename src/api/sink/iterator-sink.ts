import type { HostSink } from '../../execution/session.js'
import type { BlockRef } from '../../types/block.js'
import type { StructType } from '../../types/data-type.js'
import { type Row, readRows } from '../../types/row-reader.js'

/**
 * Rows of a query as an async iterator, in this thread, as they come. Back-pressure: beyond a few thousand
 * rows that nobody has taken, the query is not given room for more until the loop has taken them.
 */
const WAITING_ROWS_MAX = 4096

export class IteratorSink implements HostSink {
  #rows: Row[] = []
  #next = 0
  #ended = false
  #error: unknown
  /** Of the loop, while it waits for a row. */
  #wakeReader: (() => void) | undefined
  /** Of the query, while it waits for room. */
  #wakeWriters: (() => void)[] = []

  constructor(readonly schema: StructType) {}

  rows(block: BlockRef): void | Promise<void> {
    if (this.#ended) return
    for (const row of readRows(this.schema, block)) this.#rows.push(row)
    this.#wakeReader?.()
    if (this.#rows.length - this.#next <= WAITING_ROWS_MAX) return
    return new Promise((resolve) => this.#wakeWriters.push(resolve))
  }

  /** No row follows; with an error the loop throws it after the rows before it. */
  end(error?: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    this.#wakeReader?.()
    this.#releaseWriters()
  }

  /** The loop was left: what waits is thrown away, and a query that waits for room goes on to its stop. */
  abandon(): void {
    this.#rows = []
    this.#next = 0
    this.end()
  }

  async next(): Promise<IteratorResult<Row, undefined>> {
    for (;;) {
      const row = this.#rows[this.#next]
      if (row !== undefined) {
        this.#next += 1
        if (this.#next === this.#rows.length) {
          this.#rows = []
          this.#next = 0
          this.#releaseWriters()
        }
        return { done: false, value: row }
      }
      if (this.#ended) {
        const error = this.#error
        this.#error = undefined
        if (error !== undefined) throw error
        return { done: true, value: undefined }
      }
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve
      })
      this.#wakeReader = undefined
    }
  }

  #releaseWriters(): void {
    const waiting = this.#wakeWriters
    this.#wakeWriters = []
    for (const wake of waiting) wake()
  }
}
