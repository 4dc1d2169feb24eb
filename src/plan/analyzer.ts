import { MillraceError } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import { columnSlots, type StructType, topLevelSlots, typeName } from '../types/data-type.js'
import { bindColumn, bindCondition, bindExpression } from './binder.js'
import { type BoundPlan, nodesOf } from './bound-plan.js'
import type { Expression } from './expression.js'
import { columnPath, resultName } from './expression-name.js'
import { bindJoin } from './join.js'
import type { LogicalPlan } from './logical-plan.js'
import { type NamedExpression, project } from './projection.js'
import { checkResultNames } from './result-names.js'
import { bindUnion } from './union.js'

/**
 * Gives a logical plan its meaning: names, types, the schema of every node. What a stream may not do is
 * decided in streaming-rules.ts, once the mode is known; here is what no mode can do.
 */
export interface AnalyzeOptions {
  readonly ansi: boolean
}

const aggregating = lazyModule(import.meta.url, './aggregation.js', () => import('./aggregation.js'))
const deduplicating = lazyModule(import.meta.url, './deduplication.js', () => import('./deduplication.js'))
const transforming = lazyModule(import.meta.url, './transform-with-state.js', () => import('./transform-with-state.js'))

const ordering = lazyModule(import.meta.url, './sort-keys.js', () => import('./sort-keys.js'))
const top = lazyModule(import.meta.url, './top.js', () => import('./top.js'))

export function analyze(plan: LogicalPlan, options: AnalyzeOptions): BoundPlan {
  switch (plan.op) {
    case 'scan': {
      const { source } = plan
      return {
        op: 'scan',
        source,
        schema: source.schema,
        fields: source.schema.fields.map((_, i) => i),
        pushedFilters: [],
      }
    }
    case 'select':
      return select(analyze(plan.input, options), plan.columns, options)
    case 'withColumn':
      return withColumn(analyze(plan.input, options), plan.name, plan.value, options)
    case 'drop':
      return drop(analyze(plan.input, options), plan.names)
    case 'filter': {
      const input = analyze(plan.input, options)
      const condition = bindCondition(plan.condition, input.schema, { ansi: options.ansi, place: 'a filter' })
      return { op: 'filter', input, condition, schema: input.schema }
    }
    case 'withWatermark':
      return withWatermark(analyze(plan.input, options), plan.column, plan.delayMs)
    case 'aggregate':
      return aggregating().bindAggregation(analyze(plan.input, options), plan.keys, plan.aggregates, options.ansi)
    case 'top':
      return top().bindTop(analyze(plan.input, options), plan.keys, plan.count, plan.order, options.ansi)
    case 'userCode': {
      const input = analyze(plan.input, options)
      checkResultNames(input.schema)
      return { op: 'userCode', input, code: plan.code, schema: plan.code.schema ?? input.schema }
    }
    case 'transformWithState': {
      const { keys, processor, initial } = plan
      const input = analyze(plan.input, options)
      checkResultNames(input.schema)
      const before = initial && { input: analyze(initial.input, options), keys: initial.keys }
      if (before !== undefined) checkResultNames(before.input.schema)
      return transforming().bindTransform({ input, keys }, processor, before, options.ansi)
    }
    case 'deduplicate':
      return deduplicating().bindDeduplication(
        analyze(plan.input, options),
        plan.names,
        plan.withinWatermark,
        options.ansi,
      )
    case 'orderBy':
      return orderBy(analyze(plan.input, options), plan.keys, options.ansi)
    case 'join': {
      const { how, on, using } = plan
      return bindJoin(analyze(plan.left, options), analyze(plan.right, options), {
        how,
        ansi: options.ansi,
        ...(on === undefined ? {} : { on }),
        ...(using === undefined ? {} : { using }),
      })
    }
    case 'alias': {
      const input = analyze(plan.input, options)
      return project(
        input,
        passThrough(input.schema).map((column) => ({ ...column, qualifier: plan.name })),
      )
    }
    case 'union': {
      const { byName, allowMissingColumns } = plan
      const inputs = plan.inputs.map((input) => analyze(input, options))
      return bindUnion(inputs, { byName, allowMissingColumns, ansi: options.ansi })
    }
    case 'limit': {
      if (!Number.isInteger(plan.count) || plan.count < 0) {
        throw new MillraceError('INVALID_LIMIT', `limit(${plan.count}) is no number of rows`, {
          detail: 'expected an integer from 0 on',
          hint: 'limit(10)',
        })
      }
      const input = analyze(plan.input, options)
      return { op: 'limit', input, count: plan.count, schema: input.schema }
    }
  }
}

/** The columns of the input as they are. */
function passThrough(schema: StructType): readonly NamedExpression[] {
  const slots = topLevelSlots(schema)
  return schema.fields.map((field, i) => ({
    name: field.name,
    value: { kind: 'input', slot: slots[i] as number, type: field.type, nullable: field.nullable },
    ...(field.qualifier === undefined ? {} : { qualifier: field.qualifier }),
  }))
}

