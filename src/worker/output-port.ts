import { MillraceError } from '../common/errors.js'
import { BARRIER_FINAL, BARRIER_SNAPSHOT, type ChannelWriter, FrameType } from '../exchange/channel.js'
import { BlockBuilder } from '../types/block-builder.js'
import type { StructType } from '../types/data-type.js'

/** Small enough that several frames fit the ring, so that writer and reader work at the same time. */
const FRAME_BYTES = 256 << 10
const FIRST_FRAME_ROWS = 8192

/**
 * One output of a task: rows are collected in a builder and leave as frames when the channel has room.
 * A full channel is no error and no wait: `drain` says no, and the task yields until its bell rings.
 * Order is kept: rows, then the watermark that covers them, then the barrier.
 */
export class OutputPort {
  readonly builder: BlockBuilder
  #left = 0
  #sent = 0
  #watermark = Number.NaN
  #barrier = -1
  #flag = 0
  /** Of the rows in the builder: one more once a barrier has left. */
  #epoch: number
  #frameRows = FIRST_FRAME_ROWS >> 1

  /** Without a channel rows are counted and discarded (the noop sink). */
  constructor(
    schema: StructType,
    readonly channel: ChannelWriter | undefined,
    firstEpoch: number,
  ) {
    this.#epoch = firstEpoch
    this.builder = new BlockBuilder(schema)
  }

  /** Rows so far, those that still wait for room among them. */
  get rowsOut(): number {
    return this.#left + this.builder.rows
  }

  setWatermark(watermark: number): void {
    this.#watermark = watermark
  }

  setBarrier(epoch: number, final: boolean, snapshot: boolean): void {
    this.#barrier = epoch
    this.#flag = (final ? BARRIER_FINAL : 0) | (snapshot ? BARRIER_SNAPSHOT : 0)
  }

  /** True where everything has left. */
  drain(): boolean {
    if (!this.#drainRows()) return false
    const channel = this.channel
    if (!Number.isNaN(this.#watermark)) {
      if (channel !== undefined && !channel.signal(FrameType.watermark, this.#epoch, this.#watermark)) return false
      this.#watermark = Number.NaN
    }
    if (this.#barrier >= 0) {
      if (channel !== undefined && !channel.signal(FrameType.barrier, this.#barrier, 0, this.#flag)) return false
      this.#epoch = this.#barrier + 1
      this.#barrier = -1
    }
    return true
  }

  #drainRows(): boolean {
    const builder = this.builder
    const channel = this.channel
    if (builder.rows === 0) return true
    while (channel !== undefined && this.#sent < builder.rows) {
      const to = this.#frameEnd(builder, channel.maxPayloadBytes)
      const bytes = builder.byteLength(this.#sent, to)
      const position = channel.reserve(bytes)
      if (position < 0) return false
      builder.writeTo(channel.views, position, this.#sent, to)
      channel.publish(position, FrameType.data, bytes, this.#epoch, 0, 0)
      this.#frameRows = to - this.#sent
      this.#sent = to
    }
    this.#left += builder.rows
    this.#sent = 0
    builder.reset()
    return true
  }

  /** As many rows as make a frame; at least one. Twice those of the last are measured, which counts nulls: all that wait, again and again, would be quadratic. */
  #frameEnd(builder: BlockBuilder, limit: number): number {
    const most = Math.min(FRAME_BYTES, limit)
    let to = Math.min(builder.rows, this.#sent + 2 * this.#frameRows)
    let bytes = builder.byteLength(this.#sent, to)
    while (bytes > most && to - this.#sent > 1) {
      const rows = to - this.#sent
      to = this.#sent + Math.max(1, Math.min(Math.floor((rows * most) / bytes), rows - 1))
      bytes = builder.byteLength(this.#sent, to)
    }
    if (bytes <= limit) return to
    throw rowTooLarge(bytes, limit)
  }
}

export function rowTooLarge(bytes: number, limit: number): MillraceError {
  return new MillraceError('ROW_TOO_LARGE', `a row of ${bytes} bytes is too large to travel between threads`, {
    detail: `the limit is ${limit} bytes`,
    hint: 'make the text or binary columns of the row shorter, for example with substring()',
  })
}
