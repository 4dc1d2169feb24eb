import type { PipelineSpec } from '../codegen/stage-functions.js'
import { type ChannelReader, FrameType } from '../exchange/channel.js'
import type { Stage, TransformWithState } from '../plan/physical-plan.js'
import type { BlockRef } from '../types/block.js'
import { BarrierInputs, type WatermarkedInput } from './barrier-inputs.js'
import type { OutputPort } from './output-port.js'
import type { WatermarkPolicy } from './protocol.js'
import { StagePipeline } from './stage-pipeline.js'
import type { StatefulProcessor } from './stateful-processor.js'
import { type Counters, newCounters, type Task } from './task.js'
import { TransformState } from './transform-state.js'
import type { UserSurroundings } from './user-pipeline.js'

/** Frames taken before the step ends. */
const STEP_FRAMES = 16

export interface TransformTaskOptions {
  readonly stage: Stage
  readonly ansi: boolean
  readonly task: number
  readonly tasks: number
  readonly inputs: readonly WatermarkedInput[]
  readonly watermarkPolicy: WatermarkPolicy
  readonly outputs: readonly OutputPort[]
  readonly tables?: PipelineSpec['tables']
  readonly user: UserSurroundings
  readonly processor: StatefulProcessor
  readonly stateLog: OutputPort | undefined
  /** Timers of processing time expire as soon as the task is awake (continuous), or at the barrier. */
  readonly emitEagerly: boolean
  readonly onBarrier: (epoch: number, closedUntil: number) => void
}

/**
 * transformWithState on one task. Frames go into the state, which knows what is to be done by which time; nothing more is read until that is done. At a
 * barrier everything is done that its watermark (or the clock) asks for, and then the state is written down: a call of the processor lies in one epoch, with all that
 * it changed and gave.
 */
export class TransformTask implements Task {
  readonly counters: Counters = newCounters()
  readonly #state: TransformState
  readonly #inputs: BarrierInputs
  readonly #pipeline: StagePipeline
  readonly #timeMode: TransformWithState['processor']['timeMode']
  /** Of the barrier at hand everything is known that is to be done before it. */
  #isEnding = false

  constructor(private readonly options: TransformTaskOptions) {
    const { stage, ansi, stateLog, processor, user } = options
    const head = stage.head as TransformWithState
    this.#timeMode = head.processor.timeMode
    this.#state = new TransformState(head, ansi, stateLog !== undefined, this.counters, processor, user)
    this.#inputs = new BarrierInputs(options.inputs, options.watermarkPolicy)
    this.#pipeline = new StagePipeline(stage, head.schema, ansi, options.outputs, options.tables, user)
  }

  restore(blocks: readonly BlockRef[], closedUntil: number): void {
    this.#state.restore(blocks, closedUntil, this.options.task, this.options.tasks)
  }

  /** Where there is nothing to go on from. */
  begin(initial: readonly BlockRef[]): void {
    this.#state.begin(initial, this.options.task, this.options.tasks)
  }

  step(): boolean {
    if (!this.#drain()) return false
    if (!this.#work()) return !this.#state.isWaiting
    if (this.#inputs.barrierComplete()) {
      this.#endEpoch()
      this.#drain()
      return true
    }
    let frames = 0
    const { inputs } = this.#inputs
    const first = this.#inputs.turn()
    for (let n = 0; n < inputs.length; n++) {
      const i = (first + n) % inputs.length
      while (frames < STEP_FRAMES && this.#inputs.next(i)) {
        frames += 1
        const reader = inputs[i] as ChannelReader
        if (reader.type === FrameType.data) this.#state.add(reader.views, reader.position)
        this.#inputs.consume(i)
      }
    }
    this.#advance(this.options.emitEagerly)
    return frames > 0
  }

  close(): void {
    this.#state.close()
  }

  get isWaiting(): boolean {
    return this.#state.isWaiting || this.#pipeline.isWaiting
  }

  /** True where nothing is left to be done by now. */
  #work(): boolean {
    const done = this.#state.work()
    const out = this.#state.takeOut()
    if (out.length > 0) {
      this.#pipeline.emit((builder) => {
        for (const row of out) builder.append(row)
      })
    }
    return done
  }

  #advance(byClock: boolean): void {
    if (this.#timeMode === 'event') {
      const { watermark } = this.#inputs
      if (Number.isFinite(watermark)) this.#state.advance(watermark)
    } else if (byClock && this.#timeMode === 'processing') this.#state.advance(this.options.user.env.now())
  }

  /** What the barrier asks for first; when that is done, the barrier. */
  #endEpoch(): void {
    if (!this.#isEnding) {
      this.#isEnding = true
      this.#advance(true)
      if (this.#inputs.final) this.#state.end()
      return
    }
    this.#isEnding = false
    const { stateLog } = this.options
    const { epoch, final, snapshot } = this.#inputs
    this.#state.expire(this.options.user.env.now())
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

  #drain(): boolean {
    const { stateLog } = this.options
    const a = this.#pipeline.drain()
    const b = stateLog === undefined || stateLog.drain()
    return a && b
  }
}
