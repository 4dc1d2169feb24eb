import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  bytesEqual,
  CHANGED_FOR_EMIT,
  CHANGED_FOR_LOG,
  type GroupLayout,
  GroupPlaces,
  GroupTable,
  HEAD_HASH,
  HEAD_KEY_HASH,
  HEAD_NULLS,
} from '../../src/state/group-table.js'

const layout: GroupLayout = {
  keys: ['bytes', 'number', 'boxed'],
  nullableKeys: true,
  windowNumbers: 1,
  cells: [
    { kind: 'number', initial: 0 },
    { kind: 'boxed', initial: null },
    { kind: 'number', initial: Number.NEGATIVE_INFINITY },
  ],
}

/** The entry of a slot hash whose boxed cell is `id`, as generated code would look for it. */
function find(table: GroupTable, hash: number, id: number): number {
  for (let at = hash & table.mask; table.index[at] !== 0; at = (at + 1) & table.mask) {
    const entry = (table.index[at] as number) - 1
    const head = entry * table.places.headInts
    if (table.heads[head + HEAD_HASH] === hash && table.boxed[1]?.[entry] === id) return entry
  }
  return -1
}

function add(table: GroupTable, hash: number, id: number): number {
  const entry = table.insert(hash, ~hash)
  ;(table.boxed[1] as unknown[])[entry] = id
  table.cells[entry * table.places.cellDoubles + (table.places.numbers[0] as number)] = id
  return entry
}

describe('the places of an entry', () => {
  it('do not overlap, and what a record does not hold is -1', () => {
    const places = new GroupPlaces(layout)
    expect(places.headInts).toBe(8)
    expect(places.keyBytes).toEqual([3, -1, -1])
    expect(places.window).toBe(0)
    expect(places.keyNumbers).toEqual([-1, 1, -1])
    expect(places.numbers).toEqual([2, -1, 3])
    expect(places.cellDoubles).toBe(4)
    const bare = new GroupPlaces({ keys: [], nullableKeys: false, windowNumbers: 0, cells: [] })
    expect([bare.headInts, bare.cellDoubles, bare.window]).toEqual([3, 0, -1])
  })
})

