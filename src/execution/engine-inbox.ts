import { assert } from '../common/assert.js'
import type { Doorbells } from '../common/doorbell.js'
import { ChannelReader, FrameType } from '../exchange/channel.js'
import type { BufferViews } from '../types/block.js'
import type { Layout } from './deployment.js'
import type { EpochWait } from './epoch-wait.js'

/** A sink that lives on this thread. */
export interface RowsTaker {
  /** False: no room now, the block is to be offered again. */
  write(epoch: number, views: BufferViews, position: number): boolean
}

/** What a query's tasks send to the engine thread: state to be written down, and the rows of sinks that live here. */
export class EngineInbox {
  readonly #state: readonly { readonly stage: number; readonly reader: ChannelReader }[]
  readonly #sink: readonly ChannelReader[]
  /** Rows for the durable sink, by epoch: in continuous mode they come before their epoch is asked for. */
  readonly #rows = new Map<number, Uint8Array[]>()
  #barriersAtSink = 0

  constructor(
    layout: Layout,
    bells: Doorbells,
    /** Whether the rows of the last stage come here, and where they go if not to the durable sink. */
    takesRows: boolean,
    private readonly sink: RowsTaker | undefined,
  ) {
    this.#state = layout.stateChannels.map(({ stage, channel }) => ({
      stage,
      reader: new ChannelReader(channel, bells),
    }))
    this.#sink = takesRows ? layout.sinkChannels.map((channel) => new ChannelReader(channel, bells)) : []
  }

  /** Tasks that write their state down. */
  get stateLogs(): number {
    return this.#state.length
  }

  /** Takes what is there. */
  read(wait: EpochWait | undefined): void {
    for (const { stage, reader } of this.#state) this.#readState(stage, reader, wait)
    for (const reader of this.#sink) this.#readSink(reader, wait)
  }

  /** The rows of an epoch that has reached the sink. */
  takeRows(epoch: number): readonly Uint8Array[] {
    const rows = this.#rows.get(epoch) ?? []
    this.#rows.delete(epoch)
    return rows
  }

  #readState(stage: number, reader: ChannelReader, wait: EpochWait | undefined): void {
    while (reader.next()) {
      if (reader.type === FrameType.data) wait?.state.push({ stage, block: copied(reader) })
      else if (reader.type === FrameType.barrier && wait?.epoch === reader.epoch) wait.stateLogReached()
      reader.release()
    }
  }

  #readSink(reader: ChannelReader, wait: EpochWait | undefined): void {
    while (reader.next()) {
      if (reader.type === FrameType.data) {
        if (this.sink === undefined) this.#keep(reader)
        else if (!this.sink.write(reader.epoch, reader.views, reader.position)) return
      } else if (reader.type === FrameType.barrier) {
        assert(wait?.epoch === reader.epoch, `barrier of epoch ${reader.epoch} at the sink`)
        this.#barriersAtSink += 1
        if (this.#barriersAtSink === this.#sink.length) {
          this.#barriersAtSink = 0
          wait.sinkReached()
        }
      }
      reader.release()
    }
  }

  #keep(reader: ChannelReader): void {
    const rows = this.#rows.get(reader.epoch) ?? []
    this.#rows.set(reader.epoch, rows)
    rows.push(copied(reader))
  }
}

function copied(reader: ChannelReader): Uint8Array {
  return reader.views.u8.slice(reader.position, reader.position + reader.bytes)
}
