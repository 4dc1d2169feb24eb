import type { PipelineSpec } from '../codegen/stage-functions.js'
import { type ChannelReader, FrameType } from '../exchange/channel.js'
import type { Deduplicate, Stage } from '../plan/physical-plan.js'
import type { BlockRef } from '../types/block.js'
import { BarrierInputs, type WatermarkedInput } from './barrier-inputs.js'
import type { OutputPort } from './output-port.js'
import type { WatermarkPolicy } from './protocol.js'
import { SeenKeys } from './seen-keys.js'
import { StagePipeline } from './stage-pipeline.js'
import { type Counters, newCounters, type Task } from './task.js'
import type { UserSurroundings } from './user-pipeline.js'

/** Frames taken before the step ends. */
const STEP_FRAMES = 16

export interface DeduplicateTaskOptions {
  readonly stage: Stage
  readonly ansi: boolean
  readonly task: number
  readonly tasks: number
  readonly inputs: readonly WatermarkedInput[]
  readonly watermarkPolicy: WatermarkPolicy
  readonly outputs: readonly OutputPort[]
  readonly tables?: PipelineSpec['tables']
  readonly user?: UserSurroundings
  readonly stateLog: OutputPort | undefined
  readonly onBarrier: (epoch: number, closedUntil: number) => void
}

/** A deduplication on one task: a row leaves at once where it is the first of its key, else never. */
export class DeduplicateTask implements Task {
  readonly counters: Counters = newCounters()
  readonly #seen: SeenKeys
  readonly #inputs: BarrierInputs
  readonly #pipeline: StagePipeline
  #told = Number.NEGATIVE_INFINITY

  constructor(private readonly options: DeduplicateTaskOptions) {
    const { stage, ansi } = options
    const head = stage.head as Deduplicate
    this.#seen = new SeenKeys(head, ansi, options.stateLog !== undefined, this.counters)
    this.#inputs = new BarrierInputs(options.inputs, options.watermarkPolicy)
    this.#pipeline = new StagePipeline(stage, head.schema, ansi, options.outputs, options.tables, options.user)
  }

  restore(blocks: readonly BlockRef[], closedUntil: number): void {
    this.#seen.restore(blocks, closedUntil, this.options.task, this.options.tasks)
  }

  step(): boolean {
    if (!this.#drain()) return false
    let frames = 0
    const { inputs } = this.#inputs
    const first = this.#inputs.turn()
    for (let n = 0; n < inputs.length; n++) {
      const i = (first + n) % inputs.length
      while (frames < STEP_FRAMES && this.#inputs.next(i)) {
        frames += 1
        this.#take(inputs[i] as ChannelReader)
        this.#inputs.consume(i)
      }
    }
    const ends = this.#inputs.barrierComplete()
    if (ends) this.#endEpoch()
    else this.#advance(this.#inputs.watermark)
    this.#drain()
    return ends || frames > 0
  }

  close(): void {}

  get isWaiting(): boolean {
    return this.#pipeline.isWaiting
  }

  #take(reader: ChannelReader): void {
    if (reader.type !== FrameType.data) return
    this.#pipeline.emit((builder) => this.#seen.add(reader.views, reader.position, builder))
  }

  #endEpoch(): void {
    const { stateLog } = this.options
    const { epoch, final, snapshot } = this.#inputs
    this.#advance(this.#inputs.watermark)
    if (stateLog !== undefined) {
      this.#seen.writeLog(stateLog.builder, snapshot)
      stateLog.setBarrier(epoch, final, snapshot)
    }
    this.#seen.measure()
    this.#inputs.nextEpoch()
    this.#pipeline.setBarrier(epoch, final, snapshot, () => {
      this.counters.rowsOut = this.#pipeline.rowsOut
      this.options.onBarrier(epoch, this.#seen.closedUntil)
    })
  }

  /** The end of the input is no time: keys stay, for a query that goes on later. */
  #advance(watermark: number): void {
    if (watermark <= this.#told) return
    this.#told = watermark
    if (Number.isFinite(watermark)) this.#seen.expire(watermark)
    // Rows leave as they come, so time behind the task is what it is before.
    this.#pipeline.setWatermark(watermark)
  }

  #drain(): boolean {
    const { stateLog } = this.options
    const a = this.#pipeline.drain()
    const b = stateLog === undefined || stateLog.drain()
    return a && b
  }
}
