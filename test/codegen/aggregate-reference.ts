import { compareBinaries, compareBooleans, compareStrings, type Value } from '../../src/codegen/value.js'
import { assert } from '../../src/common/assert.js'
import type { BoundAggregate } from '../../src/plan/expression.js'
import type { Grouping } from '../../src/plan/physical-plan.js'
import type { DataType } from '../../src/types/data-type.js'

/** A grouped aggregation with a Map and the arithmetic of whole sets: what the engine's tables are held to. */

export interface ReferenceGroup {
  readonly keys: readonly (Value | null)[]
  readonly window: number | undefined
  readonly values: (Value | null)[][]
}

export function groupKey(keys: readonly (Value | null)[], window: number | undefined): string {
  return JSON.stringify([window ?? null, ...keys.map(keyText)])
}

function keyText(key: Value | null): string {
  if (key === null) return 'null'
  if (key instanceof Uint8Array) return `x${Buffer.from(key).toString('hex')}`
  if (typeof key === 'number') return `n${key === 0 ? 0 : key}`
  return `${typeof key}:${String(key)}`
}

/** What the aggregate may give: one value; or, where a sum leaves its range on the way, overflow as well. */
export interface Expected {
  readonly mayOverflow: boolean
  readonly mustOverflow: boolean
  matches(value: unknown): boolean
}

const exactly = (matches: (value: unknown) => boolean): Expected => ({
  mayOverflow: false,
  mustOverflow: false,
  matches,
})

export function expectedOf(aggregate: BoundAggregate, all: readonly (Value | null)[], rows: number): Expected {
  if (aggregate.fn === 'count') {
    const n = aggregate.arg === undefined ? rows : all.filter((v) => v !== null).length
    return exactly((value) => value === n)
  }
  const values = all.filter((v): v is Value => v !== null)
  if (values.length === 0) return exactly((value) => value === null)
  const type = aggregate.arg?.type as DataType
  if (aggregate.fn === 'min' || aggregate.fn === 'max') return exactly(same(extreme(aggregate.fn === 'max', values)))
  if (aggregate.fn === 'sum') {
    if (type.kind === 'double' || type.kind === 'float') return exactly(near(values as number[], 1))
    if (type.kind === 'decimal' && aggregate.type.kind === 'decimal') {
      return integral(values as bigint[], 10n ** BigInt(aggregate.type.precision) - 1n, (sum) => sum)
    }
    if (type.kind === 'bigint') return integral(values as bigint[], 2n ** 63n - 1n, (sum) => sum, -(2n ** 63n))
    return integral((values as number[]).map(BigInt), BigInt(Number.MAX_SAFE_INTEGER), Number)
  }
  if (type.kind !== 'decimal' || aggregate.type.kind !== 'decimal') {
    return exactly(near(values.map(Number), values.length))
  }
  const shift = 10n ** BigInt(aggregate.type.scale - type.scale)
  const limit = 10n ** BigInt(aggregate.type.precision)
  const average = roundedHalfUp((values as bigint[]).reduce((a, b) => a + b, 0n) * shift, BigInt(values.length))
  const sums = integral(values as bigint[], 10n ** BigInt(Math.min(38, type.precision + 10)) - 1n, () => average)
  return average < limit && average > -limit ? sums : { mayOverflow: true, mustOverflow: true, matches: () => false }
}

function roundedHalfUp(a: bigint, b: bigint): bigint {
  const negative = a < 0n
  const quotient = ((negative ? -a : a) * 2n + b) / (2n * b)
  return negative ? -quotient : quotient
}

function integral(
  values: readonly bigint[],
  limit: bigint,
  result: (sum: bigint) => bigint | number,
  least = -limit,
): Expected {
  const sum = values.reduce((a, b) => a + b, 0n)
  const reach = values.reduce((a, b) => a + (b < 0n ? -b : b), 0n)
  const outside = sum > limit || sum < least
  return { mayOverflow: reach > limit, mustOverflow: outside, matches: (value) => !outside && value === result(sum) }
}

