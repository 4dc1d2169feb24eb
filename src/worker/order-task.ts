import { compileToBuilder } from '../codegen/stage-compiler.js'
import type { PipelineSpec } from '../codegen/stage-functions.js'
import { type ChannelReader, FrameType } from '../exchange/channel.js'
import type { Limit, Sort, Stage } from '../plan/physical-plan.js'
import { blockRowCount } from '../types/block.js'
import { BarrierInputs, type WatermarkedInput } from './barrier-inputs.js'
import { OrderedRows } from './ordered-rows.js'
import type { OutputPort } from './output-port.js'
import { StagePipeline } from './stage-pipeline.js'
import { type Counters, newCounters, type Task } from './task.js'
import type { UserSurroundings } from './user-pipeline.js'

const STEP_FRAMES = 16

/** Sort and limit: one task holds the rows of a bounded input (see ordered-rows.ts) until it has ended. */
export class OrderTask implements Task {
  readonly counters: Counters = newCounters()
  readonly #inputs: BarrierInputs
  readonly #pipeline: StagePipeline
  readonly #rows: OrderedRows

  constructor(
    stage: Stage,
    ansi: boolean,
    inputs: readonly WatermarkedInput[],
    outputs: readonly OutputPort[],
    private readonly onBarrier: (epoch: number) => void,
    tables?: PipelineSpec['tables'],
    user?: UserSurroundings,
  ) {
    const head = stage.head as Sort | Limit
    // It waits for the end of its input; what time it is there is no matter.
    this.#inputs = new BarrierInputs(inputs, 'min')
    this.#pipeline = new StagePipeline(stage, head.schema, ansi, outputs, tables, user)
    this.#rows = new OrderedRows(head, ansi, (spec, schema) => compileToBuilder(spec, schema).run)
  }

  step(): boolean {
    if (!this.#pipeline.drain()) return false
    let frames = 0
    const readers = this.#inputs.inputs
    for (let i = 0; i < readers.length; i++) {
      while (frames < STEP_FRAMES && this.#inputs.next(i)) {
        frames += 1
        const reader = readers[i] as ChannelReader
        if (reader.type === FrameType.data) this.#take(reader)
        this.#inputs.consume(i)
      }
    }
    if (frames === 0) return false
    if (this.#inputs.barrierComplete()) this.#endEpoch()
    this.#pipeline.drain()
    return true
  }

  get isWaiting(): boolean {
    return this.#pipeline.isWaiting
  }

  close(): void {
    this.#rows.clear()
  }

  #take({ views, position }: ChannelReader): void {
    this.counters.rowsIn += blockRowCount(views, position)
    this.#rows.take(views, position)
  }

  #endEpoch(): void {
    const { epoch, final } = this.#inputs
    this.#pipeline.emit((builder) => this.#rows.emit(builder))
    this.#inputs.nextEpoch()
    this.#pipeline.setBarrier(epoch, final, false, () => {
      this.counters.rowsOut = this.#pipeline.rowsOut
      this.onBarrier(epoch)
    })
  }
}
