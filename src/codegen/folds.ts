import type { BoundAggregate, FoldName } from '../plan/expression.js'
import { hashBytes } from '../state/hash.js'
import { type DataType, structType } from '../types/data-type.js'
import { encodeNested } from '../types/nested-value.js'
import { topRows } from './top-rows.js'
import { comparator, type Value } from './value.js'

/**
 * The folds of plan/aggregate-specs.ts: partial (`update`), `merge` and `finish`. A state belongs to its group and is changed
 * in place; the row that it is updated with is an array of the arguments, which may be kept but not changed.
 */
type Item = Value | null
type Row = readonly Item[]
type List = Item[]

export interface Fold {
  /** Undefined and null are a group without a state. */
  update(state: Value | null, row: Value): Value | null
  merge(state: Value | null, other: Value): Value | null
  finish(state: Value | null): Item
}

type MakeFold = (aggregate: BoundAggregate, args: readonly DataType[]) => Fold

export function foldFor(aggregate: BoundAggregate): Fold {
  const type = aggregate.arg?.type
  const args = type?.kind === 'struct' ? type.fields.map((f) => f.type) : []
  return folds[aggregate.fn as FoldName](aggregate, args)
}

const known = new WeakMap<BoundAggregate, Fold>()

/** One for each aggregate, since what a set knows of its elements is kept with its fold. */
export function foldOf(aggregate: BoundAggregate): Fold {
  let fold = known.get(aggregate)
  if (fold === undefined) {
    fold = foldFor(aggregate)
    known.set(aggregate, fold)
  }
  return fold
}

const listOf = (state: Value | null): List => (state ?? []) as unknown as List
const rowOf = (value: Value): Row => value as unknown as Row
const asValue = (list: readonly unknown[]): Value => list as unknown as Value

/** A list that `add` grows by one row; `finish` makes the result of it. */
function listFold(add: (list: List, value: Item) => void, finish: (list: List) => Item): Fold {
  return {
    update: (state, row) => {
      const list = listOf(state)
      const [value = null] = rowOf(row)
      if (value !== null) add(list, value)
      return asValue(list)
    },
    merge: (state, other) => {
      const list = listOf(state)
      for (const value of listOf(other)) add(list, value)
      return asValue(list)
    },
    finish: (state) => finish(listOf(state)),
  }
}

const push = (list: List, value: Item): void => {
  list.push(value)
}

/** The keys of a list's elements are kept beside it, as long as there is the list. */
function adder(type: DataType): (list: List, value: Item) => void {
  const keys = new WeakMap<List, Set<unknown>>()
  const nested = type.kind === 'struct' || type.kind === 'array' || type.kind === 'map' || type.kind === 'binary'
  const holder: DataType = { kind: 'array', element: type, containsNull: true }
  const key = (value: Item): unknown => (nested ? Buffer.from(encodeNested(holder, [value])).toString('latin1') : value)
  return (list, value) => {
    let known = keys.get(list)
    if (known === undefined) {
      known = new Set(list.map(key))
      keys.set(list, known)
    }
    const normal = normalized(value)
    const k = key(normal)
    if (known.has(k)) return
    known.add(k)
    list.push(normal)
  }
}

/** −0 is 0 in a set. */
function normalized(value: Item): Item {
  if (Array.isArray(value)) return asValue(value.map(normalized))
  return value === 0 ? 0 : value
}

const set =
  (finish: (list: List) => Item): MakeFold =>
  (_aggregate, [type = { kind: 'void' }]) =>
    listFold(adder(type), finish)

const countDistinct: MakeFold = (_aggregate, args) => {
  const add = adder(structType(args.map((type, i) => ({ name: `p${i}`, type, nullable: true }))))
  const fold = listFold(add, (list) => list.length)
  return {
    ...fold,
    update: (state, row) => {
      const list = listOf(state)
      if (!rowOf(row).includes(null)) add(list, row)
      return asValue(list)
    },
  }
}

