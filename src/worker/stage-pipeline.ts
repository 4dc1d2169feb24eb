import { type PipelineSpec, SOURCE_CELLS } from '../codegen/stage-functions.js'
import { present } from '../common/assert.js'
import { lazyModule } from '../common/lazy-module.js'
import { aggregateStateSchema } from '../operator/aggregate.js'
import { shuffleSchema } from '../operator/join.js'
import { hasUserCode, type Stage } from '../plan/physical-plan.js'
import { type BlockRef, blockRowCount } from '../types/block.js'
import { BlockBuilder } from '../types/block-builder.js'
import { BlockScratch } from '../types/block-scratch.js'
import type { StructType } from '../types/data-type.js'
import { guarding } from './guarding.js'
import type { OutputPort } from './output-port.js'
import type { OwnRows } from './row-origin.js'
import { RowsTarget } from './rows-target.js'
import type { UserPipeline, UserSurroundings } from './user-pipeline.js'

/** By the first stage with a function of the user's. */
const userCode = lazyModule(import.meta.url, './user-code.js', () => import('./user-code.js'))

/**
 * Rows that the head of a stage emits, through the stage's filters and projections to its outputs: as they are to the one
 * output there is, or as partial aggregates to the tasks that own their key groups.
 *
 * User code among them may take its time: rows then wait in line for it, and what is said of time and of epochs behind them waits as well. The task does
 * nothing more meanwhile, since `drain` says no.
 */
export class StagePipeline {
  readonly #target: RowsTarget | undefined
  readonly #scratch: BlockBuilder
  readonly #block = new BlockScratch()
  readonly #cells = new Float64Array(SOURCE_CELLS)
  readonly #user: UserPipeline | undefined
  readonly #ownRows: OwnRows | undefined
  readonly #line: BlockRef[] = []
  #isFlying = false
  #hasLanded = false
  #flightFailure: { readonly error: unknown } | undefined
  #watermark: number | undefined
  #atBarrier: (() => void) | undefined

  constructor(
    private readonly stage: Stage,
    headSchema: StructType,
    ansi: boolean,
    private readonly outputs: readonly OutputPort[],
    tables?: PipelineSpec['tables'],
    private readonly surroundings?: UserSurroundings,
  ) {
    this.#scratch = new BlockBuilder(headSchema)
    const guard = surroundings?.guard
    this.#ownRows = guard && new (guarding().OwnRows)(guard, headSchema)
    const isNarrow = stage.output.kind === 'sink' || stage.output.kind === 'exchange'
    if (isNarrow && stage.pipeline.length === 0) return
    if (hasUserCode(stage)) {
      const around = present(surroundings, 'the functions of user code')
      const user = userCode().userStage(stage, headSchema, { ansi, surroundings: around, tables })
      this.#target = new RowsTarget(stage, user.last, outputs, guard)
      this.#user = new (userCode().UserPipeline)(user, this.#target, this.#cells, userCode().callGates(user))
    } else {
      const spec = { schema: headSchema, operators: stage.pipeline, ansi, tables }
      this.#target = new RowsTarget(stage, spec, outputs, guard)
    }
  }

  /** Of the frames that leave a stage. */
  static outputSchema(stage: Stage): StructType {
    const { output } = stage
    if (output.kind === 'partialAggregate') return aggregateStateSchema(output.grouping)
    return output.kind === 'shuffle' ? shuffleSchema(output.schema, output.stamp !== undefined) : output.schema
  }

  get rowsOut(): number {
    return this.outputs.reduce((sum, output) => sum + output.rowsOut, 0)
  }

  get isWaiting(): boolean {
    return this.#isFlying
  }

  /** `write` appends rows of the head's schema to the builder that it is given. */
  emit(write: (builder: BlockBuilder) => void): void {
    const target = this.#target
    if (target === undefined) {
      write(present(this.outputs[0], `the output of stage ${this.stage.id}`).builder)
      return
    }
    write(this.#scratch)
    if (this.#scratch.rows === 0) return
    if (this.#user !== undefined) {
      this.#line.push(this.#scratch.toBlock())
      this.#advance()
    } else {
      const { views, position } = this.#block.encode(this.#scratch)
      target.take(views, position, 0, this.#scratch.rows, this.#cells, this.#ownRows?.at(views, position))
      target.handOn()
    }
    this.#scratch.reset()
  }

  /** Of what is still to come; behind the rows that have been emitted. */
  setWatermark(watermark: number): void {
    if (this.#isBusy) this.#watermark = watermark
    else for (const output of this.outputs) output.setWatermark(watermark)
  }

  /** `then`: what is to be said once the rows of the epoch are with the outputs. */
  setBarrier(epoch: number, final: boolean, snapshot: boolean, then: () => void): void {
    const end = (): void => {
      for (const output of this.outputs) output.setBarrier(epoch, final, snapshot)
      then()
    }
    if (this.#isBusy) this.#atBarrier = end
    else end()
  }

  /** True where everything has left. */
  drain(): boolean {
    if (this.#flightFailure !== undefined) throw this.#flightFailure.error
    if (this.#hasLanded) {
      this.#hasLanded = false
      this.#isFlying = false
      this.#land()
      this.#advance()
    }
    const guard = this.surroundings?.guard
    guard?.flush()
    let empty = !this.#isBusy && guard?.isFull !== true
    for (const output of this.outputs) if (!output.drain()) empty = false
    return empty
  }

  get #isBusy(): boolean {
    return this.#isFlying || this.#line.length > 0
  }

  /** The next in line, until there is a promise to wait for; then what was to be said behind them. */
  #advance(): void {
    while (!this.#isFlying) {
      const block = this.#line.shift()
      if (block === undefined) break
      const under = present(this.#user, 'user code').start(
        block.views,
        block.position,
        0,
        blockRowCount(block.views, block.position),
        'rows of its own',
        this.#ownRows?.at(block.views, block.position),
      )
      if (under === undefined) this.#land()
      else this.#fly(under)
    }
    if (this.#isBusy) return
    const { outputs } = this
    if (this.#watermark !== undefined) for (const output of outputs) output.setWatermark(this.#watermark)
    this.#watermark = undefined
    const end = this.#atBarrier
    this.#atBarrier = undefined
    end?.()
  }

  #fly(under: Promise<void>): void {
    this.#isFlying = true
    const { wake } = present(this.surroundings, 'user code')
    under.then(
      () => {
        this.#hasLanded = true
        wake()
      },
      (error: unknown) => {
        this.#flightFailure = { error }
        wake()
      },
    )
  }

  #land(): void {
    this.#user?.land()
    this.#target?.handOn()
  }
}
