import type { SinkFailures } from '../../execution/host-sink.js'
import type { HostSink } from '../../execution/session.js'
import type { BlockRef } from '../../types/block.js'
import type { StructType } from '../../types/data-type.js'
import { type Row, readRows } from '../../types/row-reader.js'
import { copyBlock } from '../copied-block.js'
import { SinkAttempts } from './sink-attempts.js'

/**
 * Gives the rows of an epoch to the user's function once they are durable; an epoch that read records calls it even where no
 * row came out of them, in every mode, as Spark does for each micro-batch. The runtime keeps them until the
 * function's promise is kept, so an epoch that is delivered again has the same rows.
 */
export class ForeachBatchSink implements HostSink {
  readonly #epochs = new Map<number, BlockRef[]>()

  #attempts: SinkAttempts | undefined

  constructor(
    readonly schema: StructType,
    readonly deliver: (blocks: readonly BlockRef[], epoch: number) => void | Promise<void>,
  ) {}

  guard(failures: SinkFailures): void {
    this.#attempts = new SinkAttempts(failures, 'foreachBatch')
  }

  rows(block: BlockRef, epoch: number): void {
    const copy = copyBlock(block)
    const blocks = this.#epochs.get(epoch)
    if (blocks === undefined) this.#epochs.set(epoch, [copy])
    else blocks.push(copy)
  }

  async epoch(epoch: number, hasInput: boolean): Promise<void> {
    const blocks = this.#epochs.get(epoch) ?? []
    if (blocks.length === 0 && !hasInput) return
    this.#epochs.delete(epoch)
    try {
      await this.deliver(blocks, epoch)
    } catch (error) {
      if (this.#attempts === undefined) throw error
      const rows = (): readonly Row[] => blocks.flatMap((block) => readRows(this.schema, block))
      await this.#attempts.again(() => this.deliver(blocks, epoch), rows, epoch, error)
    }
  }
}
