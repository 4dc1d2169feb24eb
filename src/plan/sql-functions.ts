import { parseDuration } from '../common/duration.js'
import { MillraceError } from '../common/errors.js'
import { nearestName } from '../common/nearest-name.js'
import type { DataType } from '../types/data-type.js'
import { parseTypeOrFields } from '../types/ddl.js'
import type { AggregateName, Expression } from './expression.js'
import { aggregateNames, functionNames } from './function-names.js'
import { types } from './type-rules.js'

/**
 * What a function's name in SQL means: mostly our function of the same letters (`date_add` is dateAdd), for some
 * another name, for a few an expression of another shape.
 */
const call = (fn: string, ...args: readonly Expression[]): Expression => ({ kind: 'call', fn, args })

/** SQL's name → ours, where the letters are not the same. */
const aliases: Readonly<Record<string, string>> = {
  substr: 'substring',
  char_length: 'length',
  character_length: 'length',
  len: 'length',
  ucase: 'upper',
  lcase: 'lower',
  ceiling: 'ceil',
  power: 'pow',
  signum: 'sign',
  negative: 'neg',
  negate: 'neg',
  nvl: 'ifnull',
  day: 'dayofmonth',
  char: 'chr',
  position: 'locate',
  charindex: 'locate',
  btrim: 'trim',
  equal_null: 'eqNullSafe',
  cardinality: 'size',
  sha: 'sha1',
  reduce: 'aggregate',
  regexp: 'rlike',
  regexp_like: 'rlike',
  date_diff: 'datediff',
  dateadd: 'dateAdd',
  to_unix_timestamp: 'unixTimestamp',
  unix_timestamp: 'unixTimestamp',
  unix_seconds: 'unixSeconds',
  mod: 'mod',
  shiftrightunsigned: 'shiftRightUnsigned',
  printf: 'formatString',
  format_string: 'formatString',
  ifnull: 'ifnull',
  array_size: 'arraySize',
  rint: 'rint',
}

/** Names of types are casts, as Spark has it: `int(x)`. */
const castNames: Readonly<Record<string, DataType>> = {
  string: types.string,
  boolean: types.boolean,
  tinyint: types.byte,
  smallint: types.short,
  int: types.int,
  bigint: types.bigint,
  float: types.float,
  double: types.double,
  date: types.date,
  timestamp: types.timestamp,
  binary: types.binary,
}

const aggregateAliases: Readonly<Record<string, AggregateName>> = {
  mean: 'avg',
  std: 'stddevSamp',
  stddev: 'stddevSamp',
  variance: 'varSamp',
  array_agg: 'collectList',
  first_value: 'first',
  last_value: 'last',
  any_value: 'first',
  approx_percentile: 'percentileApprox',
  bool_and: 'min',
  every: 'min',
  bool_or: 'max',
  some: 'max',
  any: 'max',
  bit_and: 'bitAndOf',
  bit_or: 'bitOrOf',
  bit_xor: 'bitXorOf',
}

const distinctNames: Partial<Record<AggregateName, AggregateName>> = {
  count: 'countDistinct',
  sum: 'sumDistinct',
  avg: 'avgDistinct',
  collectList: 'collectSet',
  min: 'min',
  max: 'max',
}

const squeezed = (name: string): string => name.replaceAll('_', '').toLowerCase()
let bySqueezed: ReadonlyMap<string, string> | undefined

function ourName(name: string): string | undefined {
  const lower = name.toLowerCase()
  if (Object.hasOwn(aliases, lower)) return aliases[lower]
  bySqueezed ??= new Map([...functionNames(), 'struct'].map((n) => [squeezed(n), n]))
  return bySqueezed.get(squeezed(lower))
}

function aggregateName(name: string): AggregateName | undefined {
  const lower = name.toLowerCase()
  if (Object.hasOwn(aggregateAliases, lower)) return aggregateAliases[lower]
  return aggregateNames.find((a) => squeezed(a) === squeezed(lower))
}

/** Functions whose value depends on when or where the query runs. */
const unrepeatable = new Set([
  'now',
  'current_timestamp',
  'current_date',
  'curdate',
  'localtimestamp',
  'rand',
  'randn',
  'random',
  'uuid',
  'shuffle',
])

/** The call of `name`; throws where there is no such function. `distinct` stands before the arguments of an aggregate. */
export function sqlFunction(name: string, args: readonly Expression[], distinct: boolean): Expression {
  const lower = name.toLowerCase()
  const aggregate = aggregateName(lower)
  if (lower === 'count_if') return countIf(args)
  if (aggregate !== undefined) {
    const fn = distinct ? distinctNames[aggregate] : aggregate
    if (fn === undefined) throw refused(`${lower}(DISTINCT …)`, 'count, sum and avg have it')
    return { kind: 'aggregate', fn, args }
  }
  if (distinct) throw refused(`DISTINCT in ${lower}()`, 'it stands in aggregates: count(DISTINCT x)')
  if (Object.hasOwn(castNames, lower) && args.length === 1)
    return { kind: 'cast', to: castNames[lower] as DataType, arg: args[0] as Expression }
  const form = Object.hasOwn(forms, lower) ? forms[lower] : undefined
  const formed = form?.(args)
  if (formed !== undefined) return formed
  if (unrepeatable.has(lower))
    throw refused(
      `${lower}()`,
      'a query that is run again after a crash would give other rows; put the value into the record when it is sent',
    )
  const fn = ourName(lower)
  if (fn !== undefined) return call(fn, ...args)
  const names = [...functionNames().map(snakeCase), ...Object.keys(aliases), ...aggregateNames.map(snakeCase)]
  throw new MillraceError('UNRESOLVED_ROUTINE', `there is no function named ${name}`, {
    detail: `the nearest name is ${nearestName(name, names) ?? 'none'}`,
    hint: 'docs/functions.md lists them all',
  })
}

