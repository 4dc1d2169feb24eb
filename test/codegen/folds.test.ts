import fc from 'fast-check'
import { expect, test } from 'vitest'
import { foldFor } from '../../src/codegen/folds.js'
import type { Value } from '../../src/codegen/value.js'
import { bindFold, foldStateType } from '../../src/plan/aggregate-specs.js'
import type { BoundAggregate, BoundExpression, FoldName } from '../../src/plan/expression.js'
import { foldNames } from '../../src/plan/function-names.js'
import type { DataType } from '../../src/types/data-type.js'
import { decodeNested, encodeNested } from '../../src/types/nested-value.js'
import { types } from './plan-parts.js'

/** Partial states, written down and read back, merged in any grouping: the result is that of one pass. */
const input = (slot: number, type: DataType): BoundExpression => ({ kind: 'input', slot, type, nullable: true })

function argumentsOf(fn: FoldName): readonly BoundExpression[] {
  if (/^corr|^covar/.test(fn)) return [input(0, types.double), input(1, types.double)]
  if (/By$/.test(fn)) return [input(0, types.int), input(1, types.int)]
  if (fn.startsWith('percentile')) {
    return [input(0, types.int), { kind: 'literal', value: 0.5, type: types.double, nullable: false }]
  }
  return [input(0, /stddev|var|skew|kurt|median/.test(fn) ? types.double : types.int)]
}

/** A state as it lies in a column: an array, or bytes. */
function travelled(type: DataType, state: Value | null): Value | null {
  if (state === null || type.kind === 'binary') return state === null ? null : Uint8Array.from(state as Uint8Array)
  const bytes = Uint8Array.from(encodeNested(type, state))
  return decodeNested(type, bytes, 0) as Value
}

/** Which of equals comes first, and sums of doubles to the last digit, depend on the order. */
function comparable(fn: FoldName, value: Value | null): unknown {
  if (fn === 'first' || fn === 'last' || fn === 'mode' || /By$/.test(fn)) return value === null
  if (Array.isArray(value)) return [...(value as number[])].sort((a, b) => a - b)
  return value
}

const row = fc.tuple(
  fc.option(fc.integer({ min: -20, max: 20 }), { freq: 5 }),
  fc.option(fc.integer({ min: -5, max: 5 }), { freq: 5 }),
)

test.each(foldNames)('%s: what is merged is what one pass gives', (fn) => {
  const bound = bindFold(fn, argumentsOf(fn), true)
  const aggregate: BoundAggregate = { fn, ...bound, name: fn }
  const stateType = foldStateType(fn, bound.arg.type)
  const values = (r: readonly [number | null, number | null]): Value =>
    (fn.startsWith('percentile') ? [r[0], 0.5] : r.slice(0, argumentsOf(fn).length)) as unknown as Value
  fc.assert(
    fc.property(fc.array(fc.array(row, { maxLength: 8 }), { maxLength: 5 }), (parts) => {
      const once = foldFor(aggregate)
      let state: Value | null = null
      for (const r of parts.flat()) state = once.update(state, values(r))
      const merging = foldFor(aggregate)
      let merged: Value | null = null
      for (const part of parts) {
        const partial = foldFor(aggregate)
        let own: Value | null = null
        for (const r of part) own = partial.update(own, values(r))
        const sent = travelled(stateType, own)
        if (sent !== null) merged = merging.merge(merged, sent)
      }
      const found = comparable(fn, merging.finish(travelled(stateType, merged)))
      const wanted = comparable(fn, once.finish(state))
      if (bound.type.kind === 'double' && typeof wanted === 'number') expect(found).toBeCloseTo(wanted, 8)
      else expect(found).toStrictEqual(wanted)
    }),
    { numRuns: 150 },
  )
})
