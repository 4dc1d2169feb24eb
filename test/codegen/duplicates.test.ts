import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compileFirstRows } from '../../src/codegen/duplicate-compiler.js'
import { DUPLICATE_CELLS } from '../../src/codegen/duplicate-functions.js'
import { interpretFirstRows } from '../../src/codegen/duplicate-interpreter.js'
import { GroupInterpreter } from '../../src/codegen/group-interpreter.js'
import type { Row } from '../../src/codegen/interpreter.js'
import { compileToShuffle } from '../../src/codegen/shuffle-compiler.js'
import { compileState } from '../../src/codegen/stage-compiler.js'
import { SOURCE_CELLS } from '../../src/codegen/stage-functions.js'
import { aggregateStateSchema, groupLayout } from '../../src/operator/aggregate.js'
import { isStamped, seenKeys } from '../../src/operator/deduplicate.js'
import { shuffleSchema } from '../../src/operator/join.js'
import { bindCall } from '../../src/plan/functions.js'
import type { Deduplicate } from '../../src/plan/physical-plan.js'
import { CHANGED_FOR_LOG, GroupTable } from '../../src/state/group-table.js'
import { blockRowCount } from '../../src/types/block.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { readValues } from '../../src/types/block-reader.js'
import { schema, slots } from './expressions.js'
import { blockOf, input, mixedRows, pipeline } from './stages.js'

/** The generated loop of a deduplication against the interpreted one: same rows leave, same keys are kept, same counts. */
const numRuns = Number(process.env['MILLRACE_RUNS'] ?? 40)

const comparable = slots.filter((slot) => !['array', 'map', 'struct', 'void'].includes(slot.type.kind))
const times = slots.filter((slot) => slot.type.kind === 'timestamp')

const heads: fc.Arbitrary<Deduplicate> = fc
  .record({
    keys: fc.uniqueArray(fc.constantFrom(...comparable.map((slot) => slot.index)), { minLength: 1, maxLength: 3 }),
    computed: fc.boolean(),
    kind: fc.constantFrom('for ever', 'one time', 'late by key', 'all times', 'within', 'within by Spark'),
    delayMs: fc.nat(100_000),
  })
  .map(({ keys, computed, kind, delayMs }): Deduplicate => {
    const first = input(keys[0] as number)
    const eventTime = input(times[0]?.index ?? 0)
    return {
      op: 'deduplicate',
      schema,
      keys: [...keys.map(input), ...(computed ? [bindCall('isNull', [first], true)] : [])],
      ...(kind === 'late by key' ? { lateByKey: true } : {}),
      expiresAt:
        kind === 'one time' || kind === 'late by key'
          ? [eventTime]
          : kind === 'all times'
            ? times.map((slot) => input(slot.index))
            : [],
      ...(kind.startsWith('within') ? { within: { eventTime, delayMs } } : {}),
      ...(kind === 'within by Spark' ? { rule: 'spark' } : {}),
    }
  })

function run(make: typeof interpretFirstRows, head: Deduplicate, frames: readonly (readonly Row[])[], late: number) {
  const grouping = seenKeys(head)
  const group = new GroupInterpreter(grouping, false, true)
  const table = new GroupTable(groupLayout(grouping, false))
  const stamped = isStamped(head)
  const out = new BlockBuilder(schema)
  const counts: number[] = []
  const revived = new Int32Array(100)
  const firstRows = make(head, true)
  for (const [n, rows] of frames.entries()) {
    const frame = new BlockBuilder(shuffleSchema(schema, stamped))
    for (const [i, row] of rows.entries()) {
      const keys = head.keys.map((key) => {
        if (key.kind === 'input') return row[key.slot] ?? null
        return (row[(head.keys[0] as { slot: number }).slot] ?? null) === null
      })
      frame.append([group.hash(keys), ...(stamped ? [(n * 7 + i) * 1e10 - 1e11] : []), ...row])
    }
    const { views, position } = frame.toBlock()
    out.ensureRows(out.rows + rows.length)
    const told = new Float64Array(DUPLICATE_CELLS)
    firstRows(views, position, 0, blockRowCount(views, position), table, out, CHANGED_FOR_LOG, late, told, revived)
    counts.push(...told, ...revived.subarray(0, told[2]))
    // Some are forgotten between two frames.
    const cell = table.places.numbers[0]
    if (cell !== undefined) {
      for (let e = n % 2; e < table.size; e += 3)
        table.cells[e * table.places.cellDoubles + cell] = Number.NEGATIVE_INFINITY
    }
  }
  const log = new BlockBuilder(aggregateStateSchema(grouping))
  log.ensureRows(table.logCount)
  compileState(grouping, false, true).run(table, table.logList, 0, table.logCount, log, 0, 0, 1)
  return {
    out: readValues(schema, out.toBlock()),
    log: readValues(aggregateStateSchema(grouping), log.toBlock()),
    counts,
  }
}

test('a compiled deduplication hands on and keeps what the interpreter does', () => {
  const frames = fc.array(mixedRows(12), { maxLength: 4 })
  fc.assert(
    fc.property(heads, frames, fc.constantFrom(Number.NEGATIVE_INFINITY, 0, 1e12), (head, list, late) => {
      const compiled = run((of, ansi) => compileFirstRows(of, ansi).run, head, list, late)
      expect(compiled).toStrictEqual(run(interpretFirstRows, head, list, late))
    }),
    { numRuns },
  )
}, 60_000)

test('every row leaves but those whose key has left before', () => {
  fc.assert(
    fc.property(mixedRows(40), fc.constantFrom(...comparable), (rows, slot) => {
      const head: Deduplicate = { op: 'deduplicate', schema, keys: [input(slot.index)], expiresAt: [] }
      const { out } = run((of, ansi) => compileFirstRows(of, ansi).run, head, [rows], 0)
      const at = slots.filter(({ parent }) => parent === -1).indexOf(slot)
      const key = (value: unknown): string => {
        if (typeof value === 'number') return Number.isNaN(value) ? 'NaN' : String(value + 0)
        return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value)
      }
      const different = new Set(rows.map((row) => key(row[slot.index] ?? null)))
      expect(out).toHaveLength(different.size)
      if (at !== -1) expect(new Set(out.map((row) => key(row[at])))).toEqual(different)
    }),
    { numRuns },
  )
}, 60_000)

test('a row brings the watermark that its record was stamped with', () => {
  fc.assert(
    fc.property(mixedRows(30), fc.boolean(), fc.nat(10_000), (rows, shuffled, delayMs) => {
      const eventTime = input(times[0]?.index ?? 0)
      const spec = { ...pipeline(true, shuffled, []), watermark: { eventTime, column: 'ts', delayMs, node: 0 } }
      const output = { kind: 'shuffle', schema, keys: [eventTime], stamp: 'record' } as const
      const builder = new BlockBuilder(shuffleSchema(schema, true))
      builder.ensureRows(rows.length)
      const block = blockOf(rows, shuffled)
      const cells = new Float64Array(SOURCE_CELLS).fill(Number.NEGATIVE_INFINITY, 0, 1)
      compileToShuffle(spec, output).run(block.views, block.position, 0, rows.length, cells, [builder])
      let greatest = Number.NEGATIVE_INFINITY
      const expected = rows.map((row) => {
        const before = greatest
        greatest = Math.max(greatest, (row[times[0]?.index ?? 0] as number | null) ?? greatest)
        return before - delayMs
      })
      expect(readValues(shuffleSchema(schema, true), builder.toBlock()).map((row) => row[1])).toEqual(expected)
    }),
    { numRuns },
  )
})
