import type { SinkFailures } from '../../execution/host-sink.js'
import type { HostSink } from '../../execution/session.js'
import type { BlockRef } from '../../types/block.js'
import type { StructType } from '../../types/data-type.js'
import { type Row, readRows } from '../../types/row-reader.js'
import { SinkAttempts } from './sink-attempts.js'

/**
 * The user's own writer, with Spark's life cycle for each task and epoch: `open`, then `process` for every row
 * unless `open` gave false, then `close`, also where something failed. Rows come as early as they are
 * there; after a crash the rows of an uncommitted epoch may come again.
 */
export interface ForeachWriter<R> {
  open?(partitionId: number, epochId: number): boolean | void | Promise<boolean | void>
  process(row: R): void | Promise<void>
  close?(error: Error | null): void | Promise<void>
}

export type ForeachFunction<R> = (row: R) => void | Promise<void>

interface Opened {
  readonly epoch: number
  readonly accepts: boolean
}

export class ForeachSink implements HostSink {
  /** By task. */
  readonly #opened = new Map<number, Opened>()

  #attempts: SinkAttempts | undefined

  constructor(
    readonly schema: StructType,
    readonly writer: ForeachWriter<Row>,
  ) {}

  guard(failures: SinkFailures): void {
    this.#attempts = new SinkAttempts(failures, 'foreach')
  }

  async rows(block: BlockRef, epoch: number, task: number): Promise<void> {
    // Decoded before anything is awaited: a block is valid during the call, and its memory is used again after.
    const rows = readRows(this.schema, block)
    const opened = await this.#open(task, epoch)
    if (!opened.accepts) return
    try {
      for (const row of rows) {
        try {
          const done = this.writer.process(row)
          if (done !== undefined) await done
        } catch (error) {
          if (this.#attempts === undefined) throw error
          await this.#attempts.again(
            () => this.writer.process(row),
            () => [row],
            epoch,
            error,
          )
        }
      }
    } catch (error) {
      this.#opened.delete(task)
      await this.writer.close?.(error instanceof Error ? error : new Error(String(error)))
      throw error
    }
  }

  async epoch(epoch: number): Promise<void> {
    for (const [task, opened] of this.#opened) {
      if (opened.epoch > epoch) continue
      this.#opened.delete(task)
      await this.writer.close?.(null)
    }
  }

  /** What was begun is closed, as where something has failed; the rows come again. */
  async forget(): Promise<void> {
    const opened = [...this.#opened.keys()]
    this.#opened.clear()
    for (const _ of opened) await this.writer.close?.(new Error('a worker died; the rows of the epoch come again'))
  }

  async #open(task: number, epoch: number): Promise<Opened> {
    const known = this.#opened.get(task)
    if (known !== undefined && known.epoch === epoch) return known
    if (known !== undefined) await this.writer.close?.(null)
    const accepts = (await this.writer.open?.(task, epoch)) !== false
    const opened = { epoch, accepts }
    this.#opened.set(task, opened)
    return opened
  }
}

/** A function alone: no life cycle, and no promise for a row that needs none. */
export class ForeachFunctionSink implements HostSink {
  #attempts: SinkAttempts | undefined

  constructor(
    readonly schema: StructType,
    readonly process: ForeachFunction<Row>,
  ) {}

  guard(failures: SinkFailures): void {
    this.#attempts = new SinkAttempts(failures, 'foreach')
  }

  rows(block: BlockRef, epoch: number): void | Promise<void> {
    return this.#from(0, readRows(this.schema, block), epoch)
  }

  #from(first: number, rows: readonly Row[], epoch: number): void | Promise<void> {
    let i = first
    try {
      for (; i < rows.length; i += 1) {
        const done = this.process(rows[i] as Row)
        if (done !== undefined) return this.#rest(done, rows, i, epoch)
      }
    } catch (error) {
      if (this.#attempts === undefined) throw error
      return this.#rest(Promise.reject(error as Error), rows, i, epoch)
    }
  }

  /** From row `i` on, which is under way. */
  async #rest(first: Promise<void>, rows: readonly Row[], i: number, epoch: number): Promise<void> {
    try {
      await first
    } catch (error) {
      if (this.#attempts === undefined) throw error
      const row = rows[i] as Row
      await this.#attempts.again(
        () => this.process(row),
        () => [row],
        epoch,
        error,
      )
    }
    await this.#from(i + 1, rows, epoch)
  }
}
