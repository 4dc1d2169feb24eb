import { MillraceError } from '../common/errors.js'
import type { Expression } from '../plan/expression.js'
import type { DataType } from '../types/data-type.js'
import { parseTypeOrFields } from '../types/ddl.js'
import { type AnyColumn, type CastTarget, type Column, literal } from './column.js'
import { binary, type ColumnOrName, call, optionsMap, toColumn, unary, variadic, withValues } from './function-call.js'

/** JSON and CSV, digests, character sets, URLs, formats. */

export interface TextOptions {
  /** What does not fit: `FAILFAST`, the default, is an error for the failure policy; `PERMISSIVE` gives null, as Spark does. */
  readonly mode?: 'FAILFAST' | 'PERMISSIVE'
  readonly [option: string]: string | boolean | number | undefined
}

function parsing(fn: 'fromJson' | 'fromCsv', value: ColumnOrName, schema: CastTarget, options: TextOptions): Column {
  const mode = options.mode ?? 'FAILFAST'
  if (mode !== 'FAILFAST' && mode !== 'PERMISSIVE') {
    throw new MillraceError('INVALID_OPTION', `${fn}: there is no mode ${JSON.stringify(mode)}`, {
      detail: "expected 'FAILFAST' or 'PERMISSIVE'",
      hint: "fromJson('payload', schema, { mode: 'PERMISSIVE' })",
    })
  }
  const type: DataType = typeof schema === 'string' ? parseTypeOrFields(schema) : schema.type
  const given = Object.entries(options).filter(
    (entry): entry is [string, string | boolean | number] => entry[1] !== undefined,
  )
  const typed: Expression = { kind: 'literal', value: null, type }
  return call(fn, toColumn(value), typed, optionsMap({ ...Object.fromEntries(given), mode }))
}

/** `fromJson('payload', t.struct({ id: t.bigint }))`; the schema may be DDL: `'id bigint, tags array<string>'`. */
export const fromJson = (value: ColumnOrName, schema: CastTarget, options: TextOptions = {}): Column =>
  parsing('fromJson', value, schema, options)
export const fromCsv = (value: ColumnOrName, schema: CastTarget, options: TextOptions = {}): Column =>
  parsing('fromCsv', value, schema, options)

type Printing = Readonly<Record<string, string | boolean | number>>
const printing =
  (fn: string) =>
  (value: ColumnOrName, options?: Printing): Column =>
    call(fn, toColumn(value), ...(options === undefined ? [] : [optionsMap(options)]))
/** Fields that are null are left out, unless `{ ignoreNullFields: false }`. */
export const toJson = printing('toJson')
export const toCsv = printing('toCsv')
/** `getJsonObject('payload', '$.user.id')`. */
export const getJsonObject = withValues<[path: string]>('getJsonObject')
export const jsonArrayLength = unary('jsonArrayLength')
export const jsonObjectKeys = unary('jsonObjectKeys')
export const schemaOfJson = (json: string | AnyColumn): Column =>
  call('schemaOfJson', typeof json === 'string' ? literal(json) : json.expression)

export const md5 = unary('md5')
export const sha1 = unary('sha1')
export const sha2 = withValues<[bits: number]>('sha2')
export const crc32 = unary('crc32')
/** Spark's xxhash64, seed 42: a bigint. */
export const xxhash64 = variadic('xxhash64')

export const unhex = unary('unhex')
export const bin = unary('bin')
export const conv = withValues<[from: number, to: number]>('conv')
export const unbase64 = unary('unbase64')
export const encode = withValues<[characterSet: string]>('encode')
export const decode = withValues<[characterSet: string]>('decode')
export const urlEncode = unary('urlEncode')
export const urlDecode = unary('urlDecode')
export const tryUrlDecode = unary('tryUrlDecode')
type UrlPart = 'PROTOCOL' | 'HOST' | 'PATH' | 'QUERY' | 'REF' | 'FILE' | 'AUTHORITY' | 'USERINFO'
export const parseUrl = withValues<[part: UrlPart, key?: string]>('parseUrl')
export const tryParseUrl = withValues<[part: UrlPart, key?: string]>('tryParseUrl')

/** Java's String.format: `formatString('%s has %d', 'name', 'n')`. */
export const formatString = (format: string, ...values: readonly ColumnOrName[]): Column =>
  call('formatString', literal(format), ...values.map(toColumn))
export const printf = formatString
/** With so many digits behind the point, and a comma between thousands. */
export const formatNumber = withValues<[digits: number]>('formatNumber')
export const toNumber = withValues<[format: string]>('toNumber')
export const tryToNumber = withValues<[format: string]>('tryToNumber')
export const bitLength = unary('bitLength')
export const space = unary('space')
export const soundex = unary('soundex')
export const elt = variadic('elt')
export const findInSet = binary('findInSet')
export const overlay =
  withValues<[part: string | AnyColumn, position: number | AnyColumn, length?: number | AnyColumn]>('overlay')
export const luhnCheck = unary('luhnCheck')
/** Upper case, lower case, digits and the rest, each by its own character; null leaves them. */
export const mask =
  withValues<[upper?: string | null, lower?: string | null, digit?: string | null, other?: string | null]>('mask')
export const ilike = withValues<[pattern: string | AnyColumn]>('ilike')
export const regexpInstr = withValues<[pattern: string | AnyColumn]>('regexpInstr')
export const regexpSubstr = withValues<[pattern: string | AnyColumn]>('regexpSubstr')
export const regexpExtractAll =
  withValues<[pattern: string | AnyColumn, group?: number | AnyColumn]>('regexpExtractAll')
