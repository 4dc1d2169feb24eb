import { MillraceError } from '../common/errors.js'
import { type DataType, typeName } from '../types/data-type.js'
import { encodeNested } from '../types/nested-value.js'
import { type KernelTable, type MakeKernel, plain } from './kernel.js'
import { split } from './patterns.js'
import { addMonths, addMonthsToTime, DAY_MS } from './times.js'
import { comparator, type StructValue, type Value } from './value.js'

/** Arrays, maps (as their entries) and structs. What a kernel is given is never changed: results are new arrays. */

type Item = Value | null
type Items = readonly Item[]
type Entry = readonly [Value, Item]
type Entries = readonly Entry[]

/** Most elements of an array that a function makes; one more is likely a mistake of an argument. */
const ARRAY_LENGTH_MAX = 1 << 24

function assertLength(fn: string, length: number): void {
  if (length <= ARRAY_LENGTH_MAX) return
  throw new MillraceError('COLLECTION_SIZE_LIMIT_EXCEEDED', `${fn} would make an array of ${length} elements`, {
    detail: `the limit is ${ARRAY_LENGTH_MAX}`,
    hint: 'check the arguments',
  })
}

const elementOf = (type: DataType): DataType => (type.kind === 'array' ? type.element : type)
const keyOfMap = (type: DataType): DataType => (type.kind === 'map' ? type.key : type)

const equal = (type: DataType): ((a: Value, b: Value) => boolean) => {
  const compare = comparator(type) as (a: Value, b: Value) => number
  return (a, b) => compare(a, b) === 0
}

/** A value as a JavaScript key: equal keys, equal values. NaN is one key to a Map, and so are −0 and 0. */
function keyOf(type: DataType): (value: Item) => unknown {
  switch (type.kind) {
    case 'binary':
      return (value) => (value === null ? null : Buffer.from(value as Uint8Array).toString('latin1'))
    case 'array':
    case 'map':
    case 'struct':
      return (value) => (value === null ? null : Buffer.from(encodeNested(type, value)).toString('latin1'))
    default:
      return (value) => value
  }
}

/** What stays of an element in a set: −0 is 0 there. */
const normalized = (value: Item): Item => (value === 0 ? 0 : value)

function distinct(type: DataType): (values: Items, seen?: Set<unknown>) => Item[] {
  const key = keyOf(type)
  return (values, seen = new Set()) => {
    const result: Item[] = []
    for (const value of values) {
      const k = key(value)
      if (seen.has(k)) continue
      seen.add(k)
      result.push(normalized(value))
    }
    return result
  }
}

const union: MakeKernel = (first) => {
  const once = distinct(elementOf(first))
  return (a: Items, b: Items) => {
    const seen = new Set<unknown>()
    return [...once(a, seen), ...once(b, seen)]
  }
}

const filtered =
  (kept: boolean): MakeKernel =>
  (first) => {
    const type = elementOf(first)
    const key = keyOf(type)
    const once = distinct(type)
    return (a: Items, b: Items) => {
      const other = new Set(b.map(key))
      return once(a.filter((value) => other.has(key(value)) === kept))
    }
  }

/** Null where nothing is found but a null might have been it. */
const overlap: MakeKernel = (first) => {
  const key = keyOf(elementOf(first))
  return (a: Items, b: Items) => {
    const other = new Set(b.filter((v) => v !== null).map(key))
    if (a.some((value) => value !== null && other.has(key(value)))) return true
    return a.length > 0 && b.length > 0 && (a.includes(null) || b.includes(null)) ? null : false
  }
}

export function sorted(type: DataType, values: Items, descending: boolean, nullsFirst: boolean): Item[] {
  const compare = comparator(type) as (a: Value, b: Value) => number
  return [...values].sort((a, b) => {
    if (a === null || b === null) return a === b ? 0 : (a === null) === nullsFirst ? -1 : 1
    return descending ? compare(b, a) : compare(a, b)
  })
}

const extreme =
  (direction: number): MakeKernel =>
  (first) => {
    const compare = comparator(elementOf(first)) as (a: Value, b: Value) => number
    return (values: Items) => {
      let best: Item = null
      for (const value of values)
        if (value !== null && (best === null || compare(value, best) * direction > 0)) best = value
      return best
    }
  }

export function checkedEntries(type: DataType, entries: readonly (readonly [Item, Item])[]): Entries {
  const key = keyOf(keyOfMap(type))
  const seen = new Set<unknown>()
  for (const [k] of entries) {
    if (k === null) {
      throw new MillraceError('NULL_MAP_KEY', 'null cannot be the key of a map', {
        detail: `found null among the keys of a ${typeName(type)}`,
        hint: 'leave the row out with filter',
      })
    }
    const name = key(k)
    if (seen.has(name)) {
      throw new MillraceError('DUPLICATED_MAP_KEY', 'a map would have a key twice', {
        detail: `the key is ${String(k)} in ${typeName(type)}`,
        hint: 'make the keys different, or leave one of them out',
      })
    }
    seen.add(name)
  }
  return entries.map(([k, v]): Entry => [normalized(k) as Value, v])
}

