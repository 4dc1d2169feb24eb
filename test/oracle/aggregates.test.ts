import { col, expr, Millrace, MillraceError, SchemaType } from 'millrace'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatDouble } from '../../src/codegen/text-values.js'
import type { DataType } from '../../src/types/data-type.js'
import { fromJson, readCases, schemaOf } from './oracle-cases.js'

/** Aggregates through the whole engine, partial, exchanged, merged and finished, against Spark's answers. */
interface AggregateCase {
  readonly id: string
  readonly mode: 'both' | 'legacy' | 'ansi'
  readonly table: { readonly columns: Readonly<Record<string, string>>; readonly rows: readonly (readonly unknown[])[] }
  readonly groupBy: readonly string[]
  readonly aggregates: readonly string[]
  readonly expected: {
    readonly fields?: readonly (readonly [name: string, type: string])[]
    readonly rows?: readonly (readonly unknown[])[]
    readonly error?: { readonly class: string | null }
  }
}

const path = process.env.MILLRACE_ORACLE_AGGREGATES ?? new URL('aggregates.jsonl', import.meta.url).pathname
const cases = readCases<AggregateCase>(path)

/** Cases that are refused in words, and why. */
const refused: Readonly<Record<string, string>> = {
  'agg-047-both': 'a struct is no grouping key; its fields are',
  'agg-058-both': 'cube() is several groupings',
  'agg-059-both': 'rollup() is several groupings',
}

/** Cases whose answers are not Spark's, and why. */
const different: Readonly<Record<string, string>> = {
  'agg-001-legacy': 'a sum beyond 64 bits is null; in Spark it wraps around',
  'agg-031-legacy': 'a sum beyond 64 bits is null; in Spark it wraps around',
}

const engines = new Map<boolean, Millrace>()
beforeAll(async () => {
  for (const ansi of [true, false]) engines.set(ansi, await Millrace.open({ workers: 1, ansi }))
})
afterAll(async () => {
  for (const mill of engines.values()) await mill.close()
})

/** A row's value in one notation for both sides: twelve digits of a double, integers of any kind as text. */
function plain(value: unknown): unknown {
  if (value === null || value === undefined) return null
  if (value === '-0.0') return '0.0'
  if (typeof value === 'number')
    return Number.isInteger(value) ? formatDouble(value + 0) : formatDouble(Number(value.toPrecision(12)))
  if (typeof value === 'bigint') return formatDouble(Number(value))
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'string' && /^-?\d+$/.test(value)) return formatDouble(Number(value))
  if (typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]))
  return value
}

/** A sketch may be off by five percent, or by one: such a number is rounded to what both must have. */
function coarse(value: unknown): unknown {
  return Math.round(Math.log2(Number(value) + 1) * 2)
}

function sorted(rows: readonly (readonly unknown[])[], oracle: AggregateCase): string[] {
  const sketch = [...oracle.groupBy, ...oracle.aggregates].map((sql) => sql.startsWith('approx_count_distinct'))
  return rows.map((row) => JSON.stringify(row.map((v, i) => (sketch[i] === true ? coarse(v) : plain(v))))).sort()
}

/** Values as a user hands them in; the cases hold only such types. */
function userValue(value: unknown, type: DataType): unknown {
  return type.kind === 'decimal' ? value : fromJson(value, type)
}

async function run(oracle: AggregateCase, ansi: boolean): Promise<readonly (readonly unknown[])[]> {
  const schema = schemaOf(oracle.table.columns)
  const rows = oracle.table.rows.map((row) =>
    Object.fromEntries(schema.fields.map((f, i) => [f.name, userValue(row[i], f.type)])),
  )
  const mill = engines.get(ansi) as Millrace
  const keys = oracle.groupBy.map((sql, i) => expr(sql).as(`k${i}`))
  const aggregates = Object.fromEntries(oracle.aggregates.map((sql, i) => [`a${i}`, expr(sql)]))
  const frame = mill.createDataFrame(rows, new SchemaType(schema, false) as never)
  const names = [...keys.map((_, i) => `k${i}`), ...oracle.aggregates.map((_, i) => `a${i}`)]
  const found = await frame
    .groupBy(...keys)
    .agg(aggregates)
    .select(...names.map((name) => col(name)))
    .collect()
  return (found as Record<string, unknown>[]).map((row) => names.map((name) => row[name]))
}

describe('aggregates answer as Spark does', () => {
  for (const oracle of cases) {
    const { id } = oracle
    test(`${id}: ${oracle.aggregates.join(', ')} by ${oracle.groupBy.join(', ') || 'nothing'}`, async () => {
      for (const ansi of oracle.mode === 'both' ? [true, false] : [oracle.mode === 'ansi']) {
        const result = await run(oracle, ansi).catch((error: unknown) => error)
        if (id in refused) {
          expect(result).toBeInstanceOf(MillraceError)
          continue
        }
        if (oracle.expected.error !== undefined) {
          expect(result).toMatchObject({ code: oracle.expected.error.class })
          continue
        }
        if (result instanceof Error) throw result
        const agrees = expect(sorted(result as readonly (readonly unknown[])[], oracle))
        if (id in different) agrees.not.toStrictEqual(sorted(oracle.expected.rows ?? [], oracle))
        else agrees.toStrictEqual(sorted(oracle.expected.rows ?? [], oracle))
      }
    })
  }
})
