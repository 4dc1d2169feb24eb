import { present } from '../common/assert.js'
import { accumulatorCells, aggregateForm, groupLayout, sumType, windowNumbers } from '../operator/aggregate.js'
import type { BoundAggregate } from '../plan/expression.js'
import type { FinalAggregate, Grouping } from '../plan/physical-plan.js'
import { GroupPlaces, type GroupTable, HEAD_KEY_HASH, HEAD_NULLS, KEY_LENGTH, KEY_WORDS } from '../state/group-table.js'
import { combineHash, hashBigint, hashBytes, hashDouble, hashInteger, NULL_HASH } from '../state/hash.js'
import type { DataType } from '../types/data-type.js'
import { addBigint, averageDecimal, extremeOf, integerSumOverflow, nullOnOverflow } from './aggregate-values.js'
import { foldOf } from './folds.js'
import { keyWord } from './key-words.js'
import type { Value } from './value.js'

/**
 * What group-code.ts generates, step by step without generated code: the reference that the generated code is held
 * to, and what runs where code generation is forbidden. Same tables, same hashes, same state rows.
 */
export class GroupInterpreter {
  readonly #layout
  readonly #places: GroupPlaces
  readonly #cellsOf: readonly (readonly number[])[]

  constructor(
    private readonly grouping: Grouping,
    private readonly partial: boolean,
    private readonly ansi: boolean,
  ) {
    this.#layout = groupLayout(grouping, partial)
    this.#places = new GroupPlaces(this.#layout)
    let next = 0
    this.#cellsOf = grouping.aggregates.map((aggregate) => accumulatorCells(aggregate, grouping).map(() => next++))
  }

  get cellCount(): number {
    return this.#layout.cells.length
  }

  hash(keys: readonly (Value | null)[]): number {
    const parts = keys.map((key, i) => (key === null ? NULL_HASH : this.#hashOf(key, i)))
    return parts.length === 0 ? 0 : parts.reduce((all, part) => combineHash(all, part))
  }

  /** Slot of the index that leads to the key's entry, -1 where there is none. `window` are the numbers of WindowCode. */
  find(T: GroupTable, keys: readonly (Value | null)[], h: number, window: readonly number[]): number {
    const places = this.#places
    const sh = this.#tableHash(h, window)
    const told = this.#windowKeys(window)
    const nulls = nullMask(keys)
    for (let at = sh & T.mask; T.index[at] !== 0; at = (at + 1) & T.mask) {
      const e = (T.index[at] as number) - 1
      const q = e * places.headInts
      if (T.heads[q] !== sh || T.heads[q + HEAD_NULLS] !== nulls) continue
      if (told.some((number, k) => T.cells[e * places.cellDoubles + places.window + k] !== number)) continue
      if (keys.every((key, i) => key === null || same(key, this.key(T, e, i) as Value))) return at
    }
    return -1
  }

  /** As KeyCode.findOrInsert(): a partial table's session is widened by the row's. */
  findOrInsert(T: GroupTable, keys: readonly (Value | null)[], h: number, window: readonly number[]): number {
    const places = this.#places
    const sh = this.#tableHash(h, window)
    const at = this.find(T, keys, h, window)
    let e = at < 0 ? -1 : (T.index[at] as number) - 1
    if (e >= 0 && !(this.partial && this.grouping.window?.kind === 'session')) return e
    const [start, from, end] = window as [number, number, number]
    if (e >= 0) {
      const w = e * places.cellDoubles + places.window
      const held = T.cells.subarray(w, w + 3)
      if ((held[1] as number) <= end && from <= (held[2] as number)) {
        held[0] = Math.min(held[0] as number, start)
        held[1] = Math.min(held[1] as number, from)
        held[2] = Math.max(held[2] as number, end)
        return e
      }
      e = T.succeed(at, sh, h)
    } else e = T.insert(sh, h)
    this.#storeKeys(T, e, keys)
    const w = e * places.cellDoubles + places.window
    if (places.window < 0) return e
    if (this.partial) T.cells.set(window, w)
    else T.cells[w + 2] = Number.NEGATIVE_INFINITY
    return e
  }

  #storeKeys(T: GroupTable, e: number, keys: readonly (Value | null)[]): void {
    const places = this.#places
    const q = e * places.headInts
    const d = e * places.cellDoubles
    T.heads[q + HEAD_NULLS] = nullMask(keys)
    keys.forEach((key, i) => {
      const part = this.#layout.keys[i]
      if (part === 'number') T.cells[d + (places.keyNumbers[i] as number)] = key === null ? 0 : numeric(key)
      else if (part === 'boxed') (T.keyBoxed[i] as unknown[])[e] = key
      else {
        const bytes = key === null ? new Uint8Array(0) : bytesOf(key)
        const at = places.keyBytes[i] as number
        T.heads[q + at] = T.store(bytes, 0, bytes.length)
        T.heads[q + at + KEY_LENGTH] = bytes.length
        for (let k = 0; k < 3; k++) T.heads[q + at + KEY_WORDS + k] = keyWord(bytes, 0, bytes.length, k)
      }
    })
  }

  /** The numbers by which windows are told apart in a table. */
  #windowKeys(window: readonly number[]): readonly number[] {
    return this.grouping.window?.kind === 'session' ? [] : window.slice(0, this.#layout.windowNumbers)
  }

  #tableHash(h: number, window: readonly number[]): number {
    const told = this.#windowKeys(window).map(hashInteger)
    return told.length === 0 ? h : h ^ told.reduce((all, part) => combineHash(all, part))
  }

