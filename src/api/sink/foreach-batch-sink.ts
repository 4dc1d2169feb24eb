import type { HostSink } from '../../execution/session.js'
import type { BlockRef } from '../../types/block.js'
import { copyBlock } from '../copied-block.js'

/**
 * Gives the rows of an epoch to the user's function once they are durable; an epoch that read records calls it even where no
 * row came out of them, in every mode, as Spark does for each micro-batch. The runtime keeps them until the
 * function's promise is kept, so an epoch that is delivered again has the same rows.
 */
export class ForeachBatchSink implements HostSink {
  readonly #epochs = new Map<number, BlockRef[]>()

  constructor(readonly deliver: (blocks: readonly BlockRef[], epoch: number) => void | Promise<void>) {}

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
    await this.deliver(blocks, epoch)
  }
}
