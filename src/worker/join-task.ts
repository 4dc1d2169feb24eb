import type { PipelineSpec } from '../codegen/stage-functions.js'
import { present } from '../common/assert.js'
import { type ChannelReader, FrameType } from '../exchange/channel.js'
import type { Join, JoinSideName, Stage } from '../plan/physical-plan.js'
import type { BlockRef } from '../types/block.js'
import { BarrierInputs, type WatermarkedInput } from './barrier-inputs.js'
import { JoinState } from './join-state.js'
import type { OutputPort } from './output-port.js'
import type { WatermarkPolicy } from './protocol.js'
import { StagePipeline } from './stage-pipeline.js'
import { type Counters, newCounters, type Task } from './task.js'
import type { UserSurroundings } from './user-pipeline.js'

/** Frames joined before the step ends. */
const STEP_FRAMES = 16

export interface JoinTaskOptions {
  readonly stage: Stage
  readonly ansi: boolean
  readonly task: number
  readonly tasks: number
  readonly inputs: readonly (WatermarkedInput & { readonly side: JoinSideName })[]
  readonly watermarkPolicy: WatermarkPolicy
  readonly outputs: readonly OutputPort[]
  readonly tables?: PipelineSpec['tables']
  readonly user?: UserSurroundings
  readonly stateLog: OutputPort | undefined
  readonly onBarrier: (epoch: number, closedUntil: number) => void
}

/** A join on one task: pairs leave as soon as both rows are there; rows without a match when the watermark says that none can come. */
export class JoinTask implements Task {
  readonly counters: Counters = newCounters()
  readonly #state: JoinState
  readonly #inputs: BarrierInputs
  readonly #pipeline: StagePipeline
  readonly #lagMs: number | undefined
  readonly #isLateAtWatermark: boolean
  #told = Number.NEGATIVE_INFINITY

  constructor(private readonly options: JoinTaskOptions) {
    const { stage, ansi, task, tasks } = options
    const join = stage.head as Join
    this.#state = new JoinState(join, ansi, options.stateLog !== undefined, this.counters, task, tasks)
    this.#inputs = new BarrierInputs(options.inputs, options.watermarkPolicy)
    this.#pipeline = new StagePipeline(stage, join.schema, ansi, options.outputs, options.tables, options.user)
    this.#lagMs = join.watermarkLagMs
    this.#isLateAtWatermark = join.rule === 'spark'
  }

  restore(blocks: readonly BlockRef[], closedUntil: number): void {
    this.#state.restore(blocks, closedUntil)
  }

  step(): boolean {
    if (!this.#drain()) return false
    let frames = 0
    const { inputs } = this.#inputs
    const first = this.#inputs.turn()
    for (let n = 0; n < inputs.length && frames < STEP_FRAMES; n++) {
      const i = (first + n) % inputs.length
      while (frames < STEP_FRAMES && this.#inputs.next(i)) {
        frames += 1
        this.#take(i)
        this.#inputs.consume(i)
        // A row may have any number of matches: what it gave leaves before the next is looked at.
        if (!this.#drain()) return true
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

  #take(i: number): void {
    const reader = this.#inputs.inputs[i] as ChannelReader
    if (reader.type !== FrameType.data) return
    const { side } = present(this.options.inputs[i], `input ${i}`)
    this.#state.add(side, reader.views, reader.position, (write) => this.#pipeline.emit(write))
  }

  #endEpoch(): void {
    const { stateLog } = this.options
    const { epoch, final, snapshot } = this.#inputs
    this.#advance(this.#inputs.watermark)
    if (final) this.#state.finish((write) => this.#pipeline.emit(write))
    if (stateLog !== undefined) {
      this.#state.writeLog(stateLog.builder, snapshot)
      stateLog.setBarrier(epoch, final, snapshot)
    }
    this.#state.measure()
    this.#inputs.nextEpoch()
    this.#pipeline.setBarrier(epoch, final, snapshot, () => {
      this.counters.rowsOut = this.#pipeline.rowsOut
      this.options.onBarrier(epoch, this.#state.closedUntil)
    })
  }

  /** The end of the input is no time: what it means for the rows that are kept is said by the barrier. */
  #advance(watermark: number): void {
    if (watermark <= this.#told) return
    this.#told = watermark
    // What expires does so behind the watermark; where a row at the watermark is late already, at it.
    const passed = this.#isLateAtWatermark ? watermark + 1 : watermark
    if (Number.isFinite(watermark)) this.#state.expire(passed, (write) => this.#pipeline.emit(write))
    if (this.#lagMs !== undefined) this.#pipeline.setWatermark(watermark - this.#lagMs)
  }

  #drain(): boolean {
    const { stateLog } = this.options
    const a = this.#pipeline.drain()
    const b = stateLog === undefined || stateLog.drain()
    return a && b
  }
}
