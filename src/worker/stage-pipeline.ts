import { compileToShuffle } from '../codegen/shuffle-compiler.js'
import { compileState, compileToBuilder, compileToTable } from '../codegen/stage-compiler.js'
import { type PipelineSpec, type RowsFunction, SOURCE_CELLS } from '../codegen/stage-functions.js'
import { present } from '../common/assert.js'
import { aggregateStateSchema, groupLayout } from '../operator/aggregate.js'
import { shuffleSchema } from '../operator/join.js'
import type { Grouping, Stage } from '../plan/physical-plan.js'
import { takePartialTable } from '../state/partial-tables.js'
import { BlockBuilder } from '../types/block-builder.js'
import { BlockScratch } from '../types/block-scratch.js'
import type { StructType } from '../types/data-type.js'
import type { OutputPort } from './output-port.js'

/**
 * Rows that the head of a stage emits, through the stage's filters and projections to its outputs: as they are to the one
 * output there is, or as partial aggregates to the tasks that own their key groups.
 */
export class StagePipeline {
  readonly #take: ((rows: BlockBuilder) => void) | undefined
  readonly #scratch: BlockBuilder
  readonly #block = new BlockScratch()
  readonly #cells = new Float64Array(SOURCE_CELLS)

  constructor(
    private readonly stage: Stage,
    headSchema: StructType,
    ansi: boolean,
    private readonly outputs: readonly OutputPort[],
    tables?: PipelineSpec['tables'],
  ) {
    this.#scratch = new BlockBuilder(headSchema)
    const spec = { schema: headSchema, operators: stage.pipeline, ansi, tables }
    if (stage.output.kind === 'partialAggregate') {
      const grouping = stage.output.grouping
      this.#take = this.#intoTable(spec, grouping)
    } else if (stage.output.kind === 'shuffle') {
      this.#take = this.#intoTargets(compileToShuffle(spec, stage.output).run)
    } else if (stage.pipeline.length > 0) {
      this.#take = this.#intoBuilder(compileToBuilder(spec, stage.output.schema).run)
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

  /** `write` appends rows of the head's schema to the builder that it is given. */
  emit(write: (builder: BlockBuilder) => void): void {
    if (this.#take === undefined) {
      write(this.#only().builder)
      return
    }
    write(this.#scratch)
    if (this.#scratch.rows === 0) return
    this.#take(this.#scratch)
    this.#scratch.reset()
  }

  /** Of what is still to come; behind the rows that have been emitted. */
  setWatermark(watermark: number): void {
    for (const output of this.outputs) output.setWatermark(watermark)
  }

  setBarrier(epoch: number, final: boolean, snapshot: boolean): void {
    for (const output of this.outputs) output.setBarrier(epoch, final, snapshot)
  }

  /** True where everything has left. */
  drain(): boolean {
    let empty = true
    for (const output of this.outputs) if (!output.drain()) empty = false
    return empty
  }

  #intoTargets(rows: RowsFunction<readonly BlockBuilder[]>): (scratch: BlockBuilder) => void {
    const targets = this.outputs.map(({ builder }) => builder)
    return (scratch) => {
      const { views, position } = this.#block.encode(scratch)
      for (const builder of targets) builder.ensureRows(builder.rows + scratch.rows)
      rows(views, position, 0, scratch.rows, this.#cells, targets)
    }
  }

  #only(): OutputPort {
    return present(this.outputs[0], `the output of stage ${this.stage.id}`)
  }

  #intoBuilder(rows: RowsFunction<BlockBuilder>): (scratch: BlockBuilder) => void {
    const { builder } = this.#only()
    return (scratch) => {
      const { views, position } = this.#block.encode(scratch)
      builder.ensureRows(builder.rows + scratch.rows)
      rows(views, position, 0, scratch.rows, this.#cells, builder)
    }
  }

  #intoTable(spec: PipelineSpec, grouping: Grouping): (scratch: BlockBuilder) => void {
    const outputs = this.outputs
    const writeState = compileState(grouping, true, spec.ansi).run
    const handOn = (): void => {
      outputs.forEach(({ builder }, target) => {
        builder.ensureRows(builder.rows + table.size)
        writeState(table, null, 0, table.size, builder, 0, target, outputs.length)
      })
      table.reset()
    }
    const table = takePartialTable(groupLayout(grouping, true), handOn)
    const rows = compileToTable(spec, grouping, table).run
    return (scratch) => {
      const { views, position } = this.#block.encode(scratch)
      rows(views, position, 0, scratch.rows, this.#cells, table)
      handOn()
    }
  }
}
