import { MillraceError } from '../common/errors.js'
import { columnSlots, structType, topLevelSlots, typeName } from '../types/data-type.js'
import { bindColumn } from './binder.js'
import { type BoundDeduplication, type BoundPlan, nodesOf } from './bound-plan.js'
import { eventTimeDelay, eventTimeOffset } from './event-time.js'
import type { BoundExpression } from './expression.js'
import { boundLiteral } from './function-spec.js'
import { bindCall } from './functions.js'
import { types } from './type-rules.js'
import { hoistWatermark } from './watermark.js'

/**
 * `distinct`, `dropDuplicates`, `dropDuplicatesWithinWatermark`: the first row of each key. A key is compared as a grouping key is: null is equal to
 * null, NaN to NaN, −0 to 0; a struct by its fields, an array by its JSON text.
 */
export function bindDeduplication(
  input: BoundPlan,
  names: readonly string[] | undefined,
  withinWatermark: boolean,
  ansi: boolean,
): BoundDeduplication {
  const { schema } = input
  const slots = columnSlots(schema)
  const columns = names?.map((name) => bindColumn(name, slots)) ?? fieldInputs(input)
  const keys = compact(
    columns.flatMap((column, i) => keysOf(column, input, names?.[i] ?? schema.fields[i]?.name ?? '', ansi)),
    ansi,
  )
  // The analyzed plan has its watermarks where they were written; what they say of a column is known with them at the scans.
  const stamped = hoistWatermark.apply(input, { ansi, evaluate: () => undefined })
  const times = fieldInputs(input).filter(
    (e) => e.type.kind === 'timestamp' && eventTimeOffset(e, stamped) !== undefined,
  )
  const within = withinWatermark ? { within: expiryOf(input, stamped, times) } : {}
  return { op: 'deduplicate', input, keys, dropsLate: times.length > 0, ...within, schema }
}

function fieldInputs({ schema }: BoundPlan): readonly BoundExpression[] {
  const tops = topLevelSlots(schema)
  return schema.fields.map(({ type, nullable }, i) => ({ kind: 'input', slot: tops[i] as number, type, nullable }))
}

/** Values that can be hashed and compared, equal where the columns are. */
function keysOf(column: BoundExpression, input: BoundPlan, name: string, ansi: boolean): readonly BoundExpression[] {
  switch (column.type.kind) {
    case 'array':
      return [bindCall('toJson', [column], ansi)]
    case 'map':
      throw new MillraceError('UNSUPPORTED_OPERATION', `the column ${name} is a ${typeName(column.type)}, and no key`, {
        detail: 'maps are not compared, as in Spark: the order of their entries means nothing',
        hint: "name the columns that tell the rows apart: dropDuplicates('id')",
      })
    case 'struct': {
      if (column.kind !== 'input') throw new Error('assertion failed: a computed struct as a key')
      const slots = columnSlots(input.schema)
      const fields = (slots[column.slot]?.children ?? []).flatMap((child) => {
        const slot = slots[child]
        if (slot === undefined) throw new Error(`assertion failed: slot ${child}`)
        const field: BoundExpression = {
          kind: 'input',
          slot: child,
          type: slot.type,
          nullable: slot.nullable || column.nullable,
        }
        return keysOf(field, input, `${name}.${slot.path.at(-1) ?? ''}`, ansi)
      })
      // A struct that is null is another than one of nulls.
      return column.nullable ? [bindCall('isNull', [column], ansi), ...fields] : fields
    }
    default:
      return [column]
  }
}

/** A table has a bit for each key that may be null, in one number. */
const KEYS_MAX = 31

/** What is beyond that number of keys, as the JSON text of all of it. */
function compact(keys: readonly BoundExpression[], ansi: boolean): readonly BoundExpression[] {
  if (keys.length <= KEYS_MAX) return keys
  const rest = keys.slice(KEYS_MAX - 1).map((key) => {
    const isFloating = key.type.kind === 'double' || key.type.kind === 'float'
    // −0 becomes 0.
    return isFloating ? bindCall('add', [key, boundLiteral(0, key.type)], ansi) : key
  })
  const fields = rest.map(({ type, nullable }, i) => ({ name: `k${i}`, type, nullable }))
  const struct: BoundExpression = {
    kind: 'call',
    fn: 'makeStruct',
    args: rest,
    type: structType(fields),
    nullable: false,
  }
  return [...keys.slice(0, KEYS_MAX - 1), bindCall('toJson', [struct], ansi)]
}

/** The one event time of the rows, and until how long after it a key counts. */
function expiryOf(
  input: BoundPlan,
  stamped: BoundPlan,
  times: readonly BoundExpression[],
): NonNullable<BoundDeduplication['within']> {
  const names = input.schema.fields.map((field) => field.name)
  const candidates = times.filter((e) => eventTimeOffset(e, stamped) === 0)
  const [eventTime] = candidates
  if (eventTime === undefined) {
    const watermark = nodesOf(input).find((node) => node.op === 'watermark')
    throw new MillraceError(
      'UNSUPPORTED_OPERATION',
      'dropDuplicatesWithinWatermark needs a watermark, and the event time that it is of',
      {
        detail:
          watermark === undefined
            ? 'found no withWatermark below it'
            : `the watermark is of ${watermark.column}, which is not among the columns: ${names.join(', ')}`,
        hint:
          watermark === undefined
            ? "add .withWatermark('ts', '10 minutes') before it, or use dropDuplicates, which forgets nothing"
            : `keep ${watermark.column} until after dropDuplicatesWithinWatermark`,
      },
    )
  }
  if (candidates.length > 1 && nodesOf(input).some((node) => node.op === 'join')) {
    const found = candidates.map((e) => {
      const field = e.kind === 'input' ? input.schema.fields[topLevelSlots(input.schema).indexOf(e.slot)] : undefined
      return field?.qualifier === undefined ? (field?.name ?? '') : `${field.qualifier}.${field.name}`
    })
    throw new MillraceError('UNSUPPORTED_OPERATION', 'dropDuplicatesWithinWatermark needs one event time', {
      detail: `found ${found.join(' and ')}, of both sides of a join`,
      hint: `keep one of them: select(…, '${found[0]}') before it`,
    })
  }
  return { eventTime: { ...eventTime, type: types.timestamp }, delayMs: eventTimeDelay(eventTime, stamped) }
}
