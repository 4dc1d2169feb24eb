import { assert } from '../common/assert.js'
import { BARRIER_FINAL, BARRIER_SNAPSHOT, type ChannelReader, FrameType } from '../exchange/channel.js'
import { NO_WATERMARK, type WatermarkPolicy } from './protocol.js'

/** One input of a task, and which watermark comes through it. */
export interface WatermarkedInput {
  readonly reader: ChannelReader
  /** See TaskInput. */
  readonly watermark: number
}

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
  /** The channels' watermarks, one list for each `withWatermark`. */
  readonly #watermarks: readonly number[][]
  /** For each input its list, and its place there; undefined where no watermark comes. */
  readonly #places: readonly (readonly [list: number[], at: number] | undefined)[]
  readonly inputs: readonly ChannelReader[]
  #arrived = 0
  #first = 0

  constructor(
    inputs: readonly WatermarkedInput[],
    private readonly policy: WatermarkPolicy,
  ) {
    this.inputs = inputs.map(({ reader }) => reader)
    this.#waiting = inputs.map(() => false)
    const lists = new Map<number, number[]>()
    this.#places = inputs.map(({ watermark }) => {
      if (watermark === NO_WATERMARK) return undefined
      const list = lists.get(watermark) ?? []
      lists.set(watermark, list)
      return [list, list.push(Number.NEGATIVE_INFINITY) - 1]
    })
    this.#watermarks = [...lists.values()]
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
    const place = this.#places[i]
    if (reader.type === FrameType.watermark && place !== undefined) place[0][place[1]] = reader.watermark
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

  /** Of all inputs together. Without any it stays where time begins. */
  get watermark(): number {
    const takesLeast = this.policy === 'min'
    let combined = takesLeast ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY
    for (const list of this.#watermarks) {
      let least = Number.POSITIVE_INFINITY
      for (let i = 0; i < list.length; i++) least = Math.min(least, list[i] as number)
      combined = takesLeast ? Math.min(combined, least) : Math.max(combined, least)
    }
    return this.#watermarks.length === 0 ? Number.NEGATIVE_INFINITY : combined
  }
}
