import type { StructType } from '../types/data-type.js'
import type { ScanWatermark } from './bound-plan.js'
import type { BoundAggregate, BoundExpression } from './expression.js'
import type { GroupingWindow } from './grouping-window.js'
import type { JoinType, SourceSpec } from './logical-plan.js'
import type { Processor } from './stateful-processor.js'
import type { UserCode } from './user-code.js'

/**
 * What the workers run: stages cut at exchanges, every expression bound and typed. Frozen data.
 *
 *   stage = input (scan | exchange) → head (final aggregate | join | deduplicate | transformWithState | sort | limit)?
 *         → pipeline (drop late, filter, project, broadcast join, user code)* → output
 *   output = partial aggregate → exchange by key group | rows → exchange by key group | exchange to one task | sink
 *
 * The stages are a tree: each hands its rows to one stage behind it, or to the sink. Several may feed the same exchange, or the sink
 * (a union is nothing else). A stage stands behind all that feed it.
 */
export interface PhysicalPlan {
  readonly stages: readonly Stage[]
  /** Rows that reach the sink. */
  readonly schema: StructType
  /** Sides of joins that are read to their end before the query begins, and are then tables of that name. */
  readonly broadcasts: readonly Broadcast[]
  /** Top-level fields of `schema` that identify a group (update mode: the last row of each counts). Empty where there is none. */
  readonly groupingFields: readonly number[]
  readonly outputMode: OutputMode
  readonly streaming: boolean
  readonly ansi: boolean
  /** Which operators hold state, by name, for checks at restart: equal text = state can go on. */
  readonly stateSignature: string
}

export interface Broadcast {
  readonly table: string
  readonly plan: PhysicalPlan
}

export type OutputMode = 'append' | 'update' | 'complete'

export interface Stage {
  readonly id: number
  readonly input: ScanInput | ExchangeInput
  readonly head?: HeadOperator
  /** Applied to the rows of the scan, or of the head, in order. */
  readonly pipeline: readonly NarrowOperator[]
  readonly output: StageOutput
  /** `single`: one task in all (sort, limit); `parallel`: a task a worker. */
  readonly parallelism: 'parallel' | 'single'
}

export interface ScanInput {
  readonly kind: 'scan'
  readonly source: SourceSpec
  /** The columns that are used at all, with the slots of `schema`; a source decodes these only. */
  readonly schema: StructType
  /** Top-level field of source.schema for each field of `schema`. */
  readonly fields: readonly number[]
  /**
   * Conditions on `schema` that the source may use to skip rows early. They stand in the pipeline as
   * well, so a source that ignores them is right too.
   */
  readonly pushedFilters: readonly BoundExpression[]
  /** Stamped on every record before any filter: decision 12 of docs/architecture.md. */
  readonly watermark?: ScanWatermark
}

export interface ExchangeInput {
  readonly kind: 'exchange'
  /** Ids of the stages whose rows come through it. */
  readonly from: readonly number[]
  /** Of a join: the side that each of them feeds. */
  readonly sides?: readonly JoinSideName[]
  /** Of the frames in the channel. For an aggregate: see aggregateStateSchema() in operator/aggregate.ts. */
  readonly schema: StructType
}

export type JoinSideName = 'left' | 'right'

export type HeadOperator = FinalAggregate | Join | Deduplicate | TransformWithState | Sort | Limit

/** Pairs the rows of two sides that meet in the same key. Both are kept, for as long as the other may bring a match. */
export interface Join {
  readonly op: 'join'
  readonly how: JoinType
  readonly left: JoinSide
  readonly right: JoinSide
  /** What else has to be true of a pair: over the slots of the left rows, and behind them those of the right. */
  readonly condition?: BoundExpression
  /** The watermark behind the join is that of its inputs less this; left out where time does not go on behind it. */
  readonly watermarkLagMs?: number
  /** By Spark's rule a row that is at the watermark is late, so no match is to come any more. */
  readonly rule?: 'spark'
  /** Of the rows it emits: left columns and right columns, or left columns alone. */
  readonly schema: StructType
}

