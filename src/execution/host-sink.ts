import type { Doorbells } from '../common/doorbell.js'
import type { DeadLetter } from '../dead-letter/dead-letter.js'
import type { FailurePolicy } from '../dead-letter/failure-policy.js'
import { type ChannelDescriptor, ChannelReader, FrameType } from '../exchange/channel.js'
import type { BlockRef } from '../types/block.js'

/** Receives a query's rows on the host thread. Blocks are valid during the call only (until the promise settles): decode or copy. */
export interface HostSink {
  /** As early as possible. */
  rows(block: BlockRef, epoch: number, task: number): void | Promise<void>
  /**
   * All rows of the epoch were given and are committed; awaited before the epoch counts as delivered. `hasInput`: the epoch read
   * records, or comes again after a failure; an epoch that only ends a run may have had nothing to read.
   */
  epoch?(epoch: number, hasInput: boolean): void | Promise<void>
  /**
   * A worker has died: rows of epochs from this one on, as far as they have come, come again. One that holds rows until their epoch is committed forgets them. Left
   * out: what came early is seen again; of a batch query, which has nothing to go on from, it is the end.
   */
  forget?(epoch: number): void | Promise<void>
  /** Of a query with a failure policy, before anything else. Left out: an error of the sink ends the query whatever the policy. */
  guard?(failures: SinkFailures): void
}

/** Rows that a sink's function has failed at for good; said before the sink is done with their epoch. */
export interface SinkFailed {
  readonly epoch: number
  readonly failedRows: number
  readonly retries: number
  readonly letters: readonly DeadLetter[]
}

/** The failure policy of the query, for its sink. */
export interface SinkFailures {
  readonly policy: FailurePolicy
  /** To whose dead-letter queue its letters go. */
  readonly topic: string
  readonly tell: (failed: SinkFailed) => void
}

/** Frames handled in one turn of the host's event loop. */
const TURN_FRAMES = 64

/** Brings the frames of a query's last tasks to its sink, in turns that leave the host's event loop room to breathe. */
export class HostSinkFeed {
  readonly #readers: readonly ChannelReader[]
  #barriers = 0
  #isRunning = false
  #closed = false
  /** In which the sink takes its time. */
  #turn: Promise<void> = Promise.resolve()

  constructor(
    channels: readonly ChannelDescriptor[],
    bells: Doorbells,
    private readonly sink: HostSink,
    private readonly onReached: (epoch: number) => void,
    private readonly onFailure: (error: unknown) => void,
  ) {
    this.#readers = channels.map((channel) => new ChannelReader(channel, bells))
  }

  /** The host's doorbell rang. */
  rung(): void {
    if (this.#isRunning || this.#closed) return
    this.#isRunning = true
    try {
      const waiting = this.#drain()
      if (waiting === undefined) {
        this.#isRunning = false
        return
      }
      this.#turn = waiting
        .catch((error: unknown) => this.#fail(error))
        .then(() => {
          this.#isRunning = false
          this.rung()
        })
    } catch (error) {
      this.#isRunning = false
      this.#fail(error)
    }
  }

  /** Resolves when the sink has returned from what it was given. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#turn
  }

  /** Synchronous as long as the sink is: a promise for each block would cost more than the block. */
  #drain(): Promise<void> | undefined {
    let frames = 0
    for (let task = 0; task < this.#readers.length; task++) {
      const reader = this.#readers[task] as ChannelReader
      while (!this.#closed && reader.next()) {
        frames += 1
        if (frames > TURN_FRAMES) return new Promise((resolve) => setImmediate(resolve))
        if (reader.type === FrameType.data) {
          const done = this.sink.rows({ views: reader.views, position: reader.position }, reader.epoch, task)
          if (done !== undefined) return this.#afterwards(done, reader)
        }
        this.#finish(reader)
      }
    }
    return undefined
  }

  async #afterwards(done: Promise<void>, reader: ChannelReader): Promise<void> {
    await done
    this.#finish(reader)
  }

  #finish(reader: ChannelReader): void {
    const { type, epoch } = reader
    reader.release()
    if (type !== FrameType.barrier) return
    this.#barriers += 1
    if (this.#barriers < this.#readers.length) return
    this.#barriers = 0
    this.onReached(epoch)
  }

  #fail(error: unknown): void {
    this.#closed = true
    this.onFailure(error)
  }
}