  key(T: GroupTable, e: number, i: number): Value | null {
    const places = this.#places
    const q = e * places.headInts
    if (((T.heads[q + HEAD_NULLS] as number) & (1 << i)) !== 0) return null
    const type = present(this.grouping.keys[i], 'a key').value.type
    const part = this.#layout.keys[i]
    if (part === 'boxed') return (T.keyBoxed[i] as Value[])[e] as Value
    if (part === 'number') {
      const value = T.cells[e * places.cellDoubles + (places.keyNumbers[i] as number)] as number
      return type.kind === 'boolean' ? value !== 0 : value
    }
    const at = places.keyBytes[i] as number
    const start = T.heads[q + at] as number
    const bytes = T.arena.slice(start, start + (T.heads[q + at + KEY_LENGTH] as number))
    return type.kind === 'string' ? Buffer.from(bytes).toString('utf8') : bytes
  }

  update(T: GroupTable, e: number, i: number, argument: Value | null | undefined): void {
    const aggregate = present(this.grouping.aggregates[i], 'an aggregate')
    const cells = present(this.#cellsOf[i], 'cells')
    if (argument === undefined) this.#add(T, e, cells[0], 1)
    else if (argument !== null) this.#fold(T, e, aggregate, cells, argument)
  }

  merge(T: GroupTable, e: number, row: readonly (Value | null)[]): void {
    this.grouping.aggregates.forEach((aggregate, i) => {
      const cells = present(this.#cellsOf[i], 'cells')
      const values = cells.map((j) => row[j] as Value | null)
      const form = aggregateForm(aggregate)
      if (form === 'sumDouble' || form === 'avgDouble') {
        this.#twoSum(T, e, cells, values[0] as number)
        this.#add(T, e, cells[1], values[1] as number)
        this.#add(T, e, cells[2], values[2] as number)
      } else if (form === 'fold') {
        const column = T.boxed[cells[0] as number] as (Value | null)[]
        if (values[0] != null) column[e] = foldOf(aggregate).merge(column[e] ?? null, values[0])
      } else if (form === 'count') {
        this.#add(T, e, cells[0], values[0] as number)
      } else {
        if (values[0] !== null) this.#fold(T, e, aggregate, cells.slice(0, 1), values[0] as Value)
        this.#add(T, e, cells[1], values[1] as number)
      }
    })
  }

  replace(T: GroupTable, e: number, row: readonly (Value | null)[]): void {
    this.#layout.cells.forEach((cell, j) => {
      if (cell.kind === 'number') this.#set(T, e, j, row[j] as number)
      else (T.boxed[j] as unknown[])[e] = typeof row[j] === 'string' ? bytesOf(row[j] as string) : row[j]
    })
  }