const distinctSum =
  (average: boolean): MakeFold =>
  (aggregate, args) =>
    set((list) => {
      if (list.length === 0) return null
      if (aggregate.type.kind === 'bigint')
        return BigInt.asIntN(
          64,
          (list as bigint[]).reduce((a, b) => a + b, 0n),
        )
      const sum = (list as (number | bigint)[]).reduce<number>((a, b) => a + Number(b), 0)
      return average ? sum / list.length : sum
    })(aggregate, args)

/** n, mean, and the sums of the second to fourth powers of what is off the mean; updated and merged without cancellation (Pébay 2008). */
function mergeMoments(a: number[], b: readonly number[]): void {
  const [na, ma, m2a, m3a, m4a] = a as [number, number, number, number, number]
  const [nb, mb, m2b, m3b, m4b] = b as [number, number, number, number, number]
  if (nb === 0) return
  const n = na + nb
  const delta = mb - ma
  const dn = delta / n
  a[0] = n
  a[1] = ma + dn * nb
  a[2] = m2a + m2b + delta * dn * na * nb
  a[3] = m3a + m3b + dn * dn * delta * na * nb * (na - nb) + 3 * dn * (na * m2b - nb * m2a)
  a[4] =
    m4a +
    m4b +
    dn * dn * dn * delta * na * nb * (na * na - na * nb + nb * nb) +
    6 * dn * dn * (na * na * m2b + nb * nb * m2a) +
    4 * dn * (na * m3b - nb * m3a)
}

function moments(finish: (n: number, m2: number, m3: number, m4: number) => number | null): MakeFold {
  const numbers = (state: Value | null): number[] => (state ?? [0, 0, 0, 0, 0]) as unknown as number[]
  return () => ({
    update: (state, row) => {
      const held = numbers(state)
      const [value = null] = rowOf(row)
      if (value !== null) mergeMoments(held, [1, value as number, 0, 0, 0])
      return asValue(held)
    },
    merge: (state, other) => {
      const held = numbers(state)
      mergeMoments(held, numbers(other))
      return asValue(held)
    },
    finish: (state) => {
      const [n = 0, , m2 = 0, m3 = 0, m4 = 0] = numbers(state)
      return n === 0 ? null : finish(n, m2, m3, m4)
    },
  })
}

/** n, both means, the sum of products, both sums of squares. */
function pairs(finish: (n: number, c: number, x2: number, y2: number) => number | null): MakeFold {
  const numbers = (state: Value | null): number[] => (state ?? [0, 0, 0, 0, 0, 0]) as unknown as number[]
  const merge = (a: number[], b: readonly number[]): void => {
    const [na = 0, xa = 0, ya = 0, ca = 0, x2a = 0, y2a = 0] = a
    const [nb = 0, xb = 0, yb = 0, cb = 0, x2b = 0, y2b = 0] = b
    if (nb === 0) return
    const n = na + nb
    const [dx, dy] = [xb - xa, yb - ya]
    const weight = (na * nb) / n
    a.splice(
      0,
      6,
      n,
      xa + (dx * nb) / n,
      ya + (dy * nb) / n,
      ca + cb + dx * dy * weight,
      x2a + x2b + dx * dx * weight,
      y2a + y2b + dy * dy * weight,
    )
  }
  return () => ({
    update: (state, row) => {
      const held = numbers(state)
      const [x = null, y = null] = rowOf(row)
      if (x !== null && y !== null) merge(held, [1, x as number, y as number, 0, 0, 0])
      return asValue(held)
    },
    merge: (state, other) => {
      const held = numbers(state)
      merge(held, numbers(other))
      return asValue(held)
    },
    finish: (state) => {
      const [n = 0, , , c = 0, x2 = 0, y2 = 0] = numbers(state)
      return n === 0 ? null : finish(n, c, x2, y2)
    },
  })
}

/** One row is kept, by `better`. */
function oneRow(better: (held: Row, row: Row) => boolean, takes: (row: Row) => boolean = () => true): Fold {
  const choose = (state: Value | null, row: Row): Value | null => {
    const [held] = listOf(state) as unknown as Row[]
    if (!takes(row) || (held !== undefined && !better(held, row))) return state
    return asValue([row])
  }
  return {
    update: (state, row) => choose(state, rowOf(row)),
    merge: (state, other) => {
      const [row] = listOf(other) as unknown as Row[]
      return row === undefined ? state : choose(state, row)
    },
    finish: (state) => (listOf(state) as unknown as Row[])[0]?.[0] ?? null,
  }
}

