import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { compileExpression } from '../../src/codegen/expression-compiler.js'
import { evaluate, type Row } from '../../src/codegen/interpreter.js'
import { placeholder, type Value } from '../../src/codegen/value.js'
import { MillraceError } from '../../src/common/errors.js'
import { FunctionSource } from '../../src/common/function-source.js'
import type { BoundExpression } from '../../src/plan/expression.js'
import { isNested } from '../../src/plan/type-rules.js'
import { columnSlots, type DataType } from '../../src/types/data-type.js'
import {
  bindSql,
  fromJson,
  type OracleCase,
  type OracleRow,
  readCases,
  schemaOf,
  toJson,
  Unsupported,
} from './oracle-cases.js'

/**
 * Scalar functions against answers of Spark 4.3. Each line of functions.jsonl is an expression that we
 * claim to support; differences.json lists, by case, the inputs on which we differ and why. A difference that is not listed
 * fails, and so does a listed one that no longer is.
 */
const path = process.env.MILLRACE_ORACLE ?? new URL('functions.jsonl', import.meta.url).pathname
const cases = readCases(path)
const differences = JSON.parse(readFileSync(new URL('differences.json', import.meta.url), 'utf8')) as Record<
  string,
  { why: string; inputs: string[] }
>

/** Cases that are refused in words, and why. */
const refused: Readonly<Record<string, string>> = {
  'timestamp-0506-both': 'a sliding window makes several rows of one, which an expression cannot',
}

/** The libraries of C and Java may differ in the last bit. */
const transcendental =
  /\b(sin|cos|tan|a?sinh|cosh|tanh|acos|atan2?|exp|expm1|ln|log\d*|power|cbrt|hypot|sec|degrees|radians)\b/

type Answer = { readonly value: unknown } | { readonly error: string }

interface CaseReport {
  readonly differing: string[]
  readonly passed: number
  /** Rows whose input or answer has microseconds. */
  readonly notHeld: number
}

function answer(run: () => Value | null, expression: BoundExpression): Answer {
  try {
    return { value: toJson(run(), expression.type) }
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    return { error: error.code }
  }
}

function expected(row: OracleRow): Answer {
  return row.error === undefined ? { value: row.out } : { error: row.error.class ?? '' }
}

/** A nested answer with a time in it is JSON text of Spark's own, `{"v": …}`. */
function plainAnswer(wanted: unknown, type: DataType): unknown {
  if (typeof wanted !== 'string' || !wanted.startsWith('{"v":') || !isNested(type)) return wanted
  return (JSON.parse(wanted) as { v?: unknown }).v ?? null
}

function sameJson(a: unknown, b: unknown, ulps: number): boolean {
  // An integer of Spark's 64 bits is JSON text, one of ours may be narrower.
  if (typeof a === 'string' && typeof b === 'number') return a === String(b)
  if (typeof a === 'number' && typeof b === 'string') return String(a) === b
  if (typeof a === 'number' && typeof b === 'number') return a === b || Math.abs(a - b) <= ulps * 2 ** -52 * Math.abs(b)
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((x, i) => sameJson(x, b[i], ulps))
  if (typeof a === 'object' && typeof b === 'object' && a !== null && b !== null) {
    const [x, y] = [Object.entries(a), b as Record<string, unknown>]
    return x.length === Object.keys(y).length && x.every(([key, value]) => key in y && sameJson(value, y[key], ulps))
  }
  return a === b
}

function agrees(found: Answer, wanted: Answer, ulps: number): boolean {
  if ('error' in wanted) return 'error' in found && (wanted.error === '' || found.error === wanted.error)
  if ('error' in found) return false
  return sameJson(found.value, wanted.value, ulps)
}

