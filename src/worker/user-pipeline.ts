import { isStamped, type PipelineSpec, type RowsFunction, SOURCE_CELLS } from '../codegen/stage-functions.js'
import { compileUserInput } from '../codegen/user-input-compiler.js'
import type { Env } from '../common/env.js'
import { type Segment, segmentsOf, userInputSchema } from '../operator/user-code.js'
import type { Stage, UserCodeOperator } from '../plan/physical-plan.js'
import type { BufferViews } from '../types/block.js'
import { BlockBuilder } from '../types/block-builder.js'
import { BlockScratch } from '../types/block-scratch.js'
import type { StructType } from '../types/data-type.js'
import type { Heartbeat } from './heartbeat.js'
import type { RowsTarget } from './rows-target.js'
import type { Callable } from './user-function.js'
import { UserOperator } from './user-operator.js'

/** The functions that a plan calls, on this worker. */
export type UserFunctions = (operator: UserCodeOperator) => Callable

/** What a stage with user code in it needs of its worker. */
export interface UserSurroundings {
  readonly functions: UserFunctions
  readonly env: Env
  /** A promise of the user's was kept: the task has something to do. */
  readonly wake: () => void
  readonly heartbeat: () => Heartbeat
  /** By which the engine knows the run. */
  readonly run: string
}

/** What a stage with user code in it consists of, compiled once: who runs it on rows of his own makes a {@link UserPipeline} of it. */
export interface UserStage {
  readonly steps: readonly UserStep[]
  /** Behind the last function. */
  readonly last: PipelineSpec
  readonly surroundings: UserSurroundings
}

interface UserStep {
  readonly run: RowsFunction<BlockBuilder>
  readonly schema: StructType
  readonly operator: UserCodeOperator
  /** Its rows are stamped at its beginning, so the cells of the source are its own. */
  readonly ownsCells: boolean
}

export interface UserStageOptions {
  readonly ansi: boolean
  readonly surroundings: UserSurroundings
  readonly physicalSlots?: readonly number[] | undefined
  readonly watermark?: PipelineSpec['watermark']
  readonly tables?: PipelineSpec['tables']
}

/** `schema`: of the blocks that the pipeline reads. */
export function userStage(stage: Stage, schema: StructType, options: UserStageOptions): UserStage {
  const { ansi, surroundings, physicalSlots, watermark, tables } = options
  const segments = segmentsOf(schema, stage.pipeline, watermark)
  const spec = (segment: Segment, i: number): PipelineSpec => ({
    schema: segment.schema,
    ...(i > 0 || physicalSlots === undefined ? {} : { physicalSlots }),
    ...(segment.watermark === undefined ? {} : { watermark: segment.watermark }),
    ...(segment.stampSlot === undefined ? {} : { stampSlot: segment.stampSlot }),
    operators: segment.operators,
    ansi,
    tables,
  })
  const steps: UserStep[] = []
  let last: PipelineSpec | undefined
  segments.forEach((segment, i) => {
    const { next: operator } = segment
    const own = spec(segment, i)
    if (operator === undefined) last = own
    else {
      steps.push({
        run: compileUserInput(own, operator).run,
        schema: userInputSchema(operator, isStamped(own)),
        operator,
        ownsCells: segment.watermark !== undefined,
      })
    }
  })
  return { steps, last: last as PipelineSpec, surroundings }
}

/**
 * Rows of one input partition (or of a head) through the functions and the segments between them, a block at a time. Where a function has given
 * promises the block is under way until they are kept, and what came out waits to be landed: rows reach the stage's target in steps of the task alone.
 */
export class UserPipeline {
  readonly #steps: readonly {
    readonly step: UserStep
    readonly builder: BlockBuilder
    readonly scratch: BlockScratch
    readonly operator: UserOperator
  }[]
  readonly #noCells = new Float64Array(SOURCE_CELLS)
  readonly #lastOwnsCells: boolean
  #ready: (() => void)[] = []
  /** Where the rows under way are from. */
  #place = ''

  constructor(
    { steps, last, surroundings }: UserStage,
    private readonly target: RowsTarget,
    private readonly cells: Float64Array,
  ) {
    const { functions, env, heartbeat, run } = surroundings
    this.#steps = steps.map((step) => ({
      step,
      builder: new BlockBuilder(step.schema),
      scratch: new BlockScratch(),
      operator: new UserOperator(step.operator, functions(step.operator), env, heartbeat(), run),
    }))
    this.#lastOwnsCells = last.watermark !== undefined
  }

  /** The block may be gone when this returns. A promise: it is kept when everything that comes of the block can be landed. */
  start(views: BufferViews, position: number, from: number, to: number, place: string): Promise<void> | undefined {
    this.#place = place
    this.#begin(0)
    this.#fill(0, views, position, from, to)
    return this.#call(0)
  }

  /** What has come out, to the target. */
  land(): void {
    const ready = this.#ready
    this.#ready = []
    for (const one of ready) one()
  }

  #begin(i: number): void {
    this.#steps[i]?.builder.reset()
  }

  /** Rows through the segment before function `i`; behind the last function they wait to be landed. */
  #fill(i: number, views: BufferViews, position: number, from: number, to: number): void {
    const at = this.#steps[i]
    if (at === undefined) {
      const cells = this.#lastOwnsCells ? this.cells : this.#noCells
      this.#ready.push(() => this.target.take(views, position, from, to, cells))
      return
    }
    const { step, builder } = at
    builder.ensureRows(builder.rows + to - from)
    step.run(views, position, from, to, step.ownsCells ? this.cells : this.#noCells, builder)
  }

  /** Function `i`, with all rows that its segment has for it, and what comes behind it. */
  #call(i: number): Promise<void> | undefined {
    const at = this.#steps[i]
    if (at === undefined || at.builder.rows === 0) return undefined
    this.#begin(i + 1)
    const done = at.operator.run(
      at.scratch.encode(at.builder),
      at.builder.rows,
      this.#place,
      (views, position, from, to) => this.#fill(i + 1, views, position, from, to),
    )
    return done === undefined ? this.#call(i + 1) : done.then(() => this.#call(i + 1))
  }
}
