import { readFileSync } from 'node:fs'
import { decimalOfText } from '../../src/codegen/decimals.js'
import { formatDate, parseDouble, parseTimestamp } from '../../src/codegen/text-values.js'
import type { Value } from '../../src/codegen/value.js'
import { daysFromDate } from '../../src/common/calendar.js'
import { formatDecimal } from '../../src/common/decimal.js'
import { parseDuration } from '../../src/common/duration.js'
import type { BoundExpression, LiteralValue } from '../../src/plan/expression.js'
import { boundLiteral, unify } from '../../src/plan/function-spec.js'
import { bindCall } from '../../src/plan/functions.js'
import { castTo, decimal, types } from '../../src/plan/type-rules.js'
import { type ColumnSlot, columnSlots, type DataType, structType } from '../../src/types/data-type.js'

/** Cases whose answers Spark computed: trees to bound expressions, JSON values to ours and back. */

export interface OracleCase {
  readonly id: string
  readonly mode: 'both' | 'legacy' | 'ansi'
  readonly sql: string
  readonly tree: Tree
  readonly columns: Readonly<Record<string, string>>
  readonly type: string | null
  readonly rows: readonly OracleRow[]
}

export interface OracleRow {
  readonly in: Readonly<Record<string, unknown>>
  readonly out?: unknown
  readonly error?: { readonly class: string | null }
  readonly noRow?: true
}

export interface Tree {
  readonly col?: string
  readonly lit?: unknown
  readonly type?: string
  readonly fn?: string
  readonly args?: readonly Tree[]
  readonly to?: string
  readonly escape?: string
  readonly case?: readonly (readonly [Tree, Tree])[]
  readonly else?: Tree
}

export class Unsupported extends Error {}

export function readCases<T = OracleCase>(path: string): readonly T[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)
}

const sparkTypes: Readonly<Record<string, DataType>> = {
  tinyint: types.byte,
  smallint: types.short,
  int: types.int,
  bigint: types.bigint,
  float: types.float,
  double: types.double,
  boolean: types.boolean,
  string: types.string,
  binary: types.binary,
  date: types.date,
  timestamp: types.timestamp,
  void: types.void,
}

export function sparkType(name: string): DataType {
  const match = /^decimal\((\d+),(\d+)\)$/.exec(name)
  if (match !== null) return decimal(Number(match[1]), Number(match[2]))
  const type = sparkTypes[name]
  if (type === undefined) throw new Unsupported(`type ${name}`)
  return type
}

export function slotsOf(columns: Readonly<Record<string, string>>): readonly ColumnSlot[] {
  const fields = Object.entries(columns).map(([name, type]) => ({ name, type: sparkType(type), nullable: true }))
  return columnSlots(structType(fields))
}

/** A JSON value as ours; undefined where a timestamp has microseconds, which we do not hold. */
export function fromJson(value: unknown, type: DataType): LiteralValue | undefined {
  if (value === null || value === undefined) return null
  switch (type.kind) {
    case 'bigint':
      return BigInt(String(value))
    case 'float':
    case 'double':
      return typeof value === 'string' ? (parseDouble(value) ?? Number.NaN) : Number(value)
    case 'decimal':
      return decimalOfText(String(value), type.scale)
    case 'date': {
      const [, y, m, d] = /^([+-]?\d+)-(\d+)-(\d+)$/.exec(String(value)) ?? []
      return daysFromDate(Number(y), Number(m), Number(d))
    }
    case 'timestamp': {
      const text = String(value)
      if (/^-?\d+$/.test(text)) return BigInt(text) % 1000n === 0n ? Number(BigInt(text) / 1000n) : undefined
      return /\.\d{3}\d*[1-9]\d*$/.test(text) && !/\.\d{1,3}0*$/.test(text) ? undefined : parseTimestamp(text)
    }
    case 'binary':
      return Uint8Array.from(Buffer.from(String(value), 'hex'))
    default:
      return value as LiteralValue
  }
}

