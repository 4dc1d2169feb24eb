import { multipliesRows } from '../codegen/row-compiler.js'
import { isStamped, type PipelineSpec, type RowsFunction, SOURCE_CELLS } from '../codegen/stage-functions.js'
import { compileUserInput } from '../codegen/user-input-compiler.js'
import { present } from '../common/assert.js'
import type { Env } from '../common/env.js'
import { type Segment, segmentsOf, userInputSchema } from '../operator/user-code.js'
import type { Stage, UserCodeOperator } from '../plan/physical-plan.js'
import type { BufferViews } from '../types/block.js'
import { BlockBuilder } from '../types/block-builder.js'
import { BlockScratch } from '../types/block-scratch.js'
import { type StructType, topLevelSlots } from '../types/data-type.js'
import { CallGate } from './call-gate.js'
import type { CarefulLoop } from './careful-rows.js'
import type { Attempts, FailureGuard, RowOrigin } from './failure-guard.js'
import { guarding } from './guarding.js'
import type { Heartbeat } from './heartbeat.js'
import type { OwnRows } from './row-origin.js'
import { operatorNames, type RowsTarget } from './rows-target.js'
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
  /** Of the task, where the query has a failure policy. */
  readonly guard?: FailureGuard | undefined
}

/** What a stage with user code in it consists of, compiled once: who runs it on rows of his own makes a {@link UserPipeline} of it. */
export interface UserStage {
  readonly steps: readonly UserStep[]
  /** Behind the last function. */
  readonly last: PipelineSpec
  readonly surroundings: UserSurroundings
}

/** Where there is a failure policy: a gate for each function, shared by all pipelines of an input partition. */
export function callGates({ steps, surroundings }: UserStage): readonly CallGate[] {
  return surroundings.guard === undefined ? [] : steps.map(({ operator }) => new CallGate(operator.code.concurrency))
}

interface UserStep {
  readonly run: RowsFunction<BlockBuilder>
  readonly schema: StructType
  /** Of the blocks that its segment reads, and what the segment consists of. */
  readonly reads: StructType
  readonly operators: PipelineSpec['operators']
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
    namesFailing: surroundings.guard !== undefined,
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
        reads: own.schema,
        operators: own.operators,
        operator,
        ownsCells: segment.watermark !== undefined,
      })
    }
  })
  return { steps, last: last as PipelineSpec, surroundings }
}

/** A piece of a function's input: from row `first` on, made of rows of a block of which `sourceOf` tells what they were made of. */
interface Fill {
  readonly first: number
  readonly sourceOf: (row: number) => number | undefined
}

interface StepAtWork {
  readonly step: UserStep
  readonly builder: BlockBuilder
  readonly scratch: BlockScratch
  readonly operator: UserOperator
  readonly guarded: GuardedStep | undefined
}

/** Of a function's input, by a failure policy. */
class GuardedStep {
  readonly fills: Fill[] = []
  /** Rows at hand that are of no one record. */
  readonly inputRows: OwnRows
  readonly segmentRows: OwnRows
  readonly operators: string
  readonly loop: CarefulLoop
  readonly #rowColumn: number

  constructor(
    guard: FailureGuard,
    { schema, run, operator, reads, operators }: UserStep,
    private readonly builder: BlockBuilder,
  ) {
    this.inputRows = new (guarding().OwnRows)(guard, operator.input)
    this.segmentRows = new (guarding().OwnRows)(guard, reads)
    this.operators = operatorNames(operators)
    this.loop = new (guarding().CarefulLoop)(
      (views, position, from, to, cells) => run(views, position, from, to, cells, builder),
      [builder],
      { multiplies: multipliesRows({ operators }), cells: SOURCE_CELLS },
    )
    this.#rowColumn = topLevelSlots(schema)[operator.input.fields.length] as number
  }

  /** Of row `row` of the input: the row that it was made of, in the block that the pipeline was given. */
  sourceOf(row: number): number | undefined {
    const fill = this.fills.findLast(({ first }) => first <= row)
    return fill?.sourceOf(this.builder.columns[this.#rowColumn]?.values[row] as number)
  }
}

const itself = (row: number): number => row

/**
 * Rows of one input partition (or of a head) through the functions and the segments between them, a block at a time. Where a function has given
 * promises the block is under way until they are kept, and what came out waits to be landed: rows reach the stage's target in steps of the task alone.
 */
export class UserPipeline {
  readonly #steps: readonly StepAtWork[]
  readonly #noCells = new Float64Array(SOURCE_CELLS)
  readonly #lastOwnsCells: boolean
  readonly #guard: FailureGuard | undefined
  readonly #lastRows: OwnRows | undefined
  #ready: (() => void)[] = []
  /** Told when the block lands: what it leaves out and what comes of it are of one epoch. */
  #failed: (() => void)[] = []
  /** Where the rows under way are from. */
  #place = ''
  #origin: RowOrigin | undefined

  constructor(
    { steps, last, surroundings }: UserStage,
    private readonly target: RowsTarget,
    private readonly cells: Float64Array,
    /** Of each function, where there is a failure policy: shared by the pipelines of an input partition. */
    gates: readonly CallGate[],
  ) {
    const { functions, env, heartbeat, run, guard, wake } = surroundings
    this.#guard = guard
    this.#lastRows = guard === undefined ? undefined : new (guarding().OwnRows)(guard, last.schema)
    this.#steps = steps.map((step, i) => {
      const builder = new BlockBuilder(step.schema)
      const guarded = guard && { guard, gate: present(gates[i], 'the gate of a function'), retrying: wake }
      return {
        step,
        builder,
        scratch: new BlockScratch(),
        operator: new UserOperator(step.operator, functions(step.operator), env, heartbeat(), run, guarded),
        guarded: guard === undefined ? undefined : new GuardedStep(guard, step, builder),
      }
    })
    this.#lastOwnsCells = last.watermark !== undefined
  }