/** NaN is the greatest, −0 is 0, strings go by code point. */
function extreme(greatest: boolean, values: readonly Value[]): Value {
  const order = (a: Value, b: Value): number => {
    if (typeof a === 'string') return compareStrings(a, b as string)
    if (a instanceof Uint8Array) return compareBinaries(a, b as Uint8Array)
    if (typeof a === 'boolean') return compareBooleans(a, b as boolean)
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b))
    return a < b ? -1 : a > b ? 1 : 0
  }
  return values.reduce((best, v) => ((greatest ? order(v, best) > 0 : order(v, best) < 0) ? v : best))
}

function same(expected: Value): (value: unknown) => boolean {
  if (expected instanceof Uint8Array) {
    return (value) => value instanceof Uint8Array && Buffer.compare(value, expected) === 0
  }
  // A minimum of −0 comes out as 0.
  return (value) => value === expected || (value !== value && expected !== expected)
}

/** Sums of doubles are compensated: what is lost is lost in the last digits of the exact sum, not of its parts. */
function near(values: readonly number[], divisor: number): (value: unknown) => boolean {
  const finite = values.filter(Number.isFinite)
  const reach = finite.reduce((a, b) => a + Math.abs(b), 0)
  // A partial sum may have been infinite already.
  if (reach === Number.POSITIVE_INFINITY) return () => true
  if (finite.length < values.length) {
    const sum = values.reduce((a, b) => a + b)
    return (value) => Object.is(value, sum)
  }
  const exact = exactSum(values) / divisor
  return (value) =>
    typeof value === 'number' && Math.abs(value - exact) <= Math.abs(exact) * 1e-15 + (reach / divisor) * 1e-29
}

/** Partials that do not overlap (Shewchuk), so that their sum is rounded once. */
function exactSum(values: readonly number[]): number {
  let partials: number[] = []
  for (const value of values) {
    let x = value
    const next: number[] = []
    for (const y of partials) {
      const [large, small] = Math.abs(x) < Math.abs(y) ? [y, x] : [x, y]
      const high = large + small
      const low = small - (high - large)
      if (low !== 0) next.push(low)
      x = high
    }
    next.push(x)
    partials = next
  }
  return partials.reduceRight((a, b) => a + b, 0)
}

/** A group of a window, or of what counts in a slice from the window `from` on. */
export const partKey = (keys: readonly (Value | null)[], start: number | undefined, from: number): string =>
  `${groupKey(keys, start)} ${from}`

/** Groups of the rows of input partitions, each with its own watermark: decision 12 of docs/architecture.md. */
export class Reference {
  readonly groups = new Map<string, ReferenceGroup & { rows: number }>()
  late = 0
  nullEventTimes = 0
  readonly #greatest = new Map<number, number>()

  constructor(
    private readonly grouping: Grouping,
    private readonly delayMs: number,
  ) {}

  add(partition: number, time: number | null, keys: readonly (Value | null)[], args: readonly (Value | null)[]): void {
    const greatest = this.#greatest.get(partition) ?? Number.NEGATIVE_INFINITY
    if (time !== null) this.#greatest.set(partition, Math.max(greatest, time))
    const { window, closesWindows } = this.grouping
    let start: number | undefined
    let from = 0
    if (window !== undefined) {
      assert(window.kind !== 'session', 'sessions have a reference of their own')
      if (time === null) {
        this.nullEventTimes += 1
        return
      }
      // Every window that holds the time, by a look at each of them.
      const slideMs = window.kind === 'sliding' ? window.slideMs : window.sizeMs
      const last = Math.floor((time - window.startMs) / slideMs) * slideMs + window.startMs
      const windows: number[] = []
      for (let w = last; w + window.sizeMs > time; w -= slideMs) windows.unshift(w)
      const open = windows.filter((w) => !closesWindows || w + window.sizeMs > greatest - this.delayMs)
      if (open.length === 0) {
        this.late += 1
        return
      }
      from = open[0] as number
      // A slice begins where a window begins or ends.
      const ends = windows.map((w) => w + window.sizeMs - slideMs).filter((end) => end <= time)
      start = window.kind === 'sliding' ? Math.max(last, ...ends) : last
      if (window.kind === 'tumbling') from = 0
    }
    const key = partKey(keys, start, from)
    const group = this.groups.get(key) ?? {
      keys,
      window: start,
      values: this.grouping.aggregates.map(() => []),
      rows: 0,
    }
    this.groups.set(key, group)
    group.rows += 1
    args.forEach((arg, i) => group.values[i]?.push(arg))
  }
}