const extreme =
  (direction: number, place: number): MakeFold =>
  (_aggregate, args) => {
    const compare = comparator(args[place] as DataType) as (a: Value, b: Value) => number
    return oneRow(
      (held, row) => compare(row[place] as Value, held[place] as Value) * direction >= (place === 0 ? 1 : 0),
      (row) => row[place] !== null,
    )
  }

/** [the values, the fraction or fractions] */
const percentile =
  (exact: boolean): MakeFold =>
  (_aggregate, args) => {
    const compare = comparator(args[0] as DataType) as (a: Value, b: Value) => number
    const stateOf = (state: Value | null, fractions: Item): [List, Item] =>
      (listOf(state)[0] ?? [[], fractions]) as unknown as [List, Item]
    return {
      update: (state, row) => {
        const [value = null, fractions = null] = rowOf(row)
        const held = stateOf(state, fractions)
        if (value !== null) held[0].push(value)
        return asValue([held])
      },
      merge: (state, other) => {
        const [values, fractions] = stateOf(other, null)
        const held = stateOf(state, fractions)
        for (const value of values) held[0].push(value)
        return asValue([held])
      },
      finish: (state) => {
        if (state === null) return null
        const [values, fractions] = stateOf(state, null)
        if (values.length === 0 || fractions === null) return null
        const sorted = [...values].sort((a, b) => compare(a as Value, b as Value))
        const at = (fraction: Item): Item =>
          exact ? interpolated(sorted as number[], fraction as number) : ranked(sorted, fraction as number)
        return Array.isArray(fractions) ? asValue((fractions as Item[]).map(at)) : at(fractions)
      },
    }
  }

function interpolated(sorted: readonly number[], fraction: number): number {
  const place = (sorted.length - 1) * fraction
  const low = sorted[Math.floor(place)] as number
  const high = sorted[Math.ceil(place)] as number
  return low === high ? low : (Math.ceil(place) - place) * low + (place - Math.floor(place)) * high
}

const ranked = (sorted: readonly Item[], fraction: number): Item =>
  sorted[Math.max(0, Math.ceil(sorted.length * fraction) - 1)] ?? null

/** How often each value is there. */
const mode: MakeFold = (_aggregate, [type = { kind: 'void' }]) => {
  const counts = new WeakMap<List, Map<string, [Item, number]>>()
  const holder: DataType = { kind: 'array', element: type, containsNull: true }
  const add = (list: List, value: Item, times: number): void => {
    let known = counts.get(list)
    if (known === undefined) {
      known = new Map((list as unknown as [Item, number][]).map((pair) => [keyOf(pair[0]), pair]))
      counts.set(list, known)
    }
    const key = keyOf(value)
    const pair = known.get(key)
    if (pair !== undefined) pair[1] += times
    else {
      const fresh: [Item, number] = [value, times]
      known.set(key, fresh)
      list.push(asValue(fresh))
    }
  }
  const keyOf = (value: Item): string => Buffer.from(encodeNested(holder, [normalized(value)])).toString('latin1')
  return {
    update: (state, row) => {
      const list = listOf(state)
      const [value = null] = rowOf(row)
      if (value !== null) add(list, value, 1)
      return asValue(list)
    },
    merge: (state, other) => {
      const list = listOf(state)
      for (const pair of listOf(other))
        add(list, (pair as unknown as Row)[0] ?? null, (pair as unknown as Row)[1] as number)
      return asValue(list)
    },
    finish: (state) => {
      let best: Row | undefined
      for (const pair of listOf(state) as unknown as Row[])
        if (best === undefined || (pair[1] as number) > (best[1] as number)) best = pair
      return best?.[0] ?? null
    },
  }
}