export interface JoinSide {
  /** Of the rows that come. */
  readonly schema: StructType
  /** Bound to them; as many on both sides, of equal types. */
  readonly keys: readonly BoundExpression[]
  /** Timestamps: once the watermark is behind the least of them no match can come any more. Empty: that is never known. */
  readonly expiresAt: readonly BoundExpression[]
}

/** Hands on the first row of each key. */
export interface Deduplicate {
  readonly op: 'deduplicate'
  /** Of the rows that come, and of those that leave. */
  readonly schema: StructType
  /** Bound to them. */
  readonly keys: readonly BoundExpression[]
  /**
   * Timestamps made of the key: once the watermark is behind the least of them no row of the key can come any more that is not late. Empty: that
   * is never known.
   */
  readonly expiresAt: readonly BoundExpression[]
  /** A key counts until the watermark has reached the event time of its row plus the delay, whatever its own time. */
  readonly within?: { readonly eventTime: BoundExpression; readonly delayMs: number }
  /** Rows do not bear their event time, so late ones are not told before: a row is late where its key's time is, by the watermark that it comes with. */
  readonly lateByKey?: true
  /** By Spark's rule what is at the watermark is late, and a key is forgotten between two epochs alone. */
  readonly rule?: 'spark'
}

/** Hands the rows of each key to a processor of the user's, which keeps state and has timers. */
export interface TransformWithState {
  readonly op: 'transformWithState'
  readonly processor: Processor
  /** Of the rows that come: the columns that the user has, and behind them the keys. */
  readonly input: StructType
  readonly columns: number
  readonly keyNames: readonly string[]
  /** Which column is the event time, where the processor goes by it. */
  readonly eventTime?: number
  readonly initial?: {
    /** Its rows, as a table of every task: columns, and behind them the keys. */
    readonly table: string
    readonly schema: StructType
    readonly columns: number
    readonly keys: readonly BoundExpression[]
  }
  /** Of the rows it emits. */
  readonly schema: StructType
}

export interface FinalAggregate {
  readonly op: 'finalAggregate'
  readonly grouping: Grouping
  /** Of the rows it emits: the keys (a window as struct {start, end}), then the aggregates. */
  readonly schema: StructType
}

export interface Sort {
  readonly op: 'sort'
  readonly schema: StructType
  readonly keys: readonly {
    readonly value: BoundExpression
    readonly descending: boolean
    readonly nullsFirst: boolean
  }[]
  /** With a limit right above: only the first rows are kept. */
  readonly limit?: number
}

export interface Limit {
  readonly op: 'limit'
  readonly schema: StructType
  readonly count: number
}

export type NarrowOperator =
  /** Rows whose event time is behind the watermark that they are stamped with; of a scan that has one. */
  | { readonly op: 'dropLate' }
  | { readonly op: 'filter'; readonly condition: BoundExpression }
  | { readonly op: 'project'; readonly columns: readonly BoundExpression[]; readonly schema: StructType }
  | BroadcastJoin
  | UserCodeOperator
  | Explode

/** The row once for each element of its array: see BoundExplode. Its own slots, then the place in the array and the element. */
export interface Explode {
  readonly op: 'explode'
  readonly array: BoundExpression
  /** Of the rows that come out. */
  readonly schema: StructType
}

/** Calls the user's function: what stands before it in the pipeline and what stands behind it are functions of their own. */
export interface UserCodeOperator {
  readonly op: 'userCode'
  readonly code: UserCode
  /** Of the rows that it is given. */
  readonly input: StructType
  /** Of the rows that come out. */
  readonly schema: StructType
  /** Stamped on the rows that come out. */
  readonly watermark?: ScanWatermark
}