function pairs(keys: Items, values: Items): [Item, Item][] {
  if (keys.length !== values.length) {
    throw new MillraceError('INVALID_PARAMETER_VALUE', 'a map needs as many keys as values', {
      detail: `found ${keys.length} keys and ${values.length} values`,
      hint: 'cut the longer one with slice, or fill the shorter one with concat',
    })
  }
  return keys.map((key, i) => [key, values[i] ?? null])
}

function indexOutOfBounds(code: string, index: number, length: number): never {
  throw new MillraceError(code, `the array has no element ${index}`, {
    detail: `it has ${length} elements`,
    hint: 'use get() or tryElementAt(), which give null',
  })
}

function elementAt(strict: boolean): (values: Items, index: number) => Item {
  return (values, index) => {
    if (index === 0)
      throw new MillraceError('INVALID_INDEX_OF_ZERO', 'the elements of an array are counted from 1', {
        detail: 'found 0',
        hint: 'the first is elementAt(x, 1), the last elementAt(x, -1)',
      })
    if (Math.abs(index) > values.length)
      return strict ? indexOutOfBounds('INVALID_ARRAY_INDEX_IN_ELEMENT_AT', index, values.length) : null
    return values[index > 0 ? index - 1 : values.length + index] ?? null
  }
}

function slice(values: Items, start: number, length: number): Items {
  if (start === 0) {
    throw new MillraceError('INVALID_PARAMETER_VALUE.START', 'a slice starts at 1 or, from the end, at -1', {
      detail: 'found 0',
      hint: 'the first element is slice(x, 1, 1)',
    })
  }
  if (length < 0)
    throw new MillraceError('INVALID_PARAMETER_VALUE.LENGTH', 'a slice has no negative length', {
      detail: `found ${length}`,
      hint: 'give 0 for an empty slice',
    })
  const from = start > 0 ? start - 1 : values.length + start
  return from < 0 ? [] : values.slice(from, from + length)
}

function insert(values: Items | null, position: number | null, value: Item): Items | null {
  if (values === null || position === null) return null
  if (position === 0)
    throw new MillraceError('INVALID_INDEX_OF_ZERO', 'the elements of an array are counted from 1', {
      detail: 'found position 0',
      hint: 'to put it first, insert at 1; to put it last, at -1',
    })
  assertLength('arrayInsert', Math.max(values.length + 1, Math.abs(position)))
  if (position > 0) {
    const missing = Math.max(0, position - 1 - values.length)
    return [
      ...values.slice(0, position - 1),
      ...new Array<Item>(missing).fill(null),
      value,
      ...values.slice(position - 1),
    ]
  }
  const at = values.length + 1 + position
  if (at >= 0) return [...values.slice(0, at), value, ...values.slice(at)]
  return [value, ...new Array<Item>(-at).fill(null), ...values]
}

function wrongStep(from: unknown, to: unknown, step: unknown): never {
  throw new MillraceError('IllegalArgumentException', 'a sequence never gets from its start to its end', {
    detail: `from ${String(from)} to ${String(to)} by ${String(step)}`,
    hint: 'a step must lead towards the end',
  })
}

function sequence(from: number, to: number, step = from <= to ? 1 : -1): number[] {
  if (from !== to && (step === 0 || step > 0 !== to > from)) wrongStep(from, to, step)
  const count = from === to ? 0 : Math.floor((to - from) / step)
  assertLength('sequence', count + 1)
  return Array.from({ length: count + 1 }, (_, i) => from + i * step)
}

function sequenceOfBigints(from: bigint, to: bigint, step = from <= to ? 1n : -1n): bigint[] {
  if (from !== to && (step === 0n || step > 0n !== to > from)) wrongStep(from, to, step)
  const count = from === to ? 0 : Number((to - from) / step)
  assertLength('sequence', count + 1)
  return Array.from({ length: count + 1 }, (_, i) => from + BigInt(i) * step)
}

/** Months are counted from the start each time, so that 31 January, 29 February, 31 March follow each other. */
const sequenceOfTimes: MakeKernel = (first, call) => {
  const months = call.args[2]?.type.kind === 'yearMonthInterval'
  const isDate = first.kind === 'date'
  return (from: number, to: number, step: number) => {
    const forward = to >= from
    if (from !== to && (step === 0 || step > 0 !== forward)) wrongStep(from, to, step)
    const result: number[] = []
    if (step === 0) return [from]
    for (let i = 0; ; i++) {
      const moved = months
        ? isDate
          ? addMonths(from, i * step)
          : addMonthsToTime(from, i * step)
        : from + (isDate ? Math.floor((i * step) / DAY_MS) : i * step)
      if (step > 0 ? moved > to : moved < to) return result
      result.push(moved)
      assertLength('sequence', result.length)
    }
  }
}

function zip(...arrays: Items[]): StructValue[] {
  const length = Math.max(...arrays.map((a) => a.length))
  return Array.from({ length }, (_, i) => arrays.map((a) => a[i] ?? null))
}

function strToMap(text: string, pairDelimiter = ',', keyDelimiter = ':'): [Item, Item][] {
  return split(text, pairDelimiter).map((pair): [Item, Item] => {
    const [key = '', value] = split(pair, keyDelimiter, 2)
    return [key, value ?? null]
  })
}

