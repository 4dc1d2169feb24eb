import { parseDuration } from '../common/duration.js'
import { lazyModule } from '../common/lazy-module.js'
import type { AggregateName, Expression } from '../plan/expression.js'
import type { GroupedNode, LogicalPlan } from '../plan/logical-plan.js'
import { parseSelected } from '../plan/sql-parser.js'
import type { UserCode } from '../plan/user-code.js'
import type { BlockRef } from '../types/block.js'
import { type StructType, typeName } from '../types/data-type.js'
import { type Row, readRows } from '../types/row-reader.js'
import type { StructSchema } from '../types/schema.js'
import type { ArrowTable } from './arrow-table.js'
import { type BatchOptions, type BoundPlan, collectBlocks, explained, type RunOptions, runBatch } from './batch-run.js'
import { endsAlready, neverEnds } from './bounded-input.js'
import type { Column } from './column.js'
import {
  type Condition,
  conditionOf,
  expressionOf,
  expressionOfColumn,
  named,
  namedAggregates,
  replacedColumns,
  shortcutAggregates,
  valueHint,
} from './column-arguments.js'
import { copyBlock } from './copied-block.js'
import type { EngineContext } from './engine-context.js'
import { aliasOf, type JoinHow, type JoinOn, joinOf, notADataFrame } from './join-arguments.js'
import { keyNames, type NameOrList } from './key-names.js'
import { heldRows, type PlanTables } from './memory-tables.js'
import { analyzedSchema, isStreamingPlan, replaceScan } from './planning.js'
import type {
  AggregatedRow,
  AvgRow,
  ColumnLike,
  ColumnName,
  ColumnPath,
  JoinedRow,
  MaxRow,
  MinRow,
  NamedColumns,
  NumericName,
  SelectedRow,
  SumRow,
  TopRow,
  WithColumn,
  Without,
} from './row-types.js'
import { schemaTree } from './schema-tree.js'
import type { GroupedRows, ProcessorOf, TransformOptions } from './stateful-arguments.js'
import type { ExplainMode } from './streaming-query.js'
import {
  isUserFunction,
  type Mapper,
  type RowsMaker,
  type UserCodeOptions,
  type UserFunctionOf,
  userCodeOf,
} from './user-code-arguments.js'
import type { DataFrameWriter, DataStreamWriter } from './writer.js'

const transforming = lazyModule(import.meta.url, './stateful-arguments.js', () => import('./stateful-arguments.js'))
const rendering = lazyModule(import.meta.url, './table-renderer.js', () => import('./table-renderer.js'))
const writing = lazyModule(import.meta.url, './writer.js', () => import('./writer.js'))

/** Plans and tables of another DataFrame that a method is given. */
let partsOf: <O extends object>(other: DataFrame<O>, method: string) => BoundPlan

/**
 * A query over rows, as a plan that nothing has run: every method gives a new DataFrame. Names and types are
 * checked at once. What ends (`mill.read`, `createDataFrame`) is answered by `collect`, `show` and `count`; what does
 * not (`mill.readStream`) is started by `writeStream`.
 */
export class DataFrame<R extends object = Row> {
  readonly #context: EngineContext
  readonly #plan: LogicalPlan
  readonly #tables: PlanTables
  #schema: StructType | undefined