function run(oracle: OracleCase, ansi: boolean): CaseReport {
  const schema = schemaOf(oracle.columns)
  const slots = columnSlots(schema).filter((slot) => slot.parent === -1)
  const ulps = transcendental.test(oracle.sql) ? 1.01 : 0
  const differing: string[] = []
  let passed = 0
  let notHeld = 0
  let expression: BoundExpression
  try {
    expression = bindSql(oracle.sql, schema, ansi)
  } catch (error) {
    if (error instanceof Unsupported) throw error
    if (!(error instanceof MillraceError)) throw error
    if (oracle.rows.every((row) => row.error !== undefined)) return { differing, passed: oracle.rows.length, notHeld }
    throw error
  }
  const compiled = compile(expression, ansi)
  for (const row of oracle.rows) {
    const values = slots.map((slot) => fromJson(row.in[slot.path[0] ?? ''], slot.type))
    const microseconds =
      typeof row.out === 'string' &&
      expression.type.kind === 'timestamp' &&
      fromJson(row.out, expression.type) === undefined
    if (values.includes(undefined) || microseconds || row.noRow === true) {
      notHeld++
      continue
    }
    const data = values as Row
    const interpreted = answer(() => evaluate(expression, data, { ansi }), expression)
    expect(
      answer(() => compiled(data), expression),
      `compiled ${oracle.id}`,
    ).toStrictEqual(interpreted)
    const wanted = expected(row)
    const plain = 'value' in wanted ? { value: plainAnswer(wanted.value, expression.type) } : wanted
    if (agrees(interpreted, plain, ulps)) passed++
    else {
      differing.push(JSON.stringify(row.in))
      if (process.env.MILLRACE_VERBOSE)
        console.log(oracle.id, ansi, oracle.sql, JSON.stringify(row), JSON.stringify(interpreted))
    }
  }
  return { differing, passed, notHeld }
}

function compile(expression: BoundExpression, ansi: boolean): (row: Row) => Value | null {
  const source = new FunctionSource()
  const types = slotTypes(expression)
  const input = (slot: number) => {
    const type = types.get(slot) ?? expression.type
    return { type, isNull: `row[${slot}] === null`, value: `(row[${slot}] ?? ${source.constant(placeholder(type))})` }
  }
  const result = compileExpression(source, expression, input, { ansi })
  source.line(`return ${result.isNull} ? null : ${result.value};`)
  return source.compile('evaluate', ['row'])
}

function slotTypes(
  e: BoundExpression,
  types = new Map<number, BoundExpression['type']>(),
): Map<number, BoundExpression['type']> {
  if (e.kind === 'input') types.set(e.slot, e.type)
  else if (e.kind === 'call') for (const a of e.args) slotTypes(a, types)
  else if (e.kind === 'cast' || e.kind === 'field') slotTypes(e.arg, types)
  else if (e.kind === 'case') {
    for (const b of e.branches) [b.when, b.then].map((x) => slotTypes(x, types))
    if (e.otherwise !== undefined) slotTypes(e.otherwise, types)
  }
  return types
}

describe('scalar functions answer as Spark does', () => {
  const counts = { cases: 0, passed: 0, differ: 0, unsupported: 0, notHeld: 0 }
  const unsupported: string[] = []
  const found: Record<string, readonly string[]> = {}
  for (const oracle of cases) {
    test(`${oracle.id}: ${oracle.sql}`, () => {
      const differing = new Set<string>()
      for (const ansi of oracle.mode === 'both' ? [true, false] : [oracle.mode === 'ansi']) {
        try {
          const report = run(oracle, ansi)
          counts.passed += report.passed
          counts.notHeld += report.notHeld
          for (const input of report.differing) differing.add(input)
        } catch (error) {
          if (!(error instanceof Unsupported)) throw error
          counts.unsupported++
          unsupported.push(`${oracle.sql} (${error.message.split('\n')[0]})`)
          if (process.env.MILLRACE_ORACLE === undefined && !(oracle.id in refused)) throw error
        }
      }
      counts.cases++
      counts.differ += differing.size
      if (differing.size > 0) found[oracle.id] = [...differing]
      expect([...differing].sort()).toStrictEqual([...(differences[oracle.id]?.inputs ?? [])].sort())
    })
  }
  test('the tally', () => {
    if (process.env.MILLRACE_DIFFERENCES) writeFileSync(process.env.MILLRACE_DIFFERENCES, JSON.stringify(found))
    const { passed, differ, notHeld } = counts
    console.log(
      `${counts.cases} cases: ${passed} rows passed, ${differ} differ as listed, ${notHeld} have microseconds, ${counts.unsupported} unsupported`,
    )
    if (unsupported.length > 0) console.log(unsupported.join('\n'))
    expect(counts.cases).toBe(cases.length)
  })
})