describe('a group table', () => {
  it('gives a new entry its hashes and initial cells, also where another one was before', () => {
    const table = new GroupTable(layout, 2)
    for (let round = 0; round < 3; round++) {
      for (let id = 0; id < 5; id++) {
        const entry = table.insert(id * 31, id)
        const head = entry * table.places.headInts
        expect(entry).toBe(id)
        expect([...table.heads.subarray(head, head + 3)]).toEqual([id * 31, id, 0])
        expect(table.cells[entry * 4 + 2]).toBe(0)
        expect(table.cells[entry * 4 + 3]).toBe(Number.NEGATIVE_INFINITY)
        expect(table.boxed[1]?.[entry]).toBeNull()
        expect(table.flags[entry]).toBe(0)
        table.heads[head + HEAD_NULLS] = 7
        table.cells.fill(99, entry * 4, entry * 4 + 4)
        ;(table.boxed[1] as unknown[])[entry] = 'old'
        table.mark(entry, CHANGED_FOR_EMIT | CHANGED_FOR_LOG)
      }
      table.reset()
    }
  })

  it('keeps every entry through growth, with all that belongs to it', () => {
    const table = new GroupTable(layout, 2)
    const hashes = Array.from({ length: 3000 }, (_, i) => Math.imul(i, 0x9e3779b1))
    hashes.forEach((hash, id) => {
      add(table, hash, id)
      if (id % 3 === 0) table.mark(id, CHANGED_FOR_LOG)
    })
    expect(table.capacity).toBe(4096)
    expect(table.mask).toBe(8191)
    hashes.forEach((hash, id) => {
      const entry = find(table, hash, id)
      expect(entry).toBe(id)
      expect(table.heads[entry * table.places.headInts + HEAD_KEY_HASH]).toBe(~hash)
      expect(table.cells[entry * 4 + 2]).toBe(id)
    })
    expect(table.logCount).toBe(1000)
    expect([...table.logList.subarray(0, 1000)].every((entry) => entry % 3 === 0)).toBe(true)
  })

  it('of fixed capacity keeps its arrays, widens its index, and is emptied when it is full', () => {
    const emptied: number[] = []
    const table: GroupTable = new GroupTable(layout, 4096, () => {
      for (let id = 0; id < table.size; id++) expect(find(table, Math.imul(id, 0x9e3779b1), id)).toBe(id)
      emptied.push(table.size)
      table.reset()
    })
    const { index, heads, cells } = table
    expect(table.mask).toBe(2047)
    for (let n = 0; n < 10_000; n++) {
      const id = n % 4096
      expect(add(table, Math.imul(id, 0x9e3779b1), id)).toBe(id)
    }
    expect(emptied).toEqual([4096, 4096])
    expect(table.size).toBe(10_000 - 2 * 4096)
    expect(table.mask).toBe(8191)
    expect([table.index, table.heads, table.cells].every((array, i) => array === [index, heads, cells][i])).toBe(true)
    table.reset()
    expect(index.every((slot) => slot === 0)).toBe(true)
  })

  it('of fixed capacity that nobody empties is a bug of ours', () => {
    const table = new GroupTable(layout, 2, () => undefined)
    add(table, 1, 0)
    add(table, 2, 1)
    expect(() => add(table, 3, 2)).toThrow('assertion failed: a full table of 2 groups was not emptied')
  })

  it('tells entries of one hash apart by their chain', () => {
    const table = new GroupTable(layout, 4)
    for (let id = 0; id < 100; id++) add(table, 5, id)
    for (let id = 0; id < 100; id++) expect(find(table, 5, id)).toBe(id)
    expect(find(table, 5, 100)).toBe(-1)
  })

  it.each([
    ['few entries, one by one', 20, 4096],
    ['many entries, all at once', 3000, 4096],
    ['few entries in one chain round the end of the index', 30, 256],
  ])('is empty after a reset: %s', (_, count, capacity) => {
    const table = new GroupTable(layout, capacity)
    const hash = (i: number) => (count === 30 ? table.mask - (i % 3) : Math.imul(i, 0x9e3779b1))
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < count; i++) add(table, hash(i), i)
      for (let i = 0; i < count; i++) expect(find(table, hash(i), i)).toBe(i)
      table.store(new Uint8Array(10), 0, 10)
      table.mark(0, CHANGED_FOR_EMIT | CHANGED_FOR_LOG)
      const index = table.index
      table.reset()
      expect(table.index).toBe(index)
      expect(table.index.every((slot) => slot === 0)).toBe(true)
      expect([table.size, table.arenaLength, table.emitCount, table.logCount]).toEqual([0, 0, 0, 0])
      expect(table.boxed.every((column) => column.length === 0)).toBe(true)
    }
  })

  it('keeps stored bytes through growth of the arena, each at a multiple of 4', () => {
    const table = new GroupTable(layout, 2)
    const kept: { at: number; bytes: Uint8Array }[] = []
    for (let i = 0; i < 300; i++) {
      const length = i % 7 === 0 ? 100 + i : i % 33
      const source = Uint8Array.from({ length: length + 5 }, (_, j) => (i * 7 + j) & 255)
      const at = table.store(source, 5, 5 + length)
      expect(at % 4).toBe(0)
      kept.push({ at, bytes: source.subarray(5) })
      expect(table.arenaView.buffer).toBe(table.arena.buffer)
    }
    for (const { at, bytes } of kept) {
      expect(table.arena.slice(at, at + bytes.length)).toEqual(new Uint8Array(bytes))
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      expect(bytesEqual(table.arenaView, at, view, 0, bytes.length)).toBe(true)
      for (let j = 0; j < bytes.length; j += 11) {
        const other = Uint8Array.from(bytes)
        other[j] = (other[j] as number) ^ 1
        expect(bytesEqual(table.arenaView, at, new DataView(other.buffer), 0, other.length)).toBe(false)
      }
    }
  })

  it('says how much memory it holds', () => {
    const small = new GroupTable(layout, 16).byteSize()
    const table = new GroupTable(layout, 16)
    for (let i = 0; i < 1000; i++) add(table, i, i)
    expect(table.byteSize()).toBeGreaterThan(1000 * (5 * 4 + 4 * 8))
    expect(table.byteSize()).toBeGreaterThan(small)
  })
})

it('what changed stands on each list once, until that list is cleared', () => {
  const step = fc.oneof(
    fc.record({ mark: fc.nat(40), flags: fc.constantFrom(0, 1, 2, 3) }),
    fc.constantFrom('clearEmit' as const, 'clearLog' as const, 'insert' as const, 'reset' as const),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const table = new GroupTable(layout, 2)
      const emit = new Set<number>()
      const log = new Set<number>()
      for (const one of steps) {
        if (typeof one === 'object') {
          if (table.size === 0) continue
          const entry = one.mark % table.size
          table.mark(entry, one.flags)
          if ((one.flags & CHANGED_FOR_EMIT) !== 0) emit.add(entry)
          if ((one.flags & CHANGED_FOR_LOG) !== 0) log.add(entry)
        } else if (one === 'insert') add(table, table.size * 17, table.size)
        else if (one === 'clearEmit') {
          table.clearEmitList()
          emit.clear()
        } else if (one === 'clearLog') {
          table.clearLogList()
          log.clear()
        } else {
          table.reset()
          emit.clear()
          log.clear()
        }
        expect([...table.emitList.subarray(0, table.emitCount)]).toEqual([...emit])
        expect([...table.logList.subarray(0, table.logCount)]).toEqual([...log])
      }
    }),
  )
})