  /** The cells of an entry as merge() takes them. */
  cells(T: GroupTable, e: number): readonly (Value | null)[] {
    return this.#layout.cells.map((cell, j) =>
      cell.kind === 'number' ? this.#get(T, e, j) : (((T.boxed[j] as unknown[])[e] ?? null) as Value | null),
    )
  }

  /** The window's number `k` of entry `e`: its own, or what is said of the whole table. */
  #windowNumber(T: GroupTable, e: number, k: number, outside: readonly number[]): number {
    const { window, cellDoubles } = this.#places
    return (window < 0 ? outside[k] : T.cells[e * cellDoubles + window + k]) as number
  }

  /** Values of aggregateStateSchema(). */
  stateRow(T: GroupTable, e: number, outside: readonly number[]): unknown[] {
    const places = this.#places
    const boxedType = (j: number): DataType | undefined =>
      this.grouping.aggregates.flatMap((a) => accumulatorCells(a, this.grouping))[j]?.type
    return [
      T.heads[e * places.headInts + HEAD_KEY_HASH],
      ...this.grouping.keys.map((_, i) => this.key(T, e, i)),
      ...Array.from({ length: windowNumbers(this.grouping, true) }, (_, k) => this.#windowNumber(T, e, k, outside)),
      ...this.#layout.cells.map((cell, j) =>
        cell.kind === 'number' ? this.#get(T, e, j) : textOf((T.boxed[j] as unknown[])[e], boxedType(j)),
      ),
    ]
  }

  /** Values of the final aggregate's schema. */
  resultRow(T: GroupTable, e: number, final: FinalAggregate, windowStart: number): unknown[] {
    const values: unknown[] = []
    const { keys, window, aggregates } = final.grouping
    for (let i = 0; i <= keys.length; i++) {
      if (window?.position === i) {
        const start = this.#windowNumber(T, e, 0, [windowStart])
        values.push([start, window.kind === 'session' ? this.#windowNumber(T, e, 2, []) : start + window.sizeMs])
      }
      if (i < keys.length) values.push(this.key(T, e, i))
    }
    aggregates.forEach((aggregate, i) => values.push(this.#finish(T, e, aggregate, present(this.#cellsOf[i], 'cells'))))
    return values
  }

  #finish(T: GroupTable, e: number, aggregate: BoundAggregate, cells: readonly number[]): unknown {
    const number = (k: number): number => this.#get(T, e, cells[k] as number)
    const empty = (k: number): boolean => cells[k] !== undefined && number(k) === 0
    const boxed = (): unknown => (T.boxed[cells[0] as number] as unknown[])[e]
    const type = aggregate.type
    switch (aggregateForm(aggregate)) {
      case 'count':
        return number(0)
      case 'sumInteger':
        return empty(1) || Number.isNaN(number(0)) ? null : number(0)
      case 'sumDouble':
        return empty(2) ? null : compensated(number(0), number(1))
      case 'avgDouble':
        return empty(2) ? null : compensated(number(0), number(1)) / number(2)
      case 'extremeNumber':
        if (empty(1)) return null
        return type.kind === 'boolean' ? number(0) !== 0 : number(0)
      case 'sumBoxed':
        return this.ansi ? boxed() : nullOnOverflow(type)(boxed() as bigint | null)
      case 'avgBoxed':
        return averageDecimal(aggregate.arg?.type, type, this.ansi)(boxed() as bigint | null, number(1))
      case 'extremeBoxed':
        return textOf(boxed(), type)
      case 'fold':
        return foldOf(aggregate).finish((boxed() ?? null) as Value | null)
    }
  }

  #fold(T: GroupTable, e: number, aggregate: BoundAggregate, cells: readonly number[], value: Value): void {
    const c = cells[0] as number
    switch (aggregateForm(aggregate)) {
      case 'fold': {
        const column = T.boxed[c] as (Value | null)[]
        column[e] = foldOf(aggregate).update(column[e] ?? null, value)
        return
      }
      case 'count':
        this.#add(T, e, c, 1)
        return
      case 'sumInteger': {
        const s = this.#get(T, e, c) + (value as number)
        const fits = s <= Number.MAX_SAFE_INTEGER && s >= -Number.MAX_SAFE_INTEGER
        this.#set(T, e, c, fits ? s : integerSumOverflow(this.ansi)(s))
        this.#add(T, e, cells[1], 1)
        return
      }
      case 'sumDouble':
      case 'avgDouble':
        this.#twoSum(T, e, cells, value as number)
        this.#add(T, e, cells[2], 1)
        return
      case 'extremeNumber': {
        const v = numeric(value) + 0
        const held = this.#get(T, e, c)
        const wins = aggregate.fn === 'min' ? v < held || Number.isNaN(held) : v > held || Number.isNaN(v)
        if (wins) this.#set(T, e, c, v)
        this.#add(T, e, cells[1], 1)
        return
      }
      case 'extremeBoxed': {
        const column = T.boxed[c] as (bigint | Uint8Array | string | null)[]
        column[e] = extremeOf(aggregate.fn === 'max')(column[e] ?? null, value as bigint | string | Uint8Array)
        return
      }
      default: {
        const column = T.boxed[c] as (bigint | null)[]
        column[e] = addBigint(sumType(aggregate), this.ansi)(column[e] ?? null, value as bigint)
        this.#add(T, e, cells[1], 1)
      }
    }
  }

  #twoSum(T: GroupTable, e: number, cells: readonly number[], v: number): void {
    const s = this.#get(T, e, cells[0] as number)
    const t = s + v
    const b = t - s
    this.#set(T, e, cells[0] as number, t)
    this.#add(T, e, cells[1], s - (t - b) + (v - b))
  }

  #get(T: GroupTable, e: number, j: number): number {
    return T.cells[e * this.#places.cellDoubles + (this.#places.numbers[j] as number)] as number
  }

  #set(T: GroupTable, e: number, j: number, value: number): void {
    T.cells[e * this.#places.cellDoubles + (this.#places.numbers[j] as number)] = value
  }

  #add(T: GroupTable, e: number, j: number | undefined, value: number): void {
    if (j !== undefined) this.#set(T, e, j, this.#get(T, e, j) + value)
  }

  #hashOf(key: Value, i: number): number {
    const part = this.#layout.keys[i]
    if (part === 'boxed') return hashBigint(key as bigint)
    if (part === 'bytes') {
      const bytes = bytesOf(key)
      return hashBytes(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), bytes, 0, bytes.length)
    }
    const kind = this.grouping.keys[i]?.value.type.kind
    return kind === 'double' || kind === 'float' ? hashDouble(numeric(key) + 0) : hashInteger(numeric(key))
  }
}

const nullMask = (keys: readonly (Value | null)[]): number =>
  keys.reduce<number>((mask, key, i) => (key === null ? mask | (1 << i) : mask), 0)

const numeric = (value: Value): number => (typeof value === 'boolean' ? (value ? 1 : 0) : (value as number) + 0)

const bytesOf = (value: Value): Uint8Array => (typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array))

const compensated = (sum: number, error: number): number => (Number.isFinite(sum) ? sum + error : sum)

function textOf(value: unknown, type: DataType | undefined): unknown {
  if (value instanceof Uint8Array && type?.kind === 'string') return Buffer.from(value).toString('utf8')
  return value ?? null
}

/** Keys of one type: NaN is equal to itself, −0 to 0. */
function same(a: Value, b: Value): boolean {
  if (a instanceof Uint8Array) return Buffer.compare(a, b as Uint8Array) === 0
  return a === b || (a !== a && b !== b)
}