/** Rows for which it is true. */
function countIf(args: readonly Expression[]): Expression {
  const branches = args.map((when) => ({ when, then: one }))
  return { kind: 'aggregate', fn: 'count', args: [{ kind: 'case', branches }] }
}

const one: Expression = { kind: 'literal', value: 1, type: types.int }

/** `agg(x) FILTER (WHERE c)`: rows that do not hold count as nulls. */
export function filteredAggregate(e: Expression & { kind: 'aggregate' }, when: Expression): Expression {
  const args = e.args.length === 0 ? [one] : e.args
  return { ...e, args: args.map((then): Expression => ({ kind: 'case', branches: [{ when, then }] })) }
}

export const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)

function refused(what: string, hint: string): MillraceError {
  return new MillraceError('UNSUPPORTED_OPERATION', `${what} is not supported in an expression`, {
    detail: 'an expression gives one value for a row, or an aggregate for a group',
    hint,
  })
}

type Form = (args: readonly Expression[]) => Expression | undefined

const literalText = (e: Expression | undefined): string | undefined =>
  e?.kind === 'literal' && typeof e.value === 'string' ? e.value : undefined

const forms: Readonly<Record<string, Form>> = {
  positive: ([arg]) => arg,
  // Of one argument the natural logarithm.
  log: (args) => (args.length === 1 ? call('ln', ...args) : undefined),
  window: (args) => windowForm(args),
  session_window: ([time, gap]) =>
    time === undefined || gap === undefined ? undefined : { kind: 'sessionWindow', arg: time, gap: gapForm(gap) },
  date_part: ([field, source]) => extractForm(literalText(field), source),
  datepart: ([field, source]) => extractForm(literalText(field), source),
  isnull: ([arg]) => (arg === undefined ? undefined : call('isNull', arg)),
  isnotnull: ([arg]) => (arg === undefined ? undefined : call('isNotNull', arg)),
  isnan: ([arg]) => (arg === undefined ? undefined : call('isNaN', arg)),
  e: (args) => (args.length === 0 ? { kind: 'literal', value: Math.E, type: types.double } : undefined),
  pi: (args) => (args.length === 0 ? { kind: 'literal', value: Math.PI, type: types.double } : undefined),
  from_json: ([text, schema, options]) => withSchema('fromJson', text, schema, options),
  from_csv: ([text, schema, options]) => withSchema('fromCsv', text, schema, options),
}

/** A schema is part of the type, so it becomes the type of a null that the function is given. */
function withSchema(
  fn: string,
  text: Expression | undefined,
  schema: Expression | undefined,
  options: Expression | undefined,
): Expression | undefined {
  const ddl = literalText(schema)
  if (text === undefined || ddl === undefined) return undefined
  const type: Expression = { kind: 'literal', value: null, type: parseTypeOrFields(ddl) }
  return call(fn, text, type, ...(options === undefined ? [] : [options]))
}

/** A gap that is written out is checked here. */
function gapForm(gap: Expression): Expression {
  const text = literalText(gap)
  if (text === undefined) return gap
  return { kind: 'literal', value: parseDuration(text, 'a gap'), type: types.long }
}

function windowForm([time, ...durations]: readonly Expression[]): Expression {
  const texts = durations.map(literalText)
  const [size, slide = size, start = '0 seconds'] = texts
  if (time === undefined || size === undefined || slide === undefined || texts.length > 3 || texts.includes(undefined))
    throw refused('this window()', "write window(ts, '10 minutes', '5 minutes')")
  return {
    kind: 'window',
    arg: time,
    sizeMs: parseDuration(size, 'a window'),
    slideMs: parseDuration(slide, "a window's slide"),
    startMs: parseDuration(start, "a window's start"),
  }
}

const fields: Readonly<Record<string, string>> = {
  YEAR: 'year',
  Y: 'year',
  YEARS: 'year',
  YR: 'year',
  YRS: 'year',
  YEAROFWEEK: 'yearofweek',
  QUARTER: 'quarter',
  QTR: 'quarter',
  MONTH: 'month',
  MON: 'month',
  MONS: 'month',
  MONTHS: 'month',
  WEEK: 'weekofyear',
  W: 'weekofyear',
  WEEKS: 'weekofyear',
  DAY: 'dayofmonth',
  D: 'dayofmonth',
  DAYS: 'dayofmonth',
  DAYOFWEEK: 'dayofweek',
  DOW: 'dayofweek',
  DAYOFWEEK_ISO: 'dayofweekIso',
  DOW_ISO: 'dayofweekIso',
  DOY: 'dayofyear',
  HOUR: 'hour',
  H: 'hour',
  HOURS: 'hour',
  HR: 'hour',
  HRS: 'hour',
  MINUTE: 'minute',
  M: 'minute',
  MIN: 'minute',
  MINS: 'minute',
  MINUTES: 'minute',
  SECOND: 'secondFraction',
  S: 'secondFraction',
  SEC: 'secondFraction',
  SECS: 'secondFraction',
  SECONDS: 'secondFraction',
}

/** `extract(field FROM source)`. */
export function extractForm(field: string | undefined, source: Expression | undefined): Expression {
  const fn = field === undefined ? undefined : fields[field.toUpperCase()]
  if (fn === undefined || source === undefined) {
    throw new MillraceError('INVALID_EXTRACT_FIELD', `there is no field ${String(field)} to extract`, {
      detail: `found ${String(field)}`,
      hint: `fields: ${[...new Set(Object.keys(fields).filter((f) => f.length > 2))].join(', ')}`,
    })
  }
  return call(fn, source)
}
