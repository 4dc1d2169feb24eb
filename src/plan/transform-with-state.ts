import { MillraceError } from '../common/errors.js'
import { type Field, type StructType, topLevelSlots, typeName } from '../types/data-type.js'
import { bindExpression } from './binder.js'
import { type BoundPlan, type BoundTransform, nodesOf } from './bound-plan.js'
import { eventTimeOffset } from './event-time.js'
import type { BoundExpression, Expression } from './expression.js'
import { resultName } from './expression-name.js'
import type { TransformWithState } from './physical-plan.js'
import { project } from './projection.js'
import type { Processor } from './stateful-processor.js'
import { castTo, isNested, types } from './type-rules.js'
import { hoistWatermark } from './watermark.js'

/** Gives `groupBy(keys).transformWithState(…)` its meaning: see stateful-processor.ts. */

export interface GroupedInput {
  readonly input: BoundPlan
  readonly keys: readonly Expression[]
}

export function bindTransform(
  grouped: GroupedInput,
  processor: Processor,
  initial: GroupedInput | undefined,
  ansi: boolean,
): BoundTransform {
  const { input, keys, names } = withKeys(grouped, ansi)
  const columns = grouped.input.schema.fields.length
  const time = processor.timeMode === 'event' ? { eventTime: eventTimeOf(grouped.input, columns) } : {}
  return {
    op: 'transformWithState',
    input,
    keys,
    names,
    columns,
    processor,
    ...time,
    ...(initial === undefined ? {} : { initial: initialOf(initial, keys, names, ansi) }),
    schema: processor.schema,
  }
}

function withKeys(
  { input, keys }: GroupedInput,
  ansi: boolean,
): { readonly input: BoundPlan; readonly keys: readonly BoundExpression[]; readonly names: readonly string[] } {
  const names = keys.map(resultName)
  if (keys.length === 0) {
    throw refused('transformWithState() without a grouping key', 'state is kept for each key', "groupBy('user')")
  }
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) {
    throw new MillraceError('COLUMN_ALREADY_EXISTS', `two grouping keys are named ${twice}`, {
      detail: `keys: ${names.join(', ')}`,
      hint: "name one of them: .as('other')",
    })
  }
  const values = keys.map((expression, i) => {
    const inner = expression.kind === 'alias' ? expression.arg : expression
    if (inner.kind === 'sessionWindow') {
      throw refused(
        'a session window as a key of transformWithState()',
        'its bounds are known when it is over',
        'keep them in the state',
      )
    }
    const value = bindExpression(expression, input.schema, { ansi, place: 'groupBy' })
    if (isNested(value.type)) {
      throw refused(
        `a ${typeName(value.type)} as a key of transformWithState()`,
        `${names[i]} has parts, and a key is compared as a whole`,
        value.type.kind === 'struct' ? `group by its fields, ${names[i]}.start` : `group by toJson('${names[i]}')`,
      )
    }
    return castTo(value, value.type.kind === 'void' ? types.string : value.type, ansi)
  })
  const own = input.schema.fields.map((field, i) => ({
    name: field.name,
    value: inputAt(input.schema, i),
    ...(field.qualifier === undefined ? {} : { qualifier: field.qualifier }),
  }))
  const behind = project(input, [...own, ...values.map((value, i) => ({ name: `__key${i}`, value }))])
  return { input: behind, keys: values.map((_, i) => inputAt(behind.schema, own.length + i)), names }
}

function inputAt(schema: StructType, i: number): BoundExpression {
  const { type, nullable } = schema.fields[i] as Field
  return { kind: 'input', slot: topLevelSlots(schema)[i] as number, type, nullable }
}

/** Which column is the event time. */
function eventTimeOf(input: BoundPlan, columns: number): number {
  const stamped = hoistWatermark.apply(input, { ansi: true, evaluate: () => undefined })
  const found = input.schema.fields.flatMap(({ type }, i) =>
    type.kind === 'timestamp' && eventTimeOffset(inputAt(input.schema, i), stamped) === 0 ? [i] : [],
  )
  const [at] = found
  if (at !== undefined && at < columns) return at
  const watermark = nodesOf(input).find((node) => node.op === 'watermark')
  throw refused(
    "transformWithState() by event time ('timeMode: event')",
    watermark?.op === 'watermark'
      ? `the watermark is of ${watermark.column}, which is not among the columns: ${input.schema.fields.map((f) => f.name).join(', ')}`
      : 'found no withWatermark below it',
    watermark?.op === 'watermark'
      ? `keep ${watermark.column} until after transformWithState`
      : "add .withWatermark('ts', '10 minutes') before groupBy, or use timeMode 'processing'",
  )
}

function initialOf(
  grouped: GroupedInput,
  keys: readonly BoundExpression[],
  names: readonly string[],
  ansi: boolean,
): NonNullable<BoundTransform['initial']> {
  const own = withKeys(grouped, ansi)
  if (nodesOf(grouped.input).some((node) => node.op === 'scan' && node.source.streaming)) {
    throw refused(
      'an initial state that is a stream',
      'it is read to its end before the query begins',
      'read it with mill.read',
    )
  }
  const text = (of: readonly BoundExpression[]): string => of.map(({ type }) => typeName(type)).join(', ')
  if (text(own.keys) !== text(keys)) {
    throw new MillraceError('INITIAL_STATE_KEYS', 'the initial state is grouped by other keys than the rows', {
      detail: `found ${text(own.keys)}, expected ${text(keys)}`,
      hint: `initialState: before.groupBy(${names.map((name) => `'${name}'`).join(', ')}), with keys of the same types; cast() them`,
    })
  }
  return { input: own.input, keys: own.keys, columns: grouped.input.schema.fields.length }
}

export function watermarkBehind(): MillraceError {
  return new MillraceError('UNSUPPORTED_OPERATION', 'withWatermark stands after transformWithState', {
    detail: 'a watermark is stamped on the records of the source, before anything else',
    hint: 'put withWatermark before groupBy; what a processor gives has no event time, write it to a topic to go on by one',
  })
}

/** What the workers run. By Spark's rule rows come before the watermark that they move, so they are in no order. */
export function transformHead(
  { input, names, columns, processor, eventTime, schema }: BoundTransform,
  sparkRule: boolean,
  initial: TransformWithState['initial'] | undefined,
): TransformWithState {
  return {
    op: 'transformWithState',
    processor: { ...processor, ordered: processor.ordered && !sparkRule },
    input: input.schema,
    columns,
    keyNames: names,
    ...(eventTime === undefined ? {} : { eventTime }),
    ...(initial === undefined ? {} : { initial }),
    schema,
  }
}

function refused(what: string, reason: string, instead: string): MillraceError {
  return new MillraceError('UNSUPPORTED_OPERATION', `${what} is not supported`, { detail: reason, hint: instead })
}