/** Our value as the JSON of the cases. */
export function toJson(value: Value | null, type: DataType): unknown {
  if (value === null) return null
  switch (type.kind) {
    case 'long':
    case 'bigint':
      return String(value)
    case 'float':
    case 'double': {
      const number = value as number
      if (Object.is(number, -0)) return '-0.0'
      return Number.isFinite(number) ? number : String(number)
    }
    case 'decimal':
      return formatDecimal(value as bigint, type.scale)
    case 'date':
      return formatDate(value as number)
    case 'timestamp':
      return String(BigInt(value as number) * 1000n)
    case 'binary':
      return Buffer.from(value as Uint8Array).toString('hex')
    default:
      return value
  }
}

const names: Readonly<Record<string, string>> = {
  '+': 'add',
  '-': 'sub',
  '*': 'mul',
  '/': 'div',
  '%': 'mod',
  div: 'intDiv',
  pmod: 'pmod',
  negate: 'neg',
  abs: 'abs',
  '=': 'eq',
  '<': 'lt',
  '<=': 'lte',
  '>': 'gt',
  '>=': 'gte',
  '<=>': 'eqNullSafe',
  equal_null: 'eqNullSafe',
  '!=': 'neq',
  not: 'not',
  and: 'and',
  or: 'or',
  in: 'in',
  between: 'between',
  like: 'like',
  rlike: 'rlike',
  is_null: 'isNull',
  isnull: 'isNull',
  is_not_null: 'isNotNull',
  coalesce: 'coalesce',
  nvl: 'ifnull',
  ifnull: 'ifnull',
  nvl2: 'nvl2',
  nullif: 'nullif',
  isnan: 'isNaN',
  nanvl: 'nanvl',
  if: 'if',
  greatest: 'greatest',
  least: 'least',
  round: 'round',
  bround: 'bround',
  floor: 'floor',
  ceil: 'ceil',
  sign: 'sign',
  sqrt: 'sqrt',
  cbrt: 'cbrt',
  exp: 'exp',
  expm1: 'expm1',
  ln: 'ln',
  log10: 'log10',
  log: 'log',
  power: 'pow',
  sin: 'sin',
  atan: 'atan',
  acos: 'acos',
  atan2: 'atan2',
  sinh: 'sinh',
  cosh: 'cosh',
  tanh: 'tanh',
  hypot: 'hypot',
  degrees: 'degrees',
  radians: 'radians',
  hex: 'hex',
  length: 'length',
  char_length: 'length',
  octet_length: 'octetLength',
  upper: 'upper',
  lower: 'lower',
  initcap: 'initcap',
  reverse: 'reverse',
  trim: 'trim',
  btrim: 'trim',
  rtrim: 'rtrim',
  ltrim: 'ltrim',
  concat: 'concat',
  '||': 'concat',
  concat_ws: 'concatWs',
  substring: 'substring',
  substr: 'substring',
  right: 'right',
  instr: 'instr',
  locate: 'locate',
  lpad: 'lpad',
  rpad: 'rpad',
  repeat: 'repeat',
  replace: 'replace',
  ascii: 'ascii',
  chr: 'chr',
  char: 'chr',
  levenshtein: 'levenshtein',
  startswith: 'startsWith',
  endswith: 'endsWith',
  base64: 'base64',
  split_part: 'splitPart',
  substring_index: 'substringIndex',
  regexp_extract: 'regexpExtract',
  regexp_replace: 'regexpReplace',
  regexp_count: 'regexpCount',
  year: 'year',
  day: 'dayofmonth',
  dayofmonth: 'dayofmonth',
  dayofweek: 'dayofweek',
  weekday: 'weekday',
  dayofyear: 'dayofyear',
  weekofyear: 'weekofyear',
  quarter: 'quarter',
  month: 'month',
  last_day: 'lastDay',
  date_add: 'dateAdd',
  date_sub: 'dateSub',
  add_months: 'addMonths',
  months_between: 'monthsBetween',
  make_date: 'makeDate',
  unix_date: 'unixDate',
  date_from_unix_date: 'dateFromUnixDate',
  hour: 'hour',
  minute: 'minute',
  second: 'second',
  unix_millis: 'unixMillis',
  timestamp_millis: 'timestampMillis',
  datediff: 'datediff',
  unix_timestamp: 'unixSeconds',
  date_trunc: 'dateTrunc',
  trunc: 'trunc',
  to_date: 'toDate',
  to_timestamp: 'toTimestamp',
  try_to_timestamp: 'tryToTimestamp',
  hash: 'hash',
  date_format: 'dateFormat',
}

