import type { BufferViews } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'

/**
 * The state of a final aggregate on one task: groups by window, slice or session, what changed since it was last emitted, what changed
 * since the last epoch, and how far windows are closed.
 */
export interface AggregateState {
  /** No window that ends here or before takes a record any more. */
  readonly closedUntil: number

  /** Adds the partial aggregates of a block. */
  add(views: BufferViews, position: number): void

  /** Takes a block of the checkpoint over: only the key groups of this task. */
  restore(views: BufferViews, position: number, task: number, tasks: number): void

  /** After the last block: windows that were open when a block was written may be over by the end of it. */
  restored(closedUntil: number): void

  /** A grouping without keys has its one group even if no row ever came. */
  ensureGlobalGroup(): void

  /** Groups that changed since the last call, as result rows. */
  emitChanged(builder: BlockBuilder): void

  emitAll(builder: BlockBuilder): void

  /** The same at the end of the input, after which nothing of the state is needed any more. */
  emitRest(builder: BlockBuilder): void

  /**
   * Windows that end at or before the watermark are over: with a builder (append) their rows leave, then the state goes.
   * A group that changed and was not yet emitted (update) must have been emitted before.
   */
  closeWindows(watermark: number, builder: BlockBuilder | undefined): void

  /** State rows that changed since the last call (or all, for a snapshot). */
  writeLog(builder: BlockBuilder, everything: boolean): void

  measure(): void
}