  static {
    partsOf = (other, method) => {
      if (other instanceof DataFrame) return { plan: other.#plan, tables: other.#tables }
      throw notADataFrame(other, method)
    }
  }

  /** DataFrames come from `mill.read`, `mill.readStream`, `mill.createDataFrame` and `mill.table`. */
  constructor(context: EngineContext, plan: LogicalPlan, tables: PlanTables) {
    this.#context = context
    this.#plan = plan
    this.#tables = tables
    // Analyzed here, so that an unknown column is reported where it was written.
    this.#schema = analyzedSchema(plan, context.ansi)
  }

  get schema(): StructType {
    this.#schema ??= analyzedSchema(this.#plan, this.#context.ansi)
    return this.#schema
  }

  get columns(): string[] {
    return this.schema.fields.map((field) => field.name)
  }

  /** True where the input never ends. */
  get isStreaming(): boolean {
    return isStreamingPlan(this.#plan)
  }

  /** `[name, type]` of each column, as in Spark. */
  get dtypes(): [string, string][] {
    return this.schema.fields.map((field) => [field.name, typeName(field.type)])
  }

  printSchema(): void {
    this.#context.print(schemaTree(this.schema))
  }

  /** Prints the logical and the physical plan, with `'codegen'` the generated code too, and returns the text. */
  explain(mode: ExplainMode = 'extended'): string {
    const text = explained(this.#context, this.#bound, mode)
    this.#context.print(`${text}\n`)
    return text
  }

  select<const C extends readonly ColumnLike<R>[]>(...columns: C): DataFrame<SelectedRow<R, C>> {
    return this.#derive({ op: 'select', input: this.#plan, columns: columns.map(expressionOf) })
  }

  /** SQL for each column: `selectExpr('*', 'price * 2 as twice')`. */
  selectExpr(...columns: readonly string[]): DataFrame<Row> {
    return this.#derive({ op: 'select', input: this.#plan, columns: columns.map(parseSelected) })
  }

  withColumn<const N extends string, T>(name: N, column: Column<T, string>): DataFrame<WithColumn<R, N, T>> {
    return this.#derive({ op: 'withColumn', input: this.#plan, name, value: expressionOfColumn(column, valueHint) })
  }

  withColumns<const A extends NamedColumns>(columns: A): DataFrame<AggregatedRow<R, Omit<R, keyof A>, A>> {
    return this.#derive({ op: 'select', input: this.#plan, columns: replacedColumns(this.columns, columns) })
  }

  drop<const N extends ColumnName<R>>(...names: readonly N[]): DataFrame<Without<R, N>> {
    return this.#derive({ op: 'drop', input: this.#plan, names })
  }

  /** `filter(col('price').gt(0))`, or SQL: `filter('price > 0 and page is not null')`; or a function of yours, as in `map`. */
  filter(condition: Condition | UserFunctionOf<(row: R) => unknown>, options?: UserCodeOptions): DataFrame<R> {
    if (isUserFunction(condition)) return this.#userCode('filter', condition, [options])
    return this.#derive({ op: 'filter', input: this.#plan, condition: conditionOf(condition as Condition) })
  }

  where(condition: Condition | UserFunctionOf<(row: R) => unknown>, options?: UserCodeOptions): DataFrame<R> {
    return this.filter(condition, options)
  }

  /**
   * Your function, run on the workers for each row: `map((row) => ({ twice: row.n * 2 }), t.struct({ twice: t.int }))`, or one of a module: `fromModule(…)`. Inline
   * it refers to nothing outside itself. Without a schema its rows have the columns of these. It may be asynchronous; order is kept.
   */
  map<O extends object, I>(fn: Mapper<R, I>, schema: StructSchema<O, I>, options?: UserCodeOptions): DataFrame<O>
  map(fn: Mapper<R, R>, options?: UserCodeOptions): DataFrame<R>
  map<O extends object>(fn: unknown, ...given: readonly unknown[]): DataFrame<O> {
    return this.#userCode('map', fn, given)
  }

  /** Any number of rows for each: what the function gives is an array, or anything else that can be iterated. */
  flatMap<O extends object, I>(fn: RowsMaker<R, I>, schema: StructSchema<O, I>, options?: UserCodeOptions): DataFrame<O>
  flatMap(fn: RowsMaker<R, R>, options?: UserCodeOptions): DataFrame<R>
  flatMap<O extends object>(fn: unknown, ...given: readonly unknown[]): DataFrame<O> {
    return this.#userCode('flatMap', fn, given)
  }

  /** Some rows at a time, `batchSize` at most, and any number for them. How the rows are cut into batches is not promised: nothing may depend on it. */
  mapBatches<O extends object, I>(
    fn: RowsMaker<R[], I>,
    schema: StructSchema<O, I>,
    options?: UserCodeOptions,
  ): DataFrame<O>
  mapBatches(fn: RowsMaker<R[], R>, options?: UserCodeOptions): DataFrame<R>
  mapBatches<O extends object>(fn: unknown, ...given: readonly unknown[]): DataFrame<O> {
    return this.#userCode('mapBatches', fn, given)
  }

  /** Records whose window ended more than `delay` before the greatest event time of their partition are late. */
  withWatermark(column: ColumnName<R>, delay: string | number): DataFrame<R> {
    const delayMs = parseDuration(delay, 'the delay of withWatermark')
    return this.#derive({ op: 'withWatermark', input: this.#plan, column, delayMs })
  }

  groupBy<const C extends readonly ColumnLike<R>[]>(...keys: C): GroupedData<R, SelectedRow<R, C>> {
    return new GroupedData(this.#grouping(keys.map(expressionOf)))
  }

  /** Aggregates over all rows, without keys. */
  agg<const A extends NamedColumns>(aggregates: A): DataFrame<AggregatedRow<R, unknown, A>> {
    return new GroupedData<R, unknown>(this.#grouping([])).agg(aggregates)
  }

  orderBy(...keys: readonly ColumnLike<R>[]): DataFrame<R> {
    return this.#derive({ op: 'orderBy', input: this.#plan, keys: keys.map(expressionOf) })
  }

  sort(...keys: readonly ColumnLike<R>[]): DataFrame<R> {
    return this.orderBy(...keys)
  }

  limit(count: number): DataFrame<R> {
    return this.#derive({ op: 'limit', input: this.#plan, count })
  }

  /** Each row once: dropDuplicates() of all columns. */
  distinct(): DataFrame<R> {
    return this.#deduplicate([], false, 'distinct')
  }

  /**
   * The first row of each key, which is made of the columns named, or of all: `dropDuplicates('user', 'ts')`. In a stream a row leaves at once, and its key is kept
   * until the watermark has passed it where the event time is in the key, else for ever. Which row is the first is certain within a partition.
   */
  dropDuplicates(...names: readonly NameOrList<R>[]): DataFrame<R> {
    return this.#deduplicate(names, false, 'dropDuplicates')
  }

  /**
   * The same with a key that is forgotten: when the watermark has reached the event time of its row plus the watermark's delay. So what repeats
   * within the delay is dropped, and the state does not grow. Needs withWatermark.
   */
  dropDuplicatesWithinWatermark(...names: readonly NameOrList<R>[]): DataFrame<R> {
    return this.#deduplicate(names, true, 'dropDuplicatesWithinWatermark')
  }

  /** The rows of both, duplicates kept: columns by their place, which must be as many, under the names of this one, each of the type that holds both. */
  union<O extends object>(other: DataFrame<O>): DataFrame<R> {
    return this.#union(other, false, false)
  }

  unionAll<O extends object>(other: DataFrame<O>): DataFrame<R> {
    return this.union(other)
  }

  /** The rows of both, columns put together by their name. With `allowMissingColumns` one that a side lacks is null there. */
  unionByName<O extends object>(
    other: DataFrame<O>,
    options: { readonly allowMissingColumns?: boolean } = {},
  ): DataFrame<R & Partial<O>> {
    return this.#union(other, true, options.allowMissingColumns === true)
  }

  /** The same rows, whose columns can be called by a first name too: `clicks.as('c')`, then `col('c.page')`. */
  as(name: string): DataFrame<R> {
    return this.#derive({ op: 'alias', input: this.#plan, name: aliasOf(name) })
  }

  alias(name: string): DataFrame<R> {
    return this.as(name)
  }

  /**
   * Pairs of rows of this DataFrame (left) and another: those of equal columns, `join(users, 'userId')`, where these are in the result once; or those that a
   * condition holds for: `expr('c.userId = u.id')`. In streams a row waits for its match for ever, or, with watermarks and a bound on event time, as long as one can come.
   */
  join<O extends object, const H extends JoinHow = 'inner'>(
    other: DataFrame<O>,
    on: JoinOn,
    how?: H,
  ): DataFrame<JoinedRow<R, O, H>> {
    const { plan, tables } = partsOf(other, 'join')
    return this.#derive(joinOf(this.#plan, plan, how, on), tables)
  }

  /** Every row with every row. */
  crossJoin<O extends object>(other: DataFrame<O>): DataFrame<JoinedRow<R, O, 'cross'>> {
    return this.join(other, undefined, 'cross')
  }

  /** The same query over another input of the same schema: bounded or a stream, one topic or another. */
  withInput<I extends object>(input: DataFrame<I>): DataFrame<R> {
    const plan = replaceScan(this.#plan, input.#plan, input.schema)
    return this.#derive(plan, input.#tables)
  }

  async collect(): Promise<R[]> {
    const rows: R[] = []
    this.#assertBounded('collect')
    const take = (block: BlockRef): void => {
      for (const row of readRows(this.schema, block)) rows.push(row as R)
    }
    await collectBlocks(this.#context, this.#bound, take, () => void rows.splice(0))
    return rows
  }

  /** Calls `fn` with every row, in this thread, without holding them all. */
  async foreach(fn: (row: R) => void, { onProgress, onError }: BatchOptions = {}): Promise<void> {
    const take = (block: BlockRef): void => readRows(this.schema, block).forEach((row) => void fn(row as R))
    await this.#run('foreach', take, { onProgress, onError })
  }

  async take(count: number): Promise<R[]> {
    this.#assertBounded('take')
    return await this.limit(count).collect()
  }

  async first(): Promise<R | null> {
    this.#assertBounded('first')
    return (await this.limit(1).collect())[0] ?? null
  }

  async count(): Promise<number> {
    this.#assertBounded('count')
    const [row] = await new GroupedData<R, unknown>(this.#grouping([])).count().collect()
    return Number((row as Row | undefined)?.['count'] ?? 0)
  }

  /** Prints the first rows as a table. `truncate`: the longest cell; false for all of it. */
  async show(count = 20, truncate: boolean | number = true): Promise<void> {
    this.#assertBounded('show')
    const rows = await this.limit(count + 1).collect()
    const table = rendering().renderTable(this.schema, rows.slice(0, count), { truncate, more: rows.length > count })
    this.#context.print(table)
  }

  /** A Table of the package apache-arrow, which must be installed. The values are not copied. */
  async toArrow(): Promise<ArrowTable> {
    const blocks: BlockRef[] = []
    await this.#run('toArrow', (block) => void blocks.push(copyBlock(block)), { forget: () => void blocks.splice(0) })
    return await (await import('./arrow-table.js')).toArrowTable(this.schema, blocks)
  }

  /** Into files; see docs/files.md. */
  get write(): DataFrameWriter {
    this.#assertBounded('write')
    return new (writing().DataFrameWriter)(this.#context, this.#bound)
  }

  get writeStream(): DataStreamWriter<R, DataFrame<R>> {
    if (!this.isStreaming) throw endsAlready()
    return new (writing().DataStreamWriter)(this.#context, this.#bound, (schema, blocks) => {
      const { plan, tables } = heldRows(schema, blocks)
      return new DataFrame(this.#context, plan, tables)
    })
  }

  get #bound(): BoundPlan {
    return { plan: this.#plan, tables: this.#tables }
  }

  #grouping(keys: readonly Expression[]): GroupingInput {
    return { keys, input: this.#plan, tables: this.#tables, derive: (plan, others) => this.#derive(plan, others) }
  }

  #union<T extends object, O extends object>(
    other: DataFrame<O>,
    byName: boolean,
    allowMissingColumns: boolean,
  ): DataFrame<T> {
    const { plan, tables } = partsOf(other, 'union')
    return this.#derive<T>({ op: 'union', inputs: [this.#plan, plan], byName, allowMissingColumns }, tables)
  }

  #deduplicate(given: readonly unknown[], withinWatermark: boolean, method: string): DataFrame<R> {
    const names = keyNames(given, method)
    const key = names === undefined ? {} : { names }
    return this.#derive({ op: 'deduplicate', input: this.#plan, ...key, withinWatermark })
  }

  #userCode<T extends object>(method: UserCode['method'], fn: unknown, given: readonly unknown[]): DataFrame<T> {
    return this.#derive({ op: 'userCode', input: this.#plan, code: userCodeOf(method, fn, given) })
  }

  #derive<T extends object>(plan: LogicalPlan, others?: PlanTables): DataFrame<T> {
    const tables = others === undefined ? this.#tables : new Map([...this.#tables, ...others])
    return new DataFrame<T>(this.#context, plan, tables)
  }

  async #run(action: string, take: (block: BlockRef) => void, options: RunOptions): Promise<void> {
    this.#assertBounded(action)
    await runBatch(this.#context, this.#bound, take, options)
  }

  #assertBounded(action: string): void {
    if (this.isStreaming) throw neverEnds(action)
  }
}

interface GroupingInput extends GroupedRows {
  readonly derive: <T extends object>(plan: LogicalPlan, others?: PlanTables) => DataFrame<T>
}

/** Rows by group, waiting for their aggregates: what `groupBy` gives. `K` is the row of the keys. */
export class GroupedData<R, K> {
  constructor(private readonly grouping: GroupingInput) {}

  /** `agg({ views: count(), revenue: sum('price') })`: a column for each name. */
  agg<const A extends NamedColumns>(aggregates: A): DataFrame<AggregatedRow<R, K, A>> {
    return this.#regroup({ op: 'aggregate', aggregates: namedAggregates(aggregates) })
  }

  /** Rows of each group, as the column `count`. */
  count(): DataFrame<AggregatedRow<R, K, { count: Column<number, string> }>> {
    return this.#regroup({
      op: 'aggregate',
      aggregates: [named('count', { kind: 'aggregate', fn: 'count', args: [] })],
    })
  }

  sum<const N extends NumericName<R> & string>(...names: readonly N[]): DataFrame<SumRow<R, K, N>> {
    return this.#each('sum', names)
  }

  avg<const N extends NumericName<R> & string>(...names: readonly N[]): DataFrame<AvgRow<R, K, N>> {
    return this.#each('avg', names)
  }

  mean<const N extends NumericName<R> & string>(...names: readonly N[]): DataFrame<AvgRow<R, K, N>> {
    return this.#each('avg', names)
  }

  min<const N extends ColumnPath<R> & string>(...names: readonly N[]): DataFrame<MinRow<R, K, N>> {
    return this.#each('min', names)
  }

  max<const N extends ColumnPath<R> & string>(...names: readonly N[]): DataFrame<MaxRow<R, K, N>> {
    return this.#each('max', names)
  }

  /** The first rows of each group in that order, `top(3, desc('price'))`, and as `rank` their places: Spark's `row_number() over (…) <= 3`. */
  top(count: number, ...order: readonly ColumnLike<R>[]): DataFrame<TopRow<R, K>> {
    return this.#regroup({ op: 'top', count, order: order.map(expressionOf) })
  }

  /** Spark's transformWithState: rows of each group to a processor of yours, which keeps state for each key and has timers. */
  transformWithState<O extends object, I = O, R2 = Row, K2 = Row>(
    processor: ProcessorOf<R, K, NoInfer<I>, NoInfer<R2>>,
    options: TransformOptions<O, I, GroupedData<R2, K2>>,
  ): DataFrame<O> {
    const before: unknown = (options as typeof options | undefined)?.initialState
    const initial = before instanceof GroupedData ? before.grouping : before
    return this.grouping.derive<O>(...transforming().transformOf(this.grouping, processor, options, initial))
  }

  #each<T extends object>(fn: AggregateName, names: readonly string[]): DataFrame<T> {
    return this.#regroup({ op: 'aggregate', aggregates: shortcutAggregates(fn, names) })
  }

  #regroup<T extends object>(node: GroupedNode): DataFrame<T> {
    const { input, keys, derive } = this.grouping
    return derive<T>({ ...node, input, keys })
  }
}