const bits =
  (combine: (a: bigint, b: bigint) => bigint): MakeFold =>
  (aggregate) => {
    const isBig = aggregate.type.kind === 'bigint'
    return listFold(
      (list, value) => {
        const [held] = list
        if (held === undefined) list.push(value)
        else {
          const result = combine(BigInt(held as number | bigint), BigInt(value as number | bigint))
          list[0] = isBig ? result : Number(result)
        }
      },
      (list) => list[0] ?? null,
    )
  }

/** HyperLogLog of 2^11 registers: 2.3 % off on the average, and nearly exact for a few hundred. */
const REGISTERS = 2048
const approxCountDistinct: MakeFold = (_aggregate, [type = { kind: 'void' }]) => {
  const holder: DataType = { kind: 'array', element: type, containsNull: true }
  const registers = (state: Value | null): Uint8Array => (state ?? new Uint8Array(REGISTERS)) as Uint8Array
  return {
    update: (state, row) => {
      const held = registers(state)
      const [value = null] = rowOf(row)
      if (value === null) return held
      const bytes = encodeNested(holder, [normalized(value)])
      const hash = hashBytes(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), bytes, 0, bytes.length)
      const mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
      const spread = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 0
      const place = spread & (REGISTERS - 1)
      const rank = Math.clz32((spread & ~(REGISTERS - 1)) | (REGISTERS - 1)) + 1
      if (rank > (held[place] as number)) held[place] = rank
      return held
    },
    merge: (state, other) => {
      const held = registers(state)
      const more = other as Uint8Array
      for (let i = 0; i < REGISTERS; i++) if ((more[i] as number) > (held[i] as number)) held[i] = more[i] as number
      return held
    },
    finish: (state) => {
      if (state === null) return 0
      let sum = 0
      let empty = 0
      for (const rank of registers(state)) {
        sum += 2 ** -rank
        if (rank === 0) empty++
      }
      const estimate = ((0.7213 / (1 + 1.079 / REGISTERS)) * REGISTERS * REGISTERS) / sum
      return Math.round(estimate <= 2.5 * REGISTERS && empty > 0 ? REGISTERS * Math.log(REGISTERS / empty) : estimate)
    },
  }
}

const sample = (of: (variance: number) => number) => (n: number, m2: number) => (n === 1 ? null : of(m2 / (n - 1)))

const folds: Readonly<Record<FoldName, MakeFold>> = {
  topRows,
  collectList: () => listFold(push, asValue),
  collectSet: set(asValue),
  countDistinct,
  sumDistinct: distinctSum(false),
  avgDistinct: distinctSum(true),
  approxCountDistinct,
  stddevSamp: moments(sample(Math.sqrt)),
  stddevPop: moments((n, m2) => Math.sqrt(m2 / n)),
  varSamp: moments(sample((v) => v)),
  varPop: moments((n, m2) => m2 / n),
  skewness: moments((n, m2, m3) => (m2 === 0 ? null : (Math.sqrt(n) * m3) / Math.sqrt(m2 * m2 * m2))),
  kurtosis: moments((n, m2, _m3, m4) => (m2 === 0 ? null : (n * m4) / (m2 * m2) - 3)),
  corr: pairs((n, c, x2, y2) => (n === 1 || x2 === 0 || y2 === 0 ? null : c / Math.sqrt(x2 * y2))),
  covarSamp: pairs((n, c) => (n === 1 ? null : c / (n - 1))),
  covarPop: pairs((n, c) => c / n),
  first: () => oneRow(() => false),
  last: () => oneRow(() => true),
  minBy: extreme(-1, 1),
  maxBy: extreme(1, 1),
  minValue: extreme(-1, 0),
  maxValue: extreme(1, 0),
  percentile: percentile(true),
  percentileApprox: percentile(false),
  median: () =>
    listFold(push, (list) =>
      list.length === 0 ? null : interpolated((list as number[]).sort(comparator({ kind: 'double' }) as never), 0.5),
    ),
  mode,
  bitAndOf: bits((a, b) => a & b),
  bitOrOf: bits((a, b) => a | b),
  bitXorOf: bits((a, b) => a ^ b),
}
