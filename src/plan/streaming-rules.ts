import { MillraceError } from '../common/errors.js'
import { expressionKey } from './bound-expression.js'
import { type BoundAggregation, type BoundPlan, scanOf, spine } from './bound-plan.js'
import type { OutputMode } from './physical-plan.js'
import { overScan } from './rules-plan.js'

/**
 * What a stream cannot do, with the reason and what to do instead. Spark's matrix of output modes: an
 * aggregation may be appended only when its windows close; it may always be updated or given complete;
 * what has no aggregation cannot be given complete.
 */
export function checkStreaming(plan: BoundPlan, outputMode: OutputMode): void {
  const nodes = spine(plan)
  const aggregations = nodes.filter((node) => node.op === 'aggregate')
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
  if (aggregations.length > 1) {
    throw refused(
      'two aggregations in one streaming query',
      'the second would count the updates of the first, not its results',
      'write the first to a topic and start a second query on that',
    )
  }
  const [aggregation] = aggregations
  if (outputMode === 'complete' && aggregation === undefined) {
    throw refused(
      "output mode 'complete' without an aggregation",
      'every row of the stream would be kept for ever',
      "use output mode 'append' or 'update'",
    )
  }
  if (outputMode !== 'append' || aggregation === undefined || closesWindows(aggregation)) return
  const scan = scanOf(plan)
  if (aggregation.window === undefined) {
    throw refused(
      "output mode 'append' of an aggregation without a window",
      'such a group can always get another record, so it is never final',
      "group by window('ts', '1 minute') with a watermark, or use output mode 'update' or 'complete'",
    )
  }
  if (scan.watermark === undefined) {
    throw refused(
      "output mode 'append' of an aggregation without a watermark",
      'without a watermark no window ever closes',
      "add .withWatermark('ts', '10 seconds') before groupBy, or use output mode 'update' or 'complete'",
    )
  }
  throw refused(
    "output mode 'append' of a window over another column than the watermark's",
    `the watermark is on ${scan.watermark.column}, which says nothing of the window's column`,
    `use window('${scan.watermark.column}', …), or output mode 'update'`,
  )
}

function refused(what: string, reason: string, instead: string): MillraceError {
  return new MillraceError('UNSUPPORTED_OPERATION', `${what} is not supported`, { detail: reason, hint: instead })
}

/** Do the aggregation's windows close: is its window over the event time of the watermark? Of an optimized plan. */
export function closesWindows(aggregation: BoundAggregation): boolean {
  const { watermark } = scanOf(aggregation)
  if (watermark === undefined || aggregation.window === undefined) return false
  if (spine(aggregation.input).some((node) => node.op === 'aggregate' || node.op === 'sort')) return false
  const overSource = overScan(aggregation.window.eventTime, aggregation.input)
  return expressionKey(overSource) === expressionKey(watermark.eventTime)
}