function mapValue(first: DataType): (entries: Entries, key: Value) => Item {
  const same = equal(keyOfMap(first))
  return (entries, key) => entries.find(([k]) => same(k, key))?.[1] ?? null
}

/** Words of the sentences of a text, without their marks. */
function sentences(text: string): string[][] {
  const ends = new Intl.Segmenter('en', { granularity: 'sentence' })
  const words = new Intl.Segmenter('en', { granularity: 'word' })
  // A line's end ends no sentence.
  return [...ends.segment(text.replace(/[\r\n]/g, ' '))].map(({ segment }) =>
    [...words.segment(segment)].filter((w) => w.isWordLike === true).map((w) => w.segment),
  )
}

export const collectionKernels: KernelTable = {
  array: plain((...values: Item[]) => values),
  makeStruct: plain((...values: Item[]) => values),
  map:
    (_first, call) =>
    (...values: Item[]) => {
      const entries: [Item, Item][] = []
      for (let i = 0; i < values.length; i += 2) entries.push([values[i] ?? null, values[i + 1] ?? null])
      return checkedEntries(call.type, entries)
    },
  mapKeys: plain((entries: Entries) => entries.map(([key]) => key)),
  mapValues: plain((entries: Entries) => entries.map(([, value]) => value)),
  mapEntries: plain((entries: Entries) => entries),
  mapValue,
  mapContainsKey: (first) => {
    const same = equal(keyOfMap(first))
    return (entries: Entries, key: Value) => entries.some(([k]) => same(k, key))
  },
  mapConcat:
    (_first, call) =>
    (...maps: Entries[]) =>
      checkedEntries(call.type, maps.flat()),
  mapFromArrays: (_first, call) => (keys: Items, values: Items) => checkedEntries(call.type, pairs(keys, values)),
  mapFromEntries: (_first, call) => (entries: readonly (readonly [Item, Item] | null)[]) =>
    entries.includes(null) ? null : checkedEntries(call.type, entries as Entries),
  strToMap: (_first, call) => (text: string, pair?: string, key?: string) =>
    checkedEntries(call.type, strToMap(text, pair, key)),

  getItem: (_first, _call, ansi) => (values: Items, index: number) => {
    if (index >= 0 && index < values.length) return values[index] ?? null
    return ansi ? indexOutOfBounds('INVALID_ARRAY_INDEX', index, values.length) : null
  },
  get: plain((values: Items, index: number) => values[index] ?? null),
  elementAt: (_first, _call, ansi) => elementAt(ansi),
  tryElementAt: plain(elementAt(false)),
  fieldOfEach: plain((values: readonly (StructValue | null)[], index: number) => values.map((v) => v?.[index] ?? null)),

  arraySize: plain((values: Items) => values.length),
  arrayContains: (first) => {
    const same = equal(elementOf(first))
    return (values: Items, value: Value) => {
      if (values.some((v) => v !== null && same(v, value))) return true
      return values.includes(null) ? null : false
    }
  },
  arrayPosition: (first) => {
    const same = equal(elementOf(first))
    return (values: Items, value: Value) => values.findIndex((v) => v !== null && same(v, value)) + 1
  },
  arrayRemove: (first) => {
    const same = equal(elementOf(first))
    return (values: Items, value: Value) => values.filter((v) => v === null || !same(v, value))
  },
  arrayAppend: plain((values: Items | null, value: Item) => (values === null ? null : [...values, value])),
  arrayPrepend: plain((values: Items | null, value: Item) => (values === null ? null : [value, ...values])),
  arrayInsert: plain(insert),
  arrayDistinct: (first) => {
    const once = distinct(elementOf(first))
    return (values: Items) => once(values)
  },
  arrayCompact: plain((values: Items) => values.filter((v) => v !== null)),
  arrayMax: extreme(1),
  arrayMin: extreme(-1),
  reverseArray: plain((values: Items) => [...values].reverse()),
  flatten: plain((values: readonly (Items | null)[]) =>
    values.includes(null) ? null : (values as readonly Items[]).flat(),
  ),
  arrayUnion: union,
  arrayIntersect: filtered(true),
  arrayExcept: filtered(false),
  arraysOverlap: overlap,
  concatArrays: plain((...arrays: Items[]) => arrays.flat()),
  arrayJoin: plain((values: readonly (string | null)[], separator: string, forNull?: string) =>
    values.flatMap((v) => v ?? forNull ?? []).join(separator),
  ),
  sortArray:
    (first) =>
    (values: Items, ascending = true) =>
      sorted(elementOf(first), values, !ascending, ascending),
  arrayRepeat: plain((value: Item, count: number | null) => {
    if (count === null) return null
    assertLength('arrayRepeat', count)
    return new Array<Item>(Math.max(0, count)).fill(value)
  }),
  slice: plain(slice),
  sequence: (first) => (first.kind === 'bigint' ? sequenceOfBigints : sequence),
  sequenceOfTimes,
  arraysZip: plain(zip),
  sentences: plain(sentences),
  split: plain(split),
}