function select(input: BoundPlan, columns: readonly Expression[], options: AnalyzeOptions): BoundPlan {
  const selected: NamedExpression[] = []
  for (const column of columns) {
    if (column.kind === 'column' && column.name === '*') selected.push(...passThrough(input.schema))
    else if (column.kind === 'column' && column.name.endsWith('.*'))
      selected.push(...structFields(input, column.name.slice(0, -2)))
    else {
      const value = bindExpression(column, input.schema, { ansi: options.ansi, place: 'select' })
      selected.push({ name: resultName(column), value })
    }
  }
  if (selected.length === 0)
    throw new MillraceError('EMPTY_SELECT', 'select() needs at least one column', {
      detail: `columns: ${input.schema.fields.map((f) => f.name).join(', ')}`,
      hint: "select('price', col('price').mul(2).alias('twice'))",
    })
  return project(input, selected)
}

function structFields(input: BoundPlan, name: string): readonly NamedExpression[] {
  const slots = columnSlots(input.schema)
  const struct = bindColumn(name, slots)
  if (struct.type.kind !== 'struct') {
    throw new MillraceError('DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE', `${name}.* needs a struct`, {
      detail: `${name} is a ${typeName(struct.type)}`,
      hint: `select('${name}') takes it as it is`,
    })
  }
  const path = columnPath(name)
  return struct.type.fields.map((field) => ({
    name: field.name,
    value: bindColumn([...path, field.name].map((part) => `\`${part.replaceAll('`', '``')}\``).join('.'), slots),
  }))
}

function withColumn(input: BoundPlan, name: string, expression: Expression, options: AnalyzeOptions): BoundPlan {
  const value = bindExpression(expression, input.schema, { ansi: options.ansi, place: 'withColumn' })
  const kept = passThrough(input.schema)
  const replaced = kept.map((column) => (column.name === name ? { name, value } : column))
  return project(input, kept.some((column) => column.name === name) ? replaced : [...kept, { name, value }])
}

/** A name that is not there is no error, as in Spark. */
function drop(input: BoundPlan, names: readonly string[]): BoundPlan {
  const kept = passThrough(input.schema).filter((column) => !names.includes(column.name))
  if (kept.length === 0) {
    throw new MillraceError('EMPTY_SELECT', 'drop() would leave no column', {
      detail: `columns: ${input.schema.fields.map((f) => f.name).join(', ')}`,
      hint: 'keep one of them',
    })
  }
  return kept.length === input.schema.fields.length ? input : project(input, kept)
}

function withWatermark(input: BoundPlan, column: string, delayMs: number): BoundPlan {
  for (const node of nodesOf(input)) {
    if (node.op === 'aggregate') {
      throw new MillraceError('UNSUPPORTED_OPERATION', 'withWatermark stands after an aggregate', {
        detail: 'a watermark is stamped on the records of the source, before anything else',
        hint: 'put withWatermark before groupBy',
      })
    }
    if (node.op === 'watermark') {
      throw new MillraceError('UNSUPPORTED_OPERATION', 'an input can have one watermark', {
        detail: `found one on ${node.column} and one on ${column}`,
        hint: 'keep the withWatermark of the column that the windows are over',
      })
    }
    if (node.op === 'join') {
      throw new MillraceError('UNSUPPORTED_OPERATION', 'withWatermark stands after a join', {
        detail: 'a watermark is stamped on the records of a source, before anything else',
        hint: 'put withWatermark on each side, before join',
      })
    }
    if (node.op === 'deduplicate') {
      throw new MillraceError('UNSUPPORTED_OPERATION', 'withWatermark stands after duplicates were dropped', {
        detail: 'a watermark is stamped on the records of the source, before anything else',
        hint: 'put withWatermark before distinct or dropDuplicates',
      })
    }
    if (node.op === 'transformWithState') throw transforming().watermarkBehind()
    if (node.op === 'sort' || node.op === 'limit') {
      throw new MillraceError(
        'UNSUPPORTED_OPERATION',
        `withWatermark stands after ${node.op === 'sort' ? 'orderBy' : 'limit'}`,
        {
          detail: 'the watermark is of the input, before its rows are ordered or cut off',
          hint: 'put withWatermark right behind the source',
        },
      )
    }
  }
  const eventTime = bindColumn(column, columnSlots(input.schema))
  if (eventTime.type.kind !== 'timestamp') {
    throw new MillraceError(
      'EVENT_TIME_IS_NOT_ON_TIMESTAMP_TYPE',
      `the event time ${column} is a ${typeName(eventTime.type)}`,
      {
        detail: 'expected a timestamp',
        hint: `make one first: .withColumn('ts', timestampMillis('${column}'))`,
      },
    )
  }
  if (!Number.isSafeInteger(delayMs) || delayMs < 0) {
    throw new MillraceError('INVALID_DURATION', `a watermark cannot be delayed by ${delayMs} ms`, {
      detail: 'expected 0 or more',
      hint: "withWatermark('ts', '10 seconds')",
    })
  }
  return { op: 'watermark', input, eventTime, column, delayMs, schema: input.schema }
}

function orderBy(input: BoundPlan, expressions: readonly Expression[], ansi: boolean): BoundPlan {
  return {
    op: 'sort',
    input,
    keys: ordering().bindSortKeys(expressions, input.schema, 'orderBy', ansi),
    schema: input.schema,
  }
}
