import type { PipelineSpec } from '../codegen/stage-functions.js'
import { lazyModule } from '../common/lazy-module.js'
import { type ChannelReader, FrameType } from '../exchange/channel.js'
import type { FinalAggregate, Stage } from '../plan/physical-plan.js'
import type { BlockRef } from '../types/block.js'
import type { AggregateState } from './aggregate-state.js'
import { BarrierInputs, type WatermarkedInput } from './barrier-inputs.js'
import { ClosingState } from './closing-state.js'
import { GroupState } from './group-state.js'
import type { OutputPort } from './output-port.js'
import type { WatermarkPolicy } from './protocol.js'
import { StagePipeline } from './stage-pipeline.js'
import { type Counters, newCounters, type Task } from './task.js'
import type { UserSurroundings } from './user-pipeline.js'

const sessions = lazyModule(import.meta.url, './session-state.js', () => import('./session-state.js'))
const slices = lazyModule(import.meta.url, './sliced-state.js', () => import('./sliced-state.js'))

/** Frames merged before the step ends. */
const STEP_FRAMES = 16

export interface AggregateTaskOptions {
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
  readonly emitEagerly: boolean
  readonly onBarrier: (epoch: number, closedUntil: number) => void
}

/**
 * The final aggregate on one task: merges what the partial aggregates send, closes windows by the global
 * watermark (the least of its inputs'), emits by the output mode, and at a barrier writes down what changed.
 */
export class AggregateTask implements Task {
  readonly counters: Counters = newCounters()
  readonly #state: AggregateState
  readonly #inputs: BarrierInputs
  readonly #pipeline: StagePipeline
  readonly #mode: string
  readonly #closes: boolean
  #dirty = false

  constructor(private readonly options: AggregateTaskOptions) {
    const final = options.stage.head as FinalAggregate
    this.#state = stateOf(final, options.ansi, options.stateLog !== undefined, this.counters)
    this.#inputs = new BarrierInputs(options.inputs, options.watermarkPolicy)
    const { stage, ansi, outputs, tables, user } = options
    this.#pipeline = new StagePipeline(stage, final.schema, ansi, outputs, tables, user)
    this.#mode = final.grouping.outputMode
    this.#closes = final.grouping.closesWindows
  }

  restore(blocks: readonly BlockRef[], closedUntil: number): void {
    for (const { views, position } of blocks) {
      this.#state.restore(views, position, this.options.task, this.options.tasks)
    }
    this.#state.restored(closedUntil)
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
        const reader = inputs[i] as ChannelReader
        if (reader.type === FrameType.data) {
          this.#state.add(reader.views, reader.position)
          this.#dirty = true
        }
        this.#inputs.consume(i)
      }
    }
    if (frames === 0) return false
    if (this.#inputs.barrierComplete()) {
      this.#endEpoch(this.#inputs.epoch, this.#inputs.final, this.#inputs.snapshot)
    } else {
      if (this.options.emitEagerly && this.#dirty && this.#mode === 'update') this.#emitChanged()
      this.#closeWindows(this.#inputs.watermark)
    }
    this.#drain()
    return true
  }

  close(): void {}

  get isWaiting(): boolean {
    return this.#pipeline.isWaiting
  }

  #endEpoch(epoch: number, final: boolean, snapshot: boolean): void {
    const { stateLog } = this.options
    const pipeline = this.#pipeline
    // The one group of no keys is there whatever passes, as in Spark, where its first batch gives it.
    if (final || this.#mode !== 'append') this.#state.ensureGlobalGroup()
    if (this.#mode === 'update') this.#emitChanged()
    this.#closeWindows(final ? Number.POSITIVE_INFINITY : this.#inputs.watermark)
    if (this.#mode === 'complete') pipeline.emit((b) => this.#state.emitAll(b))
    else if (final && this.#mode === 'append') pipeline.emit((b) => this.#state.emitRest(b))
    if (stateLog !== undefined) {
      this.#state.writeLog(stateLog.builder, snapshot)
      stateLog.setBarrier(epoch, final, snapshot)
    }
    this.#state.measure()
    this.#inputs.nextEpoch()
    pipeline.setBarrier(epoch, final, snapshot, () => {
      this.counters.rowsOut = pipeline.rowsOut
      this.options.onBarrier(epoch, this.#state.closedUntil)
    })
  }

  #emitChanged(): void {
    this.#dirty = false
    this.#pipeline.emit((builder) => this.#state.emitChanged(builder))
  }

  #closeWindows(watermark: number): void {
    if (watermark <= this.#state.closedUntil) return
    if (this.#mode === 'append') {
      this.#pipeline.emit((builder) => this.#state.closeWindows(watermark, builder))
      // Windows that are still to come end behind it.
      if (this.#closes) this.#pipeline.setWatermark(watermark)
    } else if (this.#mode === 'update') {
      if (this.#dirty) this.#emitChanged()
      this.#state.closeWindows(watermark, undefined)
    }
  }

  #drain(): boolean {
    const { stateLog } = this.options
    const a = this.#pipeline.drain()
    const b = stateLog === undefined || stateLog.drain()
    return a && b
  }
}

function stateOf(final: FinalAggregate, ansi: boolean, logged: boolean, counters: Counters): AggregateState {
  const { window } = final.grouping
  switch (window?.kind) {
    case 'session':
      return new (sessions().SessionState)(final, ansi, logged, counters)
    case 'sliding':
      return new (slices().SlicedState)(final, window, ansi, logged, counters)
    case undefined:
      if (final.grouping.closing !== undefined) return new ClosingState(final, ansi, logged, counters)
      return new GroupState(final, undefined, ansi, logged, counters)
    default:
      return new GroupState(final, window, ansi, logged, counters)
  }
}
