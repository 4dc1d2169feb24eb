import { assert } from '../common/assert.js'
import { BARRIER_FINAL, BARRIER_SNAPSHOT, type ChannelReader, FrameType } from '../exchange/channel.js'

/**
 * Alignment of barriers: an input whose barrier has come is not read any further until the barrier has come
 * on all of them, so that everything before the barrier, and nothing behind it, is in the epoch.
 */
export class BarrierInputs {
  epoch = -1
  final = false
  /** The whole state is to be written down, not only what changed. */
  snapshot = false
  readonly #waiting: boolean[]
  readonly #watermarks: number[]
  #arrived = 0
  #first = 0

  constructor(private readonly inputs: readonly ChannelReader[]) {
    this.#waiting = inputs.map(() => false)
    this.#watermarks = inputs.map(() => Number.NEGATIVE_INFINITY)
  }

  /**
   * The input to look at first in this step, each in its turn: a step takes only so many frames, and one that always began
   * with the same input would hear of the others only when that one is silent.
   */
  turn(): number {
    const first = this.#first
    this.#first = first + 1 < this.inputs.length ? first + 1 : 0
    return first
  }

  /** Whether input `i` has a frame that may be read now. */
  next(i: number): boolean {
    return this.#waiting[i] !== true && (this.inputs[i] as ChannelReader).next()
  }

  /** Takes note of the frame that `next` found, and releases it. */
  consume(i: number): void {
    const reader = this.inputs[i] as ChannelReader
    if (reader.type === FrameType.watermark) this.#watermarks[i] = reader.watermark
    if (reader.type === FrameType.barrier) {
      assert(this.#arrived === 0 || this.epoch === reader.epoch, `barriers ${this.epoch} and ${reader.epoch} meet`)
      this.epoch = reader.epoch
      this.final = (reader.flag & BARRIER_FINAL) !== 0
      this.snapshot = (reader.flag & BARRIER_SNAPSHOT) !== 0
      this.#waiting[i] = true
      this.#arrived += 1
    }
    reader.release()
  }

  barrierComplete(): boolean {
    return this.#arrived === this.inputs.length
  }

  nextEpoch(): void {
    this.#arrived = 0
    this.#waiting.fill(false)
  }

  /** The least watermark of all inputs. */
  get watermark(): number {
    let least = Number.POSITIVE_INFINITY
    for (const watermark of this.#watermarks) if (watermark < least) least = watermark
    return least
  }
}