  /**
   * The block may be gone when this returns. A promise: it is kept when everything that comes of the block can be landed. `origin`: of its rows, where there is a
   * failure policy.
   */
  start(
    views: BufferViews,
    position: number,
    from: number,
    to: number,
    place: string,
    origin?: RowOrigin | undefined,
  ): Promise<void> | undefined {
    this.#place = place
    this.#origin = origin
    this.#begin(0)
    this.#fill(0, views, position, from, to, itself)
    return this.#call(0)
  }

  /** What has come out, to the target; what has failed, to the guard. */
  land(): void {
    const ready = this.#ready
    this.#ready = []
    for (const one of ready) one()
    if (this.#failed.length === 0) return
    const failed = this.#failed
    this.#failed = []
    for (const one of failed) one()
  }

  /** Rows of the block have failed, and are to be tried again. */
  get isRetrying(): boolean {
    return this.#steps.some(({ operator }) => operator.isRetrying)
  }

  /** Rows are stamped with their watermark when they land, and not before. */
  get stampsLanding(): boolean {
    return this.#lastOwnsCells
  }

  /** Nothing is tried again. */
  close(): void {
    for (const { operator } of this.#steps) operator.close()
  }

  #begin(i: number): void {
    const at = this.#steps[i]
    at?.builder.reset()
    if (at?.guarded !== undefined) at.guarded.fills.length = 0
  }

  /** Rows through the segment before function `i`; behind the last function they wait to be landed. */
  #fill(i: number, views: BufferViews, position: number, from: number, to: number, sourceOf: Fill['sourceOf']): void {
    const at = this.#steps[i]
    if (at === undefined) {
      const cells = this.#lastOwnsCells ? this.cells : this.#noCells
      const own = this.#lastRows?.at(views, position)
      const origin = own === undefined ? undefined : new (guarding().SourceRows)(own, sourceOf, this.#origin)
      this.#ready.push(() => this.target.take(views, position, from, to, cells, origin))
      return
    }
    const { step, builder, guarded } = at
    builder.ensureRows(builder.rows + to - from)
    const cells = step.ownsCells ? this.cells : this.#noCells
    if (guarded === undefined) {
      step.run(views, position, from, to, cells, builder)
      return
    }
    guarded.fills.push({ first: builder.rows, sourceOf })
    const origin = new (guarding().SourceRows)(guarded.segmentRows.at(views, position), sourceOf, this.#origin)
    guarded.loop.run(views, position, from, to, cells, (row, error) =>
      this.#fail(guarded.operators, error, origin, row),
    )
  }

  #fail(operator: string, error: unknown, origin: RowOrigin, row: number, attempts?: Attempts): void {
    const now = this.#guard?.now() ?? 0
    const told = attempts ?? { attempt: 1, firstAt: now, lastAt: now }
    this.#failed.push(() => this.#guard?.failed('transform', operator, error, origin, row, told))
  }

  /** Function `i`, with all rows that its segment has for it, and what comes behind it. */
  #call(i: number): Promise<void> | undefined {
    const at = this.#steps[i]
    if (at === undefined || at.builder.rows === 0) return undefined
    this.#begin(i + 1)
    const { guarded, operator, builder } = at
    const block = at.scratch.encode(builder)
    const done = operator.run(
      block,
      builder.rows,
      this.#place,
      (views, position, from, to, first) => {
        const sourceOf = (row: number): number | undefined => {
          const made = operator.sourceOf(first + row)
          return made === undefined ? undefined : guarded?.sourceOf(made)
        }
        this.#fill(i + 1, views, position, from, to, sourceOf)
      },
      (row, error, attempts) => {
        if (guarded === undefined) throw error
        const own = guarded.inputRows.at(block.views, block.position)
        const origin = new (guarding().SourceRows)(own, (of) => guarded.sourceOf(of), this.#origin)
        this.#fail(operator.name, error, origin, row, attempts)
      },
    )
    return done === undefined ? this.#call(i + 1) : done.then(() => this.#call(i + 1))
  }
}
