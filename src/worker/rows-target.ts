import { multipliesRows } from '../codegen/row-compiler.js'
import { compileToShuffle } from '../codegen/shuffle-compiler.js'
import { compileState, compileToBuilder, compileToTable } from '../codegen/stage-compiler.js'
import { type PipelineSpec, type RowsFunction, SOURCE_CELLS, type StateFunction } from '../codegen/stage-functions.js'
import { groupLayout } from '../operator/aggregate.js'
import type { Grouping, NarrowOperator, Stage } from '../plan/physical-plan.js'
import type { GroupTable } from '../state/group-table.js'
import { givePartialTable, PARTIAL_GROUPS, takePartialTable } from '../state/partial-tables.js'
import type { BufferViews } from '../types/block.js'
import type { CarefulLoop, CarefulTableLoop, RowsLoop } from './careful-rows.js'
import type { FailureGuard, RowOrigin } from './failure-guard.js'
import { guarding } from './guarding.js'
import type { OutputPort } from './output-port.js'

/**
 * Where the rows of a stage go behind its last operator: as they are into the one output's builder, behind the hash of their key into the builder of the task
 * that owns it, or into a table of partial aggregates, which is handed on now and then.
 */
export class RowsTarget {
  readonly table: GroupTable | undefined
  /** The table was full, and handed on in between. */
  overflowed = false
  readonly #take: RowsLoop
  readonly #careful: CarefulLoop | CarefulTableLoop | undefined
  readonly #operators: string
  #probe: GroupTable | undefined
  readonly #writeState: StateFunction | undefined

  constructor(
    { output }: Stage,
    given: PipelineSpec,
    private readonly outputs: readonly OutputPort[],
    private readonly guard?: FailureGuard,
  ) {
    const spec = guard === undefined ? given : { ...given, namesFailing: true }
    this.#operators = operatorNames(spec.operators)
    const target = { multiplies: multipliesRows(spec), cells: SOURCE_CELLS }
    if (output.kind === 'partialAggregate') {
      const table = takePartialTable(groupLayout(output.grouping, true), () => {
        this.handOn()
        this.overflowed = true
      })
      const run = compileToTable(spec, output.grouping, table).run
      this.table = table
      this.#writeState = compileState(output.grouping, true, spec.ansi).run
      this.#take = (views, position, from, to, cells) => run(views, position, from, to, cells, table)
      if (guard !== undefined) {
        const look: RowsLoop = (...rows) => this.#look(spec, output.grouping, ...rows)
        this.#careful = new (guarding().CarefulTableLoop)(this.#take, look, target)
      }
      return
    }
    const builders = outputs.map(({ builder }) => builder)
    const ensure = (rows: number): void => {
      for (const builder of builders) builder.ensureRows(builder.rows + rows)
    }
    if (output.kind === 'shuffle') {
      const run = compileToShuffle(spec, output).run
      this.#take = (views, position, from, to, cells) => {
        ensure(to - from)
        run(views, position, from, to, cells, builders)
      }
    } else {
      const run = compileToBuilder(spec, output.schema).run
      const [builder] = builders
      this.#take = (views, position, from, to, cells) => {
        ensure(to - from)
        if (builder !== undefined) run(views, position, from, to, cells, builder)
      }
    }
    if (guard === undefined) return
    this.#careful = new (guarding().CarefulLoop)(this.#take, builders, target)
  }

  /** `origin`: of the block's rows, where there is a failure policy. */
  take(
    views: BufferViews,
    position: number,
    from: number,
    to: number,
    cells: Float64Array,
    origin?: RowOrigin | undefined,
  ): void {
    const careful = this.#careful
    if (careful === undefined || origin === undefined) this.#take(views, position, from, to, cells)
    else {
      careful.run(views, position, from, to, cells, (row, error) =>
        this.guard?.failed('transform', this.#operators, error, origin, row),
      )
    }
  }

  /** Rows into a table that nobody looks at. */
  #look(spec: PipelineSpec, grouping: Grouping, ...[views, position, from, to, cells]: Parameters<RowsLoop>): void {
    this.#probe ??= takePartialTable(groupLayout(grouping, true), () => this.#probe?.reset())
    const table = this.#probe
    this.#lookInto ??= compileToTable(spec, grouping, table).run
    try {
      this.#lookInto(views, position, from, to, cells, table)
    } finally {
      table.reset()
    }
  }

  #lookInto: RowsFunction<GroupTable> | undefined

  /** The table has so many groups that it is better handed on. */
  get isHeavy(): boolean {
    return this.overflowed || (this.table !== undefined && this.table.size * 2 > PARTIAL_GROUPS)
  }

  /** What was aggregated goes to the tasks that own it. */
  handOn(): void {
    this.overflowed = false
    const { table, outputs } = this
    if (table === undefined || table.size === 0) return
    const writeState = this.#writeState as StateFunction
    for (let target = 0; target < outputs.length; target++) {
      const builder = (outputs[target] as OutputPort).builder
      builder.ensureRows(builder.rows + table.size)
      writeState(table, null, 0, table.size, builder, 0, target, outputs.length)
    }
    table.reset()
  }

  close(): void {
    if (this.table !== undefined) givePartialTable(this.table)
    if (this.#probe !== undefined) givePartialTable(this.#probe)
  }
}

/** What a failure in the loop is called by: it is one loop, whatever it consists of. */
export function operatorNames(operators: readonly NarrowOperator[]): string {
  return operators.length === 0 ? 'scan' : operators.map(({ op }) => op).join(', ')
}
