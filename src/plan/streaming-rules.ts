import { MillraceError } from '../common/errors.js'
import { type BoundAggregation, type BoundJoin, type BoundPlan, inputsOf, scansOf, stampsOf } from './bound-plan.js'
import { broadcastShape, endlessNodes, isEndless } from './broadcast-join.js'
import { closesWindows, joinBounds } from './event-time.js'
import { preservesLeft, preservesRight } from './join.js'
import type { OutputMode } from './physical-plan.js'

/**
 * What a stream cannot do, with the reason and what to do instead. Spark's matrix of output modes: an
 * aggregation may be appended only when its windows close; it may always be updated or given complete;
 * what has no aggregation cannot be given complete.
 */
export function checkStreaming(plan: BoundPlan, outputMode: OutputMode): void {
  // What is below a join on the side that ends is done before the stream begins.
  const nodes = endlessNodes(plan)
  const aggregations = nodes.filter((node) => node.op === 'aggregate')
  checkInputs(nodes)
  for (const node of nodes) {
    if (node.op === 'sort') {
      throw refused(
        'orderBy on a stream',
        'a stream has no end, so no row is ever known to be the first',
        'order each result: foreachBatch(async (rows) => rows.orderBy(…).show()), or read it with mill.read',
      )
    }
    if (node.op === 'limit') {
      throw refused(
        'limit on a stream',
        'the rows of a stream come in no order of which some are the first',
        'limit each result in foreachBatch, or read it with mill.read',
      )
    }
  }
  for (const node of nodes) if (node.op === 'join' && broadcastShape(node) === undefined) checkJoin(node, outputMode)
  const isFinal = (node: BoundPlan): boolean =>
    node.op !== 'aggregate' || (outputMode === 'append' && closesWindows(node))
  for (const node of nodes) {
    if (node.op !== 'deduplicate' || endlessNodes(node.input).every(isFinal)) continue
    throw refused(
      'dropDuplicates behind an aggregation',
      'it would keep the first update of a group, and not its result',
      "use output mode 'append' and a window with a watermark in the aggregation, or drop the duplicates before it",
    )
  }
  for (const node of nodes) {
    if (node.op !== 'transformWithState') continue
    const { outputMode: wanted } = node.processor
    if (wanted !== undefined && wanted !== outputMode) {
      throw refused(
        `output mode '${outputMode}' of a processor that is made for '${wanted}'`,
        'the two are said to be the same',
        `writeStream.outputMode('${wanted}'), or leave outputMode out of transformWithState`,
      )
    }
    if (endlessNodes(node.input).every(isFinal)) continue
    throw refused(
      'transformWithState behind an aggregation',
      'it would be given the updates of a group, and not its result',
      "use output mode 'append' and a window with a watermark in the aggregation",
    )
  }
  if (aggregations.some((node) => !endlessNodes(node.input).every(isFinal))) {
    throw refused(
      'two aggregations in one streaming query',
      'the second would count the updates of the first, not its results',
      "use output mode 'append' and windows with a watermark below, or write the first to a topic and start a second query on that",
    )
  }
  if (outputMode === 'complete' && !isAggregated(plan)) {
    throw refused(
      "output mode 'complete' without an aggregation",
      'every row of the stream would be kept for ever',
      "use output mode 'append' or 'update'",
    )
  }
  for (const { window, keys } of aggregations) if (window?.kind === 'session') checkSession(keys.length, outputMode)
  if (outputMode === 'append') for (const aggregation of aggregations) checkAppended(aggregation)
}

/**
 * Rows that come out without a match come out when none can come any more: that has to be known some day, for the side whose rows
 * are kept for it. An inner or a semi join may keep its rows for ever.
 */
function checkJoin(join: BoundJoin, outputMode: OutputMode): void {
  const { how } = join
  if (outputMode === 'complete') return
  if (outputMode === 'update' && how !== 'inner' && how !== 'cross') {
    throw refused(
      `output mode 'update' of a ${how} join`,
      'what came out once is never taken back',
      "use output mode 'append'",
    )
  }
  const bounds = joinBounds(join)
  const waits = (['left', 'right'] as const).filter(
    (side) =>
      (side === 'left' ? preservesLeft(how) || how === 'leftAnti' : preservesRight(how)) && bounds[side].length === 0,
  )
  const [side] = waits
  if (side === undefined) return
  throw refused(
    `a ${how} join of streams without a bound in time`,
    `a row of the ${side} side could always get a match later, so it never comes out without one`,
    'give the other side a watermark, and the condition a bound on its event time: r.ts <= l.ts + interval 1 hour',
  )
}

/** Every row of the stream is of a group. */
function isAggregated(plan: BoundPlan): boolean {
  if (plan.op === 'aggregate' || !isEndless(plan)) return true
  return plan.op !== 'scan' && inputsOf(plan).every(isAggregated)
}

/** A stream and rows that end cannot be read as one input; a join reads what ends first. */
function checkInputs(nodes: readonly BoundPlan[]): void {
  for (const node of nodes) {
    const ending = inputsOf(node).find((input) => !isEndless(input))
    if (ending === undefined || node.op === 'scan') continue
    const [scan] = scansOf(ending)
    const name = scan?.source.topics?.map((topic) => topic.name).join(', ') ?? scan?.source.format
    if (node.op !== 'join') {
      throw refused(
        'a union of a stream and an input that ends',
        `${name} ends, the other does not`,
        'read both with mill.readStream, or both with mill.read',
      )
    }
    if (broadcastShape(node) !== undefined) continue
    throw refused(
      `a ${node.how} join of a stream with an input that ends on the ${ending === node.left ? 'left' : 'right'}`,
      `rows of ${name} would come out when they have found nobody, and the stream never ends`,
      `there is inner, cross, ${ending === node.left ? 'and right, which keeps the rows of the stream' : 'left, leftSemi and leftAnti'}; or read ${name} with mill.readStream`,
    )
  }
}

/** As in Spark. */
function checkSession(otherKeys: number, outputMode: OutputMode): void {
  if (otherKeys === 0) {
    throw refused(
      'a session window without another grouping key on a stream',
      'all records would be of one session, on one task',
      "group by something else too: groupBy(sessionWindow('ts', '5 minutes'), 'user')",
    )
  }
  if (outputMode === 'update') {
    throw refused(
      "output mode 'update' of session windows",
      'a session that grows has another start or end, so no later row would take the place of the first',
      "use output mode 'append', or 'complete'",
    )
  }
}

function checkAppended(aggregation: BoundAggregation): void {
  if (closesWindows(aggregation)) return
  const watermarks = stampsOf(aggregation)
  if (aggregation.window === undefined) {
    throw refused(
      "output mode 'append' of an aggregation without a window",
      'such a group can always get another record, so it is never final',
      "group by window('ts', '1 minute') with a watermark, or use output mode 'update' or 'complete'",
    )
  }
  const [watermark] = watermarks
  if (watermark === undefined || watermarks.includes(undefined)) {
    throw refused(
      "output mode 'append' of an aggregation without a watermark",
      'without a watermark no window ever closes',
      "add .withWatermark('ts', '10 seconds') before groupBy, or use output mode 'update' or 'complete'",
    )
  }
  throw refused(
    "output mode 'append' of a window over another column than the watermark's",
    `the watermark is on ${watermark.column}, which says nothing of the window's column`,
    `use window('${watermark.column}', …), or output mode 'update'`,
  )
}

function refused(what: string, reason: string, instead: string): MillraceError {
  return new MillraceError('UNSUPPORTED_OPERATION', `${what} is not supported`, { detail: reason, hint: instead })
}