/** Each row with its matches in a table that every task has. No state: the table is the same for the whole run. */
export interface BroadcastJoin {
  readonly op: 'broadcastJoin'
  /** `left`: a row without a match comes out with nulls. `leftSemi` and `leftAnti`: the row alone, where it has a match, or none. */
  readonly how: 'inner' | 'left' | 'leftSemi' | 'leftAnti'
  /** Bound to the rows. */
  readonly keys: readonly BoundExpression[]
  readonly table: BroadcastTable
  /** Slots and columns are those of the rows and behind them the table's; here the other way round. */
  readonly tableFirst: boolean
  /** What else has to be true of a pair. */
  readonly condition?: BoundExpression
  /** Of the rows that come out. */
  readonly schema: StructType
}

export interface BroadcastTable {
  readonly name: string
  readonly schema: StructType
  /** Bound to its rows; as many as the rows' keys, of equal types. */
  readonly keys: readonly BoundExpression[]
}

/** Shared by both halves of an aggregate. */
export interface Grouping {
  /** Plain keys, bound to the rows before the partial aggregate. */
  readonly keys: readonly { readonly name: string; readonly value: BoundExpression }[]
  /** At most one among the keys. */
  readonly window?: GroupingWindow
  readonly aggregates: readonly BoundAggregate[]
  /** True where the scan has a watermark and a window, or the event time itself, is a key: late rows are dropped and counted, groups close. */
  readonly closesWindows: boolean
  /** The key that is the event time itself, where that closes groups: those whose time is before the watermark plus `lead` milliseconds are over. */
  readonly closing?: { readonly key: number; readonly lead: 0 | 1 }
  readonly outputMode: OutputMode
}

export function hasUserCode({ pipeline }: Pick<Stage, 'pipeline'>): boolean {
  return pipeline.some((operator) => operator.op === 'userCode')
}

/** Whether code of the user's runs in the stage, in its pipeline or at its head. */
export function callsUserCode(stage: Pick<Stage, 'head' | 'pipeline'>): boolean {
  return stage.head?.op === 'transformWithState' || hasUserCode(stage)
}

/** What stamps the rows of a stage that scans. */
export function stampOf({ input, pipeline }: Pick<Stage, 'input' | 'pipeline'>): ScanWatermark | undefined {
  let stamp = input.kind === 'scan' ? input.watermark : undefined
  for (const operator of pipeline) if (operator.op === 'userCode') stamp = operator.watermark ?? stamp
  return stamp
}

/** Whether the rows that leave are those that were stamped: what user code makes of them has no stamp of its own. */
export function bearsStamp(stage: Pick<Stage, 'input' | 'pipeline'>): boolean {
  const last = stage.pipeline.findLast((operator) => operator.op === 'userCode' && operator.code.method !== 'filter')
  if (last?.op === 'userCode') return last.watermark !== undefined
  return stampOf(stage) !== undefined
}

/** Whether what the operator keeps goes from one epoch to the next, and with it into the checkpoint. */
export function hasState(head: HeadOperator | undefined): boolean {
  return head !== undefined && head.op !== 'sort' && head.op !== 'limit'
}

/** Whether something is to be done when the clock says so, and not only when rows come. */
export function hasClockTimers({ stages }: PhysicalPlan): boolean {
  return stages.some(({ head }) => head?.op === 'transformWithState' && head.processor.timeMode === 'processing')
}

/** The stages that read sources, from left to right: the one at place k reads source k. */
export function scanStages(plan: PhysicalPlan): readonly (Stage & { readonly input: ScanInput })[] {
  return plan.stages.filter((stage): stage is Stage & { readonly input: ScanInput } => stage.input.kind === 'scan')
}

export type StageOutput =
  | { readonly kind: 'partialAggregate'; readonly grouping: Grouping }
  | { readonly kind: 'exchange'; readonly schema: StructType }
  /** Rows to the tasks that own the key groups of their keys, the hash before them: see shuffleSchema() in operator/join.ts. */
  | {
      readonly kind: 'shuffle'
      readonly schema: StructType
      readonly keys: readonly BoundExpression[]
      /**
       * The watermark of each row travels with it: that which its record is stamped with, or, where rows come from an operator that keeps
       * none, a time of the row itself.
       */
      readonly stamp?: 'record' | BoundExpression
    }
  | { readonly kind: 'sink'; readonly schema: StructType }
