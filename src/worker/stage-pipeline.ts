import { compileToBuilder } from '../codegen/stage-compiler.js'
import { type RowsFunction, SOURCE_CELLS } from '../codegen/stage-functions.js'
import type { Stage } from '../plan/physical-plan.js'
import { BlockBuilder } from '../types/block-builder.js'
import { BlockScratch } from '../types/block-scratch.js'
import type { StructType } from '../types/data-type.js'
import type { OutputPort } from './output-port.js'

/** Rows that the head of a stage emits, through the stage's filters and projections to its output. */
export class StagePipeline {
  readonly #rows: RowsFunction<BlockBuilder> | undefined
  readonly #scratch: BlockBuilder | undefined
  readonly #block = new BlockScratch()
  readonly #cells = new Float64Array(SOURCE_CELLS)

  constructor(
    stage: Stage,
    headSchema: StructType,
    ansi: boolean,
    private readonly output: OutputPort,
  ) {
    if (stage.pipeline.length === 0) return
    this.#scratch = new BlockBuilder(headSchema)
    this.#rows = compileToBuilder({ schema: headSchema, operators: stage.pipeline, ansi }, output.builder.schema).run
  }

  /** `write` appends rows of the head's schema to the builder that it is given. */
  emit(write: (builder: BlockBuilder) => void): void {
    const scratch = this.#scratch
    if (scratch === undefined) {
      write(this.output.builder)
      return
    }
    write(scratch)
    if (scratch.rows === 0) return
    const block = this.#block.encode(scratch)
    const builder = this.output.builder
    builder.ensureRows(builder.rows + scratch.rows)
    ;(this.#rows as RowsFunction<BlockBuilder>)(block.views, block.position, 0, scratch.rows, this.#cells, builder)
    scratch.reset()
  }
}