const parts: Readonly<Record<string, string>> = {
  YEAR: 'year',
  QUARTER: 'quarter',
  MONTH: 'month',
  WEEK: 'weekofyear',
  DAY: 'dayofmonth',
  HOUR: 'hour',
  MINUTE: 'minute',
}

/** Our functions take fewer arguments than Spark's in these. */
const mostArgs: Readonly<Record<string, number>> = {
  floor: 1,
  ceil: 1,
  toDate: 1,
  toTimestamp: 1,
  tryToTimestamp: 1,
  unixSeconds: 1,
  regexpReplace: 3,
  splitPart: 3,
}

export function bindTree(tree: Tree, slots: readonly ColumnSlot[], ansi: boolean): BoundExpression {
  const bind = (t: Tree): BoundExpression => bindTree(t, slots, ansi)
  if (tree.col !== undefined) {
    const slot = slots.find((s) => s.path[0] === tree.col)
    if (slot === undefined) throw new Unsupported(`column ${tree.col}`)
    return { kind: 'input', slot: slot.index, type: slot.type, nullable: true }
  }
  if ('lit' in tree) {
    const type = sparkType(tree.type ?? 'void')
    const value = fromJson(tree.lit, type)
    if (value === undefined) throw new Unsupported('a literal with microseconds')
    return boundLiteral(value, type)
  }
  if (tree.case !== undefined) {
    const thens = tree.case.map(([, then]) => bind(then))
    const { args, type } = unify('when', tree.else === undefined ? thens : [...thens, bind(tree.else)], ansi)
    const branches = tree.case.map(([when], i) => ({
      when: castTo(bind(when), types.boolean, ansi),
      then: args[i] as BoundExpression,
    }))
    const otherwise = tree.else === undefined ? {} : { otherwise: args[args.length - 1] as BoundExpression }
    return { kind: 'case', branches, type, nullable: true, ...otherwise }
  }
  const fn = tree.fn ?? ''
  const args = tree.args ?? []
  if (fn === 'cast' || fn === 'try_cast')
    return castTo(bind(args[0] as Tree), sparkType(tree.to ?? ''), ansi, fn === 'try_cast')
  if (fn === 'double') return castTo(bind(args[0] as Tree), types.double, ansi)
  if (fn === 'positive') return bind(args[0] as Tree)
  if (fn === 'extract' || fn === 'date_part') {
    const part = parts[String(args[0]?.lit).toUpperCase()]
    if (part === undefined) throw new Unsupported(`extract ${String(args[0]?.lit)}`)
    return bindCall(part, [bind(args[1] as Tree)], ansi)
  }
  if (fn === 'extract_value' && args[0]?.fn === 'window') return bindWindow(args[0], String(args[1]?.lit), bind, ansi)
  const ours = names[fn]
  if (ours === undefined || (tree.escape !== undefined && tree.escape !== '\\')) throw new Unsupported(`function ${fn}`)
  if (fn === 'unix_timestamp' && args.map(bind)[0]?.type.kind !== 'timestamp')
    throw new Unsupported('unix_timestamp of text')
  if (args.length > (mostArgs[ours] ?? 99)) throw new Unsupported(`${fn} with ${args.length} arguments`)
  return bindCall(ours, args.map(bind), ansi)
}

function bindWindow(window: Tree, field: string, bind: (t: Tree) => BoundExpression, ansi: boolean): BoundExpression {
  const [time, size, slide, start] = window.args ?? []
  if (time === undefined || size === undefined || (slide !== undefined && slide.lit !== size.lit))
    throw new Unsupported('a sliding window')
  const sizeMs = parseDuration(String(size.lit), 'a window')
  const startMs = start === undefined ? 0 : parseDuration(String(start.lit), 'a window')
  const offset = boundLiteral(startMs, types.long)
  const begin = bindCall('windowStart', [bind(time), boundLiteral(sizeMs, types.long), offset], ansi)
  if (field === 'start') return begin
  // The end is the start of the window that holds the time one window later.
  const later = bindCall('add', [bindCall('unixMillis', [begin], ansi), boundLiteral(sizeMs, types.long)], ansi)
  return bindCall('timestampMillis', [later], ansi)
}
